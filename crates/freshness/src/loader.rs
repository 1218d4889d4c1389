//! What is cached, and where it is loaded from.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::RngExt;
use serde::{Deserialize, Serialize};
use sqlx::AnyPool;

use crate::database;

/// 5 minutes: what is wrong stays so.
pub(crate) const LIFE: Duration = Duration::from_secs(300);

/// What is cached of a row. It names the row, so that a value under another one's key is found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Value {
    pub(crate) row: u64,
    pub(crate) version: u64,
    pub(crate) nonce: u64,
    /// What makes it large, where it is.
    #[serde(default)]
    padding: String,
}

impl Value {
    /// One without anything beside it.
    pub(crate) fn plain(row: u64, version: u64, nonce: u64) -> Self {
        Value { row, version, nonce, padding: String::new() }
    }
}

/// The database gave no answer, or the cache none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed;

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("there was no answer")
    }
}

impl std::error::Error for Failed {}

/// 5 ms: a load takes up to so long after it has read its row.
const SLOWEST_LOAD: Duration = Duration::from_millis(5);

/// Where rows are loaded from.
#[derive(Debug)]
pub(crate) struct Loader {
    pub(crate) pool: AnyPool,
    pub(crate) loads: AtomicU64,
}

impl Loader {
    /// Loads a row, with so much beside it.
    pub(crate) async fn load(&self, row: u64, padding: usize) -> Result<Value, Failed> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        let (version, nonce) = database::load(&self.pool, row).await.map_err(|_error| Failed)?;
        let rest = rand::rng().random_range(Duration::ZERO..SLOWEST_LOAD);
        tokio::time::sleep(rest).await;
        Ok(Value { row, version, nonce, padding: "x".repeat(padding) })
    }
}
