//! What each operation costs at the server is what `docs/costs.md` says: its commands and round trips exactly, its bytes within
//! a few per cent. The time of the server stands there as measured once, and is not compared.
//!
//! `COSTS=write cargo test -p bench --test costs` writes the tables anew.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write;
use std::time::{Duration, Instant};

use bytes::Bytes;
use larder::{Blob, CacheService, Policy, Redis, Space, Tag, Ttl};
use serde::{Deserialize, Serialize};
use testkit::proxy::FaultProxy;
use testkit::redis::{RedisServer, Traffic};

/// How much later answers arrive: a round trip is told by it, also on a busy machine.
const DELAY: Duration = Duration::from_millis(80);

/// How often each is measured: the least counts, since a heartbeat of the connection may have come between.
const ATTEMPTS: usize = 5;

/// By how much bytes may differ from the document, in per cent.
const BYTES_WITHIN: u64 = 5;

const REASON: &str = "Read by the test of costs; never changes; holds nothing that could be stale.";

static PAGE: Space<(&str, u64), Blob> = Space::new("pages:{company}:{n}", REASON).scope("company");
static ROW: Space<u64, Row> = Space::new("row:{id}", REASON).versioned(|row| row.version);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Row {
    version: u64,
    text: String,
}

/// What is measured, by the names of the document.
const OPERATIONS: [&str; 24] = [
    "get, hit",
    "get, nothing there",
    "get, hit, 2 tags, seen before",
    "get, hit, 2 tags, never seen",
    "get_or_set, hit",
    "get_or_set, hit, 2 tags",
    "get_or_set, miss",
    "get_or_set, miss, 2 tags",
    "get_or_set, miss, 10 KiB",
    "set",
    "set, 2 tags",
    "set with nx, nothing there",
    "set_versioned, an older one there",
    "delete",
    "delete_many, 100 keys",
    "invalidate_tag",
    "delete_pattern, a scope",
    "delete_pattern, 100 keys there, 10 match",
    "clear",
    "lock, and release",
    "get_many, 100 hits",
    "get_or_set_many, 100 hits",
    "get_or_set_many, 100 misses",
    "get_or_set_many, 100 misses, 2 tags",
];

/// What one operation cost.
#[derive(Clone, Debug)]
struct Cost {
    /// How often each command was sent; those that a script calls are its own affair.
    commands: BTreeMap<String, u64>,
    server_us: u64,
    round_trips: u128,
    traffic: Traffic,
}

impl Cost {
    fn count(&self) -> u64 {
        self.commands.values().sum()
    }

    fn commands(&self) -> String {
        let one = |(command, count): (&String, &u64)| match count {
            1 => command.clone(),
            count => format!("{count} {command}"),
        };
        self.commands.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// The row of the document.
    fn row(&self, operation: &str) -> String {
        let Traffic { input_bytes, output_bytes } = self.traffic;
        let (commands, trips, us) = (self.commands(), self.round_trips, self.server_us);
        format!("| {operation} | {commands} | {trips} | {input_bytes} | {output_bytes} | {us} |")
    }
}

fn value(bytes: usize) -> Blob {
    Blob(Bytes::from(vec![b'x'; bytes]))
}

fn two_tags() -> Policy {
    Policy::new().tag(Tag::new("deals", "abc123")).tag(Tag::named("exchange rates"))
}

/// `deal:` and 36 characters more, as the CRM names its rows.
fn name(id: usize) -> String {
    format!("deal:0193e2a4-7b1c-7def-8123-{id:012}")
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|id| name(1_000 + id)).collect()
}

/// The policy, and the size of the value, that the name of an operation asks for.
fn asked(operation: &str) -> (Policy, usize) {
    let policy = if operation.contains("2 tags") { two_tags() } else { Policy::new() };
    (policy, if operation.contains("10 KiB") { 10 << 10 } else { 1 << 10 })
}

async fn load(cache: &CacheService, name: &str, policy: Policy, bytes: usize) {
    let load = || async { Ok::<_, Infallible>(value(bytes)) };
    let Ok(read) = cache.read_through(name, policy, load).await;
    assert!(read.stored || read.source == larder::Source::Remote, "{name} is not stored");
}

async fn load_many(cache: &CacheService, names: &[String], policy: Policy) {
    let load = |missing: Vec<String>| async {
        Ok::<_, Infallible>(missing.into_iter().map(|name| (name, value(1 << 10))))
    };
    let Ok(loaded) = cache.get_or_set_many(names, String::clone, policy, load).await;
    assert!(loaded.iter().all(Option::is_some));
}

/// A name that is an operation's own, so that nothing is known of it from others; where nothing may be, of each attempt.
fn own_name(operation: &str, attempt: usize) -> String {
    let at = OPERATIONS.iter().position(|name| *name == operation).expect("it is one of them");
    name(100_000 + 100 * at + if operation.contains("never seen") { attempt } else { 0 })
}

