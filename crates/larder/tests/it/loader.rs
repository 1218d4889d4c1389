//! Loaders that cannot fail, and whose runs can be counted.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
