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
    with_token: Arc<[String]>,
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
        Self {
            trusted: origins.into(),
            with_token: Arc::default(),
            refuse: || StatusCode::FORBIDDEN.into_response(),
        }
    }

    /// Trusts these too where a request says who it is in `Authorization`, as no browser does by itself: not where it comes with a cookie.
    #[must_use]
    pub fn trusting_with_token(self, origins: &[String]) -> Self {
        Self { with_token: origins.into(), ..self }
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
        let authority = request.uri().authority().map(|authority| authority.as_str());
        let has_token = request.headers().contains_key(header::AUTHORIZATION);
        let with_token = self.with_token.iter().filter(|_| has_token);
        let trusted: Vec<&String> = self.trusted.iter().chain(with_token).collect();
        if !is_safe && is_foreign(request.headers(), authority, &trusted) {
            return Ok((self.refuse)());
        }
        inner.ready().await?.call(request).await
    }
}

/// Whether a request that changes something comes from a page of another site than these. What it was sent to says `Host`, or, over
/// HTTP/2, its authority.
fn is_foreign(headers: &HeaderMap, authority: Option<&str>, trusted: &[&String]) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("no text"));
    let origin = text(header::ORIGIN.as_str());
    if origin.is_some_and(|origin| trusted.iter().any(|trusted| *trusted == origin)) {
        return false;
    }
    match (text("sec-fetch-site"), origin) {
        (Some(site), _) => !["same-origin", "none"].contains(&site),
        (None, None) => false,
        (None, Some(origin)) => {
            let Some((scheme, host)) = origin.split_once("://") else { return true };
            let usual_port = if scheme == "https" { ":443" } else { ":80" };
            let sent_to = text(header::HOST.as_str()).or(authority);
            let sent_to = sent_to.map(|sent_to| sent_to.strip_suffix(usual_port).unwrap_or(sent_to));
            sent_to.is_none_or(|sent_to| !sent_to.eq_ignore_ascii_case(host))
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
            let trusted = "https://trusted.example".to_owned();
            let trusted = [&trusted];
            assert_eq!(is_foreign(&headers, None, &trusted), foreign, "{sent:?}");
            let mut over_http_2 = headers.clone();
            over_http_2.remove("host");
            assert_eq!(is_foreign(&over_http_2, Some("crm.example"), &trusted), foreign, "{sent:?}");
            let mut with_port = headers;
            with_port.insert("host", HeaderValue::from_static("crm.example:443"));
            let is_https = sent.iter().all(|(_, value)| !value.starts_with("http://"));
            assert!(!is_https || is_foreign(&with_port, None, &trusted) == foreign, "{sent:?}");
        }
    }
}
