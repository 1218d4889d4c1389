//! Counters, by group of entries. A leaf: parts return what happened, and only the service counts.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use foldhash::fast::RandomState;
use parking_lot::RwLock;

/// How many groups are counted apart. The prefixes of an application are few; names that only look like prefixes may be
/// many, and all beyond this number are counted together under [`OTHER`].
const MAX_GROUPS: usize = 256;

/// How many groups there are at most, that of all others included.
pub(crate) const GROUPS: usize = MAX_GROUPS + 1;

/// The longest name of a group, in bytes. A prefix is a word; a longer first part of a name is not one, and not worth keeping.
const MAX_GROUP_BYTES: usize = 64;

/// The group of all names beyond the first [`MAX_GROUPS`] groups.
pub(crate) const OTHER: &str = "(other)";

/// How many copies each counter has, so that threads that count at once seldom share a cache line. A power of two.
const STRIPES: usize = 8;

/// What is counted for each group.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Count {
    /// A hit in Redis.
    Hit = 0,
    Miss = 1,
    Set = 2,
    Delete = 3,
    Error = 4,
    /// A loader was run.
    Load = 5,
    /// A caller shared somebody else's load.
    Joined = 6,
    /// A loaded value was not stored, because its key, a tag or a scope was removed or set meanwhile.
    Superseded = 7,
    /// A value was too large to store.
    TooLarge = 8,
    /// Something lay under the name that this library did not write.
    Foreign = 9,
    /// A hit in this process.
    LocalHit = 10,
}

const COUNTS: usize = 11;

/// The index of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group(u16);

impl Group {
    /// Below [`GROUPS`].
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The counters of a service.
#[derive(Debug)]
pub(crate) struct Counters {
    groups: Box<[OnceLock<Box<[Stripe; STRIPES]>>]>,
    by_name: RwLock<HashMap<String, Group, RandomState>>,
}

/// One copy of a group's counters, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe([AtomicU64; COUNTS]);

impl Counters {
    /// The groups that are known from the beginning are counted apart whatever other names come first.
    pub(crate) fn new<'a>(known: impl IntoIterator<Item = &'a str>) -> Self {
        let counters =
            Counters { groups: (0..GROUPS).map(|_| OnceLock::new()).collect(), by_name: RwLock::default() };
        counters.by_name.write().insert(OTHER.to_owned(), Group(0));
        for name in known {
            counters.group(name);
        }
        counters
    }

    /// The group of this name; it is made where it is new.
    pub(crate) fn group(&self, name: &str) -> Group {
        if name.len() > MAX_GROUP_BYTES {
            return Group(0);
        }
        {
            let by_name = self.by_name.read();
            if let Some(group) = by_name.get(name) {
                return *group;
            }
            if by_name.len() > MAX_GROUPS {
                return Group(0); // no writer's lock for each of the many names that have no group
            }
        }
        let mut by_name = self.by_name.write();
        let next = by_name.len();
        if next > MAX_GROUPS {
            return by_name.get(name).copied().unwrap_or(Group(0));
        }
        *by_name.entry(name.to_owned()).or_insert(Group(u16::try_from(next).unwrap_or(0)))
    }

    #[inline]
    pub(crate) fn count(&self, group: Group, what: Count) {
        let stripes = self.groups[usize::from(group.0)].get_or_init(Box::default);
        stripes[stripe_of_thread()].0[what as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// All counters as they stand.
    pub(crate) fn snapshot(&self) -> (Counts, BTreeMap<String, Counts>) {
        let mut all = Counts::default();
        let mut by_prefix = BTreeMap::new();
        for (name, group) in self.by_name.read().iter() {
            let Some(stripes) = self.groups[usize::from(group.0)].get() else { continue };
            let sum = |what: Count| -> u64 {
                stripes.iter().map(|s| s.0[what as usize].load(Ordering::Relaxed)).sum()
            };
            let local_hits = sum(Count::LocalHit);
            let counts = Counts {
                hits: sum(Count::Hit) + local_hits,
                local_hits,
                misses: sum(Count::Miss),
                sets: sum(Count::Set),
                deletes: sum(Count::Delete),
                errors: sum(Count::Error),
                loads: sum(Count::Load),
                joined: sum(Count::Joined),
                superseded: sum(Count::Superseded),
                too_large: sum(Count::TooLarge),
                foreign: sum(Count::Foreign),
            };
            all.add(&counts);
            by_prefix.insert(name.clone(), counts);
        }
        (all, by_prefix)
    }
}

/// Threads take the stripes in turn.
#[inline]
fn stripe_of_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static STRIPE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES);
    STRIPE.with(|stripe| *stripe)
}

