//! How an outbox does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How an outbox does, since it was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Rows that no Redis has executed as far as the table says. Without Redis it is those that this process has not seen.
    pub depth: u64,
    /// How long ago the oldest of them was recorded.
    pub lag: Duration,
    /// Rows that this relay has passed on: those of other processes, of triggers, and of this one where its own announcement failed.
    pub applied: u64,
    /// Rows among them that were executed once more, or at last, in a life of a Redis that was reached anew.
    pub replayed: u64,
    /// How often a new era was begun, since the record did not reach back.
    pub eras: u64,
    /// Rows whose text was no invalidation: everything was removed in their place.
    pub garbled: u64,
    /// Rows that were deleted by this relay.
    pub pruned: u64,
}

/// What is counted.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    applied: AtomicU64,
    replayed: AtomicU64,
    eras: AtomicU64,
    garbled: AtomicU64,
    pruned: AtomicU64,
}

impl Counters {
    pub(crate) fn applied(&self, rows: usize) {
        self.applied.fetch_add(rows as u64, Ordering::Relaxed);
    }

    pub(crate) fn replayed(&self, rows: usize) {
        self.replayed.fetch_add(rows as u64, Ordering::Relaxed);
    }

    pub(crate) fn era(&self) {
        self.eras.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn garbled(&self) {
        self.garbled.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn pruned(&self, rows: u64) {
        self.pruned.fetch_add(rows, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self, depth: u64, lag: Duration) -> Stats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            depth,
            lag,
            applied: of(&self.applied),
            replayed: of(&self.replayed),
            eras: of(&self.eras),
            garbled: of(&self.garbled),
            pruned: of(&self.pruned),
        }
    }
}
