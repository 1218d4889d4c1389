//! The database: connections set up alike, snapshots to read from, changes to write in, and the count of statements.

pub use crate::config::DatabaseKind as Kind;
use crate::config::DatabaseUrl;
use crate::error::Error;
use crate::lock::{LockError, PreparationLock};
use crate::written::{Bulk, Committed, Written};
use larder::CacheService;
use larder_axum::digest;
use larder_outbox::Outbox;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::MigrateError;
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, Connection, Transaction};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Connections to one database: readers that are answered in parallel. More than a few gain nothing.
const CONNECTIONS: u32 = 8;
/// How long a request waits for a connection before it is told to come back: well below the request's own limit.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a database waits for another writer, in milliseconds, before it says that it is locked.
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

impl Kind {
    /// How a transaction begins that only reads: all of it sees one state.
    const fn begin_snapshot(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN",
            Self::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }
    }

    /// How a transaction begins that writes.
    const fn begin_change(self) -> &'static str {
        match self {
            // A deferred transaction that reads and then writes fails at once when somebody else wrote in between.
            Self::Sqlite => "BEGIN IMMEDIATE",
            // Here it fails when somebody else has changed a row that it changes too.
            Self::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ",
        }
    }
}

/// Why a database cannot be opened, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process is preparing it.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// The database, or a migration, says no.
    #[error("the database {url} cannot be opened: {source}{}", advice(source))]
    Database {
        /// Which.
        url: DatabaseUrl,
        /// What it said.
        source: sqlx::Error,
    },
    /// The outbox cannot be made, or started.
    #[error("the database {url} cannot be used: {source}")]
    Outbox {
        /// Which.
        url: DatabaseUrl,
        /// What went wrong.
        source: larder_outbox::Error,
    },
}

