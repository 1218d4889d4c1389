//! What does it cost to record what changes make untrue, and how soon do others hear of it?

mod cost;
mod lag;
mod report;

use std::path::Path;
use std::str::FromStr;

use bench::machine::{self, Place};
use clap::Args;
use larder::{CacheService, Redis};
use larder_outbox::{Outbox, Settings};
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{Any, AnyPool, AssertSqlSafe};
use tempfile::TempDir;
use testkit::postgres::PostgresServer;
use testkit::redis::RedisServer;

use crate::record::Sample;
use crate::{Failure, must_be_release, tell};

/// Rows of the application's table: 10,000.
pub(crate) const ROWS: u64 = 10_000;

/// Connections of a pool: as many as write at once, and a few for loads.
const CONNECTIONS: u32 = 12;

/// What `bench outbox` takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// How many times each measurement is taken
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long changes go on whose delay is measured, in seconds
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    #[command(flatten)]
    place: Place,
}

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Sqlite, Self::Postgres];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// The servers of a run.
pub(crate) struct Ground {
    postgres: PostgresServer,
    pub(crate) redis: RedisServer,
}

/// A database with the application's table and an outbox.
pub(crate) struct Base {
    pub(crate) kind: Kind,
    pub(crate) pool: AnyPool,
    url: String,
    pub(crate) folder: TempDir,
}

impl Ground {
    async fn new() -> Ground {
        Ground { postgres: PostgresServer::start_durable().await, redis: RedisServer::start().await }
    }

    pub(crate) async fn base(&self, kind: Kind) -> Result<Base, Failure> {
        let folder = tempfile::tempdir()?;
        let url = match kind {
            Kind::Sqlite => format!("sqlite:{}?mode=rwc", folder.path().join("app.db").display()),
            Kind::Postgres => self.postgres.database().await,
        };
        let pool = pool(&url).await?;
        Outbox::<Any>::migrate(&pool).await?;
        sqlx::query("CREATE TABLE deals (id BIGINT PRIMARY KEY, company BIGINT, stage BIGINT)")
            .execute(&pool)
            .await?;
        let rows = format!(
            "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {}) \
             INSERT INTO deals SELECT i, i / 100, 0 FROM n",
            ROWS - 1
        );
        sqlx::query(AssertSqlSafe(rows)).execute(&pool).await?;
        Ok(Base { kind, pool, url, folder })
    }
}

async fn pool(url: &str) -> Result<AnyPool, Failure> {
    sqlx::any::install_default_drivers();
    let is_sqlite = url.starts_with("sqlite");
    let pool = AnyPoolOptions::new().max_connections(CONNECTIONS).after_connect(move |connection, _| {
        Box::pin(async move {
            // As the CRM does it.
            for pragma in [
                "journal_mode = WAL",
                "synchronous = NORMAL",
                "busy_timeout = 5000",
                "wal_autocheckpoint = 1000000",
            ] {
                if is_sqlite {
                    sqlx::query(AssertSqlSafe(format!("PRAGMA {pragma}"))).execute(&mut *connection).await?;
                }
            }
            Ok(())
        })
    });
    Ok(pool.connect_with(AnyConnectOptions::from_str(url)?).await?)
}

impl Base {
    /// A process's worth of cache in front of it.
    pub(crate) async fn node(
        &self,
        redis: Option<&RedisServer>,
    ) -> Result<(CacheService, Outbox<Any>), Failure> {
        let builder = CacheService::builder().relayed();
        let builder = match redis {
            Some(redis) => {
                builder.redis(Redis::at(redis.url()).namespace(format!("b{}", rand_name())).local_tier(false))
            }
            None => builder,
        };
        let cache = builder.build()?;
        let outbox = Outbox::start(&pool(&self.url).await?, &cache, Settings::new()).await?;
        cache.ready().await;
        Ok((cache, outbox))
    }
}

/// A namespace that no other base has.
fn rand_name() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    must_be_release("outbox")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let folder = options.place.folder("-outbox");
    runtime.block_on(measure(options.rounds, options.seconds, &folder))?;
    tell(&format!("wrote {}", machine::shown(&folder)));
    Ok(())
}

/// Measures it, and writes the folder.
pub(crate) async fn measure(rounds: usize, seconds: u64, folder: &Path) -> Result<Vec<Sample>, Failure> {
    let ground = Ground::new().await;
    let mut samples = cost::measure(&ground, rounds).await?;
    samples.extend(lag::measure(&ground, rounds, seconds).await?);
    report::write(&samples, (rounds, seconds), folder)?;
    Ok(samples)
}
