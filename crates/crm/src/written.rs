//! A row that was written, and the caches that do not know it yet.
//!
//! The row of a write is handed on wrapped: [`Written`] until the transaction has committed, [`Committed`] until the
//! change has been announced. So a write that nobody announces is a value that nobody uses, which the compiler reports.

use crate::lock::DatabaseLock;

/// What a write in a transaction leaves behind: the row, to be had by committing and then announcing.
#[must_use = "commit the change with what was written, and announce it: else the cache keeps what is no longer true"]
#[derive(Debug)]
pub struct Written<T> {
    row: T,
}

/// A committed write that has not been announced.
#[must_use = "announce what was committed: else the cache keeps what is no longer true"]
#[derive(Debug)]
pub struct Committed<T> {
    row: T,
}

impl<T> Written<T> {
    /// Wraps the row of a write. Only a `store` calls this.
    pub(crate) const fn new(row: T) -> Self {
        Self { row }
    }

    /// The row inside, before it is committed: to read in the same transaction what the write has made of it.
    pub(crate) const fn row(&self) -> &T {
        &self.row
    }

    /// The same change, with another row to show for it.
    pub(crate) fn showing<U>(self, row: U) -> Written<U> {
        Written { row }
    }

    /// The change after its transaction has ended. Only [`crate::database`] calls this.
    pub(crate) fn ended(self) -> Committed<T> {
        Committed { row: self.row }
    }

    /// The row, where the lock proves that there is no cache to tell: before a server serves, and during an import.
    pub fn alone(self, _alone: &DatabaseLock) -> T {
        self.row
    }
}

impl<T> Committed<T> {
    /// Announces the change, and hands out the row.
    pub fn announce(self) -> T {
        self.row
    }
}
