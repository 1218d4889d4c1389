//! Limits: a layer that counts requests, and says what is left.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use larder::{CacheService, Decision, Limit};
use tower::{Service, ServiceExt};

use crate::around::{Wrap, layer};

const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// A layer that counts the requests of whoever is limited, and answers 429 to what is too much. Answers say in `RateLimit` and
/// `RateLimit-Policy` what is left, and after how many seconds there is more (draft-ietf-httpapi-ratelimit-headers-10), of each limit that
/// counts.
#[derive(Clone)]
pub struct Limited {
    cache: CacheService,
    limit: Limit,
    whom: Arc<Whom>,
    refuse: fn(&Decision) -> Response,
}

type Whom = dyn Fn(&Request) -> Option<String> + Send + Sync;

impl std::fmt::Debug for Limited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limited").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl Limited {
    /// Counts for whom a request says that it is to count, and not at all where that is nobody.
    pub fn new(
        cache: CacheService,
        limit: Limit,
        whom: impl Fn(&Request) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self { cache, limit, whom: Arc::new(whom), refuse }
    }

    /// Answers what is too much in this way, instead of by an empty 429 with `Retry-After`.
    #[must_use]
    pub fn refusing_with(self, refuse: fn(&Decision) -> Response) -> Self {
        Self { refuse, ..self }
    }

    fn say(&self, decision: &Decision, response: &mut Response) {
        let (name, count, seconds) = (self.limit.name(), self.limit.count(), self.limit.period().as_secs());
        let window = if seconds > 0 { format!(";w={seconds}") } else { String::new() };
        let left = decision.remaining;
        // Until there is more than what is left: when it may be done again, or else all of it is earned.
        let more = if decision.allowed { decision.reset } else { decision.retry_after };
        let more = whole_seconds(more);
        for (header, text) in [
            (RATELIMIT_POLICY, format!("\"{name}\";q={count}{window}")),
            (RATELIMIT, format!("\"{name}\";r={left};t={more}")),
        ] {
            if let Ok(value) = HeaderValue::try_from(text) {
                response.headers_mut().append(header, value);
            }
        }
    }
}

/// Rounded up: a client that comes back is not refused again.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

fn refuse(decision: &Decision) -> Response {
    let seconds = whole_seconds(decision.retry_after).max(1);
    (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, HeaderValue::from(seconds))]).into_response()
}

layer!(Limited);

impl Wrap for Limited {
    async fn wrap<S>(self: Arc<Self>, request: Request, mut inner: S) -> Result<Response, S::Error>
    where
        S: Service<Request, Response = Response, Error: Send, Future: Send> + Send,
    {
        let Some(whom) = (self.whom)(&request) else { return inner.ready().await?.call(request).await };
        let decision = self.cache.limit(&self.limit, whom).await;
        let mut response = match decision.allowed {
            true => inner.ready().await?.call(request).await?,
            false => (self.refuse)(&decision),
        };
        self.say(&decision, &mut response);
        Ok(response)
    }
}
