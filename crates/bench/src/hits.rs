//! What does a hit cost, through each door, against the bare parts?

use std::sync::Arc;

use larder::{Blob, Space, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Failure;
use crate::data::{self, Deal, Item};
use crate::record::{Case, Sample};
use crate::remote::peers::Amalgam;
use crate::sides::{ByKey, ByName, Get, Map, Moka, Quick, QuickNamed, Side, Tags};
use crate::stage::{Entrant, Stage, WORKERS};

pub(crate) const GROUP: &str = "hit";

/// With whom all are compared.
pub(crate) const BASELINE: &str = "quick_cache + deadline";

/// How many entries there are.
const ENTRIES: usize = 100_000;

/// How many times one measurement asks.
const CALLS: usize = 200_000;

const REASON: &str = "Read by benchmarks; never changes; holds nothing that could be stale.";

pub(crate) static DEAL: Space<str, Deal> = Space::new("deal:{id}", REASON).cache_is_source();
pub(crate) static BODY: Space<str, Blob> = Space::new("deal:{id}", REASON).cache_is_source();

pub(crate) fn measure(stage: &Stage) -> Result<Vec<Sample>, Failure> {
    let mut samples = measure_values(stage, "typed", &DEAL, Deal::example)?;
    samples.extend(measure_values(stage, "bytes", &BODY, data::body)?);
    Ok(samples)
}

fn measure_values<V: Value + Clone + Serialize + DeserializeOwned>(
    stage: &Stage,
    values: &'static str,
    space: &'static Space<str, V>,
    make: fn() -> V,
) -> Result<Vec<Sample>, Failure> {
    let set = Set {
        values,
        items: data::items(ENTRIES, 7),
        orders: (0..WORKERS).map(|seed| data::zipf(ENTRIES, CALLS, seed as u64)).collect(),
        make,
    };
    let _inside = stage.runtime.enter();
    let mut all = Vec::new();
    set.enter(stage, &mut all, BASELINE, Quick::new())?;
    set.enter(stage, &mut all, "quick_cache + deadline, name made", QuickNamed(Quick::new()))?;
    set.enter(stage, &mut all, "moka", Moka::new())?;
    set.enter(stage, &mut all, "papaya, no deadline", Map::new())?;
    set.enter(stage, &mut all, "amalgam-cache", Amalgam::alone()?)?;

    for (tags, get_name, get_key, set_name, set_key) in [
        (Tags::None, "get, name", "get, key", "get_or_set, name", "get_or_set, key"),
        (
            Tags::Two,
            "get, name, 2 tags",
            "get, key, 2 tags",
            "get_or_set, name, 2 tags",
            "get_or_set, key, 2 tags",
        ),
    ] {
        let by_name = Get::<V, ByName>::new(space, tags)?;
        let by_key = Get::<V, ByKey>::new(space, tags)?;
        let or_set = (by_name.or_set(), by_key.or_set());
        set.enter(stage, &mut all, get_name, by_name)?;
        set.enter(stage, &mut all, get_key, by_key)?;
        set.enter_filled(&mut all, set_name, or_set.0);
        set.enter_filled(&mut all, set_key, or_set.1);
    }
    stage.interleave(&format!("{GROUP}, {values}"), &all)
}

/// What all are asked.
struct Set<V> {
    values: &'static str,
    items: Arc<[Item]>,
    orders: Vec<Arc<[u32]>>,
    make: fn() -> V,
}

impl<V: Value> Set<V> {
    /// Fills a side and lets it in.
    fn enter<S: Side<V>>(
        &self,
        stage: &Stage,
        all: &mut Vec<Entrant<'_>>,
        name: &'static str,
        side: S,
    ) -> Result<(), Failure> {
        let side = Arc::new(side);
        stage.fill(&side, &self.items, self.make)?;
        self.enter_shared(all, name, &side);
        Ok(())
    }

    /// Lets a side in whose entries are there already.
    fn enter_filled<S: Side<V>>(&self, all: &mut Vec<Entrant<'_>>, name: &'static str, side: S) {
        self.enter_shared(all, name, &Arc::new(side));
    }

    fn enter_shared<S: Side<V>>(&self, all: &mut Vec<Entrant<'_>>, name: &'static str, side: &Arc<S>) {
        for threads in 1..=WORKERS {
            let (side, items, orders) =
                (Arc::clone(side), Arc::clone(&self.items), self.orders[..threads].to_vec());
            let set =
                format!("{} values; {threads} thread{}", self.values, if threads == 1 { "" } else { "s" });
            all.push(Entrant {
                case: Case { group: GROUP, set, side: name, entries: ENTRIES, unit: "ns" },
                once: Box::new(move |stage| stage.hits(&side, &items, &orders)),
            });
        }
    }
}
