//! A row that was written, and the caches that do not know it yet.

use crate::lock::DatabaseLock;

/// What a write leaves behind: the row, which comes out only when the change has been announced.
#[must_use = "a write that is not announced leaves stale entries in the cache"]
#[derive(Debug)]
pub struct Written<T> {
    row: T,
}

impl<T> Written<T> {
    /// Wraps the row of a write. Only a `store` calls this.
    pub(crate) const fn new(row: T) -> Self {
        Self { row }
    }

    /// The row, where the lock proves that there is no cache to tell: before a server serves, and during an import.
    pub fn alone(self, _alone: &DatabaseLock) -> T {
        self.row
    }
}
