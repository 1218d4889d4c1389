//! Another process of these tests: a cache over the same Redis, which does what the test asks of it.
//!
//! The rows are the test's: whoever is to load is told what its loader reads.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder::testing::Ablation;
use larder::{AsName, Builder, CacheService, Policy, Redis, Source, Space, Tag, Ttl};
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
    /// A glob that is a declared scope.
    Scope,
    /// Everything at once.
    Clear,
}

/// Names that have a scope.
static SCOPED: Space<(u64, u64), Row> = Space::new("scoped:{company}:{id}", "A test.").scope("company");

/// A name of this scope.
pub(super) fn scoped(company: u64, id: u64) -> String {
    SCOPED.key(&(company, id)).name().to_owned()
}

pub(super) const CHANGES: [Change; 4] = [Change::Delete, Change::Set, Change::Pattern, Change::Tag];

impl Change {
    /// Announces that this row is of this version now.
    pub(super) async fn announce(self, cache: &CacheService, name: &str, version: u64) {
        let acknowledged = match self {
            Change::Delete => cache.delete(name).await.is_applied(),
            Change::Set => cache.set(name, Row { version }, policy(name)).await.is_stored(),
            Change::Pattern => cache.delete_pattern(format!("?{}", &name[1..])).await.is_applied(),
            Change::Tag => cache.invalidate_tag(Tag::new("row", name)).await.is_applied(),
            Change::Scope => {
                let (scope, _id) = name.rsplit_once(':').expect("it has a scope");
                cache.delete_pattern(format!("{scope}:*")).await.is_applied()
            }
            Change::Clear => cache.clear().await.is_applied(),
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
    /// To look, and say where it was found.
    Lookup {
        name: String,
    },
    /// To look for so many names, of which none is there, so that it is told when they change.
    Register {
        names: usize,
    },
    /// To read raced rows with so many readers, whose loader reads a table, until it is told to rest.
    Race(Race),
    /// To stop racing, hear what it has to be told, and say what it has of each raced row.
    Rest,
}

/// What is raced for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Race {
    /// The versions of the rows, of 8 bytes each.
    pub(super) table: PathBuf,
    pub(super) rows: usize,
    pub(super) readers: usize,
}

impl Race {
    pub(super) fn name(row: usize) -> String {
        format!("raced:{row}")
    }

    pub(super) fn policy(row: usize) -> Policy {
        Policy::ttl(Ttl::DAY).tag(Tag::new("raced", row))
    }
}

/// The name of one of so many that are registered; it is long, so that what is told of it is much.
pub(super) fn registered(n: usize) -> String {
    format!("{n:0>400}")
}

/// What the caches of a worker are like.
#[derive(Debug, Serialize, Deserialize)]
struct Likeness {
    url: String,
    copies: bool,
    tickets: bool,
}

impl Likeness {
    fn cache(&self) -> CacheService {
        let builder = CacheService::builder().without(Ablation::Deadlines);
        let builder = if self.tickets { builder } else { builder.without(Ablation::CopyTicket) };
        let redis = Redis::at(&*self.url).local_tier(self.copies);
        builder.space(&SCOPED).redis(redis).build().expect("the settings fit together")
    }
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
    /// The version that was found, and whether it was a copy.
    Found(Option<(u64, bool)>),
    Versions(Vec<Option<u64>>),
}

/// The cache of one process, with the loads that it holds.
#[derive(Clone)]
struct Works {
    cache: CacheService,
    held: Arc<Mutex<HashMap<String, Held>>>,
    racing: Arc<Mutex<Option<Racing>>>,
}

/// Readers of raced rows.
struct Racing {
    rows: usize,
    readers: JoinSet<()>,
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
            Order::Lookup { name } => {
                let read = self.cache.lookup::<Row>(&*name).await;
                Answer::Found(read.map(|read| (read.value.version, read.source == Source::Local)))
            }
            Order::Register { names } => {
                for from in (0..names).step_by(1_000) {
                    let some: Vec<String> = (from..names.min(from + 1_000)).map(registered).collect();
                    let found = self.cache.get_many::<Row, _>(some).await;
                    assert!(found.iter().all(Option::is_none));
                }
                Answer::Done
            }
            Order::Race(race) => {
                let table = Arc::new(File::open(&race.table).expect("the test has made it"));
                let mut readers = JoinSet::new();
                for reader in 0..race.readers {
                    let first = reader * race.rows / race.readers;
                    readers.spawn(read_raced(self.cache.clone(), Arc::clone(&table), first, race.rows));
                }
                *self.racing.lock() = Some(Racing { rows: race.rows, readers });
                Answer::Done
            }
            Order::Rest => {
                let Racing { rows, mut readers } = self.racing.lock().take().expect("it races");
                readers.shutdown().await;
                self.cache.sync().await.ok(); // where the connection ended, there are no copies
                self.cache.ready().await;
                let rows = self.cache.get_many::<Row, _>((0..rows).map(Race::name)).await;
                Answer::Versions(rows.into_iter().map(|row| Some(row?.version)).collect())
            }
        }
    }
}

