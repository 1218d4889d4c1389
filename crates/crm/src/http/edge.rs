//! The edge around the routes: time limits, panics, conditional answers, the count of statements, and the one log line.

use super::answer::X_ACKNOWLEDGED;
use super::problem::Refusal;
use crate::app::App;
use crate::config::{Settings, Switch};
use crate::database::StatementCount;
use crate::error::Error;
use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use larder_axum::{ClientAddress, Conditional, SameOrigin, X_CACHE};
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tower::ServiceBuilder;
use tower::util::option_layer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::CorsLayer;

/// Names a request, for whoever looks for it in the log.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How many SQL statements an answer took; sent where a setting asks for it.
pub const X_DB_QUERIES: HeaderName = HeaderName::from_static("x-db-queries");

/// Puts the edge around the routes: what no route answers, and what holds for every answer.
pub fn around(routes: Router<Arc<App>>, app: Arc<App>) -> Router {
    // As one layer: each of a router's own is in a box that is cloned for a request, with all that is in it.
    let edge = ServiceBuilder::new()
        .layer(from_fn_with_state(Arc::clone(&app), edge))
        .layer(option_layer(cors(&app.settings)))
        .layer(
            SameOrigin::trusting(app.settings.public_url.as_slice())
                .trusting_with_token(&app.settings.cors_origins)
                .refusing_with(from_another_site),
        )
        .layer(Conditional)
        .map_response(Response::into_response)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(DefaultBodyLimit::max(super::request::MAX_BODY_BYTES));
    routes
        .fallback(async || Error::NoSuchPath)
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
        .layer(edge)
        .with_state(app)
}

/// What pages of other sites may do: use the API with a token, which no browser sends by itself, and read what answers say of
/// themselves.
fn cors(settings: &Settings) -> Option<CorsLayer> {
    let origins = settings.cors_origins.iter().filter_map(|origin| HeaderValue::try_from(origin).ok());
    let origins: Vec<HeaderValue> = origins.collect();
    let methods = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let sent = [header::AUTHORIZATION, header::CONTENT_TYPE, header::IF_MATCH, header::IF_NONE_MATCH];
    let shown = [header::ETAG, header::LOCATION, header::RETRY_AFTER, X_ACKNOWLEDGED, X_CACHE, X_REQUEST_ID];
    let layer = || CorsLayer::new().allow_methods(methods).allow_headers(sent).expose_headers(shown);
    (!origins.is_empty()).then(|| layer().allow_origin(origins))
}

/// The name of a request, in its answer and in the log: the one that it came with, if that is plain and short, as of a proxy that logs
/// it too, or a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let is_plain = |id: &&HeaderValue| {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        (1..=64).contains(&id.len()) && id.as_bytes().iter().all(plain)
    };
    let given = headers.get(X_REQUEST_ID).filter(is_plain).cloned();
    given.unwrap_or_else(|| {
        let new = HeaderValue::try_from(uuid::Uuid::now_v7().to_string());
        new.unwrap_or_else(|_never| HeaderValue::from_static("none"))
    })
}

async fn edge(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let asked = Asked {
        method: request.method().clone(),
        route: request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned()),
        id: request_id(request.headers()),
        since: Instant::now(),
        address: ClientAddress::of(
            request.extensions(),
            request.headers(),
            &app.settings.limits.trusted_proxies,
        ),
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
    // Whoever watches over the process is answered also when there is no room.
    let is_watch = asked.route.as_deref().is_some_and(|route| ["/livez", "/readyz"].contains(&route));
    let room = Arc::clone(&app.room).try_acquire_owned();
    let mut response = match room {
        Err(_full) if !is_watch => Error::Overloaded.into_response(),
        room => {
            let answer = within_limit(app.settings.request_limit, answer).await;
            drop(room);
            hold(answer, &app.streams)
        }
    };
    response.headers_mut().insert(X_REQUEST_ID, asked.id.clone());
    if app.settings.show_queries == Switch::On {
        response.headers_mut().insert(X_DB_QUERIES, HeaderValue::from(count.get()));
    }
    asked.log(&response);
    if app.settings.access_log == Switch::On {
        asked.log_access(&response);
    }
    response
}

/// Holds one of the places for answers that are made as they are sent, until this one is: whoever reads a long file slowly is in the way
/// of other files, and of nothing else.
fn hold(response: Response, places: &Arc<Semaphore>) -> Response {
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    let Ok(place) = Arc::clone(places).try_acquire_owned() else {
        return Error::Overloaded.into_response();
    };
    response.map(|body| {
        Body::from_stream(body.into_data_stream().map(move |chunk| {
            let _until_the_last = &place;
            chunk
        }))
    })
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
    id: HeaderValue,
    since: Instant,
    address: Option<ClientAddress>,
}

impl Asked {
    /// The one place where the cause of a refusal is told, to the operator.
    fn log(&self, response: &Response) {
        let Some(Refusal(error)) = response.extensions().get::<Refusal>() else { return };
        let (method, route, request) = (&self.method, self.route(), self.id.to_str().unwrap_or_default());
        match error {
            Error::Internal(cause) => tracing::error!(%method, route, request, %cause, "a request failed"),
            Error::Unavailable(cause) => {
                tracing::warn!(%method, route, request, %cause, "the database did not answer")
            }
            Error::TimedOut { limit_ms } => {
                tracing::warn!(%method, route, request, limit_ms, "a request was cut off")
            }
            _ => {}
        }
    }

    /// One line for each request: the route, and no ids and words of anybody.
    fn log_access(&self, response: &Response) {
        let text = |name: HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok());
        let address = self.address.map(|address| address.to_string()).unwrap_or_default();
        tracing::info!(
            target: "crm::access",
            method = %self.method,
            route = self.route(),
            status = response.status().as_u16(),
            took_us = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX),
            cache = text(X_CACHE).unwrap_or_default(),
            address,
            request = self.id.to_str().unwrap_or_default(),
            "answered"
        );
    }

    fn route(&self) -> &str {
        self.route.as_deref().unwrap_or("none")
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

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;
    use futures_util::stream;

    #[test]
    fn an_answer_that_is_made_as_it_is_sent_has_a_place_of_its_own_until_its_end() {
        let places = Arc::new(Semaphore::new(1));
        let slow =
            || Body::from_stream(stream::pending::<Result<axum::body::Bytes, Error>>()).into_response();
        let first = hold(slow(), &places);
        assert_eq!((first.status(), places.available_permits()), (StatusCode::OK, 0));
        let second = hold(slow(), &places);
        assert_eq!(second.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(second.headers().contains_key(header::RETRY_AFTER));
        assert_eq!(
            hold("whole".into_response(), &places).status(),
            StatusCode::OK,
            "what is there needs none"
        );
        drop(first);
        assert_eq!(hold(slow(), &places).status(), StatusCode::OK);
    }
}