/// Makes what an operation is to find.
async fn prepare(cache: &CacheService, operation: &str, attempt: usize) {
    let (policy, bytes) = asked(operation);
    if operation.contains("many") {
        cache.delete_many(names(100)).await;
        // The tokens of the tags are there, as they mostly are.
        load_many(cache, &names(100), policy).await;
        if operation.contains("misses") {
            cache.delete_many(names(100)).await;
        }
    } else if operation.starts_with("delete_pattern, 100 keys") {
        cache.clear().await;
        cache.delete_pattern("*").await;
        for id in 0..10 {
            load(cache, &format!("old:{id}"), policy.clone(), bytes).await;
        }
        load_many(cache, &names(90), policy).await;
    } else if operation.starts_with("delete_pattern") {
        let Ok(_page) = cache
            .get_or_set(PAGE.key(&("abc123", 1)), policy, || async { Ok::<_, Infallible>(value(bytes)) })
            .await;
    } else if operation.starts_with("set_versioned") {
        let row = Row { version: 1, text: "x".repeat(1_000) };
        cache.delete(ROW.key(&1)).await;
        let Ok(_row) = cache.get_or_set(ROW.key(&1), policy, || async { Ok::<_, Infallible>(row) }).await;
    } else {
        let own = own_name(operation, attempt);
        load(cache, &own, policy, bytes).await;
        if operation.contains("seen before") {
            assert!(cache.get::<Blob>(&*own).await.is_some());
        } else if operation.contains("miss") || operation.contains("nothing") {
            cache.delete(&*own).await;
        }
    }
}

/// What is measured.
async fn run(cache: &CacheService, operation: &str, attempt: usize) {
    let (policy, bytes) = asked(operation);
    let own = own_name(operation, attempt);
    match operation {
        "get, nothing there" => assert!(cache.get::<Blob>(own).await.is_none()),
        "set with nx, nothing there" => {
            assert!(cache.set(own, value(bytes), policy.nx()).await.is_stored());
        }
        "set_versioned, an older one there" => {
            let row = Row { version: 2, text: "y".repeat(1_000) };
            assert!(cache.set_versioned(ROW.key(&1), row).await.is_stored());
        }
        "delete" => drop(cache.delete(own).await),
        "delete_many, 100 keys" => drop(cache.delete_many(names(100)).await),
        "invalidate_tag" => drop(cache.invalidate_tag(Tag::new("deals", "abc123")).await),
        "delete_pattern, a scope" => drop(cache.delete_pattern("pages:abc123:*").await),
        "delete_pattern, 100 keys there, 10 match" => drop(cache.delete_pattern("old:*").await),
        "clear" => drop(cache.clear().await),
        "lock, and release" => {
            let lock = cache.lock("report", Ttl::secs(10), Duration::ZERO).await.expect("it is free");
            assert!(lock.release().await);
        }
        "get_many, 100 hits" => {
            assert!(cache.get_many::<Blob, _>(names(100)).await.iter().all(Option::is_some));
        }
        many if many.starts_with("get_or_set_many") => load_many(cache, &names(100), policy).await,
        set if set.starts_with("set") => {
            assert!(cache.set(own, value(bytes), policy).await.is_stored());
        }
        get if get.starts_with("get,") => assert!(cache.get::<Blob>(own).await.is_some()),
        get_or_set => {
            assert!(get_or_set.starts_with("get_or_set,"), "{get_or_set}");
            load(cache, &own, policy, bytes).await;
        }
    }
}

/// A cache whose answers can be delayed.
struct Ground {
    server: RedisServer,
    proxy: FaultProxy,
    cache: CacheService,
    /// What the testkit's own questions add to the bytes.
    own: Traffic,
}

impl Ground {
    async fn new() -> Ground {
        // Everything that clients send is noted, with its time.
        let builder = RedisServer::builder().set("slowlog-log-slower-than", "0");
        let server = builder.set("slowlog-max-len", "4096").start().await;
        let proxy = FaultProxy::to(server.address()).await;
        let cache =
            CacheService::builder().redis(Redis::at(proxy.url()).local_tier(false)).space(&PAGE).space(&ROW);
        let cache = cache.build().expect("the settings fit together");
        cache.ready().await;
        let mut ground = Ground { server, proxy, cache, own: Traffic::default() };
        ground.own = ground.cost_of(None).await.traffic;
        ground
    }

