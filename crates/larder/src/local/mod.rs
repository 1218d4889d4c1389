//! The in-process tier: decoded values, bounded by weight, that cannot fail and answer in nanoseconds.
//!
//! Everything that changes what a name holds passes through its ticket slot, held still for that moment: an install compares
//! there the ticket that its load took, a removal or a set raises it. Tags, scopes and spaces act by tokens that an entry
//! captured before its load, everything at once by the era: both are compared at each hit, so that invalidating costs the
//! same at any number of entries. What no longer is a hit leaves by eviction or by the sweep.

mod entry;

use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::RandomState;
use parking_lot::Mutex;
use quick_cache::OptionsBuilder;
use quick_cache::sync::{Cache, DefaultLifecycle};

use entry::{ByWeight, Entry, Prehashed, StoredName};
pub(crate) use entry::{Candidate, Hit, NameRef};

use crate::ablation::{Ablation, Ablations};
use crate::codec::Payload;
use crate::error::{Error, ErrorKind};
use crate::key::{Pattern, Tag};
use crate::stats::Group;
use crate::ticket::{Slot, Ticket, Tickets};
use crate::token::{Captured, Tokens};

/// How many entries a sweep or a scan looks at before it lets other tasks run.
pub(crate) const SCAN_BATCH: usize = 256;

/// How many parts the map has at most. More parts mean less waiting, and a smaller largest value.
const MAX_SHARDS: u64 = 64;

/// How much of the map is for entries that were asked for again. Recorded traffic decides: with quick_cache's own 0.97 the
/// rest is too little for new entries to prove themselves (docs/decisions/0002-in-process-eviction.md).
const HOT_ALLOCATION: f64 = 0.9;

/// The in-process tier.
pub(crate) struct Local {
    map: Cache<StoredName, Entry, ByWeight, Prehashed, DefaultLifecycle<StoredName, Entry>>,
    hasher: RandomState,
    tickets: Tickets,
    tokens: Tokens,
    era: AtomicU64,
    /// The era that ended without anybody saying that its entries are wrong. An era ends under this lock.
    retired: Mutex<Option<u64>>,
    max_weight: u64,
    ablations: Ablations,
}

/// How large the tier is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) capacity: u64,
    pub(crate) expected_entries: usize,
    pub(crate) max_weight: u64,
}

/// What a load captured before it began.
#[derive(Debug)]
pub(crate) struct Grant {
    ticket: Ticket,
    era: u64,
    captured: Vec<Captured>,
}

impl Grant {
    /// The tags that were captured.
    pub(crate) fn tags(&self) -> impl Iterator<Item = Tag> {
        self.captured.iter().map(|captured| captured.tag)
    }

    /// Cuts what was captured down to these tags; `false` if one of them was not captured.
    pub(crate) fn narrow_to(&mut self, tags: &[Tag]) -> bool {
        let covered = tags.iter().all(|tag| self.captured.iter().any(|captured| captured.tag == *tag));
        self.captured.retain(|captured| tags.contains(&captured.tag));
        covered
    }
}

/// What became of an install.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Installed {
    /// Nothing that the grant captured has changed: the value vouches for itself.
    pub(crate) current: bool,
    /// It was put in; a current value that is too large is not.
    pub(crate) stored: bool,
}

/// What became of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    Stored,
    TooLarge,
    /// It was only to be set if there was nothing, and there was.
    Exists,
    /// The entry that was there has this row version or a newer one.
    Older,
    /// There was no entry of an older row version to replace.
    Absent,
}

