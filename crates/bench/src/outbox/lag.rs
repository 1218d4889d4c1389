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
use crate::record::{Case, Sample};
use crate::stage::now;
use crate::{Failure, tell};

/// Changes a second.
pub(crate) const RATE: u64 = 1_000;

/// How often the other process is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(1);

pub(crate) const GROUP: &str = "lag";

/// What is said of the changes of a measurement: the part of them that was heard of by then.
pub(crate) const UNITS: [(&str, f64); 3] = [("ms, p50", 0.5), ("ms, p99", 0.99), ("ms, longest", 1.0)];

/// Who is to hear, and whether that is over Redis.
const WHO: [(&str, bool); 2] = [
    ("another process, without Redis", false),
    ("Redis, where the process that changed it says nothing", true),
];

/// So many seconds of changes a measurement.
pub(crate) async fn measure(ground: &Ground, rounds: usize, seconds: u64) -> Result<Vec<Sample>, Failure> {
    let mut samples = Vec::new();
    for round in 1..=rounds {
        for kind in Kind::ALL {
            for (who, over_redis) in WHO {
                let base = ground.base(kind).await?;
                let (cache, outbox) = base.node(over_redis.then_some(&ground.redis)).await?;
                let mut lags = once(&base.pool, &cache, seconds).await?;
                lags.sort_unstable();
                for (unit, part) in UNITS {
                    let set = kind.name().to_owned();
                    let case = Case { group: GROUP, set, side: who, entries: lags.len(), unit };
                    let at = ((lags.len() as f64 - 1.0) * part) as usize;
                    let value = lags.get(at).copied().unwrap_or_default().as_secs_f64() * 1e3;
                    samples.push(Sample { case, round, value });
                }
                outbox.shutdown().await;
                cache.shutdown().await;
            }
        }
        tell(&format!("{GROUP}: round {round} of {rounds}"));
    }
    Ok(samples)
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
