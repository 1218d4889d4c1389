//! What the map of the tier holds, and how names are looked up in it without an allocation.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use foldhash::quality::RandomState;
use quick_cache::{Equivalent, Weighter};

use crate::codec::Payload;
use crate::key::Tag;
use crate::stats::Group;
use crate::token::Captured;

/// A value with everything that is decided before it is put in.
pub(crate) struct Candidate {
    pub(crate) payload: Payload,
    pub(crate) stored_at_ms: u64,
    /// The first millisecond in which it is no hit any more; `u64::MAX` is never.
    pub(crate) expires_at_ms: u64,
    pub(crate) version: Option<u64>,
    pub(crate) weight: u64,
    pub(crate) group: Group,
}

/// A stored value. The map clones it for every hit, so what is large stands behind one pointer.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) payload: Payload,
    pub(super) expires_at_ms: u64,
    stored_at_ms: u64,
    pub(super) era: u64,
    pub(super) version: Option<u64>,
    weight: u64,
    /// `None` where there is nothing to depend on.
    captured: Option<Arc<[Captured]>>,
    pub(super) group: Group,
}

/// What a lookup found.
pub(crate) struct Hit {
    pub(crate) payload: Payload,
    pub(crate) stored_at_ms: u64,
    pub(crate) group: Group,
}

impl Entry {
    pub(super) fn new(candidate: Candidate, era: u64, captured: Vec<Captured>) -> Self {
        let captured = (!captured.is_empty()).then(|| captured.into());
        Entry::build(candidate, era, captured)
    }

    /// The newer value of the same row: it depends on what the older one depended on, lives as long, from now on, and is
    /// counted with it.
    pub(super) fn succeeding(older: &Entry, candidate: Candidate) -> Self {
        let lifetime_ms = older.expires_at_ms.saturating_sub(older.stored_at_ms);
        let expires_at_ms = candidate.stored_at_ms.saturating_add(lifetime_ms);
        let candidate = Candidate { expires_at_ms, group: older.group, ..candidate };
        Entry::build(candidate, older.era, older.captured.clone())
    }

    fn build(candidate: Candidate, era: u64, captured: Option<Arc<[Captured]>>) -> Self {
        let Candidate { payload, stored_at_ms, expires_at_ms, version, weight, group } = candidate;
        // A weight of zero could never be evicted.
        Entry { payload, expires_at_ms, stored_at_ms, era, version, weight: weight.max(1), captured, group }
    }

    #[inline]
    pub(super) fn captured(&self) -> &[Captured] {
        self.captured.as_deref().unwrap_or_default()
    }

    /// Whether every one of these tags is among those that it captured.
    #[inline]
    pub(super) fn depends_on(&self, declared: &[Tag]) -> bool {
        declared.iter().all(|tag| self.captured().iter().any(|captured| captured.tag == *tag))
    }

    #[inline]
    pub(super) fn into_hit(self) -> Hit {
        Hit { payload: self.payload, stored_at_ms: self.stored_at_ms, group: self.group }
    }
}

/// A name as the map keeps it.
#[derive(Clone)]
pub(super) struct StoredName {
    hash: u64,
    name: Arc<str>,
}

/// A name as it is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NameRef<'a> {
    pub(crate) hash: u64,
    pub(crate) name: &'a str,
}

impl<'a> NameRef<'a> {
    #[inline]
    pub(super) fn new(name: &'a str, hasher: &RandomState) -> Self {
        let mut hasher = hasher.build_hasher();
        hasher.write(name.as_bytes());
        NameRef { hash: hasher.finish(), name }
    }

    pub(super) fn to_stored(self) -> StoredName {
        StoredName { hash: self.hash, name: self.name.into() }
    }
}

impl StoredName {
    pub(super) fn as_str(&self) -> &str {
        &self.name
    }

    pub(super) fn as_ref(&self) -> NameRef<'_> {
        NameRef { hash: self.hash, name: &self.name }
    }
}

impl Hash for StoredName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Hash for NameRef<'_> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl PartialEq for StoredName {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for StoredName {}

impl Equivalent<StoredName> for NameRef<'_> {
    #[inline]
    fn equivalent(&self, stored: &StoredName) -> bool {
        self.hash == stored.hash && *self.name == *stored.name
    }
}

/// Hands on the hash that a name carries.
#[derive(Clone, Debug, Default)]
pub(super) struct Prehashed;

impl BuildHasher for Prehashed {
    type Hasher = PrehashedHasher;

    #[inline]
    fn build_hasher(&self) -> PrehashedHasher {
        PrehashedHasher(0)
    }
}

pub(super) struct PrehashedHasher(u64);

impl Hasher for PrehashedHasher {
    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Names write one u64; this keeps the hasher whole for anything else.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    #[inline]
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// The weight stands in the entry.
#[derive(Clone, Debug)]
pub(super) struct ByWeight;

impl Weighter<StoredName, Entry> for ByWeight {
    #[inline]
    fn weight(&self, _name: &StoredName, entry: &Entry) -> u64 {
        entry.weight
    }
}
