//! The database: connections set up alike, snapshots to read from, changes to write in, and the count of statements.

use crate::body::digest;
use crate::config::DatabaseUrl;
use crate::lock::DatabaseLock;
use crate::written::{Committed, Written};
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::MigrateError;
use sqlx::{Any, AnyConnection, AnyPool, Connection, Transaction};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Connections to one database: readers that SQLite answers in parallel. More than a few gain nothing.
const CONNECTIONS: u32 = 8;
/// How long a request waits for a connection before it is told to come back: well below the request's own limit.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long SQLite waits for another writer, in milliseconds, before it answers `database is locked`.
const BUSY_TIMEOUT_MS: u32 = 5_000;

tokio::task_local! {
    static STATEMENTS: Arc<AtomicU64>;
}

/// Counts the SQL statements of one request, wherever in its tasks they run.
#[derive(Debug, Clone, Default)]
pub struct StatementCount(Arc<AtomicU64>);

impl StatementCount {
    /// The count of the request that is being answered, or a fresh one outside a request.
    #[must_use]
    pub fn current() -> Self {
        Self(STATEMENTS.try_with(Arc::clone).unwrap_or_default())
    }

    /// Runs a future whose statements are added here.
    ///
    /// # Cancel safety
    /// As the future itself: nothing is added for a statement that was never sent.
    pub async fn of<F: Future>(&self, future: F) -> F::Output {
        STATEMENTS.scope(Arc::clone(&self.0), future).await
    }

    /// How many statements have been sent.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add_one() {
        // Outside a request (demo data, an import) nobody counts: that is no failure.
        STATEMENTS.try_with(|count| count.fetch_add(1, Ordering::Relaxed)).ok();
    }
}

/// The program that makes and reads the tables: its version, and a digest of its migrations. Two that differ in it may
/// understand neither each other's tables nor what the other has cached.
#[must_use]
pub fn program() -> String {
    let migrations = sqlx::migrate!();
    let checksums: Vec<_> = migrations.iter().map(|migration| &migration.checksum).collect();
    format!("{} with tables {:.8}", env!("CARGO_PKG_VERSION"), digest(&format!("{checksums:?}")))
}

/// Which database speaks behind the one SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file, or the memory of this process.
    Sqlite,
}

impl Kind {
    /// Its name in `/api/health`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
        }
    }
}

/// Why a database cannot be opened, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("the database {url} cannot be opened: {source}{}", advice(source))]
pub struct OpenError {
    url: DatabaseUrl,
    source: sqlx::Error,
}

fn advice(error: &sqlx::Error) -> &'static str {
    let code = error.as_database_error().and_then(|error| error.code());
    match (error, code.as_deref()) {
        // SQLite's words for a file that is damaged, or none of its own: codes 11 (CORRUPT) and 26 (NOTADB).
        (_, Some("11" | "26")) => ". Name another file, or restore this one from a backup",
        (_, Some("14")) => {
            ". It must be a file that can be written to, or a name for one in such a directory"
        }
        (sqlx::Error::Migrate(error), _) if matches!(**error, MigrateError::VersionMissing(_)) => {
            ". A newer `crm` has made its tables: run that one, or name another database"
        }
        _ => "",
    }
}

/// A pool of connections to one database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Database {
    pool: AnyPool,
    kind: Kind,
    /// Whose turn it is to write. SQLite lets waiting writers try again and again, and each would hold a connection that
    /// readers need; here they wait in line, without one.
    writer: Arc<Mutex<()>>,
}

impl Database {
    /// Opens the database, creates its file if there is none, and brings its tables up to date.
    ///
    /// # Errors
    /// What the database or a migration reports, with what to do about it.
    ///
    /// # Cancel safety
    /// Dropped early, some migrations may have run; each runs in whole or not at all, and the next call continues.
    pub async fn open(url: &DatabaseUrl) -> Result<Self, OpenError> {
        Self::open_pool(url).await.map_err(|source| OpenError { url: url.clone(), source })
    }

    async fn open_pool(url: &DatabaseUrl) -> Result<Self, sqlx::Error> {
        sqlx::any::install_default_drivers();
        let options = AnyConnectOptions::from_str(url.as_str())?;
        // One connection by itself: a pool tries again and again, and then only says that it took too long.
        let mut probe = AnyConnection::connect_with(&options).await?;
        set_up(&mut probe).await?;
        probe.close().await?;
        // A database in memory belongs to its connection: a second one would see an empty database.
        let connections = if url.file().is_some() { CONNECTIONS } else { 1 };
        let pool = AnyPoolOptions::new()
            .min_connections(1)
            .max_connections(connections)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_connect(|connection, _| Box::pin(set_up(connection)))
            .connect_with(options)
            .await?;
        sqlx::migrate!().run(&pool).await?;
        Ok(Self { pool, kind: Kind::Sqlite, writer: Arc::default() })
    }

