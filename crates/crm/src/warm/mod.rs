//! Warming: loading the companies and their pipelines into the cache before anybody asks.
//!
//! The cache is inside the server's process, so the command asks the server, and the server tells how it gets on: one
//! JSON object a line, [`Progress`] for each company and [`Summary`] at the end.

mod ask;
mod routes;

pub use ask::{AskError, ask};
pub use routes::router;

use crate::analytics;
use crate::app::App;
use crate::caller::CompanyId;
use crate::companies;
use crate::error::Error;
use futures_util::{StreamExt, stream};
use larder::Ttl;
use larder_axum::Source;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::Instant;

/// How many companies are warmed at a time where nobody says otherwise: half of the connections to the database, so that requests have the
/// others.
pub const CONCURRENCY: u32 = 4;
/// Most that can be asked for: beyond it they only wait for each other's connections.
pub const MAX_CONCURRENCY: u32 = 64;
/// The lock of the process that warms at its start, among those that share a cache.
const LOCK: &str = "warm-at-start";
/// How long it may be held: whoever warms for longer is not waited for.
const LOCK_TTL: Ttl = Ttl::secs(600);

/// One line of the server's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// A company has been warmed.
    Progress(Progress),
    /// All have.
    Summary(Summary),
}

/// How far warming has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Progress {
    /// Companies warmed so far.
    pub done: usize,
    /// Companies there are.
    pub of: usize,
    /// The one that was warmed last.
    pub company: String,
}

/// What warming has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Summary {
    /// Companies there are.
    pub companies: usize,
    /// Entries that were loaded.
    pub loaded: usize,
    /// Entries that were in the cache already.
    pub present: usize,
    /// Entries that could not be loaded; the server's log says why.
    pub failed: usize,
}

impl Summary {
    /// The same, with what has become of one more entry.
    const fn and(mut self, outcome: Outcome) -> Self {
        match outcome {
            Outcome::Loaded => self.loaded += 1,
            Outcome::Present => self.present += 1,
            Outcome::Failed => self.failed += 1,
        }
        self
    }
}

/// What has become of one entry.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    Loaded,
    Present,
    Failed,
}

/// Loads every company and its pipeline, so many companies at a time, from 1 to [`MAX_CONCURRENCY`], telling `progress` after each. It ends
/// early when `progress` answers `false`. The entries are loaded as any read loads them: one that a change makes untrue meanwhile is
/// not kept.
///
/// # Errors
/// What the database reports when it is asked which companies there are.
///
/// # Cancel safety
/// Dropped early, it has warmed some and not others.
pub async fn run<P, Fut>(app: &App, concurrency: u32, mut progress: P) -> Result<Summary, Error>
where
    P: FnMut(Progress) -> Fut,
    Fut: Future<Output = bool>,
{
    let ids = {
        let mut snapshot = app.database.snapshot().await?;
        companies::ids(&mut snapshot).await?
    };
    let of = ids.len();
    let at_a_time = usize::try_from(concurrency.clamp(1, MAX_CONCURRENCY)).unwrap_or(1);
    let warming = stream::iter(ids).map(async |id| (warm(app, &id).await, id));
    let mut warmed = std::pin::pin!(warming.buffer_unordered(at_a_time).enumerate());
    let mut summary = Summary { companies: of, ..Summary::default() };
    while let Some((index, (outcomes, id))) = warmed.next().await {
        summary = outcomes.into_iter().fold(summary, Summary::and);
        if !progress(Progress { done: index + 1, of, company: id.to_string() }).await {
            break;
        }
    }
    Ok(summary)
}

async fn warm(app: &App, company: &CompanyId) -> [Outcome; 2] {
    [companies::load(app, company).await, analytics::load_pipeline(app, company).await].map(|served| {
        match served {
            Ok(served) if matches!(served.source, Source::HitLocal | Source::Hit) => Outcome::Present,
            Ok(_) => Outcome::Loaded,
            Err(error) => {
                tracing::warn!(%company, %error, "an entry could not be warmed");
                Outcome::Failed
            }
        }
    })
}

/// Warms the cache of a process that has just started, unless another one of those that share it is at it, and logs what came of it. A
/// Redis that does not answer yet is waited for: before that nothing would be kept.
///
/// # Cancel safety
/// As [`run`].
pub async fn at_start(app: &App) {
    app.cache.ready().await;
    let Some(_until_done) = app.cache.lock(LOCK, LOCK_TTL, Duration::ZERO).await else {
        tracing::info!("another process warms the cache that they share");
        return;
    };
    let begun = Instant::now();
    match run(app, CONCURRENCY, async |_progress| true).await {
        Ok(Summary { companies, loaded, present, failed }) => {
            let elapsed_ms = begun.elapsed().as_millis();
            tracing::info!(companies, loaded, present, failed, elapsed_ms, "the cache is warm");
        }
        Err(error) => tracing::warn!(%error, "the cache could not be warmed"),
    }
}
