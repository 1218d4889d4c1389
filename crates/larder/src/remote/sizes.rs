//! How large the entries are that Redis answers, so that a pipeline asks for as many as it should.

use std::sync::atomic::{AtomicUsize, Ordering};

/// 256 KiB: how many bytes of answers one pipeline is expected to bring at most, if it is more than one question. They are all there
/// before the first is handed out, and what no longer fits into the processor's cache by then costs half as much again.
const MAX_ANSWER_BYTES: usize = 256 << 10;

/// What an entry took in recent answers, in bytes, 0 while none is known. A connection begins with what the one before has learnt.
#[derive(Debug, Default)]
pub(super) struct Sizes(AtomicUsize);

impl Sizes {
    /// Whether so many entries are not more than one pipeline should bring.
    pub(super) fn have_room_for(&self, entries: usize) -> bool {
        entries.saturating_mul(self.0.load(Ordering::Relaxed)) <= MAX_ANSWER_BYTES
    }

    /// Notes what the entries of one pipeline took on average. Of two that do so at once one may be forgotten.
    pub(super) fn note(&self, mean: usize) {
        let before = self.0.load(Ordering::Relaxed);
        self.0.store(usize::midpoint(before, mean), Ordering::Relaxed);
    }

    /// Notes that so many were not answered in time: they may be too large for that, and half as many are asked for next.
    pub(super) fn were_too_many(&self, entries: usize) {
        if entries > 1 {
            self.0.fetch_max(MAX_ANSWER_BYTES / (entries / 2), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_ANSWER_BYTES, Sizes};

    #[test]
    fn half_as_many_are_asked_for_until_they_come_in_time_and_as_many_as_fit_from_then_on() {
        let sizes = Sizes::default();
        assert!(sizes.have_room_for(usize::MAX), "nothing is known");
        for (asked, next) in [(497, 248), (248, 124), (3, 1), (1, 1)] {
            sizes.were_too_many(asked);
            assert!(sizes.have_room_for(next) && !sizes.have_room_for(next + 2), "{asked}");
        }
        sizes.were_too_many(497);
        assert!(!sizes.have_room_for(2), "what is known to be too many stays so");
        for _ in 0..20 {
            sizes.note(1_000);
        }
        let fit = MAX_ANSWER_BYTES / 1_000;
        assert!(sizes.have_room_for(fit - 1) && !sizes.have_room_for(fit + 1));
    }
}
