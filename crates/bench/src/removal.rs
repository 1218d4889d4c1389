//! What does it cost to remove many entries at once: by scope, tag and space, against a scan of all names?

use std::sync::Arc;

use larder::{CacheService, Policy, Space, Tag};

use crate::Failure;
use crate::growth::SIZES;
use crate::record::{Case, Sample};
use crate::stage::{Entrant, Stage, now};

pub(crate) const GROUP: &str = "removal";

/// With whom all are compared.
pub(crate) const BASELINE: &str = "delete_pattern, not declared (a scan)";

static PAGE: Space<(&str, u64), u64> = Space::new(
    "deals:company:{company}:page:{n}",
    "Read by benchmarks; changes when they remove it; costs nothing.",
)
.scope("company")
.weigher(|_| 1)
.cache_is_source();

const COMPANY: &str = "abc123";

pub(crate) const SCOPE: &str = "delete_pattern of a declared scope";

#[derive(Clone, Copy)]
enum Removal {
    Scan,
    Scope,
    Tag,
    Space,
}

impl Removal {
    const ALL: [Removal; 4] = [Removal::Scan, Removal::Scope, Removal::Tag, Removal::Space];

    fn name(self) -> &'static str {
        match self {
            Removal::Scan => BASELINE,
            Removal::Scope => SCOPE,
            Removal::Tag => "invalidate_tag",
            Removal::Space => "Space::clear",
        }
    }
}

pub(crate) fn measure(stage: &Stage) -> Result<Vec<Sample>, Failure> {
    let _inside = stage.runtime.enter();
    let mut samples = Vec::new();
    for entries in SIZES {
        let builder = CacheService::builder().space(&PAGE).local_expected_entries(entries);
        let cache = builder.local_capacity_bytes(4 * entries as u64).build()?;
        let all: Vec<Entrant<'_>> = Removal::ALL
            .into_iter()
            .map(|removal| {
                let cache = cache.clone();
                let set = format!("{entries} entries");
                Entrant {
                    case: Case { group: GROUP, set, side: removal.name(), entries, unit: "ns" },
                    once: Box::new(move |stage| stage.work(remove_all(cache.clone(), removal, entries))?),
                }
            })
            .collect();
        samples.extend(stage.interleave(&format!("{GROUP}, {entries} entries"), &all)?);
    }
    Ok(samples)
}

/// Fills, then removes all at once. Answers the nanoseconds of the removal.
async fn remove_all(cache: CacheService, removal: Removal, entries: usize) -> Result<f64, Failure> {
    let tag = Tag::new("deals", COMPANY);
    for n in 0..entries as u64 {
        cache.set(PAGE.key(&(COMPANY, n)), n, Policy::new().tag(tag)).await;
    }
    let last = || PAGE.key(&(COMPANY, entries as u64 - 1));
    let there: Option<Arc<u64>> = cache.get(last()).await;
    let began = now();
    match removal {
        Removal::Scan => cache.delete_pattern("deals:*:abc123:page:*").await,
        Removal::Scope => cache.delete_pattern("deals:company:abc123:*").await,
        Removal::Tag => cache.invalidate_tag(tag).await,
        Removal::Space => PAGE.clear(&cache).await,
    };
    let elapsed = began.elapsed();
    if there.is_none() || cache.get(last()).await.is_some() {
        return Err(format!("{} of {entries} entries did not remove what was there", removal.name()).into());
    }
    Ok(elapsed.as_nanos() as f64)
}
