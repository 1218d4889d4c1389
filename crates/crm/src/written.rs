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
//!     Ok(app.commit(change, written).await?.row)
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
//! # use crm::{app::App, companies::Company, database::Change, error::Error, written::Written};
//! async fn commit(app: &App, change: Change, company: Written<Company>) -> Result<(), Error> {
//!     change.commit(company, &app.outbox).await.map_err(|(error, _unknown)| error)?;
//!     Ok(())
//! }
//! ```
//! ```compile_fail
//! # #![deny(unused_must_use)]
//! # use crm::{app::App, companies::Company, database::Change, error::Error, written::Written};
//! async fn commit(app: &App, change: Change, company: Written<Company>) -> Result<(), Error> {
//!     change.commit(company, &app.outbox).await.map_err(|(error, _unknown)| error)?;
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

use larder::{Acknowledged, Invalidation};
use larder_outbox::{Outbox, Recorded};
use sqlx::Any;

/// What a write in a transaction leaves behind: the row, to be had by committing and then announcing.
#[must_use = "commit the change with what was written, and announce it: else the cache keeps what is no longer true"]
#[derive(Debug)]
pub struct Written<T> {
    row: T,
    changed: Invalidation,
}

/// A committed write that has not been announced. Its change stands in the outbox: whatever happens, it will be.
#[must_use = "announce what was committed: else others read for a moment what is no longer true"]
#[derive(Debug)]
pub struct Committed<T> {
    row: T,
    recorded: Recorded,
}

/// A row that was written, committed and announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announced<T> {
    /// The row.
    pub row: T,
    /// How certain it is that the cache has heard of it: at least [`Acknowledged::Durable`], since the change stands in the outbox.
    pub acknowledged: Acknowledged,
}

impl<T> Announced<T> {
    /// The same change, with another row to show for it.
    pub fn showing<U>(&self, row: U) -> Announced<U> {
        Announced { row, acknowledged: self.acknowledged }
    }
}

/// Writes of one transaction that are too many to be named one by one: everything is removed for them.
#[must_use = "commit the change with it: else nothing of it is kept"]
#[derive(Debug, Default)]
pub struct Bulk {
    any: bool,
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

    /// What was written, to be looked at in the transaction that wrote it; it is handed out when it is announced.
    pub(crate) const fn row(&self) -> &T {
        &self.row
    }

    /// Both changes of one transaction, and both rows.
    pub fn and<U>(mut self, other: Written<U>) -> Written<(T, U)> {
        self.changed.merge(other.changed);
        Written { row: (self.row, other.row), changed: self.changed }
    }

    /// What is to be recorded before the transaction commits, and the row for afterwards. Only [`crate::database`] calls this.
    pub(crate) fn into_parts(self) -> (T, Invalidation) {
        (self.row, self.changed)
    }

    /// The row, as one of many that are written in one transaction.
    pub fn in_bulk(self, bulk: &mut Bulk) -> T {
        bulk.any = true;
        self.row
    }
}

impl Bulk {
    /// Nothing written yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What it made untrue.
    pub(crate) fn changed(&self) -> Invalidation {
        if self.any { Invalidation::everything() } else { Invalidation::new() }
    }
}

impl<T> Committed<T> {
    /// Only [`crate::database`] calls this, after the transaction has ended.
    pub(crate) const fn new(row: T, recorded: Recorded) -> Self {
        Self { row, recorded }
    }

    /// Announces the change to the cache, and hands out the row.
    ///
    /// # Cancel safety
    /// Dropped before its end, the relay announces it.
    pub async fn announce(self, outbox: &Outbox<Any>) -> Announced<T> {
        let acknowledged = outbox.announce(self.recorded).await;
        Announced { row: self.row, acknowledged }
    }

    /// Announces a change whose commit failed, so that nobody knows whether it took place.
    ///
    /// # Cancel safety
    /// Dropped before its end, the relay announces it if it did.
    pub(crate) async fn announce_unsure(self, outbox: &Outbox<Any>) {
        outbox.announce_unsure(self.recorded).await;
    }
}
