//! Caches over a real Redis, and where they differ from those of other back ends.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder::testing::{Ablation, MovableClock};
use larder::{Builder, CacheService, Counts, Redis, Source};
use testkit::redis::{RedisServer, Reply, shared};

use super::races::Removal;

/// Whether copies are kept in the process: the promises are tested without them, and once more with.
pub(crate) fn keeps_copies() -> bool {
    std::env::var_os("LARDER_TEST_LOCAL_TIER").is_some()
}

/// Whether a hit may say that its value was there.
pub(crate) fn is_hit(source: Source) -> bool {
    source == Source::Remote || (source == Source::Local && keeps_copies())
}

/// What a cache that works says of itself on the health page.
pub(crate) const STATUS: &str = "connected";

/// How often each race is forced: a round costs some milliseconds here. What Redis alone can lose is raced in `processes`.
pub(crate) const ROUNDS: u64 = 30;

/// The shortest time that tells before from after: the server's clock goes on while a test stands still, or its machine does.
pub(crate) const MOMENT: Duration = Duration::from_secs(20);

/// How long a lock that was dropped may still be held: it is given back by a task.
pub(crate) const GIVEN_BACK_WITHIN: Duration = Duration::from_secs(5);

thread_local! {
    /// The namespace of the latest cache of this test.
    static LATEST: RefCell<String> = RefCell::default();
}

/// Whether a load takes the place of an entry that its caller cannot use, though others could: here its lease does, so that
/// one process loads.
pub(crate) const LOADS_TAKE_WHAT_THEY_CANNOT_USE: bool = true;

/// How many of these cases a property is tested with: each operation is a round trip here.
pub(crate) fn cases(of: u32) -> u32 {
    of / 8
}

/// The settings of a cache; where Redis is, [`build`] says.
pub(crate) fn builder() -> Builder {
    CacheService::builder()
}

/// A cache that is ready, in a namespace of its own. What happens to one whose Redis does not answer in time, others test.
pub(crate) async fn build(builder: Builder) -> CacheService {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let namespace = format!("p{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    LATEST.set(namespace.clone());
    let redis = Redis::at(shared().await.url()).namespace(namespace).local_tier(keeps_copies());
    let builder = builder.without(Ablation::Deadlines);
    let cache = builder.redis(redis).build().expect("the settings fit together");
    cache.ready().await;
    cache
}

/// A cache with nothing but defaults.
pub(crate) async fn cache() -> CacheService {
    build(builder()).await
}

/// Moves the time of one cache, and that of its entries in Redis.
#[derive(Clone)]
pub(crate) struct Clock {
    here: MovableClock,
    namespace: String,
}

impl Clock {
    /// Moves the time on, in whole milliseconds. Leases stay as they are: whoever loads is still loading.
    pub(crate) async fn advance(&self, by: Duration) {
        self.here.advance(by);
        let server = shared().await;
        for (key, _) in
            entries(server, &self.namespace).await.into_iter().chain(locks(server, &self.namespace).await)
        {
            let left = server.command(&["PTTL", &key]).await.int();
            let left_then = left.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX));
            if left >= 0 {
                server.command(&["PEXPIRE", &key, &left_then.max(0).to_string()]).await;
            }
        }
    }
}

/// A cache whose time stands still until the test moves it.
pub(crate) async fn cache_and_clock() -> (CacheService, Clock) {
    with_clock(builder()).await
}

/// The same, of a builder that has been told more.
pub(crate) async fn with_clock(builder: Builder) -> (CacheService, Clock) {
    let here = MovableClock::new();
    let cache = build(builder.clock(here.clock())).await;
    (cache, Clock { here, namespace: LATEST.with_borrow(Clone::clone) })
}

/// The keys of a namespace that are entries, with their first bytes; a lease is none.
async fn entries(server: &RedisServer, namespace: &str) -> Vec<(String, Vec<u8>)> {
    let mut entries = Vec::new();
    for key in keys(server, &format!("{namespace}:*")).await {
        let Reply::Bulk(bytes) = server.command(&["GETRANGE", &key, "0", "1"]).await else { continue };
        if !bytes.is_empty() && bytes != b"\xFEL" {
            entries.push((key, bytes));
        }
    }
    entries
}

async fn locks(server: &RedisServer, namespace: &str) -> Vec<(String, Vec<u8>)> {
    let locks = keys(server, &format!("!{namespace}:lock:*")).await;
    locks.into_iter().map(|key| (key, Vec::new())).collect()
}

async fn keys(server: &RedisServer, glob: &str) -> Vec<String> {
    let (mut cursor, mut found) = ("0".to_owned(), Vec::new());
    loop {
        let Reply::Array(mut step) = server.command(&["SCAN", &cursor, "MATCH", glob, "COUNT", "1000"]).await
        else {
            panic!("a scan answers a cursor and keys")
        };
        let (keys, next) = (step.pop(), step.pop());
        if let Some(Reply::Array(keys)) = keys {
            found.extend(keys.iter().map(Reply::text));
        }
        cursor = next.map_or_else(|| "0".to_owned(), |next| next.text());
        if cursor == "0" {
            found.sort_unstable();
            found.dedup(); // a scan may tell of a key twice
            return found;
        }
    }
}

/// Fails unless the back end holds exactly so many entries of the latest cache. It is asked only when none is expired or
/// invalidated; what is no entry, such as a lease, does not count.
pub(crate) async fn assert_entries(_cache: &CacheService, expected: u64) {
    let namespace = LATEST.with_borrow(Clone::clone);
    assert_eq!(entries(shared().await, &namespace).await.len() as u64, expected, "entries that are held");
}

/// Whether a removal that found so many live entries, while loads are under way, may say that it took `counted`: leases count,
/// and what is expired and still there.
pub(crate) fn may_count(counted: Option<u64>, found: Option<u64>) -> bool {
    counted.is_some() == found.is_some() && counted >= found
}

/// Whether the counters of a group may stand so, when loads were under way during its removals: a pattern removes leases too.
pub(crate) fn may_stand(counted: &Counts, expected: &Counts) -> bool {
    let mut counted = *counted;
    counted.deletes = counted.deletes.min(expected.deletes);
    let may_be_local = if keeps_copies() { counted.hits } else { 0 };
    counted.local_hits = counted.local_hits.saturating_sub(may_be_local);
    counted == *expected
}

/// Waits until a load that was given up keeps nobody waiting: its lease is given back by a task.
pub(crate) async fn given_back(name: &str) {
    let key = format!("{}:{name}", LATEST.with_borrow(Clone::clone));
    let server = shared().await;
    let begins = async || server.command(&["GETRANGE", &key, "0", "1"]).await;
    testkit::until("the lease is given back", async || begins().await != Reply::Bulk(b"\xFEL".to_vec()))
        .await;
}

/// Under which group a hit or a removal is counted: an entry in Redis does not say who stored it.
pub(crate) fn counted_under<'a>(_of_entry: &'a str, of_call: &'a str) -> &'a str {
    of_call
}

/// The rules that keep late values out after this removal. A token is hashed with the era, so that two keep out what was there
/// before everything was removed.
pub(crate) fn rules_of(removal: Removal) -> &'static [Ablation] {
    match removal {
        Removal::Scope | Removal::Tag | Removal::ClearSpace => &[Ablation::TokenCheck],
        Removal::ClearAll => &[Ablation::EraCheck, Ablation::TokenCheck],
        _ => &[Ablation::TicketCheck],
    }
}
