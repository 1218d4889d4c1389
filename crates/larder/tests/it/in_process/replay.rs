//! Recorded traffic of real systems, replayed: the weights stay under the limit, and the hits hold up against the exact
//! hits of other policies on the same requests.

use std::convert::Infallible;
use std::future::ready;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use larder::{Blob, CacheService, Policy, Space};

/// Longest for one trace at four capacities: 5 minutes, for a build without optimisation on a busy machine. With the
/// settings of this workspace it takes seconds.
const LIMIT: Duration = Duration::from_secs(300);

/// After how many requests the limit is looked at.
const CHECKPOINT: usize = 5_000;

/// Entries that weigh 1, so that a capacity is a number of entries.
static OBJECT: Space<u64, ()> =
    Space::new("object:{id}", "Read as recorded; never changes; holds nothing that could be stale.")
        .weigher(|()| 1);

/// Entries of their recorded size.
static BODY: Space<u64, Blob> =
    Space::new("body:{id}", "Read as recorded; never changes; holds nothing that could be stale.");

/// One line of `baselines.csv`: what other policies do with the same requests and room for as many objects.
struct Baseline {
    cap_pct: u64,
    capacity: u64,
    lru_hits: u64,
    opt_hits: u64,
}

#[test]
fn orm_busy_hits_as_often_as_lru_or_more() {
    hits_hold_up("orm-busy", "cache2k/orm-busy.trace.xz", keys_of_xz);
}

#[test]
fn web12_hits_as_often_as_lru_or_more() {
    hits_hold_up("web12", "cache2k/web12.trace.xz", keys_of_xz);
}

#[test]
fn twitter_cluster52_hits_as_often_as_lru_or_more() {
    hits_hold_up("cluster52_rows0-1M", "twitter/cluster52_rows0-1M.csv.zst", |path| {
        requests_of_zst(path).into_iter().map(|(key, _size)| key).collect()
    });
}

#[test]
fn real_sizes_stay_under_the_limit_and_memory_with_them() {
    let Some(traces) = testkit::shared_data("data/traces") else { return };
    testkit::run_sync(LIMIT, move || {
        let requests = requests_of_zst(&traces.join("twitter/cluster52_rows0-1M.csv.zst"));
        for capacity in [4 << 20, 16 << 20, 32 << 20] {
            let before = resident_kib();
            let mut cache = None;
            // All is polled on this thread, so what the thread has allocated and not freed is the cache's memory, whatever
            // other tests do meanwhile.
            let held =
                allocation_counter::measure(|| cache = Some(block_on(replay_sizes(&requests, capacity))));
            let resident = resident_kib();
            let stats = cache.expect("it was built").stats();
            let held = u64::try_from(held.bytes_current).expect("a filled cache holds memory");
            let weight = stats.local.weight;
            report(&format!(
                "twitter cluster52 in real sizes: {} entries weigh {weight} of {capacity} bytes and hold {held} ({:.2} of it), hit ratio {}; \
                 resident memory of the process {resident} KiB, {before} KiB before",
                stats.local.entries,
                held as f64 / weight as f64,
                stats.total.hit_percentage(),
            ));
            assert!(weight > capacity / 10 * 9, "the cache was not filled");
            assert!(held <= capacity / 4 * 5, "entries that weigh {weight} bytes hold {held}");
        }
    });
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("the operating system gives a test its runtime").block_on(future)
}

/// Replays a trace of keys at each capacity of its baselines.
fn hits_hold_up(name: &'static str, file: &'static str, keys: fn(&Path) -> Vec<u64>) {
    let Some(traces) = testkit::shared_data("data/traces") else { return };
    testkit::run_within(LIMIT, async move {
        let keys = keys(&traces.join(file));
        for baseline in baselines(&traces.join("baselines.csv"), name, keys.len()) {
            let hits = replay(&keys, baseline.capacity).await;
            let Baseline { cap_pct, lru_hits, opt_hits, .. } = baseline;
            let of_lru = hits as f64 / lru_hits as f64;
            report(&format!("{name}, {cap_pct} % of the keys: {hits} hits, {of_lru:.4} of LRU's {lru_hits}"));
            let bar = if cap_pct == 1 { lru_hits * 9 / 10 } else { lru_hits };
            assert!(hits >= bar, "{name} at {cap_pct} %: {hits} hits are under the bar of {bar}");
            assert!(hits <= opt_hits, "{name} at {cap_pct} %: {hits} hits are more than can be: {opt_hits}");
        }
    });
}

