//! Caches in this process, and where they differ from those of other back ends.

use std::time::Duration;

use larder::testing::{Ablation, MovableClock};
use larder::{Builder, CacheService, Counts, Source};

use super::races::Removal;

/// Whether a hit may say that its value was there.
pub(crate) fn is_hit(source: Source) -> bool {
    source == Source::Local
}

/// What a cache that works says of itself on the health page.
pub(crate) const STATUS: &str = "in-process";

/// How often a race is forced: a round costs microseconds here.
pub(crate) const ROUNDS: u64 = 1_000;

/// The shortest time that tells before from after: a moved clock is exact to the millisecond here. Never more than
/// twenty seconds, since tests subtract it from lifetimes of a minute.
pub(crate) const MOMENT: Duration = Duration::from_millis(1);

/// How long a lock that was dropped may still be held: it is free at once here.
pub(crate) const GIVEN_BACK_WITHIN: Duration = Duration::ZERO;

/// Whether a load takes the place of an entry that its caller cannot use, though others could: here it stays until it is
/// replaced.
pub(crate) const LOADS_TAKE_WHAT_THEY_CANNOT_USE: bool = false;

/// How many of these cases a property is tested with: all of them here, where a cache costs microseconds.
pub(crate) fn cases(of: u32) -> u32 {
    of
}

/// The settings of a cache that nobody else sees anything of.
pub(crate) fn builder() -> Builder {
    CacheService::builder()
}

/// A cache that is ready.
pub(crate) async fn build(builder: Builder) -> CacheService {
    builder.build().expect("the settings fit together")
}

/// A cache with nothing but defaults.
pub(crate) async fn cache() -> CacheService {
    build(builder()).await
}

/// Moves the time of one cache.
#[derive(Clone)]
pub(crate) struct Clock(MovableClock);

impl Clock {
    /// Moves the time on, in whole milliseconds.
    pub(crate) async fn advance(&self, by: Duration) {
        self.0.advance(by);
    }
}

/// A cache whose time stands still until the test moves it.
pub(crate) async fn cache_and_clock() -> (CacheService, Clock) {
    with_clock(builder()).await
}

/// The same, of a builder that has been told more.
pub(crate) async fn with_clock(builder: Builder) -> (CacheService, Clock) {
    let clock = MovableClock::new();
    (build(builder.clock(clock.clock())).await, Clock(clock))
}

/// Fails unless the back end holds exactly so many entries. It is asked only when none is expired or invalidated; what is no
/// entry, such as a lease, does not count.
pub(crate) async fn assert_entries(cache: &CacheService, expected: u64) {
    assert_eq!(cache.stats().local.entries, expected, "entries that are held");
}

/// Whether a removal that found so many live entries, while loads are under way, may say that it took `counted`.
pub(crate) fn may_count(counted: Option<u64>, found: Option<u64>) -> bool {
    counted == found
}

/// Whether the counters of a group may stand so, when loads were under way during its removals. Here each hit is a local one.
pub(crate) fn may_stand(counted: &Counts, expected: &Counts) -> bool {
    let mut expected = *expected;
    expected.local_hits = expected.hits;
    *counted == expected
}

/// Waits until a load that was given up keeps nobody waiting: that is at once here.
pub(crate) async fn given_back(_name: &str) {}

/// Under which group a hit or a removal is counted: the entry remembers that of the call that stored it.
pub(crate) fn counted_under<'a>(of_entry: &'a str, _of_call: &'a str) -> &'a str {
    of_entry
}

/// The rules that keep late values out after this removal.
pub(crate) fn rules_of(removal: Removal) -> &'static [Ablation] {
    match removal {
        Removal::Scope | Removal::Tag | Removal::ClearSpace => &[Ablation::TokenCheck],
        Removal::ClearAll => &[Ablation::EraCheck],
        _ => &[Ablation::TicketCheck],
    }
}