    /// What the clients of the proxy have sent since the last reset.
    async fn sent(&self) -> (BTreeMap<String, u64>, u64) {
        let (mut commands, mut us) = (BTreeMap::new(), 0);
        for entry in self.server.command(&["SLOWLOG", "GET", "-1"]).await.array() {
            // id, time, microseconds, words, address, name; the testkit comes over a socket of the file system.
            let [_, _, took, words, address, ..] = entry.array() else { panic!("no entry: {entry:?}") };
            if address.text().starts_with("127.0.0.1") {
                *commands.entry(words.array()[0].text().to_uppercase()).or_insert(0) += 1;
                us += u64::try_from(took.int()).expect("time goes on");
            }
        }
        (commands, us)
    }

    async fn once(&self, operation: impl Future<Output = ()>) -> Cost {
        self.server.reset_stats().await;
        self.server.command(&["SLOWLOG", "RESET"]).await;
        self.proxy.delay(DELAY);
        let since = real_now();
        operation.await;
        let round_trips = since.elapsed().as_millis() / DELAY.as_millis();
        self.proxy.delay(Duration::ZERO);
        let Traffic { input_bytes, output_bytes } = self.server.traffic().await;
        let (commands, server_us) = self.sent().await;
        let traffic = Traffic {
            input_bytes: input_bytes.saturating_sub(self.own.input_bytes),
            output_bytes: output_bytes.saturating_sub(self.own.output_bytes),
        };
        Cost { commands, server_us, round_trips, traffic }
    }

    /// The least that an operation cost, each time after its preparation; without one, what the testkit's questions cost.
    async fn cost_of(&self, operation: Option<&str>) -> Cost {
        let mut least: Option<Cost> = None;
        for attempt in 0..ATTEMPTS {
            let cost = match operation {
                None => self.once(async {}).await,
                Some(operation) => {
                    prepare(&self.cache, operation, attempt).await;
                    self.once(run(&self.cache, operation, attempt)).await
                }
            };
            let least = least.get_or_insert_with(|| cost.clone());
            least.round_trips = least.round_trips.min(cost.round_trips);
            least.server_us = least.server_us.min(cost.server_us);
            match cost.count().cmp(&least.count()) {
                Ordering::Less => (least.commands, least.traffic) = (cost.commands, cost.traffic),
                // A heartbeat may be in the bytes and not in the log.
                Ordering::Equal if cost.traffic.input_bytes < least.traffic.input_bytes => {
                    least.traffic = cost.traffic;
                }
                Ordering::Equal | Ordering::Greater => {}
            }
        }
        least.expect("there was an attempt")
    }
}

#[expect(clippy::disallowed_methods, reason = "a round trip through another process takes real time")]
fn real_now() -> Instant {
    Instant::now()
}

#[test]
fn each_operation_costs_what_the_document_says() {
    // On one thread, all that a batch asks has gathered before any of it is sent.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("the operating system gives a test its runtime");
    testkit::run_sync(testkit::LIMIT, move || runtime.block_on(compare()));
}

async fn compare() {
    let path = testkit::workspace_root().join("docs/costs.md");
    let document = std::fs::read_to_string(&path).unwrap_or_default();
    let ground = Ground::new().await;
    let (mut rows, mut wrong) = (String::new(), String::new());
    for operation in OPERATIONS {
        let row = ground.cost_of(Some(operation)).await.row(operation);
        let said = document.lines().find(|line| line.starts_with(&format!("| {operation} |")));
        writeln!(rows, "{row}").expect("a String takes all");
        if !said.is_some_and(|said| agree(said, &row)) {
            writeln!(wrong, "  said:     {}\n  measured: {row}", said.unwrap_or("nothing"))
                .expect("a String takes all");
        }
    }
    if std::env::var_os("COSTS").is_some_and(|costs| costs == "write") {
        std::fs::write(&path, with_rows(&document, &rows)).expect("docs/costs.md can be written");
        return;
    }
    assert!(
        wrong.is_empty(),
        "docs/costs.md says otherwise; if that is meant, `COSTS=write cargo test -p bench --test costs` writes it anew:\n{wrong}"
    );
}

/// Whether a row of the document holds for what was measured.
fn agree(said: &str, measured: &str) -> bool {
    let cells = |row: &str| row.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let (said, measured) = (cells(said), cells(measured));
    let near = |at: usize| match (said[at].parse::<u64>(), measured[at].parse::<u64>()) {
        (Ok(said), Ok(measured)) => said.abs_diff(measured) * 100 <= said * BYTES_WITHIN,
        _ => false,
    };
    said.len() == measured.len() && said[..4] == measured[..4] && near(4) && near(5)
}

/// The document with other rows: they stand where the first of the old ones stood.
fn with_rows(document: &str, rows: &str) -> String {
    let is_row = |line: &str| OPERATIONS.iter().any(|name| line.starts_with(&format!("| {name} |")));
    let mut text = String::new();
    let mut written = false;
    for line in document.lines() {
        if !is_row(line) {
            text += line;
            text.push('\n');
        }
        if line.starts_with("|---") && !written {
            text += rows;
            written = true;
        }
    }
    text
}
