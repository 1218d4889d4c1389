//! Waiting for what other processes do: how long, and how often to ask.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::RngExt;

use crate::stats::{GROUPS, Group};

/// How many times the slowest recent load is waited for.
const PATIENCE: u32 = 3;

/// The shortest and the longest time that is waited; the longest also where nothing is known.
const SHORTEST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(2);

/// 2 ms, then twice as long each time up to 16 ms: how long a waiting caller pauses before it asks Redis again.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(16);

/// The pauses of one caller that waits.
#[derive(Debug)]
pub(super) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Pause(FIRST_PAUSE)
    }
}

impl Pause {
    /// None before the next question.
    pub(super) const NONE: Pause = Pause(Duration::ZERO);

    /// Pauses, half of it at random, so that processes do not ask in step.
    ///
    /// # Cancel safety
    /// The next pause is longer all the same.
    pub(super) async fn wait(&mut self) {
        let pause = self.0;
        self.0 = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        let part = rand::rng().random_range(0.5..=1.0);
        tokio::time::sleep(pause.mul_f64(part)).await;
    }
}

/// The slowest recent load of each group, in microseconds; 0 where nothing is known. Each load lets it fade by an eighth.
#[derive(Debug)]
pub(super) struct Pace(Box<[AtomicU64]>);

impl Pace {
    pub(super) fn new() -> Self {
        Pace((0..GROUPS).map(|_| AtomicU64::new(0)).collect())
    }

    /// Notes how long a load took.
    pub(super) fn note(&self, group: Group, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        let slowest = &self.0[group.index()];
        // Two at once may lose one of them; the next one tells.
        let faded = slowest.load(Ordering::Relaxed) / 8 * 7;
        slowest.store(faded.max(took), Ordering::Relaxed);
    }

    /// How long a load of this group is waited for that another process runs, before its holder is taken to be gone.
    pub(super) fn patience(&self, group: Group) -> Duration {
        match self.0[group.index()].load(Ordering::Relaxed) {
            0 => LONGEST,
            slowest => Duration::from_micros(slowest).saturating_mul(PATIENCE).clamp(SHORTEST, LONGEST),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Counters;

    #[test]
    fn a_load_is_waited_for_three_times_as_long_as_the_slowest_recent_one() {
        let (pace, counters) = (Pace::new(), Counters::new([]));
        let group = counters.group("deals");
        assert_eq!(pace.patience(group), LONGEST, "nothing is known");
        pace.note(group, Duration::from_millis(100));
        assert_eq!(pace.patience(group), Duration::from_millis(300));
        assert_eq!(pace.patience(counters.group("users")), LONGEST, "each group has its own");
        for _ in 0..100 {
            pace.note(group, Duration::ZERO);
        }
        assert_eq!(pace.patience(group), SHORTEST, "what was slow once is forgotten");
        pace.note(group, Duration::from_secs(3_600));
        assert_eq!(pace.patience(group), LONGEST);
    }
}
