//! Conditional reads (RFC 9110, 13): whoever has an answer already is told so, without a body.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::response::Response;
use tower::{Service, ServiceExt};

use crate::around::{Wrap, layer};

/// A layer that answers a read with 304 whose `If-None-Match` names the entity tag of its answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conditional;

layer!(Conditional);

impl Wrap for Conditional {
    async fn wrap<S>(self: Arc<Self>, request: Request, mut inner: S) -> Result<Response, S::Error>
    where
        S: Service<Request, Response = Response, Error: Send, Future: Send> + Send,
    {
        let is_read = [Method::GET, Method::HEAD].contains(request.method());
        let known: HeaderMap = if is_read { conditions(request.headers()) } else { HeaderMap::new() };
        let response = inner.ready().await?.call(request).await?;
        let etag = response.headers().get(header::ETAG).and_then(|etag| etag.to_str().ok());
        let is_known = etag.is_some_and(|etag| names_tag(&known, &header::IF_NONE_MATCH, etag, Weak::Counts));
        if !is_known || response.status() != StatusCode::OK {
            return Ok(response);
        }
        let (mut parts, _what_is_known) = response.into_parts();
        parts.status = StatusCode::NOT_MODIFIED;
        for of_the_body in [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::CONTENT_ENCODING] {
            parts.headers.remove(of_the_body);
        }
        Ok(Response::from_parts(parts, Body::empty()))
    }
}

fn conditions(headers: &HeaderMap) -> HeaderMap {
    let values = headers.get_all(header::IF_NONE_MATCH).iter().cloned();
    values.map(|value| (header::IF_NONE_MATCH, value)).collect()
}

/// Whether weak entity tags count: for `If-None-Match` they do, for `If-Match` they do not (RFC 9110, 13.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weak {
    /// They do.
    Counts,
    /// They do not.
    Never,
}

/// Whether an `If-None-Match` or `If-Match` header names this entity tag. Weak tags name it too where `weak` says so.
#[must_use]
pub fn names_tag(headers: &HeaderMap, header: &HeaderName, etag: &str, weak: Weak) -> bool {
    headers
        .get_all(header)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|tag| {
            let tag = tag.trim();
            tag == "*" || tag == etag || (weak == Weak::Counts && tag.strip_prefix("W/") == Some(etag))
        })
}
