//! The edge around the routes: time limits, panics, conditional answers, the count of statements, and the one log line.

use super::problem::Refusal;
use crate::app::App;
use crate::config::Switch;
use crate::database::StatementCount;
use crate::error::Error;
use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use larder_axum::{Conditional, SameOrigin};
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;
use tower_http::catch_panic::CatchPanicLayer;

/// How many SQL statements an answer took; sent where a setting asks for it.
pub const X_DB_QUERIES: HeaderName = HeaderName::from_static("x-db-queries");

/// Puts the edge around the routes: what no route answers, and what holds for every answer.
pub fn around(routes: Router<Arc<App>>, app: Arc<App>) -> Router {
    routes
        .fallback(async || Error::NoSuchPath)
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
        .layer(DefaultBodyLimit::max(super::request::MAX_BODY_BYTES))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(Conditional)
        .layer(SameOrigin::trusting(app.settings.trusted_origins()).refusing_with(from_another_site))
        .layer(from_fn_with_state(Arc::clone(&app), edge))
        .with_state(app)
}

async fn edge(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let asked = Asked {
        method: request.method().clone(),
        route: request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned()),
    };
    let count = StatementCount::default();
    let is_strict = is_read(request.method()) && wants_the_latest(request.headers());
    let answer = async {
        if is_strict {
            // Where Redis is away, nothing is answered from copies of what it had.
            app.cache.sync().await.ok();
        }
        count.of(next.run(request)).await
    };
    let mut response = within_limit(app.settings.request_limit, answer).await;
    if app.settings.show_queries == Switch::On {
        response.headers_mut().insert(X_DB_QUERIES, HeaderValue::from(count.get()));
    }
    asked.log(&response);
    response
}

async fn within_limit(limit: Duration, answer: impl Future<Output = Response>) -> Response {
    tokio::time::timeout(limit, answer).await.unwrap_or_else(|_elapsed| {
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        Error::TimedOut { limit_ms }.into_response()
    })
}

/// Whether an answer must not be older than the request, by `Cache-Control: no-cache` or `max-age=0` (RFC 9111, 5.2.1), as
/// browsers send them with a reload: then this process first hears what others have changed.
fn wants_the_latest(headers: &HeaderMap) -> bool {
    let directives = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let strict =
        |word: &str| ["no-cache", "max-age=0"].iter().any(|strict| word.eq_ignore_ascii_case(strict));
    directives.flat_map(|value| value.split(',')).any(|word| strict(word.trim()))
}

fn is_read(method: &Method) -> bool {
    [Method::GET, Method::HEAD].contains(method)
}

/// What the edge remembers of a request while it is answered.
struct Asked {
    method: Method,
    route: Option<String>,
}

impl Asked {
    /// The one place where the cause of a refusal is told, to the operator.
    fn log(&self, response: &Response) {
        let Some(Refusal(error)) = response.extensions().get::<Refusal>() else { return };
        let (method, route) = (&self.method, self.route.as_deref().unwrap_or("none"));
        match error {
            Error::Internal(cause) => tracing::error!(%method, route, %cause, "a request failed"),
            Error::Unavailable(cause) => {
                tracing::warn!(%method, route, %cause, "the database did not answer")
            }
            Error::TimedOut { limit_ms } => tracing::warn!(%method, route, limit_ms, "a request was cut off"),
            _ => {}
        }
    }
}

fn from_another_site() -> Response {
    Error::CrossSite.into_response()
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is tower-http's")]
fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    Error::internal(format!("a handler panicked: {}", text.unwrap_or_default())).into_response()
}
