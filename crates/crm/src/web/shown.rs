//! Answers to a browser.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::Markup;
use std::collections::BTreeMap;
use utoipa::IntoResponses;
use utoipa::openapi::{RefOr, Response as Answer, ResponseBuilder};

/// What a page may do: load its own style and script, send forms to where it came from, and nothing else.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// An answer to a browser.
#[derive(Debug)]
pub(super) struct Shown(Response);

impl From<Response> for Shown {
    fn from(response: Response) -> Self {
        Self(response)
    }
}

impl IntoResponse for Shown {
    fn into_response(self) -> Response {
        self.0
    }
}

impl IntoResponses for Shown {
    fn responses() -> BTreeMap<String, RefOr<Answer>> {
        let answer = |what: &str| ResponseBuilder::new().description(what).build().into();
        [
            ("200".to_owned(), answer("The page.")),
            ("303".to_owned(), answer("Another page shows what came of it.")),
        ]
        .into()
    }
}

impl Shown {
    /// A whole page.
    pub(super) fn page(status: StatusCode, page: Markup) -> Self {
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CACHE_CONTROL, "private, no-cache"),
            (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
            (header::REFERRER_POLICY, "same-origin"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        Self((status, headers, page.into_string()).into_response())
    }

    /// Leads to another page, which shows what came of a form.
    pub(super) fn at(path: &str) -> Self {
        let place = HeaderValue::try_from(path).unwrap_or(HeaderValue::from_static("/"));
        Self((StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response())
    }

    /// The same, with these headers besides.
    pub(super) fn with(mut self, headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>) -> Self {
        self.0.headers_mut().extend(headers);
        self
    }
}
