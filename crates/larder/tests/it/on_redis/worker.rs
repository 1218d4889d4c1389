//! Another process of these tests: a cache over the same Redis, which does what the test asks of it.
//!
//! The rows are the test's: whoever is to load is told what its loader reads.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder::{Builder, CacheService, Policy, Redis, Tag, Ttl};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use testkit::gate::Gate;
use testkit::redis::RedisServer;
use tokio::task::JoinSet;

/// The test below, as the program of the other process.
const NAME: &str = "on_redis::worker::worker";

/// How long such a process may live: longer than any test.
const LIFE: Duration = Duration::from_secs(600);

/// What the tests cache.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) version: u64,
}

/// How a change is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Change {
    Delete,
    /// A bare set of the new row, under a name that no space owns.
    Set,
    /// A glob for which all keys are looked through.
    Pattern,
    Tag,
}

pub(super) const CHANGES: [Change; 4] = [Change::Delete, Change::Set, Change::Pattern, Change::Tag];

impl Change {
    /// Announces that this row is of this version now.
    pub(super) async fn announce(self, cache: &CacheService, name: &str, version: u64) {
        let acknowledged = match self {
            Change::Delete => cache.delete(name).await.acknowledged,
            Change::Set => cache.set(name, Row { version }, policy(name)).await.is_stored(),
            Change::Pattern => cache.delete_pattern(format!("?{}", &name[1..])).await.acknowledged,
            Change::Tag => cache.invalidate_tag(Tag::new("row", name)).await.acknowledged,
        };
        assert!(acknowledged, "{self:?}");
    }
}

/// What every entry of these tests is stored with.
pub(super) fn policy(name: &str) -> Policy {
    Policy::ttl(Ttl::SHORT).tag(Tag::new("row", name))
}

/// What a worker is asked for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// To say when its cache is ready.
    Ready,
    Announce {
        change: Change,
        name: String,
        version: u64,
    },
    /// To look, without a load.
    Get {
        name: String,
    },
    /// To read with so many callers at once, whose loader takes so long and reads this version.
    Load {
        name: String,
        version: u64,
        callers: usize,
        takes_ms: u64,
    },
    /// To begin a load of this version, which does not end before it is told to; it is under way when this is answered.
    Hold {
        name: String,
        version: u64,
    },
    /// To let that load end.
    Open {
        name: String,
    },
    /// How many callers wait for somebody else's load.
    Following,
}

/// What it says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Done,
    Version(Option<u64>),
    /// How often its loader ran, and what its callers got.
    Loaded {
        loads: u64,
        versions: BTreeSet<u64>,
    },
    /// What became of a load that was held.
    Held {
        version: u64,
        stored: bool,
    },
    Following(u64),
}

/// The cache of one process, with the loads that it holds.
#[derive(Clone)]
struct Works {
    cache: CacheService,
    held: Arc<Mutex<HashMap<String, Held>>>,
}

/// A load that does not end before it is told to.
struct Held {
    gate: Gate,
    load: JoinSet<Answer>,
}

impl Works {
    async fn do_it(self, order: Order) -> Answer {
        match order {
            Order::Ready => {
                self.cache.ready().await;
                Answer::Done
            }
            Order::Announce { change, name, version } => {
                change.announce(&self.cache, &name, version).await;
                Answer::Done
            }
            Order::Get { name } => {
                Answer::Version(self.cache.get::<Row>(&*name).await.map(|row| row.version))
            }
            Order::Load { name, version, callers, takes_ms } => {
                let takes = Duration::from_millis(takes_ms);
                let (loads, versions) = storm(&self.cache, &name, version, callers, takes).await;
                Answer::Loaded { loads, versions }
            }
            Order::Hold { name, version } => {
                let gate = Gate::new("a worker holds this load");
                let mut load = JoinSet::new();
                load.spawn(held(self.cache.clone(), name.clone(), version, gate.clone()));
                gate.reached().await;
                self.held.lock().insert(name, Held { gate, load });
                Answer::Done
            }
            Order::Open { name } => {
                let held = self.held.lock().remove(&name);
                let Held { gate, mut load } = held.expect("such a load is held");
                gate.open();
                load.join_next().await.expect("it was begun").expect("it ends")
            }
            Order::Following => Answer::Following(self.cache.stats().local.following),
        }
    }
}

async fn held(cache: CacheService, name: String, version: u64, gate: Gate) -> Answer {
    let load = || async {
        gate.pass().await;
        Ok::<_, Infallible>(Row { version })
    };
    let Ok(read) = cache.read_through(&*name, policy(&name), load).await;
    Answer::Held { version: read.value.version, stored: read.stored }
}

