//! Until when what is in this process may be served, where others change it too.

use std::sync::atomic::{AtomicU64, Ordering};

/// 1 second: how much older than the truth a hit in this process may be, whatever fails.
pub(crate) const STALENESS_MS: u64 = 1_000;

/// A lease that whoever tells this process of changes extends. Each hit reads it, so that it has a cache line to itself.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Lease {
    /// By the machine's clock; 0 while nobody tells of changes.
    until_ms: AtomicU64,
}

impl Lease {
    /// Whether it holds at this time of the machine's clock.
    #[inline]
    pub(crate) fn is_open(&self, machine_ms: u64) -> bool {
        machine_ms < self.until_ms.load(Ordering::Acquire)
    }

    /// Notes that every change which was made before this time is known.
    pub(crate) fn extend(&self, known_ms: u64) {
        self.until_ms.fetch_max(known_ms + STALENESS_MS, Ordering::AcqRel);
    }

    /// Ends it; answers whether it was ever extended since it was last ended.
    pub(crate) fn close(&self) -> bool {
        self.until_ms.swap(0, Ordering::AcqRel) > 0
    }
}