fn advice(error: &sqlx::Error) -> &'static str {
    let code = error.as_database_error().and_then(|error| error.code());
    match (error, code.as_deref()) {
        // SQLite's words for a file that is damaged, or none of its own: codes 11 (CORRUPT) and 26 (NOTADB).
        (_, Some("11" | "26")) => ". Name another file, or restore this one from a backup",
        (_, Some("14")) => {
            ". It must be a file that can be written to, or a name for one in such a directory"
        }
        // PostgreSQL's class 28 is a login that is refused, 3D000 a database that is not there.
        (_, Some("28000" | "28P01")) => ". Look at the user and the password in CRM_DATABASE_URL",
        (_, Some("3D000")) => ". Make it with `createdb`, or name another in CRM_DATABASE_URL",
        (sqlx::Error::Io(_), _) => ". Is it running there, and is the host in CRM_DATABASE_URL right?",
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
    url: DatabaseUrl,
    /// Whose turn it is to write, where there is one writer. SQLite lets waiting writers try again and again, and each would
    /// hold a connection that readers need; here they wait in line, without one.
    writer: Option<Arc<Mutex<()>>>,
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
        let lock = PreparationLock::take(url).await?;
        Self::open_with(url, &lock).await
    }

    /// The same, for who keeps others from preparing it.
    ///
    /// # Errors
    /// As [`Database::open`].
    ///
    /// # Cancel safety
    /// As [`Database::open`].
    pub async fn open_with(url: &DatabaseUrl, _lock: &PreparationLock) -> Result<Self, OpenError> {
        let opened = Self::open_pool(url).await;
        let opened = opened.map_err(|source| OpenError::Database { url: url.clone(), source })?;
        let made = Outbox::migrate(&opened.pool).await;
        made.map_err(|source| OpenError::Outbox { url: url.clone(), source })?;
        Ok(opened)
    }

    /// Starts what tells a cache of the changes of this database, whoever makes them. Without it the cache serves nothing.
    ///
    /// # Errors
    /// The cache has one already; what the database reports.
    ///
    /// # Cancel safety
    /// As that of [`Outbox::start`].
    pub async fn tell(&self, cache: &CacheService) -> Result<Outbox<Any>, OpenError> {
        let outbox = Outbox::start(&self.pool, cache, larder_outbox::Settings::new()).await;
        outbox.map_err(|source| OpenError::Outbox { url: self.url.clone(), source })
    }

    async fn open_pool(url: &DatabaseUrl) -> Result<Self, sqlx::Error> {
        sqlx::any::install_default_drivers();
        let options = AnyConnectOptions::from_str(url.as_str())?;
        let kind = url.kind();
        // One connection by itself: a pool tries again and again, and then only says that it took too long.
        let mut probe = AnyConnection::connect_with(&options).await?;
        set_up(&mut probe, kind).await?;
        probe.close().await?;
        // A database in memory belongs to its connection: a second one would see an empty database.
        let connections = if url.is_in_memory() { 1 } else { CONNECTIONS };
        let pool = AnyPoolOptions::new()
            .min_connections(1)
            .max_connections(connections)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_connect(move |connection, _| Box::pin(set_up(connection, kind)))
            .connect_with(options)
            .await?;
        sqlx::migrate!().run(&pool).await?;
        let writer = (kind == Kind::Sqlite).then(Arc::default);
        Ok(Self { pool, kind, url: url.clone(), writer })
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
        Ok(Snapshot { transaction: self.pool.begin_with(self.kind.begin_snapshot()).await? })
    }

    /// A transaction to write in. What it reads is of one state. SQLite excludes other writers from its beginning; PostgreSQL
    /// refuses to write a row that somebody else has written since, which is [`Error::PreconditionFailed`].
    ///
    /// # Errors
    /// When no connection can be had in time, or another writer does not finish.
    ///
    /// # Cancel safety
    /// Nothing has happened if it is dropped.
    pub async fn change(&self) -> Result<Change, sqlx::Error> {
        let turn = match &self.writer {
            None => None,
            Some(writer) => {
                let turn = tokio::time::timeout(ACQUIRE_TIMEOUT, Arc::clone(writer).lock_owned()).await;
                Some(turn.map_err(|_elapsed| sqlx::Error::PoolTimedOut)?)
            }
        };
        let transaction = self.pool.begin_with(self.kind.begin_change()).await?;
        Ok(Change { transaction, kind: self.kind, _turn: turn })
    }

    /// Whether a process tells a cache of the changes of this database, as every server does. Of a file that is not asked here: other
    /// processes [have it open](crate::lock::is_open) then.
    ///
    /// # Errors
    /// It cannot be reached; what the database reports.
    ///
    /// # Cancel safety
    /// Nothing has happened if it is dropped.
    pub async fn is_served(url: &DatabaseUrl) -> Result<bool, OpenError> {
        if url.kind() == Kind::Sqlite {
            return Ok(false);
        }
        let found = async {
            sqlx::any::install_default_drivers();
            let options = AnyConnectOptions::from_str(url.as_str())?;
            let mut connection = AnyConnection::connect_with(&options).await?;
            let sql = "SELECT COUNT(*) FROM pg_stat_activity \
                       WHERE datname = current_database() AND application_name = 'larder-outbox'";
            let found = sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut connection).await?;
            connection.close().await?;
            Ok(found > 0)
        };
        found.await.map_err(|source| OpenError::Database { url: url.clone(), source })
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

