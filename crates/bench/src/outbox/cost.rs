//! Changes a second, and bytes of the write-ahead log that each takes, with and without an outbox.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use larder::{CacheService, Invalidation, Tag};
use larder_outbox::{Outbox, Triggers};
use sqlx::{Any, AnyPool};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::{Base, Ground, Kind, ROWS};
use crate::record::{Case, Sample};
use crate::stage::now;
use crate::{Failure, tell};

pub(crate) const GROUP: &str = "cost";
pub(crate) const BASELINE: &str = "the change alone";
pub(crate) const RATE: &str = "changes a second";
pub(crate) const BYTES: &str = "bytes of the write-ahead log a change";

/// How many changes one measurement makes.
const CHANGES: u64 = 4_000;

/// How many write at once.
const WRITERS: [usize; 2] = [1, 8];

/// What a change does besides itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Alone,
    Recorded,
    Triggers,
    Announced,
    AnnouncedOverRedis,
}

impl Side {
    const ALL: [Self; 5] =
        [Self::Alone, Self::Recorded, Self::Triggers, Self::Announced, Self::AnnouncedOverRedis];

    fn name(self) -> &'static str {
        match self {
            Self::Alone => BASELINE,
            Self::Recorded => "recorded by a call",
            Self::Triggers => "recorded by triggers",
            Self::Announced => "recorded and announced, without Redis",
            Self::AnnouncedOverRedis => "recorded and announced, over Redis, and noted",
        }
    }
}

pub(crate) async fn measure(ground: &Ground, rounds: usize) -> Result<Vec<Sample>, Failure> {
    let mut samples = Vec::new();
    for kind in Kind::ALL {
        for round in 0..=rounds {
            for side in Side::ALL {
                for writers in WRITERS {
                    let (rate, bytes) = once(ground, kind, side, writers).await?;
                    if round == 0 {
                        continue; // to warm up
                    }
                    let set = format!("{}; {writers} at once", kind.name());
                    for (unit, value) in [(RATE, rate), (BYTES, bytes)] {
                        let case = Case {
                            group: GROUP,
                            set: set.clone(),
                            side: side.name(),
                            entries: ROWS as usize,
                            unit,
                        };
                        samples.push(Sample { case, round, value });
                    }
                }
            }
            tell(&format!("{GROUP}, {}: round {round} of {rounds}", kind.name()));
        }
    }
    Ok(samples)
}

/// Changes a second, and bytes a change.
async fn once(ground: &Ground, kind: Kind, side: Side, writers: usize) -> Result<(f64, f64), Failure> {
    let base = ground.base(kind).await?;
    if side == Side::Triggers {
        let triggers = Triggers::on("deals").tag("deals of", "company").tag("deal", "id");
        let mut connection = base.pool.acquire().await?;
        let statements = if kind == Kind::Sqlite { triggers.sqlite() } else { triggers.postgres() };
        for statement in statements {
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut *connection).await?;
        }
    }
    let node = match side {
        Side::Announced => Some(base.node(None).await?),
        Side::AnnouncedOverRedis => Some(base.node(Some(&ground.redis)).await?),
        _ => None,
    };
    let before = log_bytes(&base).await?;
    let began = now();
    let next = Arc::new(AtomicU64::new(0));
    // As the CRM does it: SQLite has one writer at a time, and those who wait hold no connection.
    let turn = Arc::new(Mutex::new(()));
    let mut tasks = JoinSet::new();
    for _ in 0..writers {
        let (pool, next, turn, node) =
            (base.pool.clone(), Arc::clone(&next), Arc::clone(&turn), node.clone());
        tasks.spawn(async move {
            loop {
                let change = next.fetch_add(1, Ordering::Relaxed);
                if change >= CHANGES {
                    return Ok::<_, String>(());
                }
                let waits = match kind {
                    Kind::Sqlite => Some(turn.lock().await),
                    Kind::Postgres => None,
                };
                let changed = write(&pool, kind, side, node.as_ref(), change).await;
                let recorded = changed.map_err(|error| error.to_string())?;
                drop(waits);
                if let (Some((_, outbox)), Some(recorded)) = (&node, recorded) {
                    outbox.announce(recorded).await;
                }
            }
        });
    }
    for done in tasks.join_all().await {
        done?;
    }
    if let Some((_, outbox)) = &node {
        outbox.shutdown().await; // what was done is noted, and counted
    }
    let elapsed = began.elapsed();
    let bytes = log_bytes(&base).await?.saturating_sub(before);
    if let Some((cache, _)) = node {
        cache.shutdown().await;
    }
    Ok((CHANGES as f64 / elapsed.as_secs_f64(), bytes as f64 / CHANGES as f64))
}

async fn write(
    pool: &AnyPool,
    kind: Kind,
    side: Side,
    node: Option<&(CacheService, Outbox<Any>)>,
    change: u64,
) -> Result<Option<larder_outbox::Recorded>, larder_outbox::Error> {
    let id = (change * 7_919) % ROWS; // rows in no order
    let mut transaction = match kind {
        Kind::Sqlite => pool.begin_with("BEGIN IMMEDIATE").await?,
        Kind::Postgres => pool.begin().await?,
    };
    let update = "UPDATE deals SET stage = stage + 1 WHERE id = $1";
    sqlx::query(update).bind(id.cast_signed()).execute(&mut *transaction).await?;
    let changed = || {
        Invalidation::new()
            .key(format!("deal:{id}"))
            .tag(Tag::new("deals of", id / 100))
            .tag(Tag::new("owned by", id % 50))
    };
    let recorded = match (side, node) {
        (Side::Alone | Side::Triggers, _) => None,
        (_, Some((_, outbox))) => Some(outbox.add(&mut transaction, changed()).await?),
        (_, None) => {
            Outbox::<Any>::record(&mut transaction, changed()).await?;
            None
        }
    };
    transaction.commit().await?;
    Ok(recorded)
}

/// How much was written to the write-ahead log so far.
async fn log_bytes(base: &Base) -> Result<u64, Failure> {
    match base.kind {
        // Its file grows as long as nobody folds it into the database, which the pool does not.
        Kind::Sqlite => {
            Ok(std::fs::metadata(base.folder.path().join("app.db-wal")).map_or(0, |file| file.len()))
        }
        Kind::Postgres => {
            let written = "SELECT CAST(pg_current_wal_insert_lsn() - '0/0' AS BIGINT)";
            let bytes: i64 = sqlx::query_scalar(written).fetch_one(&base.pool).await?;
            Ok(bytes.unsigned_abs())
        }
    }
}
