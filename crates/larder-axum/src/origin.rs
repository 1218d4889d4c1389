//! Whether a web page of another site is behind a request that changes something.
//!
//! Browsers say so themselves: in `Sec-Fetch-Site`, and, where that is missing, in `Origin`. Whoever sends neither is no browser,
//! and nobody can make it send a cookie. (The protection of Go's `net/http.CrossOriginProtection`; F. Valsorda, "CSRF", 2025.)

use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tower::{Service, ServiceExt};

use crate::around::{Wrap, layer};

/// A layer that refuses requests of pages of other sites, unless their method changes nothing (RFC 9110, 9.2.1).
#[derive(Clone)]
pub struct SameOrigin {
    trusted: Arc<[String]>,
    refuse: fn() -> Response,
}

impl std::fmt::Debug for SameOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SameOrigin").field("trusted", &self.trusted).finish_non_exhaustive()
    }
}

impl SameOrigin {
    /// Trusts the origin of the address that a request was sent to, and these, as `https://example.com`.
    #[must_use]
    pub fn trusting(origins: &[String]) -> Self {
        Self { trusted: origins.into(), refuse: || StatusCode::FORBIDDEN.into_response() }
    }

    /// Answers what is refused in this way, instead of by an empty 403.
    #[must_use]
    pub fn refusing_with(self, refuse: fn() -> Response) -> Self {
        Self { refuse, ..self }
    }
}

layer!(SameOrigin);

impl Wrap for SameOrigin {
    async fn wrap<S>(self: Arc<Self>, request: Request, mut inner: S) -> Result<Response, S::Error>
    where
        S: Service<Request, Response = Response, Error: Send, Future: Send> + Send,
    {
        let is_safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
        if !is_safe && is_foreign(request.headers(), &self.trusted) {
            return Ok((self.refuse)());
        }
        inner.ready().await?.call(request).await
    }
}

/// Whether a request that changes something comes from a page of another site than these.
fn is_foreign(headers: &HeaderMap, trusted: &[String]) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("no text"));
    let origin = text(header::ORIGIN.as_str());
    if origin.is_some_and(|origin| trusted.iter().any(|trusted| trusted == origin)) {
        return false;
    }
    match (text("sec-fetch-site"), origin) {
        (Some(site), _) => !["same-origin", "none"].contains(&site),
        (None, None) => false,
        (None, Some(origin)) => {
            let host = origin.split_once("://").map(|(_, host)| host);
            host.is_none() || host != text(header::HOST.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    #[test]
    fn only_a_page_of_another_site_is_foreign() {
        for (sent, foreign) in [
            (&[][..], false),
            (&[("sec-fetch-site", "same-origin")], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("sec-fetch-site", "same-site")], true),
            (&[("sec-fetch-site", "cross-site")], true),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://crm.example")], true),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://trusted.example")], false),
            (&[("origin", "https://crm.example")], false),
            (&[("origin", "http://crm.example")], false),
            (&[("origin", "https://evil.example")], true),
            (&[("origin", "https://crm.example.evil.example")], true),
            (&[("origin", "https://crm.example:8443")], true),
            (&[("origin", "https://trusted.example")], false),
            (&[("origin", "null")], true),
        ] {
            let headers: HeaderMap = [("host", "crm.example")]
                .iter()
                .chain(sent)
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .collect();
            assert_eq!(is_foreign(&headers, &["https://trusted.example".to_owned()]), foreign, "{sent:?}");
        }
    }
}
