//! How the application is: for people and dashboards (`/api/health`), and for supervisors (`/livez`, `/readyz`).

use super::params::NoParams;
use crate::app::App;
use crate::error::Error;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use std::sync::Arc;

/// The document of `/api/health`. Under `cache` it is, field for field, that of the
/// specification; the rest stands beside it.
#[derive(Debug, Serialize)]
struct Health {
    cache: CacheHealth,
    memory: MemoryHealth,
    database: DatabaseHealth,
}

#[derive(Debug, Serialize)]
struct CacheHealth {
    status: &'static str,
    stats: CacheCounts,
    #[serde(rename = "hitRatio")]
    hit_ratio: String,
    /// There is no Redis: the cache is in this process.
    redis: Option<()>,
}

#[derive(Debug, Serialize)]
struct CacheCounts {
    hits: u64,
    misses: u64,
    sets: u64,
    deletes: u64,
    errors: u64,
}

/// What the cache holds in the memory of this process.
#[derive(Debug, Serialize)]
struct MemoryHealth {
    entries: u64,
    weight_bytes: u64,
    capacity_bytes: u64,
}

#[derive(Debug, Serialize)]
struct DatabaseHealth {
    status: &'static str,
    kind: &'static str,
}

async fn health(State(app): State<Arc<App>>, _none: NoParams) -> Response {
    let cache = app.cache.health().await;
    let (counts, local) = (cache.stats.total, cache.stats.local);
    let database = match app.database.ping().await {
        Ok(()) => "connected",
        Err(error) => {
            tracing::warn!(%error, "the database gave no sign of life");
            "disconnected"
        }
    };
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
            redis: None,
        },
        memory: MemoryHealth {
            entries: local.entries,
            weight_bytes: local.weight,
            capacity_bytes: local.capacity,
        },
        database: DatabaseHealth { status: database, kind: app.database.kind().name() },
    };
    ([(header::CACHE_CONTROL, "no-store")], Json(health)).into_response()
}

async fn ready(State(app): State<Arc<App>>) -> Result<&'static str, Error> {
    app.database.ping().await?;
    Ok("ready\n")
}

/// The routes.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/api/health", get(health))
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(ready))
}
