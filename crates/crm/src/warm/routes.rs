//! The server's side of `crm warm`: it warms, and streams how it gets on.

use super::{CONCURRENCY, Line, MAX_CONCURRENCY, run};
use crate::app::App;
use crate::caller::Operator;
use crate::config::Switch;
use crate::error::Error;
use crate::http::api::{Lines, Takes, parameters};
use crate::http::params::Params;
use axum::body::{Body, Bytes};
use axum::extract::State;
use std::convert::Infallible;
use std::marker::PhantomData;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Lines that wait for a slow reader before warming waits for it too.
const LINES_AHEAD: usize = 64;

parameters! {
    /// What warming takes.
    WarmParameters: Takes::Number("concurrency", "Companies that are loaded at a time.", MAX_CONCURRENCY, CONCURRENCY)
}

/// Loads companies and their pipelines into the cache, and tells how it gets on: one JSON object a line.
#[utoipa::path(post, path = "/api/cache/warm", tag = "operation", params(WarmParameters))]
async fn warm(
    State(app): State<Arc<App>>,
    _operator: Operator,
    mut params: Params,
) -> Result<Lines<Line>, Error> {
    let concurrency = params.number("concurrency", MAX_CONCURRENCY).unwrap_or(CONCURRENCY);
    params.finish()?;
    if app.settings.cache == Switch::Off {
        return Err(Error::Conflict(
            "this server runs with its cache off: start it with CRM_CACHE=on to warm it".to_owned(),
        ));
    }
    let (lines, receiver) = mpsc::channel(LINES_AHEAD);
    let owned = Arc::clone(&app);
    app.start(async move {
        let progress = |progress| {
            let lines = lines.clone();
            // Whoever asked has gone: there is nobody to warm for.
            async move { lines.send(Line::Progress(progress)).await.is_ok() }
        };
        match run(&owned, concurrency, progress).await {
            Ok(summary) => drop(lines.send(Line::Summary(summary)).await),
            Err(error) => tracing::warn!(%error, "warming failed"), // the stream ends without a summary
        }
    });
    let body = ReceiverStream::new(receiver).map(|line| Ok::<_, Infallible>(written(&line)));
    Ok(Lines(Body::from_stream(body), PhantomData))
}

fn written(line: &Line) -> Bytes {
    let mut text = serde_json::to_vec(line).unwrap_or_default(); // strings and numbers can always be written
    text.push(b'\n');
    Bytes::from(text)
}

/// The route for operators.
pub fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(warm))
}
