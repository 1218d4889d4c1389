//! A load against a removal, a set, a pattern and a tag, 1,000 times each: announced by the same cache, by another of the same
//! process, and by another process.
//!
//! Each race is forced: the load has read the old row and waits at a gate while the change is announced and acknowledged, and
//! only then stores what it read. Then the rules are taken out one by one, and the same races find what they keep out.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use larder::testing::Ablation;
use larder::{Builder, CacheService, Policy, Ttl};
use serde::{Deserialize, Serialize};
use testkit::gate::Gate;
use testkit::proxy::FaultProxy;
use testkit::redis::RedisServer;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::worker::{CHANGES, Change, Row, Worker, cache_at, cache_over, policy};
use crate::observed::joins;

/// How often each race is forced.
const ROUNDS: u64 = 1_000;

/// How often without its rule: every round finds what the rule keeps out.
const ROUNDS_WITHOUT: u64 = 50;

/// How many rows are raced for at once.
const LANES: usize = 10;

/// Who announces the changes.
#[derive(Clone, Copy, Debug)]
enum Who {
    SameCache,
    SameProcess,
    AnotherProcess,
}

const WHO: [Who; 3] = [Who::SameCache, Who::SameProcess, Who::AnotherProcess];

/// The caches of one row.
struct Lane {
    name: String,
    loads: CacheService,
    /// Another cache of this process that loads.
    loads_too: CacheService,
    announces: Announces,
}

enum Announces {
    Cache(CacheService),
    Process(Box<Worker>),
}

impl Lane {
    async fn new(server: &RedisServer, builder: impl Fn() -> Builder, who: Who, lane: usize) -> Lane {
        let loads = cache_over(server, builder()).await;
        let announces = match who {
            Who::SameCache => Announces::Cache(loads.clone()),
            Who::SameProcess => Announces::Cache(cache_over(server, builder()).await),
            Who::AnotherProcess => Announces::Process(Box::new(Worker::start(server).await)),
        };
        Lane { name: format!("row:{lane}"), loads, loads_too: cache_over(server, builder()).await, announces }
    }

    async fn announce(&self, change: Change, version: u64) {
        match &self.announces {
            Announces::Cache(cache) => change.announce(cache, &self.name, version).await,
            Announces::Process(worker) => worker.announce(change, &self.name, version).await,
        }
    }

    /// What is there, for who loads and for who announces.
    async fn found(&self) -> [Option<u64>; 2] {
        let here = self.loads.get::<Row>(&*self.name).await.map(|row| row.version);
        let there = match &self.announces {
            Announces::Cache(cache) => cache.get::<Row>(&*self.name).await.map(|row| row.version),
            Announces::Process(worker) => worker.get(&self.name).await,
        };
        [here, there]
    }

    /// A read whose loader finds this version, and then waits at the gate.
    async fn read(&self, cache: &CacheService, version: u64, gate: &Gate) -> u64 {
        let load = || async {
            gate.pass().await;
            Ok::<_, Infallible>(Row { version })
        };
        let Ok(row) = cache.get_or_set(&*self.name, policy(&self.name), load).await;
        row.version
    }

    /// Whether the old row is still served after a change that was announced during its load.
    async fn race(&self, change: Change, old: u64) -> bool {
        let new = old + 1;
        let gate = Gate::new("the old row is read and not yet stored");
        let announce = async {
            gate.reached().await;
            self.announce(change, new).await;
            gate.open();
        };
        let (loaded, ()) = tokio::join!(self.read(&self.loads, old, &gate), announce);
        assert_eq!(loaded, old, "the reader's own load overlaps the change: it returns what it read");
        let found = self.found().await;
        if change == Change::Set {
            assert!(found.iter().all(Option::is_some), "what was set stays");
        }
        let read = self.read(&self.loads, new, &gate).await;
        let stale = read != new || found.into_iter().flatten().any(|version| version != new);
        Change::Delete.announce(&self.loads, &self.name, new).await;
        stale
    }

    /// Whether a reader gets the old row that comes after its change was acknowledged, and joins its load.
    async fn joins_late(&self, change: Change, old: u64) -> bool {
        let new = old + 1;
        let gate = Gate::new("the old row is read");
        let join = async {
            gate.reached().await;
            self.announce(change, new).await;
            let open = Gate::new("the joiner loads for itself");
            open.open();
            joins(&self.loads, &gate, self.read(&self.loads, new, &open)).await
        };
        let (_, joined) = tokio::join!(self.read(&self.loads, old, &gate), join);
        Change::Delete.announce(&self.loads, &self.name, new).await;
        joined != new
    }

    /// Whether the old row is served that was loaded in an interval which a removal ended, and filled in while the next
    /// interval had a load of its own.
    async fn fills_into_the_next(&self, old: u64) -> bool {
        let new = old + 1;
        let late = Gate::new("the old row is read");
        let next = Gate::new("the new row is read");
        let first = async {
            self.read(&self.loads, old, &late).await;
            next.open();
        };
        let rest = async {
            late.reached().await;
            self.announce(Change::Delete, new).await;
            let opens = async {
                next.reached().await;
                late.open();
            };
            tokio::join!(self.read(&self.loads_too, new, &next), opens);
        };
        tokio::join!(first, rest);
        let stale = self.found().await.contains(&Some(old));
        Change::Delete.announce(&self.loads, &self.name, new).await;
        stale
    }
}

/// What is raced for.
#[derive(Clone, Copy, Debug)]
enum Race {
    Load(Change),
    Join(Change),
    NextInterval,
}

