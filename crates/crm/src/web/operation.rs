//! How the cache does, for the admins of a company. It is that of this process and of all its companies: names of others are not shown.

use super::plot;
use super::shown::Shown;
use super::visit::{Place, Visit};
use super::words::{count, per_cent};
use crate::app::App;
use crate::caller::{Act, CompanyId};
use crate::error::Error;
use crate::history::Reads;
use crate::http::params::NoParams;
use larder::{Counts, Health, HotKey};
use maud::{Markup, html};
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Names that are shown of those that are read most.
const HOTTEST: usize = 20;

/// How the cache does.
#[utoipa::path(get, path = "/cache", tag = "pages")]
async fn show(visit: Visit, _none: NoParams) -> Result<Shown, Error> {
    visit.caller.may(Act::Administer)?;
    let app = &visit.app;
    let health = app.cache.health().await;
    // What is of others becomes one line for each kind, so that more are looked at than are shown.
    let hottest = hottest(&app.cache.hottest_keys(HOTTEST * 4), &visit.caller.company);
    let main = html! {
        div.head { h1 { "Cache" } span { (health.status.as_str()) } }
        @if let Some(trouble) = &health.trouble { div.alert role="alert" { (trouble) } }
        (tiles(&health))
        div.two { (over_time(&app.history.reads())) (by_kind(&health.stats.by_prefix)) }
        (most_read(&hottest))
        p.soft { "All of it is of this process, since it began." }
    };
    Ok(visit.answer_now(Place::Cache, "Cache", &main))
}

/// Bytes of a mebibyte, in which the setting counts.
const MIB: u64 = 1 << 20;

fn share(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}

fn tiles(health: &Health) -> Markup {
    let (total, local) = (&health.stats.total, &health.stats.local);
    let reads = total.hits + total.misses;
    let mut tiles = vec![
        ("Reads", count(reads)),
        ("Answered from the cache", per_cent(share(total.hits, reads))),
        ("From this process", per_cent(share(total.local_hits, reads))),
        ("From Redis", per_cent(share(total.hits - total.local_hits, reads))),
        ("Loads of the database", count(total.loads)),
        ("Entries here", count(local.entries)),
        (
            "Memory of them",
            format!("{:.1} of {} MiB", local.weight as f64 / MIB as f64, count(local.capacity / MIB)),
        ),
        ("Errors", count(total.errors)),
    ];
    if let Some(redis) = &health.redis {
        tiles.push(("Redis answers within", format!("{:.2} ms", redis.round_trip.as_secs_f64() * 1e3)));
        tiles.extend(redis.used_memory.clone().map(|memory| ("Memory of Redis", memory)));
    }
    html! { dl.tiles { @for (name, value) in tiles { div { dt { (name) } dd { (value) } } } } }
}

fn over_time(reads: &[Reads]) -> Markup {
    // While nothing is read, it is as it was.
    let shares = reads.iter().scan((0.0, 0.0), |shares, reads| {
        let all = reads.local + reads.redis + reads.missed;
        if all > 0 {
            *shares = (share(reads.local, all), share(reads.redis, all));
        }
        Some(*shares)
    });
    let shares: Vec<(f64, f64)> = shares.collect();
    let time = |reads: Option<&Reads>| {
        reads.and_then(|reads| reads.until.to_string().get(11..16).map(str::to_owned)).unwrap_or_default()
    };
    html! {
        section.box aria-labelledby="ratio" {
            h2 #ratio { "Hit ratio over time" }
            @if reads.len() < 2 { p.soft { "It begins with the second look at the counters, in a few seconds." } }
            @else {
                (plot::shares("Share of reads answered from this process and from Redis", &shares, (&time(reads.first()), &time(reads.last()))))
                p { span.key.bar {} " this process  " span.key.bar-2 {} " Redis; the rest was loaded. Times are UTC." }
            }
        }
    }
}

fn by_kind(kinds: &BTreeMap<String, Counts>) -> Markup {
    html! {
        section.box aria-labelledby="kinds" {
            h2 #kinds { "By kind of data" }
            table {
                thead { tr { th scope="col" { "Kind" } th.number scope="col" { "Reads" } th.number scope="col" { "Hits" } th.number scope="col" { "Loads" } th.number scope="col" { "Removals" } } }
                tbody {
                    @for (name, counts) in kinds {
                        @let reads = counts.hits + counts.misses;
                        tr {
                            td { (name) }
                            td.number { (count(reads)) }
                            td.number { (per_cent(share(counts.hits, reads))) }
                            td.number { (count(counts.loads)) }
                            td.number { (count(counts.deletes)) }
                        }
                    }
                }
            }
        }
    }
}

/// The names that are read most: those of this company as they are, and of all others how often their kind is read.
fn hottest(keys: &[HotKey], company: &CompanyId) -> Vec<(String, u64)> {
    let mut names: BTreeMap<String, u64> = BTreeMap::new();
    for key in keys {
        let is_ours = key.name.split(':').any(|part| part == company.as_str());
        let is_shared = key.name.starts_with("reference:");
        let kind = || format!("{}:… of any company", key.name.split(':').next().unwrap_or_default());
        let name = if is_ours || is_shared { key.name.clone() } else { kind() };
        *names.entry(name).or_default() += key.reads;
    }
    let mut names: Vec<(String, u64)> = names.into_iter().collect();
    names.sort_by(|(one, reads), (other, more)| more.cmp(reads).then_with(|| one.cmp(other)));
    names.truncate(HOTTEST);
    names
}

fn most_read(names: &[(String, u64)]) -> Markup {
    let most = names.first().map_or(1, |(_, reads)| *reads);
    html! {
        section.box aria-labelledby="hottest" {
            h2 #hottest { "Read most in the last minutes" }
            @if names.is_empty() { p.soft { "Too little was read." } }
            table.bars {
                thead { tr { th scope="col" { "Name" } th scope="col" { span.hide { "Plot" } } th.number scope="col" { "Reads, about" } } }
                tbody {
                    @for (name, reads) in names {
                        tr { td { (name) } td { (plot::bar(share(*reads, most), "bar")) } td.number { (count(*reads)) } }
                    }
                }
            }
        }
    }
}

/// The routes.
pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(show))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_other_companies_are_not_shown() {
        testkit::run(async {
            let cache = larder::CacheService::builder().build().unwrap();
            for _ in 0..2_000 {
                for name in [
                    "company:ours",
                    "deals:company:ours:page:1:x",
                    "company:theirs",
                    "deal:d1",
                    "session:secret",
                ] {
                    cache.get::<u32>(name).await;
                }
            }
            let names = hottest(&cache.hottest_keys(128), &CompanyId::named("ours"));
            let names: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
            for shown in [
                "company:ours",
                "deals:company:ours:page:1:x",
                "company:… of any company",
                "session:… of any company",
            ] {
                assert!(names.contains(&shown), "{shown}: {names:?}");
            }
            assert!(
                !names
                    .iter()
                    .any(|name| name.contains("theirs") || name.contains("secret") || name.contains("d1")),
                "{names:?}"
            );
        });
    }
}