async fn set_up(connection: &mut AnyConnection, kind: Kind) -> Result<(), sqlx::Error> {
    if kind == Kind::Postgres {
        // As long as SQLite waits for another writer.
        let limit = sqlx::AssertSqlSafe(format!("SET lock_timeout = {BUSY_TIMEOUT_MS}"));
        return sqlx::query(limit).execute(connection).await.map(drop);
    }
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

/// One statement, which by itself sees one consistent state of the database: without the two round trips that a transaction takes.
#[derive(Debug)]
pub struct Single {
    connection: PoolConnection<Any>,
    is_used: bool,
}

/// What a load reads from. Which one it is, the load says by the type that it takes.
pub trait State: Sized {
    /// Takes a connection, and opens what is seen through it.
    ///
    /// # Errors
    /// When no connection can be had in time.
    ///
    /// # Cancel safety
    /// Nothing has happened if it is dropped.
    fn open(database: &Database) -> impl Future<Output = Result<Self, sqlx::Error>> + Send;
}

impl State for Snapshot {
    async fn open(database: &Database) -> Result<Self, sqlx::Error> {
        database.snapshot().await
    }
}

impl State for Single {
    async fn open(database: &Database) -> Result<Self, sqlx::Error> {
        Ok(Self { connection: database.pool.acquire().await?, is_used: false })
    }
}

/// A transaction that writes. Dropped without a commit, nothing of it remains.
#[derive(Debug)]
pub struct Change {
    transaction: Transaction<'static, Any>,
    kind: Kind,
    /// Given up after the transaction has ended: fields are dropped in order.
    _turn: Option<OwnedMutexGuard<()>>,
}

/// What SQL can be sent through: a [`Snapshot`], a [`Single`] or a [`Change`].
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

impl Statements for Single {
    fn statement(&mut self) -> &mut AnyConnection {
        // Two would see two states: then it has to be a snapshot.
        debug_assert!(!self.is_used, "a second statement");
        self.is_used = true;
        StatementCount::add_one();
        &mut self.connection
    }
}

impl Statements for Change {
    fn statement(&mut self) -> &mut AnyConnection {
        StatementCount::add_one();
        &mut self.transaction
    }
}

impl Change {
    /// Keeps others from changing companies until this one ends; SQLite keeps them from changing anything anyway. To be called before
    /// anything is read.
    ///
    /// # Errors
    /// What the database reports.
    ///
    /// # Cancel safety
    /// Others may be kept out or not.
    pub async fn exclude_others(&mut self) -> Result<(), sqlx::Error> {
        if self.kind == Kind::Postgres {
            // The state that the transaction sees is that behind this statement, as of no other that waits.
            let lock = "LOCK TABLE companies IN SHARE ROW EXCLUSIVE MODE";
            sqlx::query(lock).execute(self.statement()).await?;
        }
        Ok(())
    }

    /// Records what was written in the outbox, and commits both. The row comes out of the result by announcing the change.
    ///
    /// # Errors
    /// What the database reports; together with the change if it may have taken place: after an error of the commit itself nobody
    /// knows, so that it has to be announced all the same.
    ///
    /// # Cancel safety
    /// Dropped midway, it may or may not be committed; if it is, the relay announces it.
    pub async fn commit<T>(
        mut self,
        written: Written<T>,
        outbox: &Outbox<Any>,
    ) -> Result<Committed<T>, (Error, Option<Committed<T>>)> {
        let (row, changed) = written.into_parts();
        StatementCount::add_one();
        let recorded = match outbox.add(&mut self.transaction, changed).await {
            Ok(recorded) => recorded,
            Err(error) => return Err((of_outbox(error), None)),
        };
        let committed = Committed::new(row, recorded);
        match self.transaction.commit().await {
            Ok(()) => Ok(committed),
            Err(error) => Err((error.into(), Some(committed))),
        }
    }

    /// Records what was written, and commits it, for a command that caches nothing itself. Those who cache are told by the outbox, within a
    /// moment.
    ///
    /// # Errors
    /// What the database reports; the change is then undone, unless it was the commit itself that failed.
    ///
    /// # Cancel safety
    /// Dropped midway, it may or may not be committed.
    pub async fn commit_alone<T>(mut self, written: Written<T>) -> Result<T, Error> {
        let (row, changed) = written.into_parts();
        Outbox::<Any>::record(&mut self.transaction, changed).await.map_err(of_outbox)?;
        self.transaction.commit().await?;
        Ok(row)
    }

    /// Commits what was written to a database that was put back from a backup, and makes it another one to every cache: what a Redis holds
    /// of its former future is not believed any more.
    ///
    /// # Errors
    /// What the database reports; the change is then undone, unless it was the commit itself that failed.
    ///
    /// # Cancel safety
    /// Dropped midway, it may or may not be committed.
    pub async fn commit_anew<T>(mut self, written: Written<T>) -> Result<T, Error> {
        let (row, _all_begin_anew) = written.into_parts();
        Outbox::<Any>::renew(&mut self.transaction).await.map_err(of_outbox)?;
        self.transaction.commit().await?;
        Ok(row)
    }

    /// Records that many things were written, and commits them. Those who cache are told by the outbox, within a moment.
    ///
    /// # Errors
    /// What the database reports; the change is then undone, unless it was the commit itself that failed.
    ///
    /// # Cancel safety
    /// Dropped midway, it may or may not be committed.
    pub async fn commit_bulk(mut self, bulk: Bulk) -> Result<(), Error> {
        Outbox::<Any>::record(&mut self.transaction, bulk.changed()).await.map_err(of_outbox)?;
        Ok(self.transaction.commit().await?)
    }
}

fn of_outbox(error: larder_outbox::Error) -> Error {
    match error {
        larder_outbox::Error::Database(error) => error.into(),
        error => Error::internal(error),
    }
}