/// What happened in a group of entries, or in all, since the service was built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Reads that found a value.
    pub hits: u64,
    /// Those of them that found it in this process; the others found it in Redis.
    pub local_hits: u64,
    /// Reads that found none, including those that shared a load.
    pub misses: u64,
    /// Values stored, by a set or after a load.
    pub sets: u64,
    /// Removals: one for each name that was asked to be removed, one for each name that a pattern removed, and one for each
    /// tag, scope, space or everything.
    pub deletes: u64,
    /// Operations that failed.
    pub errors: u64,
    /// Loaders run.
    pub loads: u64,
    /// Callers that shared somebody else's load.
    pub joined: u64,
    /// Loaded values that were returned and not stored, since what they depend on was removed or set meanwhile.
    pub superseded: u64,
    /// Values that were too large to store.
    pub too_large: u64,
    /// Reads that met something in Redis that this library did not write. Whoever loads removes it.
    pub foreign: u64,
}

impl Counts {
    /// Hits among all reads, from 0 to 1; 0 before the first read.
    #[expect(clippy::cast_precision_loss, reason = "a ratio needs no more than 52 bits")]
    pub fn hit_ratio(&self) -> f64 {
        match self.hits + self.misses {
            0 => 0.0,
            reads => self.hits as f64 / reads as f64,
        }
    }

    /// The hit ratio as the specification writes it, two decimals rounded half up: 1,250 of 1,600 is `78.13%`.
    ///
    /// ```
    /// let mut counts = larder::Counts::default();
    /// (counts.hits, counts.misses) = (1_250, 350);
    /// assert_eq!(counts.hit_percentage(), "78.13%");
    /// ```
    pub fn hit_percentage(&self) -> String {
        let reads = u128::from(self.hits) + u128::from(self.misses);
        let hundredths = match reads {
            0 => 0,
            reads => (u128::from(self.hits) * 20_000 + reads) / (2 * reads),
        };
        format!("{}.{:02}%", hundredths / 100, hundredths % 100)
    }

    fn add(&mut self, other: &Counts) {
        self.hits += other.hits;
        self.local_hits += other.local_hits;
        self.misses += other.misses;
        self.sets += other.sets;
        self.deletes += other.deletes;
        self.errors += other.errors;
        self.loads += other.loads;
        self.joined += other.joined;
        self.superseded += other.superseded;
        self.too_large += other.too_large;
        self.foreign += other.foreign;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_beyond_the_limit_are_counted_together() {
        let counters = Counters::new([]);
        for i in 0..MAX_GROUPS + 10 {
            counters.count(counters.group(&format!("g{i}")), Count::Hit);
        }
        let (all, by_prefix) = counters.snapshot();
        assert_eq!(all.hits, MAX_GROUPS as u64 + 10);
        assert_eq!(by_prefix.len(), MAX_GROUPS + 1);
        assert_eq!(by_prefix[OTHER].hits, 10);
    }

    #[test]
    fn groups_beyond_the_limit_are_found_without_the_writers_lock() {
        testkit::run_sync(std::time::Duration::from_secs(10), || {
            let counters = Counters::new([]);
            for i in 0..MAX_GROUPS {
                counters.group(&format!("g{i}"));
            }
            let _reader = counters.by_name.read();
            assert_eq!(counters.group("one more"), Group(0));
        });
    }

    #[test]
    fn what_is_too_long_to_be_a_prefix_is_not_kept_as_one() {
        let counters = Counters::new([]);
        assert_eq!(counters.group(&"x".repeat(MAX_GROUP_BYTES + 1)), Group(0));
        assert_ne!(counters.group(&"x".repeat(MAX_GROUP_BYTES)), Group(0));
    }

    #[test]
    fn percentages_are_rounded_half_up() {
        for (hits, misses, expected) in [
            (1_250, 350, "78.13%"),
            (0, 0, "0.00%"),
            (1, 0, "100.00%"),
            (1, 2, "33.33%"),
            (2, 1, "66.67%"),
            (1, 79_999, "0.00%"),
            (u64::MAX / 2, u64::MAX / 2, "50.00%"),
        ] {
            let counts = Counts { hits, misses, ..Counts::default() };
            assert_eq!(counts.hit_percentage(), expected);
        }
    }
}
