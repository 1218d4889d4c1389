//! A row that was written, and what the write has made untrue in the cache.
//!
//! The row of a write is handed on wrapped: [`Written`] until the transaction has committed, [`Committed`] until the
//! change has been announced. So a write that nobody announces is a value that nobody uses, which the compiler reports.
//!
//! A row that is written and announced compiles with that warning as an error:
//!
//! ```
//! # #![deny(unused_must_use)]
//! # use crm::{app::App, companies::{self, Company}, error::Error};
//! async fn save(app: &App, company: Company) -> Result<Company, Error> {
//!     let mut change = app.database.change().await?;
//!     let written = companies::save(&mut change, company).await?;
//!     app.commit(change, written).await
//! }
//! ```
//!
//! Forgetting what was written is the warning, and nothing else: the same lines compile where it is allowed, and do not where
//! it is denied, as in every build that lands.
//!
//! ```
//! # #![allow(unused_must_use, reason = "the warning alone is what the next example adds")]
//! # use crm::{companies::{self, Company}, database::Change, error::Error};
//! async fn save(change: &mut Change, company: Company) -> Result<(), Error> {
//!     companies::save(change, company).await?;
//!     Ok(())
//! }
//! ```
//! ```compile_fail
//! # #![deny(unused_must_use)]
//! # use crm::{companies::{self, Company}, database::Change, error::Error};
//! async fn save(change: &mut Change, company: Company) -> Result<(), Error> {
//!     companies::save(change, company).await?;
//!     Ok(())
//! }
//! ```
//!
//! So is committing and then not announcing:
//!
//! ```
//! # #![allow(unused_must_use, reason = "the warning alone is what the next example adds")]
//! # use crm::{companies::Company, database::Change, written::Written};
//! async fn commit(change: Change, company: Written<Company>) -> Result<(), sqlx::Error> {
//!     change.commit(company).await.map_err(|(error, _unknown)| error)?;
//!     Ok(())
//! }
//! ```
//! ```compile_fail
//! # #![deny(unused_must_use)]
//! # use crm::{companies::Company, database::Change, written::Written};
//! async fn commit(change: Change, company: Written<Company>) -> Result<(), sqlx::Error> {
//!     change.commit(company).await.map_err(|(error, _unknown)| error)?;
//!     Ok(())
//! }
//! ```
//!
//! And the row cannot be had in another way:
//!
//! ```compile_fail,E0616
//! # use crm::{companies::Company, written::Written};
//! fn name(company: Written<Company>) -> String {
//!     company.row.name
//! }
//! ```

use crate::lock::DatabaseLock;
use larder::{CacheService, Invalidation, Removed};

/// What a write in a transaction leaves behind: the row, to be had by committing and then announcing.
#[must_use = "commit the change with what was written, and announce it: else the cache keeps what is no longer true"]
#[derive(Debug)]
pub struct Written<T> {
    row: T,
    changed: Invalidation,
}

/// A committed write that has not been announced.
#[must_use = "announce what was committed: else the cache keeps what is no longer true"]
#[derive(Debug)]
pub struct Committed<T> {
    row: T,
    changed: Invalidation,
}

impl<T> Written<T> {
    /// Wraps the row of a write with what it changed. Only a `store` calls this, with what its `cache` names.
    pub(crate) const fn new(row: T, changed: Invalidation) -> Self {
        Self { row, changed }
    }

    /// The same change, with another row to show for it.
    pub(crate) fn showing<U>(self, row: U) -> Written<U> {
        Written { row, changed: self.changed }
    }

    /// The change after its transaction has ended. Only [`crate::database`] calls this.
    pub(crate) fn ended(self) -> Committed<T> {
        Committed { row: self.row, changed: self.changed }
    }

    /// The row, where the lock proves that there is no cache to tell: before a server serves, and during an import. A Redis
    /// is emptied before it is used for this database again.
    pub fn alone(self, _alone: &DatabaseLock) -> T {
        self.row
    }
}

impl<T> Committed<T> {
    /// Announces the change to the cache, and hands out the row, and whether the cache has heard of it.
    ///
    /// # Cancel safety
    /// Dropped before its end, some of what changed may not have been announced.
    pub async fn announce(self, cache: &CacheService) -> (T, Removed) {
        let removed = cache.invalidate(&self.changed).await;
        (self.row, removed)
    }
}
