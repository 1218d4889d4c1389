//! The clock that lifetimes are measured with: the machine's, or one that a test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Where the library reads the time.
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    Movable(Arc<AtomicU64>),
}

impl Clock {
    /// The machine's clock. On Linux it is `CLOCK_BOOTTIME`, which goes on while the machine sleeps, so that an entry does
    /// not outlive its lifetime by a suspended night.
    pub fn system() -> Clock {
        Clock::default()
    }

    /// Milliseconds since a fixed moment in the past; it never goes backwards.
    #[inline]
    pub(crate) fn now_ms(&self) -> u64 {
        match &self.0 {
            Source::System => system_ms(),
            Source::Movable(ms) => ms.load(Ordering::Acquire),
        }
    }
}

impl Clock {
    /// The machine's time, where this clock shows `now_ms`: they are the same but in tests.
    #[inline]
    pub(crate) fn machine_ms(&self, now_ms: u64) -> u64 {
        match &self.0 {
            Source::System => now_ms,
            Source::Movable(_) => system_ms(),
        }
    }
}

#[cfg(target_os = "linux")]
#[inline]
fn system_ms() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    time.tv_sec.unsigned_abs() * 1_000 + time.tv_nsec.unsigned_abs() / 1_000_000
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
fn system_ms() -> u64 {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_millis().try_into().unwrap_or(u64::MAX)
}

/// A clock that stands still until a test moves it, so that lifetimes are tested without waiting.
///
/// ```
/// use larder::testing::MovableClock;
/// use larder::{CacheService, Policy, Ttl};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), larder::Error> {
/// let clock = MovableClock::new();
/// let cache = CacheService::builder().clock(clock.clock()).build()?;
/// cache.set("temp", 1, Policy::ttl(Ttl::secs(1))).await;
/// clock.advance(Duration::from_millis(999));
/// assert_eq!(cache.get::<i32>("temp").await.as_deref(), Some(&1));
/// clock.advance(Duration::from_millis(1));
/// assert_eq!(cache.get::<i32>("temp").await, None);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct MovableClock {
    ms: Arc<AtomicU64>,
}

impl MovableClock {
    /// A clock at an arbitrary moment.
    #[expect(clippy::new_without_default, reason = "a clock that stands still is no default for anything")]
    pub fn new() -> MovableClock {
        MovableClock { ms: Arc::new(AtomicU64::new(1_000_000)) }
    }

    /// The [`Clock`] to build a service with.
    pub fn clock(&self) -> Clock {
        Clock(Source::Movable(Arc::clone(&self.ms)))
    }

    /// Moves the time on, in whole milliseconds (rounded down).
    pub fn advance(&self, by: Duration) {
        self.ms.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX / 2), Ordering::AcqRel);
    }
}