/// Counts the hits of a trace with room for `capacity` entries.
async fn replay(keys: &[u64], capacity: u64) -> u64 {
    let entries = usize::try_from(capacity).expect("it fits");
    let builder = CacheService::builder().space(&OBJECT);
    let cache = builder.local_capacity_bytes(capacity).local_expected_entries(entries).build();
    let cache = cache.expect("the settings are sound");
    for requests in keys.chunks(CHECKPOINT) {
        for key in requests {
            let load = || ready(Ok::<_, Infallible>(()));
            cache.get_or_set(OBJECT.key(key), Policy::new(), load).await.expect("the load cannot fail");
        }
        let weight = cache.stats().local.weight;
        assert!(weight <= capacity, "a weight of {weight} is over the limit of {capacity}");
    }
    let stats = cache.stats();
    assert_eq!(stats.total.hits + stats.total.misses, keys.len() as u64);
    assert_eq!(stats.total.sets, stats.total.misses, "every miss was stored");
    stats.total.hits
}

/// Replays requests with the recorded sizes.
async fn replay_sizes(requests: &[(u64, usize)], capacity: u64) -> CacheService {
    let cache = CacheService::builder().space(&BODY).local_capacity_bytes(capacity).build();
    let cache = cache.expect("the settings are sound");
    for requests in requests.chunks(CHECKPOINT) {
        for (key, size) in requests {
            let load = || ready(Ok::<_, Infallible>(Blob(vec![0; *size].into())));
            cache.get_or_set(BODY.key(key), Policy::new(), load).await.expect("the load cannot fail");
        }
        let weight = cache.stats().local.weight;
        assert!(weight <= capacity, "a weight of {weight} is over the limit of {capacity}");
    }
    cache
}

/// Big-endian `u32` keys, as cache2k records them.
fn keys_of_xz(path: &Path) -> Vec<u64> {
    let packed = std::fs::File::open(path).expect("the trace can be opened");
    let mut bytes = Vec::new();
    liblzma::read::XzDecoder::new(packed).read_to_end(&mut bytes).expect("the trace can be unpacked");
    let (keys, rest) = bytes.as_chunks::<4>();
    assert!(rest.is_empty(), "{}: it is cut in the middle of a key", path.display());
    keys.iter().map(|key| u64::from(u32::from_be_bytes(*key))).collect()
}

/// Lines of `time,object,size`.
fn requests_of_zst(path: &Path) -> Vec<(u64, usize)> {
    let packed = std::fs::File::open(path).expect("the trace can be opened");
    let text = zstd::decode_all(packed).expect("the trace can be unpacked");
    let text = String::from_utf8(text).expect("the trace is text");
    let request = |line: &str| {
        let mut cells = line.split(',').skip(1);
        Some((cells.next()?.parse().ok()?, cells.next()?.parse().ok()?))
    };
    text.lines()
        .skip(1)
        .map(|line| request(line).unwrap_or_else(|| panic!("not a request: {line}")))
        .collect()
}

/// The four capacities of a trace, with what other policies do.
fn baselines(path: &Path, trace: &str, requests: usize) -> Vec<Baseline> {
    let text = std::fs::read_to_string(path).expect("baselines.csv can be read");
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().expect("it has a header").split(',').collect();
    let rows = lines.map(|line| line.split(',').collect::<Vec<_>>()).filter(|row| row[0] == trace);
    let baselines: Vec<Baseline> = rows
        .map(|row| {
            let cell = |column: &str| -> u64 {
                let at = header.iter().position(|name| *name == column);
                row[at.unwrap_or_else(|| panic!("no column {column}"))].parse().expect("a number")
            };
            assert_eq!(cell("requests"), requests as u64, "the baselines are of another trace");
            Baseline {
                cap_pct: cell("cap_pct"),
                capacity: cell("capacity_objects"),
                lru_hits: cell("lru_hits"),
                opt_hits: cell("opt_hits"),
            }
        })
        .collect();
    assert_eq!(baselines.len(), 4, "baselines.csv has four capacities of {trace}");
    baselines
}

/// What of this process is in physical memory, other tests included; 0 where the system does not say.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok()).unwrap_or(0)
}

/// Tells a figure, past the capture of the test harness.
fn report(line: &str) {
    // If standard error is closed, there is nobody left to tell.
    writeln!(io::stderr().lock(), "{line}").ok();
}
