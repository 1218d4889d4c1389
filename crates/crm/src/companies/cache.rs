//! How companies and countries are cached, and what changes with them.
//!
//! Not cached: the rows that a write reads before it changes them, which must be those of its own transaction, and the
//! list of ids that warming walks through, which is read once.

use super::model::{Company, CompanyQuery};
use crate::caller::CompanyId;
use crate::page::Filter;
use larder::{Builder, Id, Invalidation, KeyWriter, Policy, Space, Tag, Ttl};
use larder_axum::Body;

/// One company.
pub static COMPANY: Space<CompanyId, Body> = Space::new(
    "company:{id}",
    "Read by every page of a company; changes when somebody edits it, a few times a year; a stale name confuses.",
)
.ttl(Ttl::LONG)
.weigher(Body::weight_bytes);

/// One page of the list of companies, as one company sees it, which sees itself, or the operator, who sees all.
pub static COMPANIES: Space<(String, u32, String), Body> = Space::new(
    "companies:{whose}:page:{n}:{filter}",
    "Read by whoever begins; changes with any of them; a stale name confuses.",
)
.ttl(Ttl::LONG)
.weigher(Body::weight_bytes)
.prefix("company");

/// What stands in the key of the operator's list; no company has it as its id.
const ALL: &str = "all";

/// All countries.
pub static COUNTRIES: Space<(), Body> = Space::new(
    "reference:countries",
    "Read by every form with an address; changes with a migration, when no process is running; nothing can be stale.",
)
.ttl(Ttl::DAY)
.weigher(Body::weight_bytes);

/// Makes the spaces known to a cache.
pub fn register(builder: Builder) -> Builder {
    builder.space(&COMPANY).space(&COMPANIES).space(&COUNTRIES)
}

impl Id for CompanyId {
    const SEGMENTS: usize = 1;

    fn write(&self, key: &mut KeyWriter<'_>) {
        key.segment(self.as_str());
    }
}

/// What depends on the details or settings of one company.
#[must_use]
pub fn details_of(company: &CompanyId) -> Tag {
    Tag::new("company", company)
}

/// What depends on any company.
fn any_company() -> Tag {
    Tag::named("companies")
}

/// What a page of the list depends on.
pub(super) fn list_policy(only: Option<&CompanyId>) -> Policy {
    Policy::new().tag(only.map_or_else(any_company, details_of))
}

/// Whose list it is, the page and the rest of a query, as segments of a key.
pub(super) fn list_key(only: Option<&CompanyId>, query: &CompanyQuery) -> (String, u32, String) {
    let filter = Filter::new(query.paging, query.order.by.word(), query.order.descending);
    let whose = only.map_or(ALL, CompanyId::as_str).to_owned();
    (whose, query.paging.page, filter.and("q", query.search.as_deref()).into_segment())
}

/// What is no longer true when a company is added or changed.
pub(super) fn changed(company: &Company) -> Invalidation {
    Invalidation::new().key(COMPANY.key(&company.id)).tag(details_of(&company.id)).tag(any_company())
}