/// Forces a race so often, for several rows at once, and answers how often it was lost.
async fn lost(race: Race, who: Who, without: Option<Ablation>, rounds: u64) -> u64 {
    let server = RedisServer::start().await;
    let builder = move || without.into_iter().fold(CacheService::builder(), Builder::without);
    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        let lane = Lane::new(&server, builder, who, lane).await;
        lanes.spawn(async move {
            let mut lost = 0;
            for round in 0..rounds / LANES as u64 {
                let old = 2 * round + 1;
                lost += u64::from(match race {
                    Race::Load(change) => lane.race(change, old).await,
                    Race::Join(change) => lane.joins_late(change, old).await,
                    Race::NextInterval => lane.fills_into_the_next(old).await,
                });
            }
            lost
        });
    }
    lanes.join_all().await.into_iter().sum()
}

async fn no_load_leaves_what_was_changed_by(who: Who) {
    for change in CHANGES {
        assert_eq!(lost(Race::Load(change), who, None, ROUNDS).await, 0, "{change:?} by {who:?}");
    }
}

#[test]
fn no_load_leaves_what_the_same_cache_changed() {
    testkit::run(no_load_leaves_what_was_changed_by(Who::SameCache));
}

#[test]
fn no_load_leaves_what_another_cache_changed() {
    testkit::run(no_load_leaves_what_was_changed_by(Who::SameProcess));
}

#[test]
fn no_load_leaves_what_another_process_changed() {
    testkit::run(no_load_leaves_what_was_changed_by(Who::AnotherProcess));
}

#[test]
fn without_its_rule_each_load_leaves_what_was_changed() {
    testkit::run(async {
        for who in WHO {
            for change in CHANGES {
                // Without the first, a fill is a plain SET. A tag that was invalidated is seen by its token, however an entry
                // came to be there.
                let rule = if change == Change::Tag { Ablation::TokenCheck } else { Ablation::TicketCheck };
                let lost = lost(Race::Load(change), who, Some(rule), ROUNDS_WITHOUT).await;
                assert_eq!(lost, ROUNDS_WITHOUT, "{change:?} by {who:?} without {rule:?}");
            }
        }
    });
}

#[test]
fn who_joins_after_another_process_changed_it_never_gets_the_old_row() {
    testkit::run(async {
        for change in CHANGES {
            let lost = lost(Race::Join(change), Who::AnotherProcess, None, ROUNDS).await;
            assert_eq!(lost, 0, "{change:?}");
        }
    });
}

#[test]
fn without_vouching_who_joins_after_another_process_changed_it_gets_the_old_row() {
    testkit::run(async {
        for change in CHANGES {
            let without = Some(Ablation::Vouching);
            let lost = lost(Race::Join(change), Who::AnotherProcess, without, ROUNDS_WITHOUT).await;
            assert_eq!(lost, ROUNDS_WITHOUT, "{change:?}");
        }
    });
}

#[test]
fn a_load_of_an_interval_that_ended_fills_nothing_into_the_next() {
    testkit::run(async {
        for who in WHO {
            assert_eq!(lost(Race::NextInterval, who, None, ROUNDS).await, 0, "removed by {who:?}");
        }
    });
}

#[test]
fn with_a_generation_that_comes_back_a_load_fills_into_the_next_interval() {
    testkit::run(async {
        for who in WHO {
            let lost = lost(Race::NextInterval, who, Some(Ablation::FreshGeneration), ROUNDS_WITHOUT).await;
            assert_eq!(lost, ROUNDS_WITHOUT, "removed by {who:?}");
        }
    });
}

/// A value that is put aside and renamed into its place.
#[derive(Serialize, Deserialize)]
struct Page {
    name: String,
    text: String,
}

const PAGE_BYTES: usize = 5_000;

/// The commands of a fill arrive in so many bytes at a time, fewer than the script has, so that Redis serves others
/// between them.
const PIECE_BYTES: usize = 256;
const PAUSE: Duration = Duration::from_millis(1);

/// How many pages are filled in, one for each lane at a time.
const PAGES: u64 = 300;

/// Lets several caches fill pages of different names at once, and answers how many of those were not stored, or are another's.
async fn pages_mixed_up(without: Option<Ablation>) -> u64 {
    let server = RedisServer::start().await;
    let proxy = FaultProxy::to(server.address()).await;
    let all_loaded = Arc::new(Barrier::new(LANES));
    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        let builder = without.into_iter().fold(CacheService::builder(), Builder::without);
        let cache = cache_at(&proxy.url(), builder); // a connection for each, since nothing comes between those of one
        cache.ready().await;
        let all_loaded = Arc::clone(&all_loaded);
        lanes.spawn(async move {
            let mut wrong = 0;
            for page in 0..PAGES / LANES as u64 {
                let name = format!("page:{lane}:{page}");
                let text = "x".repeat(PAGE_BYTES);
                let load = || async {
                    all_loaded.wait().await;
                    Ok::<_, Infallible>(Page { name: name.clone(), text })
                };
                let Ok(read) = cache.read_through(&*name, Policy::ttl(Ttl::SHORT), load).await;
                let there = cache.get::<Page>(&*name).await;
                let right = there.is_some_and(|page| page.name == name && page.text.len() == PAGE_BYTES);
                wrong += u64::from(!(read.stored && right));
                cache.delete(&*name).await;
            }
            wrong
        });
    }
    proxy.crumble(PIECE_BYTES, PAUSE);
    lanes.join_all().await.into_iter().sum()
}

#[test]
fn large_values_that_are_filled_in_at_once_stay_apart() {
    testkit::run(async {
        assert_eq!(pages_mixed_up(None).await, 0);
    });
}

#[test]
fn with_one_staging_key_for_all_large_values_are_lost_or_mixed_up() {
    testkit::run(async {
        assert_ne!(pages_mixed_up(Some(Ablation::OwnStaging)).await, 0);
    });
}