/// Reads with so many callers at once: how often a loader ran, and what they got.
pub(super) async fn storm(
    cache: &CacheService,
    name: &str,
    version: u64,
    callers: usize,
    takes: Duration,
) -> (u64, BTreeSet<u64>) {
    let loads = Arc::new(AtomicU64::new(0));
    let mut reads = JoinSet::new();
    for _ in 0..callers {
        let (cache, name, loads) = (cache.clone(), name.to_owned(), Arc::clone(&loads));
        reads.spawn(async move {
            let load = || async {
                loads.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(takes).await; // the load: nobody waits for anything else here
                Ok::<_, Infallible>(Row { version })
            };
            let Ok(row) = cache.get_or_set(&*name, policy(&name), load).await;
            row.version
        });
    }
    let versions = reads.join_all().await.into_iter().collect();
    (loads.load(Ordering::SeqCst), versions)
}

/// The other process. In an ordinary run it is none, and passes.
#[test]
fn worker() {
    let Some(url) = testkit::worker::settings() else { return };
    testkit::run_within(LIFE, async move {
        let works = Works { cache: cache_at(&url, CacheService::builder()), held: Arc::default() };
        testkit::worker::serve(move |order| {
            let works = works.clone();
            async move {
                let order = serde_json::from_str(&order).expect("an order is JSON");
                serde_json::to_string(&works.do_it(order).await).expect("an answer can be written")
            }
        })
        .await;
    });
}

/// A cache over the Redis at this URL, without a namespace: names are keys.
pub(super) fn cache_at(url: &str, builder: Builder) -> CacheService {
    builder.redis(Redis::at(url)).build().expect("the settings fit together")
}

/// The same, when it is ready.
pub(super) async fn cache_over(server: &RedisServer, builder: Builder) -> CacheService {
    let cache = cache_at(&server.url(), builder);
    cache.ready().await;
    cache
}

/// A worker, as its test has it.
pub(super) struct Worker(testkit::worker::Worker);

impl Worker {
    /// A process with a cache over this server, which is ready.
    pub(super) async fn start(server: &RedisServer) -> Worker {
        let worker = Worker(testkit::worker::Worker::start(NAME, &server.url()));
        worker.ask(Order::Ready).await;
        worker
    }

    /// Asks it for something.
    pub(super) async fn ask(&self, order: Order) -> Answer {
        let text = serde_json::to_string(&order).expect("an order can be written");
        let answer = self.0.try_ask(&text).await;
        let answer = answer.unwrap_or_else(|| panic!("the worker ended before it answered {order:?}"));
        serde_json::from_str(&answer).expect("an answer is JSON")
    }

    pub(super) async fn announce(&self, change: Change, name: &str, version: u64) {
        self.ask(Order::Announce { change, name: name.to_owned(), version }).await;
    }

    pub(super) async fn get(&self, name: &str) -> Option<u64> {
        match self.ask(Order::Get { name: name.to_owned() }).await {
            Answer::Version(version) => version,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn load(
        &self,
        name: &str,
        version: u64,
        callers: usize,
        takes: Duration,
    ) -> (u64, BTreeSet<u64>) {
        let takes_ms = u64::try_from(takes.as_millis()).expect("a load is short");
        match self.ask(Order::Load { name: name.to_owned(), version, callers, takes_ms }).await {
            Answer::Loaded { loads, versions } => (loads, versions),
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn hold(&self, name: &str, version: u64) {
        self.ask(Order::Hold { name: name.to_owned(), version }).await;
    }

    /// Lets a load end that it holds: what it brought, and whether that is stored.
    pub(super) async fn open(&self, name: &str) -> (u64, bool) {
        match self.ask(Order::Open { name: name.to_owned() }).await {
            Answer::Held { version, stored } => (version, stored),
            other => panic!("{other:?}"),
        }
    }

    /// Waits until so many of its callers wait for somebody else's load.
    pub(super) async fn followed_by(&self, callers: u64) {
        testkit::until(
            "so many callers wait in another process",
            async || matches!(self.ask(Order::Following).await, Answer::Following(there) if there == callers),
        )
        .await;
    }

    pub(super) async fn kill(&self) {
        self.0.kill().await;
    }

    pub(super) async fn pause(&self) {
        self.0.pause().await;
    }

    pub(super) async fn resume(&self) {
        self.0.resume().await;
    }
}
