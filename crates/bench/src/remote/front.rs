//! What does a hit in the process cost, in front of Redis, beside one without Redis and beside other caches of two tiers?

use std::sync::Arc;

use larder::{Redis, Space, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ground::{CPU, Ground};
use super::peers::{Amalgam, AmalgamOrSet, MultiTier, MultiTierOrSet, MultiTierTyped};
use crate::Failure;
use crate::data::{self, Deal, Item};
use crate::hits::{BODY, DEAL};
use crate::record::{Case, Sample};
use crate::sides::{ByKey, ByName, Get, Side, Tags};
use crate::stage::{Entrant, Stage, WORKERS};

pub(crate) const GROUP: &str = "front";

/// With whom all are compared.
pub(crate) const BASELINE: &str = "larder, without Redis";

pub(crate) const IN_FRONT: &str = "larder, in front of Redis";

/// How many entries there are: each is set over Redis first.
const ENTRIES: usize = 20_000;

/// How many times one measurement asks.
const CALLS: usize = 200_000;

/// How often a side is asked for an entry at most until it has it in the process.
const ASKS: usize = 5;

pub(crate) fn measure(ground: &Ground, rounds: usize) -> Result<Vec<Sample>, Failure> {
    let stage = Stage::new(rounds)?;
    let url = ground.server.url();
    let mut typed = Lists::new(&stage, "typed", Deal::example);
    let multi_tier = Arc::new(MultiTierTyped(stage.runtime.block_on(MultiTier::at(&url))?));
    typed.enter("get, name", "multi-tier-cache, which decodes", &multi_tier)?;
    typed.enter_larder(&DEAL, &url)?;
    let mut bytes = Lists::new(&stage, "bytes", data::body);
    let multi_tier = Arc::new(stage.runtime.block_on(MultiTier::at(&url))?);
    bytes.enter("get, name", "multi-tier-cache", &multi_tier)?;
    bytes.enter_filled("get_or_set, name", "multi-tier-cache", &Arc::new(MultiTierOrSet(multi_tier)));
    bytes.enter_larder(&BODY, &url)?;
    let mut samples = Vec::new();
    for (values, all) in [("typed", typed.all), ("bytes", bytes.all)] {
        samples.extend(stage.interleave(&format!("{GROUP}, {values}"), &all)?);
    }
    Ok(samples)
}

/// All that is compared of one kind of values.
struct Lists<'a, V> {
    stage: &'a Stage,
    values: &'static str,
    items: Arc<[Item]>,
    orders: Vec<Arc<[u32]>>,
    make: fn() -> V,
    all: Vec<Entrant<'a>>,
}

impl<'a, V: Value + Clone + Serialize + DeserializeOwned> Lists<'a, V> {
    fn new(stage: &'a Stage, values: &'static str, make: fn() -> V) -> Self {
        // Of each kind its own names: they lie in one Redis.
        let items = data::items(ENTRIES, if values == "typed" { 7 } else { 8 });
        let orders = (0..WORKERS).map(|seed| data::zipf(ENTRIES, CALLS, seed as u64)).collect();
        Lists { stage, values, items, orders, make, all: Vec::new() }
    }

    fn enter_larder(&mut self, space: &'static Space<str, V>, url: &str) -> Result<(), Failure> {
        let amalgam = Arc::new(self.stage.runtime.block_on(Amalgam::<V>::at(url))?);
        self.enter("get, name", "amalgam-cache", &amalgam)?;
        self.enter_filled("get_or_set, name", "amalgam-cache", &Arc::new(AmalgamOrSet(amalgam)));
        for (tags, doors) in [
            (Tags::None, ["get, name", "get, key", "get_or_set, name", "get_or_set, key"]),
            (
                Tags::Two,
                [
                    "get, name, 2 tags",
                    "get, key, 2 tags",
                    "get_or_set, name, 2 tags",
                    "get_or_set, key, 2 tags",
                ],
            ),
        ] {
            let redis = |kind: &str| {
                let namespace = format!("{}{}{kind}", self.values, if tags == Tags::Two { "2" } else { "0" });
                Redis::at(url).namespace(namespace)
            };
            let inside = self.stage.runtime.enter();
            let (alone_n, alone_k) =
                (Get::<V, ByName>::new(space, tags)?, Get::<V, ByKey>::new(space, tags)?);
            let front_n = Get::<V, ByName>::in_front_of(redis("n"), space, tags)?;
            let front_k = Get::<V, ByKey>::in_front_of(redis("k"), space, tags)?;
            drop(inside);
            self.stage.runtime.block_on(async {
                front_n.cache.ready().await;
                front_k.cache.ready().await;
            });
            let or_set = [Arc::new(alone_n.or_set()), Arc::new(front_n.or_set())];
            let key_or_set = [Arc::new(alone_k.or_set()), Arc::new(front_k.or_set())];
            for (side, name, by_name, by_key) in
                [(0, BASELINE, alone_n, alone_k), (1, IN_FRONT, front_n, front_k)]
            {
                self.enter(doors[0], name, &Arc::new(by_name))?;
                self.enter(doors[1], name, &Arc::new(by_key))?;
                self.enter_filled(doors[2], name, &or_set[side]);
                self.enter_filled(doors[3], name, &key_or_set[side]);
            }
        }
        Ok(())
    }

    /// Fills a side, so that it has every entry in the process, and lets it in.
    fn enter<S: Side<V>>(
        &mut self,
        door: &'static str,
        name: &'static str,
        side: &Arc<S>,
    ) -> Result<(), Failure> {
        crate::tell(&format!("{GROUP}, {}, {door}: filling {name}", self.values));
        let (filled, items, make) = (Arc::clone(side), Arc::clone(&self.items), self.make);
        self.stage.work(async move {
            for item in items.iter() {
                filled.fill(item, make).await;
                for _ in 0..ASKS {
                    filled.hit(item).await;
                }
            }
        })?;
        self.enter_filled(door, name, side);
        Ok(())
    }

    /// Lets a side in whose entries are there already.
    fn enter_filled<S: Side<V>>(&mut self, door: &'static str, name: &'static str, side: &Arc<S>) {
        for threads in 1..=WORKERS {
            let (side, items, orders) =
                (Arc::clone(side), Arc::clone(&self.items), self.orders[..threads].to_vec());
            let set = format!(
                "{door}; {} values; {threads} thread{}",
                self.values,
                if threads == 1 { "" } else { "s" }
            );
            self.all.push(Entrant {
                case: Case { group: GROUP, set, side: name, entries: ENTRIES, unit: CPU },
                once: Box::new(move |stage| stage.hits(&side, &items, &orders)),
            });
        }
    }
}
