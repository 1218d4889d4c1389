//! How rows become answers: entity tags, where they came from, and what a change is answered with.

use crate::error::Error;
use crate::written::Announced;
use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use larder::Acknowledged;
use larder_axum::{Body, Weak, names_tag};
use serde::Serialize;
use std::sync::Arc;

/// Says of a change what is certain: `applied`, no answer that is not from a copy in a process is older any more; or `durable`, it will be
/// so in a moment, since Redis could not be told.
pub const X_ACKNOWLEDGED: HeaderName = HeaderName::from_static("x-acknowledged");

fn acknowledge(mut response: Response, acknowledged: Acknowledged) -> Response {
    let word = if acknowledged >= Acknowledged::Applied { "applied" } else { "durable" };
    response.headers_mut().insert(X_ACKNOWLEDGED, HeaderValue::from_static(word));
    response
}

/// The row that a change has made, as a read would show it.
#[derive(Debug)]
pub struct Changed<T>(pub Announced<T>);

impl<T: Serialize> IntoResponse for Changed<T> {
    fn into_response(self) -> Response {
        let Announced { row, acknowledged } = self.0;
        match Body::shared(&row) {
            Ok(body) => acknowledge(Arc::new(body).respond(StatusCode::OK), acknowledged),
            Err(error) => Error::from(error).into_response(),
        }
    }
}

/// A row that a request has added, and where it is to be found.
#[derive(Debug)]
pub struct Created<T> {
    /// The row.
    pub made: Announced<T>,
    /// Its path.
    pub location: String,
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        let mut response = Changed(self.made).into_response();
        if response.status() == StatusCode::OK {
            *response.status_mut() = StatusCode::CREATED;
            if let Ok(location) = HeaderValue::try_from(self.location) {
                response.headers_mut().insert(header::LOCATION, location);
            }
        }
        response
    }
}

/// Something that was made and is shown this once: it holds a secret, and is kept by nobody.
#[derive(Debug)]
pub struct Made<T, const STATUS: u16>(pub Announced<T>);

impl<T: Serialize, const STATUS: u16> IntoResponse for Made<T, STATUS> {
    fn into_response(self) -> Response {
        let Announced { row, acknowledged } = self.0;
        let mut response = acknowledge(private(row), acknowledged);
        *response.status_mut() = StatusCode::from_u16(STATUS).unwrap_or_default();
        response
    }
}

/// An answer about whoever asks, which nobody keeps.
pub fn private(view: impl Serialize) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(view)).into_response()
}

/// The row is gone.
#[derive(Debug, Clone, Copy)]
pub struct Gone(pub Announced<()>);

impl IntoResponse for Gone {
    fn into_response(self) -> Response {
        acknowledge(StatusCode::NO_CONTENT.into_response(), self.0.acknowledged)
    }
}

/// What the caller says it saw of the row that it wants to change: its `If-Match` header.
#[derive(Debug, Clone, Default)]
pub struct Seen(HeaderMap);

impl Seen {
    pub(crate) const fn new(headers: HeaderMap) -> Self {
        Self(headers)
    }

    /// Refuses the change when the row is not what the caller saw: by `If-Match`, against the row as a read would show it
    /// now, and by the version in the body, against that of the row.
    ///
    /// # Errors
    /// [`Error::NoMatch`] or [`Error::OtherVersion`], which say the version of the row; [`Error::Internal`] when the view cannot be written as JSON.
    pub fn check(&self, view: &impl Serialize, saw: Option<i64>, version: i64) -> Result<(), Error> {
        if let Some(saw) = saw.filter(|saw| *saw != version) {
            return Err(Error::OtherVersion { saw, version });
        }
        if !self.0.contains_key(header::IF_MATCH) {
            return Ok(());
        }
        let etag = Body::shared(view)?.etag;
        if names_tag(&self.0, &header::IF_MATCH, &etag, Weak::Never) {
            Ok(())
        } else {
            Err(Error::NoMatch { version })
        }
    }
}
