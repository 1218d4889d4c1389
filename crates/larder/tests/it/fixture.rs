//! Caches to test with, and loaders whose runs can be counted.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use larder::testing::MovableClock;
use larder::{Builder, CacheService, Counts};

/// A cache with nothing but defaults.
pub(crate) fn cache() -> CacheService {
    CacheService::builder().build().expect("the defaults fit together")
}

/// A cache whose time stands still until the test moves it.
pub(crate) fn cache_and_clock() -> (CacheService, MovableClock) {
    with_clock(CacheService::builder())
}

/// The same, of a builder that has been told more.
pub(crate) fn with_clock(builder: Builder) -> (CacheService, MovableClock) {
    let clock = MovableClock::new();
    (builder.clock(clock.clock()).build().expect("the settings fit together"), clock)
}

/// Runs a body on one thread whose timers fire as soon as nothing else can run.
#[track_caller]
pub(crate) fn run_paused<F>(body: F)
where
    F: Future<Output = ()> + Send + 'static,
{
    testkit::run_sync(testkit::LIMIT, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime without threads needs nothing").block_on(body);
    });
}

/// A loader that brings this value, and cannot fail.
pub(crate) async fn brings<T>(value: T) -> Result<T, Infallible> {
    Ok(value)
}

/// Counts how often a loader ran.
#[derive(Clone, Default)]
pub(crate) struct Runs(Arc<AtomicUsize>);

impl Runs {
    /// A loader that is counted.
    pub(crate) async fn of<T>(&self, value: T) -> Result<T, Infallible> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(value)
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// The counters of one group; all zero for a group in which nothing happened.
pub(crate) fn group(cache: &CacheService, name: &str) -> Counts {
    cache.stats().by_prefix.get(name).copied().unwrap_or_default()
}
