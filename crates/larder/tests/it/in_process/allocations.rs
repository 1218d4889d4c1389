//! What the doors allocate: nothing for a hit, a small known number for what is stored.

use std::convert::Infallible;
use std::future::{Future, ready};

use allocation_counter::measure;
use larder::{CacheService, Id, Key, KeyWriter, Policy, Space, Tag, Ttl};
use tokio::runtime::Runtime;

/// The most that a miss allocates, tags included, beside what the loader does: two copies of the name, a flight and its
/// places in the tables, the load's own future and record, the value, and what was captured.
const MOST_PER_MISS: u64 = 10;

/// The most that a set allocates: the name, the value and what was captured.
const MOST_PER_SET: u64 = 4;

struct UserId(&'static str);

impl Id for UserId {
    const SEGMENTS: usize = 1;
    fn write(&self, key: &mut KeyWriter<'_>) {
        key.segment(self.0);
    }
}

static USER: Space<UserId, String> =
    Space::new("user:{id}", "Read by tests; never changes; holds nothing that could be stale.")
        .ttl(Ttl::LONG);

static NOTE: Space<(UserId, u64), String> =
    Space::new("note:{user}:page:{n}", "Read by tests; never changes; holds nothing that could be stale.")
        .scope("user")
        .cache_is_source();

const NAME: &str = "deal:0193e2a4-7b1c-7def-8123-456789abcdef";

struct Bench {
    runtime: Runtime,
    cache: CacheService,
}

impl Bench {
    fn new() -> Bench {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.expect("the operating system gives a test its runtime");
        let cache = runtime.block_on(async { CacheService::builder().space(&USER).space(&NOTE).build() });
        Bench { runtime, cache: cache.expect("the settings are sound") }
    }

    /// How many times polling this allocates. What the runtime itself does around it is not counted.
    fn count<F: Future>(&self, call: impl FnOnce(CacheService) -> F) -> (u64, F::Output) {
        let mut output = None;
        let mut count = 0;
        let cache = self.cache.clone();
        self.runtime.block_on(async {
            let mut call = std::pin::pin!(call(cache));
            // None of these calls waits for anything, so that one poll is all of it.
            std::future::poll_fn(|context| {
                let counted = measure(|| {
                    if let std::task::Poll::Ready(value) = call.as_mut().poll(context) {
                        output = Some(value);
                    }
                });
                count += counted.count_total;
                std::task::Poll::Ready(())
            })
            .await;
        });
        (count, output.expect("a call that waits for nothing ends with its first poll"))
    }
}

fn two_tags() -> Policy {
    Policy::new().tag(Tag::new("deals", "abc123")).tag(Tag::new("companies", "abc123"))
}

fn user() -> Key<'static, String> {
    USER.key(&UserId("0193e2a4-7b1c-7def-8123-456789abcdef"))
}

async fn read(cache: CacheService, key: impl larder::AsKey<String>, policy: Policy) -> usize {
    let load = || ready(Ok::<_, Infallible>(String::new()));
    cache.get_or_set(key, policy, load).await.map_or(0, |value| value.len())
}

#[test]
fn a_hit_allocates_nothing() {
    testkit::run_sync(testkit::LIMIT, || {
        let bench = Bench::new();
        for policy in [Policy::new, two_tags] {
            // The first call of each fills, the second makes the counters of its thread.
            for times in 0..3 {
                let hits = [
                    ("get_or_set of a name", bench.count(|cache| read(cache, NAME, policy())).0),
                    ("get_or_set of a key", bench.count(|cache| read(cache, user(), policy())).0),
                    ("get of a name", bench.count(|cache| async move { cache.get::<String>(NAME).await }).0),
                    ("get of a key", bench.count(|cache| async move { cache.get(user()).await }).0),
                    ("lookup of a key", bench.count(|cache| async move { cache.lookup(user()).await }).0),
                ];
                for (what, count) in hits.into_iter().filter(|_| times == 2) {
                    assert_eq!(count, 0, "{what} with {:?}", policy());
                }
            }
        }
        assert_eq!(bench.cache.stats().total.loads, 4, "each read was a hit but for the first");
    });
}

#[test]
fn a_key_of_up_to_128_bytes_allocates_nothing() {
    for (length, expected) in [(1, 0), (128 - "user:".len(), 0), (129 - "user:".len(), 1)] {
        let id = UserId("x".repeat(length).leak());
        let counted = measure(|| assert_eq!(USER.key(&id).as_str().len(), "user:".len() + length));
        assert_eq!(counted.count_total, expected, "an id of {length} bytes");
    }
}

#[test]
fn a_miss_and_a_set_allocate_a_small_number() {
    testkit::run_sync(testkit::LIMIT, || {
        let bench = Bench::new();
        // What grows now and then, the map and the tables, is not what one call costs: the median is.
        let median = |call: &dyn Fn(u64) -> u64| {
            let mut counts: Vec<u64> = (0..101).map(call).collect();
            counts.sort_unstable();
            counts[50]
        };
        let key = |n| NOTE.key(&(UserId("0193e2a4"), n));
        let miss = median(&|n| bench.count(|cache| read(cache, key(n), two_tags())).0);
        let set = median(&|n| {
            bench.count(|cache| async move { cache.set(key(n), String::new(), two_tags()).await }).0
        });
        assert!(miss > 0 && miss <= MOST_PER_MISS, "a miss allocates {miss} times");
        assert!(set > 0 && set <= MOST_PER_SET, "a set allocates {set} times");
    });
}
