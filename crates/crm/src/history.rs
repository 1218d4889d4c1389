//! How the cache of this process did lately: its counters, looked at again and again.

use crate::time::Moment;
use larder::Counts;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How often the counters are looked at.
pub const LOOK: Duration = Duration::from_secs(10);

/// How many looks are remembered: half an hour.
const REMEMBERED: usize = 180;

/// What was read between one look and the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reads {
    /// When it ended.
    pub until: Moment,
    /// Answered from the memory of this process.
    pub local: u64,
    /// Answered from Redis.
    pub redis: u64,
    /// Loaded from the database.
    pub missed: u64,
}

/// The latest of them.
#[derive(Debug, Default)]
pub struct History(Mutex<(Counts, VecDeque<Reads>)>);

impl History {
    /// Notes what was read since the look before.
    pub fn note(&self, until: Moment, now: &Counts) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, reads) = &mut *known;
        let local = now.local_hits.saturating_sub(before.local_hits);
        let hits = now.hits.saturating_sub(before.hits);
        let missed = now.misses.saturating_sub(before.misses);
        if reads.len() == REMEMBERED {
            reads.pop_front();
        }
        reads.push_back(Reads { until, local, redis: hits.saturating_sub(local), missed });
        *before = *now;
    }

    /// What was read lately, from the earliest.
    #[must_use]
    pub fn reads(&self) -> Vec<Reads> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_between_two_looks_is_remembered_and_the_earliest_forgotten() {
        let history = History::default();
        let counts = |hits, local_hits, misses| {
            let mut counts = Counts::default();
            (counts.hits, counts.local_hits, counts.misses) = (hits, local_hits, misses);
            counts
        };
        let at = Moment::from_millis;
        history.note(at(1), &counts(5, 3, 2));
        history.note(at(2), &counts(15, 9, 2));
        let reads = |until, local, redis, missed| Reads { until: at(until), local, redis, missed };
        assert_eq!(history.reads(), [reads(1, 3, 2, 2), reads(2, 6, 4, 0)]);
        for look in 3..=i64::try_from(REMEMBERED).unwrap() + 1 {
            history.note(at(look), &counts(15, 9, 2));
        }
        assert_eq!((history.reads().len(), history.reads()[0]), (REMEMBERED, reads(2, 6, 4, 0)));
    }
}
