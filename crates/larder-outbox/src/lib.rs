//! Invalidations that commit with the data.
//!
//! A change that is committed and then announced to a cache leaves a gap: the process may die in between, the cache may be away, or a
//! Redis may come back with what it held before. Here what a change makes untrue is written into the application's own database, **in
//! the transaction of the change**, and a relay in every process sees to it that it is removed, whatever dies:
//!
//! ```
//! use larder::{CacheService, Invalidation, Policy};
//! use larder_outbox::{Outbox, Settings};
//! use sqlx::sqlite::SqlitePool;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let pool = SqlitePool::connect("sqlite::memory:").await?; // or a PgPool, or an AnyPool of either
//! Outbox::migrate(&pool).await?;
//! sqlx::query("CREATE TABLE deals (id INTEGER PRIMARY KEY, stage TEXT)").execute(&pool).await?;
//!
//! let cache = CacheService::builder().relayed().build()?; // with or without `.redis(…)`
//! let outbox = Outbox::start(&pool, &cache, Settings::new()).await?;
//!
//! let mut change = pool.begin().await?;
//! sqlx::query("INSERT INTO deals VALUES (17, 'won')").execute(&mut *change).await?;
//! let recorded = outbox.add(&mut change, Invalidation::new().key("deal:17")).await?;
//! change.commit().await?; // from here on it will be removed, whatever happens to this process
//! outbox.announce(recorded).await; // and now it is
//! # outbox.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # What it gives
//! - **Several processes on one database without Redis**: each keeps entries of its own, and its relay tells it of what the others
//!   change, within 25 ms as a rule. It serves nothing once it has been told of nothing for a second.
//!   [`CacheService::sync`](larder::CacheService::sync) waits for all that is committed by then.
//! - **A Redis that comes back keeps what is still right**: before it is served from, every change that it has not executed, or may have
//!   lost, is executed. Only where the table does not reach back does a new era begin, in which nothing older is a hit.
//! - **Raw SQL is heard of**: [`Triggers`] write the statements of row triggers for a table.
//!
//! # What an acknowledgement means
//! [`Outbox::announce`] answers [`Applied`](larder::Acknowledged::Applied) if the removal is in force, else
//! [`Durable`](larder::Acknowledged::Durable): it will be, as soon as a relay reaches Redis.
//!
//! # Limits
//! One outbox is for one Redis, with its namespace, and any number of processes without one. A removal through
//! [`CacheService`](larder::CacheService) itself is not recorded: it is lost to a Redis that comes back with older data. A database that
//! is put back from a backup holds older rows than the cache: [`Outbox::renew`] says so, before anybody starts on it.

mod ablation;
mod dialect;
mod error;

mod cursor;

mod watermark;

mod database;
mod settings;
mod stats;

mod own;
mod triggers;

mod record;

mod relay;

mod outbox;

#[cfg(feature = "ablations")]
#[doc(hidden)]
pub use ablation::Ablation;
pub use database::Database;
pub use error::Error;
pub use outbox::{Outbox, Recorded};
pub use settings::Settings;
pub use stats::Stats;
pub use triggers::Triggers;

/// The tables of an outbox in SQLite, as SQL.
pub const SQLITE_SCHEMA: &str = include_str!("../sql/sqlite.sql");

/// The tables of an outbox in PostgreSQL, as SQL.
pub const POSTGRES_SCHEMA: &str = include_str!("../sql/postgres.sql");
