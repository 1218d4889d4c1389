//! What does a hit cost as the cache grows from a thousand entries to a million?

use std::sync::Arc;

use larder::Space;

use crate::Failure;
use crate::data::{self, Item};
use crate::hits::BASELINE;
use crate::record::{Case, Sample};
use crate::remote::peers::Amalgam;
use crate::sides::{ByKey, ByName, Get, Map, Moka, Quick, QuickNamed, Side, Tags};
use crate::stage::{Entrant, Stage};

pub(crate) const GROUP: &str = "growth";

pub(crate) const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// How many times one measurement asks.
const CALLS: usize = 100_000;

/// Small values: what is compared is the caches.
pub(crate) static NUMBER: Space<str, u64> =
    Space::new("deal:{id}", "Read by benchmarks; never changes; holds nothing that could be stale.")
        .cache_is_source();

pub(crate) fn number() -> u64 {
    17
}

pub(crate) fn measure(stage: &Stage) -> Result<Vec<Sample>, Failure> {
    let _inside = stage.runtime.enter();
    let mut samples = Vec::new();
    for entries in SIZES {
        let set = Set { items: data::items(entries, 7), order: data::zipf(entries, CALLS, 3), stage };
        let mut all = Vec::new();
        set.enter(&mut all, BASELINE, Quick::new())?;
        set.enter(&mut all, "quick_cache + deadline, name made", QuickNamed(Quick::new()))?;
        set.enter(&mut all, "moka", Moka::new())?;
        set.enter(&mut all, "amalgam-cache", Amalgam::alone()?)?;
        set.enter(&mut all, "papaya, no deadline", Map::new())?;
        set.enter(&mut all, "larder get, name", Get::<_, ByName>::new(&NUMBER, Tags::None)?)?;
        set.enter(&mut all, "larder get, key, 2 tags", Get::<_, ByKey>::new(&NUMBER, Tags::Two)?)?;
        samples.extend(stage.interleave(&format!("{GROUP}, {entries} entries"), &all)?);
    }
    Ok(samples)
}

struct Set<'a> {
    items: Arc<[Item]>,
    order: Arc<[u32]>,
    stage: &'a Stage,
}

impl Set<'_> {
    fn enter<S: Side<u64>>(
        &self,
        all: &mut Vec<Entrant<'_>>,
        name: &'static str,
        side: S,
    ) -> Result<(), Failure> {
        let side = Arc::new(side);
        self.stage.fill(&side, &self.items, number)?;
        let (items, order) = (Arc::clone(&self.items), [Arc::clone(&self.order)]);
        all.push(Entrant {
            case: Case {
                group: GROUP,
                set: format!("{} entries", items.len()),
                side: name,
                entries: items.len(),
                unit: "ns",
            },
            once: Box::new(move |stage| stage.hits(&side, &items, &order)),
        });
        Ok(())
    }
}
