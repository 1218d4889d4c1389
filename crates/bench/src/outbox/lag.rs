//! How soon others hear of a change, at a thousand changes a second.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use larder::{CacheService, Invalidation, Policy, Ttl};
use larder_outbox::Outbox;
use parking_lot::Mutex;
use sqlx::{Any, AnyPool};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::{Ground, Kind, ROWS};
use crate::stage::now;
use crate::{Failure, tell};

/// Changes a second.
pub(crate) const RATE: u64 = 1_000;

/// How often the other process is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// What was found.
pub(crate) struct Lag {
    pub(crate) kind: Kind,
    pub(crate) who: &'static str,
    pub(crate) changes: usize,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) max: Duration,
}

pub(crate) async fn measure(ground: &Ground, seconds: u64) -> Result<Vec<Lag>, Failure> {
    let mut lags = Vec::new();
    for kind in Kind::ALL {
        for (who, over_redis) in [
            ("another process, without Redis", false),
            ("Redis, where the process that changed it says nothing", true),
        ] {
            let base = ground.base(kind).await?;
            let (cache, outbox) = base.node(over_redis.then_some(&ground.redis)).await?;
            let lag = once(&base.pool, &cache, seconds).await?;
            lags.push(summary(kind, who, lag));
            tell(&format!("lag, {}: {who}", kind.name()));
            outbox.shutdown().await;
            cache.shutdown().await;
        }
    }
    Ok(lags)
}

fn summary(kind: Kind, who: &'static str, mut lags: Vec<Duration>) -> Lag {
    lags.sort_unstable();
    let at = |part: f64| lags.get(((lags.len() as f64 - 1.0) * part) as usize).copied().unwrap_or_default();
    Lag { kind, who, changes: lags.len(), p50: at(0.5), p99: at(0.99), max: at(1.0) }
}

/// For each change, how long after its commit the cache had no value of before.
async fn once(pool: &AnyPool, cache: &CacheService, seconds: u64) -> Result<Vec<Duration>, Failure> {
    let changes = RATE * seconds;
    if changes > ROWS {
        return Err(format!("at {RATE} a second, {ROWS} rows last for {} seconds", ROWS / RATE).into());
    }
    for id in 0..changes {
        cache.set(name(id), id, Policy::ttl(Ttl::secs(600))).await;
    }
    let committed: Arc<Mutex<VecDeque<(u64, Instant)>>> = Arc::default();
    let writing = async {
        let mut pace = interval(Duration::from_secs(1) / u32::try_from(RATE)?);
        pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for id in 0..changes {
            pace.tick().await;
            let mut change = pool.begin().await?;
            sqlx::query("UPDATE deals SET stage = 1 WHERE id = $1")
                .bind(id.cast_signed())
                .execute(&mut *change)
                .await?;
            Outbox::<Any>::record(&mut change, Invalidation::new().key(name(id))).await?;
            change.commit().await?;
            committed.lock().push_back((id, now()));
        }
        Ok::<(), Failure>(())
    };
    let looking = async {
        let mut lags = Vec::new();
        while (lags.len() as u64) < changes {
            let Some((id, at)) = committed.lock().front().copied() else {
                sleep(LOOK_EVERY).await;
                continue;
            };
            if cache.get::<u64>(name(id)).await.is_none() {
                lags.push(at.elapsed());
                committed.lock().pop_front();
            } else {
                sleep(LOOK_EVERY).await;
            }
        }
        lags
    };
    let (written, lags) = tokio::join!(writing, looking);
    written?;
    Ok(lags)
}

fn name(id: u64) -> String {
    format!("deal:{id}")
}
