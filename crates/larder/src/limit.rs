//! Limits on how often something may be done, and what this process knows of who has done how much.
//!
//! The algorithm is GCRA, the generic cell rate algorithm (ITU-T I.371, annex A): of each name one number is kept, the time at which
//! all that was done would be earned again. It is exact, needs no window that everybody waits for, and fits into one key.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

/// Of so many names the state is kept in this process; of those that come longest ago it is forgotten.
const NAMES: usize = 1 << 16;

/// A hundred years: what is owed stays where scripts of Redis count exactly, below 2^53.
const MOST_OWED_US: u64 = 100 * 366 * 24 * 3_600 * 1_000_000;

/// One second: what was taken from the shared limit to be spent here, and is not spent by then, is lost.
const SHARE_LASTS_US: u64 = 1_000_000;

/// How often something may be done: so many times in a period, evenly, and some at once.
///
/// ```
/// use std::time::Duration;
/// use larder::Limit;
///
/// /// Six attempts at once, and one more each ten seconds.
/// const SIGN_IN: Limit = Limit::new("sign-in", 6, Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    name: &'static str,
    count: u32,
    period: Duration,
    burst: u32,
    share: u32,
}

/// What came of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be done. Then it counts as done.
    pub allowed: bool,
    /// How often it may be done again at once.
    pub remaining: u32,
    /// How long until all is earned again.
    pub reset: Duration,
    /// How long until it may be done again; zero where it may be now.
    pub retry_after: Duration,
}

impl Limit {
    /// So many in a period, all of them at once if nothing was done before.
    ///
    /// The name stands in keys and in headers: lower-case letters, digits and `-`.
    ///
    /// # Panics
    /// When the name is something else, the count or the period is zero, or the period longer than 100 years: in a constant that is an error
    /// of the compiler.
    #[must_use]
    pub const fn new(name: &'static str, count: u32, period: Duration) -> Limit {
        assert!(period.as_micros() <= MOST_OWED_US as u128, "a period of at most 100 years");
        assert!(
            count > 0 && period.as_micros() >= count as u128,
            "at least one, and at most one a microsecond"
        );
        let mut at = 0;
        while at < name.len() {
            let byte = name.as_bytes()[at];
            assert!(
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-',
                "letters, digits and -"
            );
            at += 1;
        }
        assert!(!name.is_empty(), "a limit needs a name");
        Limit { name, count, period, burst: count, share: 1 }
    }

    /// How many at once, if nothing was done before; as many as in a period, unless this says otherwise.
    ///
    /// # Panics
    /// When it is zero, or takes more than 100 years to be earned.
    #[must_use]
    pub const fn burst(mut self, burst: u32) -> Limit {
        assert!(burst > 0, "at least one");
        self.burst = burst;
        assert!(self.interval_us() <= MOST_OWED_US / burst as u64, "a burst that is earned within 100 years");
        self
    }