impl Local {
    pub(crate) fn new(size: Size, ablations: Ablations) -> Result<Self, Error> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
        let shards = (cores * 4).next_power_of_two().min(MAX_SHARDS);
        // Each shard gets the same share, rounded down, so that the sum stays under the limit.
        let capacity = if size.capacity < shards { size.capacity } else { size.capacity / shards * shards };
        let options = OptionsBuilder::new()
            .shards(usize::try_from(shards).unwrap_or(1))
            .weight_capacity(capacity)
            .hot_allocation(HOT_ALLOCATION)
            .estimated_items_capacity(size.expected_entries)
            .build()
            .map_err(|error| Error::new(ErrorKind::Config, format!("the in-process tier: {error}")))?;
        let map = Cache::with_options(options, ByWeight, Prehashed, DefaultLifecycle::default());
        let max_weight = size.max_weight.min(largest_entry(map.shard_capacity()));
        Ok(Local {
            map,
            hasher: RandomState::default(),
            tickets: Tickets::new(),
            tokens: Tokens::new(),
            era: AtomicU64::new(0),
            retired: Mutex::default(),
            max_weight,
            ablations,
        })
    }

    /// A name with its hash, computed once for the tickets, the flights and the map.
    #[inline]
    pub(crate) fn name<'a>(&self, name: &'a str) -> NameRef<'a> {
        NameRef::new(name, &self.hasher)
    }

    /// The value of a name, if it is there, in time, in force, and depends on every tag that the reader declares.
    #[inline]
    pub(crate) fn lookup(&self, name: NameRef<'_>, declared: &[Tag], now_ms: u64) -> Option<Hit> {
        let entry = self.map.get(&name)?;
        if !self.is_live(&entry, now_ms) || !entry.depends_on(declared) {
            return None;
        }
        Some(entry.into_hit())
    }

    /// The value of a name as it was known when the era was retired, or is known now; in time, in force as far as this process
    /// knows, and with every tag that the reader declares.
    pub(crate) fn lookup_retired(&self, name: NameRef<'_>, declared: &[Tag], now_ms: u64) -> Option<Hit> {
        let entry = self.map.get(&name)?;
        let is_known = self.is_live(&entry, now_ms) || self.is_retired(&entry, now_ms);
        (is_known && entry.depends_on(declared)).then(|| entry.into_hit())
    }

    fn is_retired(&self, entry: &Entry, now_ms: u64) -> bool {
        now_ms < entry.expires_at_ms
            && *self.retired.lock() == Some(entry.era)
            && self.holds(entry.captured())
    }

    #[inline]
    fn is_live(&self, entry: &Entry, now_ms: u64) -> bool {
        now_ms < entry.expires_at_ms && self.is_of_this_era(entry.era) && self.holds(entry.captured())
    }

    #[inline]
    fn holds(&self, captured: &[Captured]) -> bool {
        captured.iter().all(Captured::holds) || self.ablations.is_out(Ablation::TokenCheck)
    }

    #[inline]
    fn is_of_this_era(&self, era: u64) -> bool {
        era == self.era() || self.ablations.is_out(Ablation::EraCheck)
    }

    #[inline]
    fn era(&self) -> u64 {
        self.era.load(Ordering::Acquire)
    }

    /// Captures what an install will be compared with. To be called before the load begins.
    pub(crate) fn begin(&self, name: NameRef<'_>, tags: impl IntoIterator<Item = Tag>) -> Grant {
        Grant { ticket: self.tickets.take(name.hash), era: self.era(), captured: self.capture(tags) }
    }

    fn capture(&self, tags: impl IntoIterator<Item = Tag>) -> Vec<Captured> {
        let mut captured: Vec<Captured> = Vec::new();
        for tag in tags {
            if !captured.iter().any(|known| known.tag == tag) {
                captured.push(self.tokens.capture(tag));
            }
        }
        captured
    }

    /// The tags of the last entry of this name that is still in memory, a hit or not: a guess at those of the next.
    pub(crate) fn last_tags(&self, name: NameRef<'_>) -> Vec<Tag> {
        let last = self.map.peek(&name);
        last.map(|entry| entry.captured().iter().map(|captured| captured.tag).collect()).unwrap_or_default()
    }

    /// Puts a loaded value in, unless its name, a tag, a scope or everything was removed or set since the grant. Without a
    /// candidate (the value cannot be stored) it only answers whether that is so.
    pub(crate) fn install(&self, name: NameRef<'_>, grant: Grant, candidate: Option<Candidate>) -> Installed {
        let slot = self.tickets.hold(name.hash);
        let current = self.honours(&slot, &grant);
        let candidate = candidate.filter(|candidate| current && candidate.weight <= self.max_weight);
        let stored = candidate.is_some();
        if let Some(candidate) = candidate {
            self.map.insert(name.to_stored(), Entry::new(candidate, grant.era, grant.captured));
        } else if current {
            self.map.remove(&name); // what was there is older than what was loaded
        }
        drop(slot);
        Installed { current, stored }
    }

    /// Whether nothing that the grant captured has changed since.
    pub(crate) fn is_current(&self, name: NameRef<'_>, grant: &Grant) -> bool {
        self.honours(&self.tickets.hold(name.hash), grant)
    }

    fn honours(&self, slot: &Slot<'_>, grant: &Grant) -> bool {
        (slot.honours(grant.ticket) || self.ablations.is_out(Ablation::TicketCheck))
            && self.is_of_this_era(grant.era)
            && self.holds(&grant.captured)
    }

    /// Sets a value; loads that began before install nothing over it.
    pub(crate) fn put(
        &self,
        name: NameRef<'_>,
        tags: impl IntoIterator<Item = Tag>,
        candidate: Candidate,
    ) -> Put {
        let mut slot = self.tickets.hold(name.hash);
        slot.bump();
        self.replace(name, tags, candidate)
    }

    /// Sets a value if `get` would find none, or none that is readable.
    pub(crate) fn put_absent(
        &self,
        name: NameRef<'_>,
        tags: impl IntoIterator<Item = Tag>,
        candidate: Candidate,
        readable: impl Fn(&Payload) -> bool,
        now_ms: u64,
    ) -> Put {
        let mut slot = self.tickets.hold(name.hash);
        if self.map.peek(&name).is_some_and(|entry| self.is_live(&entry, now_ms) && readable(&entry.payload))
        {
            return Put::Exists;
        }
        slot.bump();
        self.replace(name, tags, candidate)
    }

    /// Called with the slot of the name held.
    fn replace(&self, name: NameRef<'_>, tags: impl IntoIterator<Item = Tag>, candidate: Candidate) -> Put {
        if candidate.weight > self.max_weight {
            self.map.remove(&name);
            return Put::TooLarge;
        }
        let era = self.era();
        let captured = self.capture(tags);
        self.map.insert(name.to_stored(), Entry::new(candidate, era, captured));
        Put::Stored
    }

    /// Writes a row through: replaces the value of a live entry of an older version of the row, keeping its dependencies and
    /// the length of its life.
    /// A newer entry stays. Anything else is removed, and loads that are under way install nothing.
    pub(crate) fn put_newer(&self, name: NameRef<'_>, candidate: Candidate, now_ms: u64) -> Put {
        let mut slot = self.tickets.hold(name.hash);
        let there = self.map.peek(&name).filter(|entry| self.is_live(entry, now_ms));
        let versions = there.as_ref().and_then(|entry| entry.version).zip(candidate.version);
        slot.bump(); // also where the entry is newer: a load under way may have seen the row before
        if versions.is_some_and(|(stored, new)| stored >= new) {
            return Put::Older;
        }
        match there {
            Some(there) if versions.is_some() && candidate.weight <= self.max_weight => {
                // In its place, or not at all: it may have been evicted by now, and a scan that removes may have passed.
                let entry = Entry::succeeding(&there, candidate);
                match self.map.replace(name.to_stored(), entry, false) {
                    Ok(()) => Put::Stored,
                    Err(_evicted) => Put::Absent,
                }
            }
            _ => {
                self.map.remove(&name);
                if versions.is_some() { Put::TooLarge } else { Put::Absent }
            }
        }
    }

    /// Removes a name and refuses the loads of it that are under way. Answers the group of what `get` would have found.
    pub(crate) fn remove(&self, name: NameRef<'_>, now_ms: u64) -> Option<Group> {
        let mut slot = self.tickets.hold(name.hash);
        slot.bump();
        let removed = self.map.remove(&name).filter(|(_, entry)| self.is_live(entry, now_ms));
        removed.map(|(_, entry)| entry.group)
    }

    /// Invalidates everything that captured this tag.
    pub(crate) fn invalidate(&self, tag: Tag) {
        self.tokens.invalidate(tag);
    }

    /// Invalidates everything.
    pub(crate) fn clear(&self) {
        let mut retired = self.retired.lock();
        *retired = None;
        self.era.fetch_add(1, Ordering::AcqRel);
    }

    /// Invalidates everything, though nobody said that it is wrong: until all is [cleared](Self::clear), it can be
    /// [looked up](Self::lookup_retired) by whoever is told so.
    pub(crate) fn retire(&self) {
        let mut retired = self.retired.lock();
        *retired = Some(self.era.fetch_add(1, Ordering::AcqRel));
    }

    /// Starts the removal of all names that match a pattern: refuses every load that is under way, then hands out a scan.
    /// The names are removed once the scan is driven to its end.
    pub(crate) fn remove_matching<'a>(
        &'a self,
        pattern: Pattern<'a>,
        now_ms: u64,
    ) -> impl Iterator<Item = Option<Group>> + 'a {
        self.tickets.refuse_all();
        self.map.iter().map(move |(name, _)| {
            if pattern.matches(name.as_str()) { self.remove(name.as_ref(), now_ms) } else { None }
        })
    }

    /// Removes entries that are no hits any more, one a step; the steps say whether they removed one.
    pub(crate) fn sweep(&self, now_ms: u64) -> impl Iterator<Item = bool> + '_ {
        self.map.iter().map(move |(name, entry)| {
            let stays = |entry: &Entry| self.is_live(entry, now_ms) || self.is_retired(entry, now_ms);
            !stays(&entry) && self.map.remove_if(&name.as_ref(), |entry| !stays(entry)).is_some()
        })
    }

    /// Forgets the tags that no entry depends on.
    pub(crate) fn forget_unused_tags(&self) {
        self.tokens.forget_unused();
    }

    pub(crate) fn entries(&self) -> usize {
        self.map.len()
    }

    pub(crate) fn weight(&self) -> u64 {
        self.map.weight()
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.map.capacity()
    }

    pub(crate) fn tags(&self) -> usize {
        self.tokens.len()
    }
}

/// The largest weight that a shard takes: the map refuses, without a word, what does not fit among the hot.
fn largest_entry(shard_capacity: u64) -> u64 {
    ((shard_capacity as f64 * HOT_ALLOCATION) as u64).max(1)
}

impl std::fmt::Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Local")
            .field("entries", &self.entries())
            .field("weight", &self.weight())
            .finish_non_exhaustive()
    }
}
