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
use larder_axum::Source;
use serde::{Deserialize, Serialize};

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

/// Loads every company and its pipeline, telling `progress` after each. It ends early when `progress` answers `false`.
///
/// # Errors
/// What the database reports when it is asked which companies there are.
///
/// # Cancel safety
/// Dropped early, it has warmed some and not others.
pub async fn run<P, Fut>(app: &App, mut progress: P) -> Result<Summary, Error>
where
    P: FnMut(Progress) -> Fut,
    Fut: Future<Output = bool>,
{
    let ids = {
        let mut snapshot = app.database.snapshot().await?;
        companies::ids(&mut snapshot).await?
    };
    let mut summary = Summary { companies: ids.len(), ..Summary::default() };
    for (index, id) in ids.iter().enumerate() {
        warm(app, id, &mut summary).await;
        let line = Progress { done: index + 1, of: ids.len(), company: id.to_string() };
        if !progress(line).await {
            break;
        }
    }
    Ok(summary)
}

async fn warm(app: &App, company: &CompanyId, summary: &mut Summary) {
    for served in [companies::load(app, company).await, analytics::load_pipeline(app, company).await] {
        match served {
            Ok(served) if matches!(served.source, Source::HitLocal | Source::Hit) => summary.present += 1,
            Ok(_) => summary.loaded += 1,
            Err(error) => {
                tracing::warn!(%company, %error, "an entry could not be warmed");
                summary.failed += 1;
            }
        }
    }
}
