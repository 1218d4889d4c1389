//! Which names are read most, in memory of a fixed size.
//!
//! One read in [`SAMPLED`] is noted, in the Space-Saving sketch of Metwally, Agrawal and El Abbadi (2005): so many counters, and a
//! name without one takes that of the least, with its count as the error. What makes up more than one part in [`COUNTERS`] of the
//! reads is always among them. Counts are halved each minute, so that what was hot once is forgotten.

use std::cell::Cell;
use std::hash::BuildHasher;

use arrayvec::ArrayString;
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use rand::RngExt;

/// How many names are counted apart.
const COUNTERS: usize = 128;

/// One read in so many is noted, at random: a hit in this process takes less time than noting it.
const SAMPLED: u32 = 64;

/// The longest name that is kept, in bytes: longer ones are cut.
const MAX_NAME_BYTES: usize = 256;

/// 1 minute: how long it takes until a read counts half.
const HALF_LIFE_MS: u64 = 60_000;

/// A name that is read often.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HotKey {
    /// Its name; what is longer than 256 bytes is cut.
    pub name: String,
    /// About how often it was read lately: reads of a minute ago count half, those of two minutes ago a quarter.
    pub reads: u64,
    /// By how much that may be too high.
    pub error: u64,
}

/// The sketch.
#[derive(Debug)]
pub(crate) struct Hottest(Mutex<Sketch>);

#[derive(Debug)]
struct Sketch {
    /// At most [`COUNTERS`], for which there is room from the beginning: a read allocates nothing.
    counters: Vec<Counter>,
    hasher: RandomState,
    halved_at_ms: u64,
}

#[derive(Debug)]
struct Counter {
    hash: u64,
    name: ArrayString<MAX_NAME_BYTES>,
    reads: u64,
    error: u64,
}

impl Default for Hottest {
    fn default() -> Self {
        let (counters, hasher) = (Vec::with_capacity(COUNTERS), RandomState::default());
        Hottest(Mutex::new(Sketch { counters, hasher, halved_at_ms: 0 }))
    }
}

impl Hottest {
    /// Notes a read, one in so many.
    #[inline]
    pub(crate) fn note(&self, name: &str, now_ms: impl FnOnce() -> u64) {
        if is_sampled() {
            self.add(name, now_ms());
        }
    }

    #[cold]
    fn add(&self, name: &str, now_ms: u64) {
        // Whoever finds it taken does without: reads do not wait for one another.
        if let Some(mut sketch) = self.0.try_lock() {
            sketch.halve(now_ms);
            sketch.add(cut(name), u64::from(SAMPLED));
        }
    }

    /// The names that were read most, the hottest first.
    pub(crate) fn top(&self, count: usize, now_ms: u64) -> Vec<HotKey> {
        let mut sketch = self.0.lock();
        sketch.halve(now_ms);
        let hot = sketch.counters.iter().map(|counter| HotKey {
            name: counter.name.to_string(),
            reads: counter.reads,
            error: counter.error,
        });
        let mut top: Vec<HotKey> = hot.collect();
        drop(sketch);
        top.sort_unstable_by(|a, b| b.reads.cmp(&a.reads).then_with(|| a.name.cmp(&b.name)));
        top.truncate(count);
        top
    }
}

impl Sketch {
    fn add(&mut self, name: &str, reads: u64) {
        let hash = self.hasher.hash_one(name);
        let is_it = |counter: &&mut Counter| counter.hash == hash && counter.name == *name;
        if let Some(counter) = self.counters.iter_mut().find(is_it) {
            counter.reads += reads;
            return;
        }
        let name = ArrayString::from(name).unwrap_or_default();
        if self.counters.len() < COUNTERS {
            self.counters.push(Counter { hash, name, reads, error: 0 });
        } else if let Some(least) = self.counters.iter_mut().min_by_key(|counter| counter.reads) {
            *least = Counter { hash, name, reads: least.reads + reads, error: least.reads };
        }
    }

    fn halve(&mut self, now_ms: u64) {
        let lives = now_ms.saturating_sub(self.halved_at_ms) / HALF_LIFE_MS;
        if lives > 0 {
            self.halved_at_ms = now_ms;
            let half = |reads: u64| reads.checked_shr(u32::try_from(lives).unwrap_or(u32::MAX)).unwrap_or(0);
            for counter in &mut self.counters {
                (counter.reads, counter.error) = (half(counter.reads), half(counter.error));
            }
            self.counters.retain(|counter| counter.reads > 0);
        }
    }
}

/// Whether this read of this thread is one in [`SAMPLED`]: after as many others as are drawn each time, so that no rhythm of the
/// application picks the same names.
#[inline]
fn is_sampled() -> bool {
    thread_local!(static PASS: Cell<u32> = const { Cell::new(0) });
    PASS.with(|pass| match pass.get() {
        0 => {
            pass.set(rand::rng().random_range(0..=2 * (SAMPLED - 1)));
            true
        }
        left => {
            pass.set(left - 1);
            false
        }
    })
}

/// The beginning of a name.
fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(MAX_NAME_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_most_is_found_among_many_that_are_read_once() {
        let hottest = Hottest::default();
        for i in 0..100_000_u64 {
            let name = if i % 20 == 0 { format!("hot:{}", i % 3) } else { format!("cold:{i}") };
            hottest.add(&name, 0);
        }
        let top = hottest.top(3, 0);
        assert!(top.iter().all(|hot| hot.name.starts_with("hot:")), "{top:?}");
        let true_count = 100_000 / 20 / 3 * u64::from(SAMPLED);
        for hot in &top {
            let off = u64::from(SAMPLED);
            assert!(hot.reads + off >= true_count && hot.reads - hot.error <= true_count + off, "{hot:?}");
        }
        assert_eq!(hottest.top(usize::MAX, 0).len(), COUNTERS);
    }

    #[test]
    fn what_was_hot_is_forgotten() {
        let hottest = Hottest::default();
        for _ in 0..8 {
            hottest.add("old", 0);
        }
        hottest.add("new", HALF_LIFE_MS * 2);
        let names = |now_ms| hottest.top(9, now_ms).iter().map(|hot| hot.reads).collect::<Vec<_>>();
        assert_eq!(names(HALF_LIFE_MS * 2), [8 * 64 / 4, 64]);
        assert_eq!(names(HALF_LIFE_MS * 200), [0_u64; 0]);
    }

    #[test]
    fn one_read_in_so_many_is_noted_at_random() {
        let noted = (0..640_000).filter(|_| is_sampled()).count();
        assert!((9_000..11_000).contains(&noted), "{noted}");
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let hottest = Hottest::default();
        hottest.add(&"ä".repeat(500), 0);
        assert_eq!(hottest.top(1, 0)[0].name, "ä".repeat(128));
    }
}
