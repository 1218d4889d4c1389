//! `bench serve-subject`: larder behind the routes that `bench faults` measures, as `bench/peers/serve.mjs` puts the caches
//! of the Node world behind them.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use clap::Args;
use larder::{CacheService, Invalidation, Policy, Space, Ttl};
use larder_outbox::Outbox;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sqlx::Sqlite;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::net::TcpListener;

use crate::Failure;

/// How long a load takes, as that of all subjects.
const LOAD: Duration = Duration::from_millis(2);

/// One row, as readers see it.
static ROW: Space<u64, Row> = Space::new(
    "row:{id}",
    "Read by the benchmark of faults; a version that is too low is what it looks for.",
)
.ttl(Ttl::secs(300));

/// Serves larder over this Redis until its standard input ends; its first line names the address.
#[derive(Args, Clone, Debug)]
pub(crate) struct Serve {
    /// The Redis, as redis://127.0.0.1:6379/
    #[arg(long)]
    redis: String,
    /// A SQLite file in which changes are recorded
    #[arg(long, value_name = "FILE")]
    outbox: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Row {
    version: u64,
}

/// What the subject says of itself.
#[derive(Serialize)]
struct Health {
    loads: u64,
    says: &'static str,
}

/// The cache, and the table that is the source of truth.
struct Subject {
    cache: CacheService,
    record: Option<(SqlitePool, Outbox<Sqlite>)>,
    versions: Mutex<HashMap<u64, u64>>,
    loads: AtomicU64,
}

impl Subject {
    /// Reads the row at once and takes as long as a query to answer.
    async fn load(&self, row: u64) -> Result<Row, Infallible> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        let version = self.versions.lock().get(&row).copied().unwrap_or(1);
        tokio::time::sleep(LOAD).await;
        Ok(Row { version })
    }

    fn raise(&self, row: u64) -> Row {
        let mut versions = self.versions.lock();
        let version = versions.entry(row).or_insert(1);
        *version += 1;
        Row { version: *version }
    }
}

async fn read(State(subject): State<Arc<Subject>>, Path(row): Path<u64>) -> Json<Row> {
    let loaded = subject.cache.get_or_set(ROW.key(&row), Policy::new(), || subject.load(row)).await;
    Json(*loaded.unwrap_or_else(|never| match never {}))
}

/// Answers success whatever the removal says of itself, as the other subjects do: a value that stays is then found to be
/// stale.
async fn write(State(subject): State<Arc<Subject>>, Path(row): Path<u64>) -> Result<Json<Row>, StatusCode> {
    match &subject.record {
        None => {
            let raised = subject.raise(row);
            subject.cache.delete(ROW.key(&row)).await;
            Ok(Json(raised))
        }
        Some(record) => {
            let written = write_recorded(&subject, record, row).await;
            written.map(Json).map_err(|_of_sqlite| StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

/// The row is changed when what it makes untrue is committed.
async fn write_recorded(
    subject: &Subject,
    (pool, outbox): &(SqlitePool, Outbox<Sqlite>),
    row: u64,
) -> Result<Row, larder_outbox::Error> {
    let mut change = pool.begin().await?;
    let recorded = outbox.add(&mut change, Invalidation::new().key(ROW.key(&row))).await?;
    change.commit().await?;
    let raised = subject.raise(row);
    outbox.announce(recorded).await;
    Ok(raised)
}

async fn health(State(subject): State<Arc<Subject>>) -> Json<Health> {
    let says = subject.cache.health().await.status.as_str();
    Json(Health { loads: subject.loads.load(Ordering::Relaxed), says })
}

pub(crate) fn run(options: &Serve) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(options))
}

async fn serve(Serve { redis, outbox }: &Serve) -> Result<(), Failure> {
    let builder = CacheService::builder().redis(redis.as_str()).space(&ROW);
    let builder = if outbox.is_some() { builder.relayed() } else { builder };
    let cache = builder.build()?;
    let record = match outbox {
        None => None,
        Some(file) => {
            let options = SqliteConnectOptions::new()
                .filename(file)
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Normal);
            let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
            Outbox::migrate(&pool).await?;
            let outbox = Outbox::start(&pool, &cache, larder_outbox::Settings::new()).await?;
            Some((pool, outbox))
        }
    };
    let subject = Subject { cache, record, versions: Mutex::default(), loads: AtomicU64::new(0) };
    let routes = Router::new()
        .route("/read/{row}", get(read))
        .route("/write/{row}", post(write))
        .route("/health", get(health))
        .with_state(Arc::new(subject));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    writeln!(io::stdout().lock(), "serves http://{}", listener.local_addr()?)?;
    let gone = tokio::task::spawn_blocking(|| io::stdin().lock().read(&mut [0]));
    tokio::select! {
        served = axum::serve(listener, routes).into_future() => Ok(served?),
        _ended = gone => Ok(()),
    }
}