    /// How many a process takes from a shared limit at a time at most, to spend them without asking again, where it has lately spent as
    /// many within a second. What it does not spend within a second is lost, so that a name that is spread over processes may do less
    /// by so many a process; and what it spends late comes on top of what was earned meanwhile, so that it may do more at once by as many.
    /// One, unless this says otherwise: each time is asked for, and the limit is exact.
    ///
    /// # Panics
    /// When it is zero.
    #[must_use]
    pub const fn share(mut self, share: u32) -> Limit {
        assert!(share > 0, "at least one");
        self.share = share;
        self
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// How many in a period.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The period.
    #[must_use]
    pub const fn period(&self) -> Duration {
        self.period
    }

    /// What one costs, in whole microseconds, rounded up: never more are allowed than it says.
    #[expect(clippy::cast_possible_truncation, reason = "`new` has looked")]
    pub(crate) const fn interval_us(&self) -> u64 {
        (self.period.as_micros() as u64).div_ceil(self.count as u64)
    }

    /// How much can be owed, in microseconds.
    pub(crate) const fn window_us(&self) -> u64 {
        self.interval_us() * self.burst as u64
    }

    /// What stands for whom it limits, here and in Redis: 128 bits of a digest, so that ids, which can be as long as somebody likes and
    /// are often people's addresses, are kept nowhere. A limit of other numbers is another one.
    pub(crate) fn digest_of(&self, id: impl Display) -> u128 {
        // A limit's name has no colon, so that no id can reach another's.
        let text = format!("{}:{}:{}:{id}", self.name, self.interval_us(), self.window_us());
        let digest = Sha256::digest(text.as_bytes());
        u128::from_be_bytes(std::array::from_fn(|at| digest[at]))
    }

    fn decision(&self, allowed: bool, owed_us: u64, share: u32) -> Decision {
        let free_us = self.window_us().saturating_sub(owed_us);
        let remaining = u32::try_from(free_us / self.interval_us()).unwrap_or(u32::MAX);
        let retry_us = if allowed { 0 } else { self.interval_us().saturating_sub(free_us) };
        Decision {
            allowed,
            remaining: if allowed { remaining.saturating_add(share) } else { 0 },
            reset: Duration::from_micros(owed_us),
            retry_after: Duration::from_micros(retry_us),
        }
    }
}

/// What this process knows, by the digests of those who are limited.
#[derive(Debug)]
pub(crate) struct Limits(Cache<u128, Arc<Mutex<State>>>);

/// What this process knows of one name.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// When all is earned again, in microseconds of the clock.
    earned_us: u64,
    /// How many are left of what was taken to be spent here, and until when.
    share: u32,
    share_until_us: u64,
    /// How many to ask for next: what was spent within its second is asked for twice, what was lost, once less.
    next: u32,
    /// Somebody is asking for a share: whoever asks meanwhile asks for itself alone, lest all the limit be taken as shares.
    shares: bool,
}

impl Limits {
    pub(crate) fn new() -> Limits {
        Limits(Cache::new(NAMES))
    }

    /// What is known of whom this digest stands for.
    pub(crate) fn of(&self, digest: u128) -> Arc<Mutex<State>> {
        let new = || Ok::<_, std::convert::Infallible>(Arc::default());
        self.0.get(&digest).unwrap_or_else(|| self.0.get_or_insert_with(&digest, new).unwrap_or_default())
    }
}

impl State {
    fn owed_us(&self, now_us: u64) -> u64 {
        self.earned_us.saturating_sub(now_us)
    }

    /// What is certain without asking anybody: it may be done by what was taken for it, or it may not, since others can only have
    /// done more.
    pub(crate) fn known(&mut self, limit: &Limit, now_us: u64) -> Option<Decision> {
        let owed_us = self.owed_us(now_us);
        if self.share > 0 && now_us < self.share_until_us {
            self.share -= 1;
            if self.share == 0 {
                self.next = self.next.saturating_mul(2).max(2); // all of it was of use
            }
            return Some(limit.decision(true, owed_us, self.share));
        }
        if self.share > 0 {
            (self.share, self.next) = (0, 1); // the rest is lost
        }
        (owed_us + limit.interval_us() > limit.window_us()).then(|| limit.decision(false, owed_us, 0))
    }

    /// How many to ask for. To be followed by [`asked`](Self::asked), whatever comes of it, if it is more than one.
    pub(crate) fn wanted(&mut self, limit: &Limit) -> u32 {
        let wanted = if self.shares { 1 } else { self.next.clamp(1, limit.share).min(limit.burst) };
        self.shares |= wanted > 1;
        if wanted == 1 && !self.shares {
            self.next = 2; // twice within a second would have been of use, which the next share shows
        }
        wanted
    }

    /// The asking for a share is over.
    pub(crate) fn asked(&mut self) {
        self.shares = false;
    }

    /// Takes note of what the shared limit has granted, and what was owed there when it was `asked_us`: it is less by now.
    pub(crate) fn heard(&mut self, limit: &Limit, asked_us: u64, granted: u32, owed_us: u64) -> Decision {
        self.earned_us = asked_us + owed_us;
        if granted > 1 {
            self.share_until_us = asked_us + SHARE_LASTS_US;
        }
        self.share += granted;
        let allowed = self.share > 0;
        self.share = self.share.saturating_sub(1);
        limit.decision(allowed, owed_us, self.share)
    }

