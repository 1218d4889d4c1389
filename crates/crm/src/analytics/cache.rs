//! How analytics is cached. It depends on deals, users, contacts and companies, and none of them has heard of it.
//!
//! The currency of a company, which all of these show, never changes.

use crate::caller::{CompanyId, UserId};
use crate::companies::details_of;
use crate::contacts::contacts_of;
use crate::deals::{deals_of, deals_owned_by};
use crate::time::Day;
use crate::users::users_of;
use larder::{Builder, Invalidation, Policy, Space, Tag, Ttl};
use larder_axum::Body;

/// The pipeline of a company.
pub static PIPELINE: Space<CompanyId, Body> = Space::new(
    "pipeline:stats:{company}",
    "Read by every board and dashboard; changes with any deal of the company; sums that do not match their list cost trust.",
)
.ttl(Ttl::MEDIUM)
.weigher(Body::weight_bytes)
.prefix("analytics");

/// The months of a company: the one view that is not removed by what it shows. It is dear to make, nobody acts on the last
/// hour of it, and it says in itself how old it may be. Its lifetime ends by its hour or by a refresh.
pub static MONTHLY: Space<CompanyId, Body> = Space::new(
    "analytics:company:{company}:monthly",
    "Read in meetings; changes with every deal, which would empty it all day; an hour's lag is announced and costs nothing.",
)
.ttl(MONTHLY_TTL)
.weigher(Body::weight_bytes);

const MONTHLY_TTL: Ttl = Ttl::LONG;

/// The numbers on a company's first page.
pub static DASHBOARD: Space<CompanyId, Body> = Space::new(
    "dashboard:{company}",
    "Read by everybody in the morning; changes with any deal, contact or user of the company; wrong numbers cost trust.",
)
.ttl(Ttl::MEDIUM)
.weigher(Body::weight_bytes);

/// What one user has in hand and has achieved.
pub static USER_STATS: Space<(UserId, CompanyId), Body> = Space::new(
    "user:{id}:stats:{company}",
    "Read by the user and its manager; changes with a deal of that user; a sale that does not show up is asked about.",
)
.ttl(Ttl::MEDIUM)
.weigher(Body::weight_bytes)
.prefix("analytics");

/// Makes the spaces known to a cache.
pub fn register(builder: Builder) -> Builder {
    builder.space(&PIPELINE).space(&MONTHLY).space(&DASHBOARD).space(&USER_STATS)
}

/// What the pipeline depends on.
pub(super) fn pipeline_policy(company: &CompanyId) -> Policy {
    Policy::new().tag(deals_of(company))
}

/// What the dashboard depends on; the day too, because "this month" and "for so many days" mean something else tomorrow.
pub(super) fn dashboard_policy(company: &CompanyId, today: Day) -> Policy {
    let parts = [deals_of(company), contacts_of(company), users_of(company), details_of(company)];
    Policy::new().tags(parts).tag(Tag::new("day", today))
}

/// What a user's statistics depend on.
pub(super) fn user_stats_policy(user: &UserId) -> Policy {
    Policy::new().tag(deals_owned_by(user))
}

/// What is no longer true when the months of a company are to be made anew.
pub(super) fn months_ended(company: &CompanyId) -> Invalidation {
    Invalidation::new().key(MONTHLY.key(company))
}

/// How long the months may lag behind the deals, in seconds.
pub(super) const fn monthly_max_age_seconds() -> u64 {
    MONTHLY_TTL.as_millis() / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder::{CacheService, Source};
    use std::convert::Infallible;

    #[test]
    fn the_dashboard_of_yesterday_is_not_served_today() {
        testkit::run(async {
            let cache = register(CacheService::builder()).build().unwrap();
            let company = CompanyId::named("c");
            let read = async |today: &str| {
                let policy = dashboard_policy(&company, Day::parse(today).unwrap());
                let load = || async { Ok::<_, Infallible>(Body::of(&"c", &today).unwrap()) };
                let read = cache.read_through(DASHBOARD.key(&company), policy, load).await.unwrap();
                (read.source, read.value.json.to_string())
            };
            assert_eq!(read("2026-01-31").await.0, Source::Loaded);
            assert_eq!(read("2026-01-31").await.0, Source::Local);
            assert_eq!(read("2026-02-01").await, (Source::Loaded, "\"2026-02-01\"".to_owned()));
            assert_eq!(read("2026-02-01").await.0, Source::Local);
        });
    }
}
