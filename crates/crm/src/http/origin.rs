//! Whether a web page of another site is behind a request that changes something.
//!
//! Browsers say so themselves: in `Sec-Fetch-Site`, and, where that is missing, in `Origin`. Whoever sends neither is no browser,
//! and nobody can make it send a cookie. (The protection of Go's `net/http.CrossOriginProtection`; F. Valsorda, "CSRF", 2025.)

use axum::http::{HeaderMap, Method, header};

/// Whether a request changes nothing, by its method (RFC 9110, 9.2.1).
pub(super) fn is_safe(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

/// Whether a request that changes something comes from a page of another site than these.
pub(super) fn is_foreign(headers: &HeaderMap, trusted: &[String]) -> bool {
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
