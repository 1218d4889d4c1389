//! What can go wrong with an outbox.

/// Why an outbox did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What the database reports.
    #[error("the outbox in the database: {0}")]
    Database(#[from] sqlx::Error),
    /// What the cache reports.
    #[error("the cache that the outbox tells of changes: {0}")]
    Cache(#[from] larder::Error),
    /// The cache was not built to have a relay, or has one already.
    #[error(
        "the cache has no relay to drive: build it with `CacheService::builder().relayed()`, and start one outbox for it"
    )]
    NotRelayed,
    /// The pool is of a database that has no outbox here.
    #[error("{0} has no outbox here: it is made for SQLite and PostgreSQL")]
    UnknownDatabase(String),
    /// What is read from the tables is none that was written there.
    #[error("the outbox's table `{table}` holds what nobody here has written: {what}")]
    Garbled {
        /// The table.
        table: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// It takes longer than was given until everything is removed that was recorded.
    #[error(
        "what was recorded is not all removed after {0:?}: Redis or the database may be away; the log says why"
    )]
    Behind(std::time::Duration),
    /// A setting that cannot be.
    #[error("`{setting}` is {value}, and {rule}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// What it is.
        value: String,
        /// What it has to be.
        rule: &'static str,
    },
}
