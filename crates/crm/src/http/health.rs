//! How the application is: for people and dashboards (`/api/health`), and for supervisors (`/livez`, `/readyz`).

use super::api::{Line, Private};
use super::params::NoParams;
use crate::app::App;
use crate::error::Error;
use axum::extract::State;
use larder::RedisHealth;
use serde::Serialize;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The document of `/api/health`. Under `cache` it is, field for field, that of the
/// specification; the rest stands beside it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Health {
    cache: CacheHealth,
    /// What is wrong with the cache, for people to read.
    trouble: Option<String>,
    redis: Option<RedisLine>,
    memory: MemoryHealth,
    database: DatabaseHealth,
    /// `null` while the database does not answer.
    outbox: Option<OutboxHealth>,
    process: ProcessHealth,
}

/// How the record of changes does, and the relay of this process.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct OutboxHealth {
    /// Changes that are not passed on yet, and how old the oldest of them is.
    depth: u64,
    lag_ms: u128,
    /// Changes that this process has passed on, and those among them of which a Redis that came back had not heard.
    applied: u64,
    replayed: u64,
    /// How often a cache began anew, since the record did not reach back.
    eras: u64,
}

impl From<larder_outbox::Stats> for OutboxHealth {
    fn from(stats: larder_outbox::Stats) -> Self {
        Self {
            depth: stats.depth,
            lag_ms: stats.lag.as_millis(),
            applied: stats.applied,
            replayed: stats.replayed,
            eras: stats.eras,
        }
    }
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct CacheHealth {
    status: &'static str,
    stats: CacheCounts,
    #[serde(rename = "hitRatio")]
    hit_ratio: String,
    /// `null` where there is no Redis, and while it does not answer.
    redis: Option<RedisFacts>,
}

/// What Redis says of itself, as text, as the specification has it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct RedisFacts {
    version: String,
    uptime: String,
    connected_clients: String,
    used_memory: String,
}

impl From<RedisHealth> for RedisFacts {
    fn from(redis: RedisHealth) -> Self {
        // What the user of this process may not ask.
        let text = |fact: Option<String>| fact.unwrap_or_else(|| "unknown".to_owned());
        Self {
            version: text(redis.version),
            uptime: text(redis.uptime.map(|uptime| uptime.as_secs().to_string())),
            connected_clients: text(redis.connected_clients.map(|clients| clients.to_string())),
            used_memory: text(redis.used_memory),
        }
    }
}

/// The way to the Redis of the settings.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct RedisLine {
    place: String,
    /// How long a question takes, there and back; `null` while there is no answer.
    round_trip_ms: Option<f64>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct CacheCounts {
    hits: u64,
    misses: u64,
    sets: u64,
    deletes: u64,
    errors: u64,
}

/// What the cache holds in the memory of this process.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct MemoryHealth {
    entries: u64,
    weight_bytes: u64,
    capacity_bytes: u64,
}

/// What this process has under way.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct ProcessHealth {
    /// Requests that are being answered, this one with them.
    requests: usize,
    /// Tasks of its runtime: those of connections, and a dozen that are there always.
    tasks: usize,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct DatabaseHealth {
    status: &'static str,
    kind: &'static str,
}

/// How the application is: its cache, as the specification has it, its database and its outbox.
#[utoipa::path(get, path = "/api/health", tag = "operation")]
async fn health(State(app): State<Arc<App>>, _none: NoParams) -> Result<Private<Health>, Error> {
    let cache = app.cache.health().await;
    let (counts, local) = (cache.stats.total, cache.stats.local);
    let database = match app.database.ping().await {
        Ok(()) => "connected",
        Err(error) => {
            tracing::warn!(%error, "the database gave no sign of life");
            "disconnected"
        }
    };
    let round_trip_ms =
        cache.redis.as_ref().map(|redis| (redis.round_trip.as_secs_f64() * 1e6).round() / 1e3); // to the microsecond
    let health = Health {
        cache: CacheHealth {
            status: cache.status.as_str(),
            hit_ratio: counts.hit_percentage(),
            stats: CacheCounts {
                hits: counts.hits,
                misses: counts.misses,
                sets: counts.sets,
                deletes: counts.deletes,
                errors: counts.errors,
            },
            redis: cache.redis.map(RedisFacts::from),
        },
        trouble: cache.trouble,
        redis: app.settings.shared_cache().map(|place| RedisLine { place: place.to_string(), round_trip_ms }),
        memory: MemoryHealth {
            entries: local.entries,
            weight_bytes: local.weight,
            capacity_bytes: local.capacity,
        },
        database: DatabaseHealth { status: database, kind: app.database.kind().name() },
        outbox: app.outbox.stats().await.ok().map(OutboxHealth::from),
        process: ProcessHealth {
            requests: app.settings.max_requests - app.room.available_permits() + app.settings.streams()
                - app.streams.available_permits(),
            tasks: tokio::runtime::Handle::current().metrics().num_alive_tasks(),
        },
    };
    Ok(Private(health))
}

/// Whether it can answer: without Redis the database does.
#[utoipa::path(get, path = "/readyz", tag = "operation", security(()),)]
async fn ready(State(app): State<Arc<App>>) -> Result<Line, Error> {
    app.database.ping().await?;
    Ok(Line("ready\n"))
}

/// Whether it runs.
#[utoipa::path(get, path = "/livez", tag = "operation", security(()),)]
async fn alive() -> Line {
    Line("alive\n")
}

/// The routes.
pub fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(health)).routes(routes!(alive)).routes(routes!(ready))
}
