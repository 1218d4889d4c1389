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

/// The document of `/api/health`. Under `cache` it is, field for field, that of the specification.
#[derive(Debug, Serialize)]
struct Health {
    cache: CacheHealth,
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

#[derive(Debug, Default, Serialize)]
struct CacheCounts {
    hits: u64,
    misses: u64,
    sets: u64,
    deletes: u64,
    errors: u64,
}

#[derive(Debug, Serialize)]
struct DatabaseHealth {
    status: &'static str,
    kind: &'static str,
}

/// The share of hits as a percentage with two decimals, rounded half up: 1,250 of 1,600 is `78.13%`.
#[must_use]
pub fn percentage(hits: u64, misses: u64) -> String {
    let all = u128::from(hits) + u128::from(misses);
    // Hundredths of a percent, in integers: 78.125 has no exact neighbour to round to in binary fractions of 0.781.
    let hundredths = if all == 0 { 0 } else { (u128::from(hits) * 20_000 + all) / (2 * all) };
    format!("{}.{:02}%", hundredths / 100, hundredths % 100)
}

async fn health(State(app): State<Arc<App>>, _none: NoParams) -> Response {
    let counts = CacheCounts::default();
    let database = match app.database.ping().await {
        Ok(()) => "connected",
        Err(error) => {
            tracing::warn!(%error, "the database gave no sign of life");
            "disconnected"
        }
    };
    let health = Health {
        cache: CacheHealth {
            status: "in-process",
            hit_ratio: percentage(counts.hits, counts.misses),
            stats: counts,
            redis: None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_rounded_half_up() {
        for (hits, misses, text) in [
            (1_250, 350, "78.13%"),
            (0, 0, "0.00%"),
            (0, 7, "0.00%"),
            (7, 0, "100.00%"),
            (1, 2, "33.33%"),
            (2, 1, "66.67%"),
            (1, 15_999, "0.01%"),
            (1, 20_000, "0.00%"),
            (u64::MAX, u64::MAX, "50.00%"),
        ] {
            assert_eq!(percentage(hits, misses), text, "{hits} hits, {misses} misses");
        }
    }
}
