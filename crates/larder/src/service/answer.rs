//! What the doors answer. The types can grow: later tiers say more without changing a signature.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, ErrorKind};

/// A value, and how it was come by.
#[derive(Debug)]
#[non_exhaustive]
pub struct Read<T> {
    /// The value, shared with the cache.
    pub value: Arc<T>,
    /// Where it came from.
    pub source: Source,
    /// How long ago it was stored; zero for what was loaded just now. Milliseconds are its grain.
    pub age: Duration,
    /// How current it is.
    pub freshness: Freshness,
    /// Whether the cache holds it now. What was removed during its load, or is too large, is returned and not held.
    pub stored: bool,
}

impl<T> Clone for Read<T> {
    fn clone(&self) -> Self {
        Read { value: Arc::clone(&self.value), ..*self }
    }
}

/// How current a value is. Who asks for a value alone, by `get` or `get_or_set`, does not see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Freshness {
    /// As current as was promised: nothing older than what was acknowledged as changed before the read, or for a copy in this process in
    /// front of Redis, a second before it.
    Fresh,
    /// What this process knew when Redis was last there, for a space that [says so](crate::Space::degraded_ttl).
    Stale {
        /// For how long it has not been told of changes.
        age: Duration,
    },
    /// The cache is switched off: it comes from the loader.
    Bypass,
}

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// A hit in this process.
    Local,
    /// A hit in Redis.
    Remote,
    /// This caller's own loader ran.
    Loaded,
    /// Another caller's load, which this one shared.
    Joined,
    /// The cache is switched off, and the loader ran.
    Bypass,
}

/// The answer to a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stored {
    /// Why the value was not stored; `None` if it was.
    pub refusal: Option<Refusal>,
}

impl Stored {
    pub(super) const YES: Stored = Stored { refusal: None };

    pub(super) fn no(refusal: Refusal) -> Self {
        Stored { refusal: Some(refusal) }
    }

    /// Whether the value was stored.
    pub fn is_stored(self) -> bool {
        self.refusal.is_none()
    }
}

impl From<Stored> for bool {
    fn from(stored: Stored) -> bool {
        stored.is_stored()
    }
}

/// Why a value was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// `nx` was asked for, and there is a value.
    Exists,
    /// It is larger than the largest value that the cache takes.
    TooLarge,
    /// Its key, a tag or a scope was removed or set since the permit was given.
    Superseded,
    /// The stored row is of this version or of a newer one.
    Older,
    /// There is no entry of an older row version to replace; what was there instead was removed.
    Absent,
    /// The cache is switched off.
    Bypass,
    /// Redis cannot be used now.
    Unavailable,
    /// An error, which was counted and logged.
    Failed,
}

/// How much is certain of a removal, the least certain first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Acknowledged {
    /// Nobody knows, and nothing is recorded. This process serves nothing from Redis before it has made up for it; if it dies before, it
    /// is lost.
    Pending,
    /// It is committed with the data and will be applied, whatever dies now; until then readers in Redis may find what was removed.
    Durable,
    /// It is in force: no read that starts now returns what was removed, but for [copies](crate::Redis::local_tier) of other
    /// processes, for a second at most. Without Redis it is in force in this process, and in others when their relay has seen it.
    Applied,
    /// It is [`Applied`](Self::Applied), and as many replicas as were asked for have it.
    Replicated,
}

/// The answer to a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Removed {
    /// How much is certain of it; `None` if it was not done, and nothing will come of it: its watcher stopped it, or it could not
    /// be what was asked.
    pub acknowledged: Option<Acknowledged>,
    /// How many values it took away, where that is known: a tag, a scope, a space and everything are removed without
    /// counting.
    pub count: Option<u64>,
}

impl Removed {
    pub(super) fn counted(count: u64) -> Self {
        Removed { acknowledged: Some(Acknowledged::Applied), count: Some(count) }
    }

    /// What looked at every name, to its end or until it was stopped.
    pub(super) fn scanned(removed: ControlFlow<u64, u64>) -> Self {
        let acknowledged = removed.is_continue().then_some(Acknowledged::Applied);
        let (ControlFlow::Continue(count) | ControlFlow::Break(count)) = removed;
        Removed { acknowledged, count: Some(count) }
    }

    pub(super) const UNCOUNTED: Removed = Removed { acknowledged: Some(Acknowledged::Applied), count: None };

    /// What did not succeed: over Redis it is owed, what was no removal is not.
    pub(super) fn failed(error: &Error) -> Self {
        let is_owed = error.kind() == ErrorKind::Unavailable;
        Removed { acknowledged: is_owed.then_some(Acknowledged::Pending), count: None }
    }

    /// Whether it is in force, here at least.
    pub fn is_applied(self) -> bool {
        matches!(self.acknowledged, Some(Acknowledged::Applied | Acknowledged::Replicated))
    }

    /// The same, which so many replicas have as were asked for.
    pub(super) fn replicated(self) -> Self {
        let acknowledged = self.acknowledged.map(|level| match level {
            Acknowledged::Applied => Acknowledged::Replicated,
            level => level,
        });
        Removed { acknowledged, ..self }
    }

    /// Both, as one: no more certain than the less certain of the two.
    pub(super) fn and(self, other: Removed) -> Self {
        let both = self.acknowledged.zip(other.acknowledged);
        Removed {
            acknowledged: both.map(|(one, other)| one.min(other)),
            count: self.count.zip(other.count).map(|(a, b)| a + b),
        }
    }
}