    /// Which database this is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// One consistent state of the database to read from: what others commit meanwhile is not seen.
    ///
    /// # Errors
    /// When no connection can be had in time.
    ///
    /// # Cancel safety
    /// Nothing has happened if it is dropped.
    pub async fn snapshot(&self) -> Result<Snapshot, sqlx::Error> {
        Ok(Snapshot { transaction: self.pool.begin().await? })
    }

    /// A transaction to write in. It excludes other writers from its beginning: what it reads stays true until it commits.
    ///
    /// # Errors
    /// When no connection can be had in time, or another writer does not finish.
    ///
    /// # Cancel safety
    /// Nothing has happened if it is dropped.
    pub async fn change(&self) -> Result<Change, sqlx::Error> {
        let turn = Arc::clone(&self.writer).lock_owned();
        let turn = tokio::time::timeout(ACQUIRE_TIMEOUT, turn).await;
        let turn = turn.map_err(|_elapsed| sqlx::Error::PoolTimedOut)?;
        // A deferred transaction that reads and then writes fails at once when somebody else wrote in between.
        Ok(Change { transaction: self.pool.begin_with("BEGIN IMMEDIATE").await?, _turn: turn })
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// When it gives none.
    ///
    /// # Cancel safety
    /// Nothing has happened if it is dropped.
    pub async fn ping(&self) -> Result<(), sqlx::Error> {
        sqlx::query("SELECT 1").execute(&self.pool).await.map(drop)
    }

    /// Closes all connections; SQLite then folds its write-ahead log into the file.
    ///
    /// # Cancel safety
    /// The connections close nonetheless when it is dropped, in their own time.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

async fn set_up(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    // WAL: readers do not wait for the writer. NORMAL: a crash of the machine may cost the last commits, never the file.
    for pragma in ["PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", "PRAGMA foreign_keys = ON"] {
        sqlx::query(pragma).execute(&mut *connection).await?;
    }
    let busy = sqlx::AssertSqlSafe(format!("PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}"));
    sqlx::query(busy).execute(connection).await?;
    Ok(())
}

/// One consistent state of the database. Dropping it ends it.
#[derive(Debug)]
pub struct Snapshot {
    transaction: Transaction<'static, Any>,
}

/// A transaction that writes. Dropped without a commit, nothing of it remains.
#[derive(Debug)]
pub struct Change {
    transaction: Transaction<'static, Any>,
    /// Given up after the transaction has ended: fields are dropped in order.
    _turn: OwnedMutexGuard<()>,
}

/// What SQL can be sent through: a [`Snapshot`] or a [`Change`].
pub trait Statements {
    /// The connection for exactly one statement, which is counted.
    fn statement(&mut self) -> &mut AnyConnection;
}

impl Statements for Snapshot {
    fn statement(&mut self) -> &mut AnyConnection {
        StatementCount::add_one();
        &mut self.transaction
    }
}

impl Statements for Change {
    fn statement(&mut self) -> &mut AnyConnection {
        StatementCount::add_one();
        &mut self.transaction
    }
}

impl Change {
    /// Commits what was written. The row comes out of the result by announcing the change.
    ///
    /// # Errors
    /// What the database reports, together with the change: after an error of the commit itself nobody knows whether it
    /// took place, so that it has to be announced all the same.
    ///
    /// # Cancel safety
    /// Dropped midway, it may or may not be committed, and nobody announces it: call it where nobody drops it.
    pub async fn commit<T>(self, written: Written<T>) -> Result<Committed<T>, (sqlx::Error, Committed<T>)> {
        match self.transaction.commit().await {
            Ok(()) => Ok(written.ended()),
            Err(error) => Err((error, written.ended())),
        }
    }

    /// Commits what was written while the lock proves that no server is running on this database, and no cache is believed to know it.
    ///
    /// # Errors
    /// What the database reports; the change is then undone.
    ///
    /// # Cancel safety
    /// Dropped midway, it may or may not be committed.
    pub async fn commit_alone(self, _alone: &DatabaseLock) -> Result<(), sqlx::Error> {
        self.transaction.commit().await
    }
}