/// Reads all raced rows again and again.
async fn read_raced(cache: CacheService, table: Arc<File>, first: usize, rows: usize) {
    for row in (0..rows).cycle().skip(first) {
        let load = || async {
            let mut version = [0; 8];
            table.read_exact_at(&mut version, row as u64 * 8).expect("the row is there");
            Ok::<_, Infallible>(Row { version: u64::from_le_bytes(version) })
        };
        let Ok(_) = cache.get_or_set(Race::name(row), Race::policy(row), load).await;
        tokio::task::yield_now().await;
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
    let Some(likeness) = testkit::worker::settings() else { return };
    let likeness: Likeness = serde_json::from_str(&likeness).expect("the test wrote it");
    testkit::run_within(LIFE, async move {
        let works = Works { cache: likeness.cache(), held: Arc::default(), racing: Arc::default() };
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

/// A cache over the Redis at this URL, without a namespace: names are keys. It waits for Redis as long as that takes.
pub(super) fn cache_at(url: &str, builder: Builder) -> CacheService {
    cache_with_deadlines(url, builder.without(Ablation::Deadlines))
}

/// The same, which gives up a connection that does not answer in time.
pub(super) fn cache_with_deadlines(url: &str, builder: Builder) -> CacheService {
    builder.space(&SCOPED).redis(Redis::at(url).local_tier(false)).build().expect("the settings fit together")
}

/// [`cache_at`] this server, when it is ready.
pub(super) async fn cache_over(server: &RedisServer, builder: Builder) -> CacheService {
    let cache = cache_at(&server.url(), builder);
    cache.ready().await;
    cache
}

/// A worker, as its test has it.
pub(super) struct Worker(testkit::worker::Worker);

impl Worker {
    /// A process with a cache over this server, which is ready. It keeps no copies.
    pub(super) async fn start(server: &RedisServer) -> Worker {
        Worker::like(&Likeness { url: server.url(), copies: false, tickets: true }).await
    }

    /// The same, which keeps copies; without `tickets`, it puts them in whatever has been told meanwhile.
    pub(super) async fn with_copies(server: &RedisServer, tickets: bool) -> Worker {
        Worker::like(&Likeness { url: server.url(), copies: true, tickets }).await
    }

    async fn like(likeness: &Likeness) -> Worker {
        let likeness = serde_json::to_string(likeness).expect("it can be written");
        let worker = Worker(testkit::worker::Worker::start(NAME, &likeness));
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

    /// The version that it finds, and whether that is a copy.
    pub(super) async fn lookup(&self, name: &str) -> Option<(u64, bool)> {
        match self.ask(Order::Lookup { name: name.to_owned() }).await {
            Answer::Found(found) => found,
            other => panic!("{other:?}"),
        }
    }

    /// What it has of the raced rows when all is quiet.
    pub(super) async fn rest(&self) -> Vec<Option<u64>> {
        match self.ask(Order::Rest).await {
            Answer::Versions(versions) => versions,
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