    /// Decides by what is known here alone.
    pub(crate) fn decide(&mut self, limit: &Limit, now_us: u64) -> Decision {
        if let Some(known) = self.known(limit, now_us) {
            return known;
        }
        self.earned_us = self.earned_us.max(now_us) + limit.interval_us();
        limit.decision(true, self.owed_us(now_us), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit::new("test", 6, Duration::from_secs(60));
    const SECOND: u64 = 1_000_000;

    #[test]
    fn so_many_at_once_and_then_evenly() {
        let mut state = State::default();
        let start = 1_000 * SECOND;
        for left in (0..6).rev() {
            let decision = state.decide(&LIMIT, start);
            assert_eq!((decision.allowed, decision.remaining), (true, left));
        }
        let denied = state.decide(&LIMIT, start + 4 * SECOND);
        assert_eq!((denied.allowed, denied.remaining), (false, 0));
        assert_eq!((denied.retry_after, denied.reset), (Duration::from_secs(6), Duration::from_secs(56)));
        assert!(!state.decide(&LIMIT, start + 10 * SECOND - 1).allowed);
        assert!(state.decide(&LIMIT, start + 10 * SECOND).allowed);
        assert!(!state.decide(&LIMIT, start + 10 * SECOND).allowed, "what is denied costs nothing");
        let rested = state.decide(&LIMIT, start + 1_000 * SECOND);
        assert_eq!((rested.allowed, rested.remaining), (true, 5));
    }

    #[test]
    fn a_burst_is_not_a_period() {
        let limit = LIMIT.burst(2);
        let mut state = State::default();
        let allowed = (0..60).filter(|second| state.decide(&limit, second * SECOND).allowed).count();
        assert_eq!(allowed, 2 + 5, "two at once, and one each ten seconds");
    }

    #[test]
    fn a_share_is_spent_here_and_ends() {
        let limit = LIMIT.share(4);
        let mut state = State::default();
        assert_eq!(state.known(&limit, SECOND), None, "nobody was asked yet");
        let heard = state.heard(&limit, SECOND, 4, 40 * SECOND);
        assert_eq!((heard.allowed, heard.remaining), (true, 2 + 3));
        assert_eq!(
            state.known(&limit, SECOND).map(|known| (known.allowed, known.remaining)),
            Some((true, 4))
        );
        assert_eq!(state.known(&limit, 2 * SECOND), None, "the rest of the share is lost");
        let none = state.heard(&limit, 2 * SECOND, 0, 58 * SECOND);
        assert_eq!((none.allowed, none.retry_after), (false, Duration::from_secs(8)));
        let known = state.known(&limit, 9 * SECOND).map(|known| (known.allowed, known.retry_after));
        assert_eq!(known, Some((false, Duration::from_secs(1))), "nobody is asked in vain");
        assert_eq!(state.known(&limit, 10 * SECOND), None);
    }

    #[test]
    fn a_share_is_taken_by_who_has_use_for_it() {
        let limit = Limit::new("test", 6_000, Duration::from_secs(60)).share(8);
        let mut state = State::default();
        let mut asked = Vec::new();
        // A hundred within a second, and then one a second.
        let times = (0..100).map(|n| SECOND + n * 1_000).chain((3..8).map(|second| second * SECOND));
        for now in times {
            if state.known(&limit, now).is_none() {
                let wanted = state.wanted(&limit);
                asked.push(wanted);
                state.heard(&limit, now, wanted, 0);
                state.asked();
            }
        }
        assert_eq!(asked[..5], [1, 2, 4, 8, 8]);
        let seldom = &asked[asked.len() - 4..];
        assert!(seldom.iter().sum::<u32>() <= 6, "{asked:?}: most of a share would be lost");
    }

    #[test]
    fn each_has_its_own() {
        let limits = Limits::new();
        let (one, other) = (limits.of(LIMIT.digest_of("a")), limits.of(LIMIT.digest_of("b")));
        for _ in 0..6 {
            assert!(one.lock().decide(&LIMIT, SECOND).allowed);
        }
        assert_ne!(LIMIT.digest_of("a"), LIMIT.burst(2).digest_of("a"), "another limit");
        assert!(!limits.of(LIMIT.digest_of("a")).lock().decide(&LIMIT, SECOND).allowed);
        assert!(other.lock().decide(&LIMIT, SECOND).allowed);
    }
}
