//! Refusals as RFC 9457 problem documents.

use crate::error::{Error, FieldError};
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// After how many seconds a caller who met a busy server should come back.
const RETRY_AFTER_SECONDS: u64 = 1;

/// The document. Members beyond the standard's are absent when they have nothing to say.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Problem {
    /// Names the kind of problem for programs; the standard asks for a URI.
    r#type: &'static str,
    /// The same for people.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// What is wrong here, and what to do about it.
    detail: String,
    /// The fields that break rules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldError>,
    /// The version of the row, where another one was expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = i64)]
    current_version: Option<i64>,
}

/// What the edge logs of a refusal: its cause is for the log and never for the caller.
#[derive(Debug, Clone)]
pub(crate) struct Refusal(pub(crate) Error);

impl Error {
    fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "urn:crm:problem:not-found", "Not found"),
            Self::NoSuchPath => (StatusCode::NOT_FOUND, "urn:crm:problem:no-such-path", "No such path"),
            Self::SignInNeeded => {
                (StatusCode::UNAUTHORIZED, "urn:crm:problem:sign-in-needed", "Sign in first")
            }
            Self::WrongCredentials => {
                (StatusCode::UNAUTHORIZED, "urn:crm:problem:wrong-credentials", "Wrong address or password")
            }
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "urn:crm:problem:forbidden", "Not allowed"),
            Self::PasswordChangeNeeded => {
                (StatusCode::FORBIDDEN, "urn:crm:problem:password-change-needed", "Choose a password first")
            }
            Self::CrossSite => (StatusCode::FORBIDDEN, "urn:crm:problem:cross-site", "From another site"),
            Self::TooOften { .. } => {
                (StatusCode::TOO_MANY_REQUESTS, "urn:crm:problem:too-often", "Too often")
            }
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "urn:crm:problem:overloaded", "Overloaded"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "urn:crm:problem:busy", "Busy"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "urn:crm:problem:method-not-allowed", "Method not allowed")
            }
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "urn:crm:problem:bad-request", "Bad request"),
            Self::NotJson => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "urn:crm:problem:not-json", "Not JSON"),
            Self::TooLong { .. } => {
                (StatusCode::PAYLOAD_TOO_LARGE, "urn:crm:problem:too-long", "Body too long")
            }
            Self::WrongShape(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "urn:crm:problem:wrong-shape", "Body of another shape")
            }
            Self::Invalid(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "urn:crm:problem:invalid", "Invalid fields")
            }
            Self::Conflict(_) | Self::OtherVersion { .. } => {
                (StatusCode::CONFLICT, "urn:crm:problem:conflict", "Conflict")
            }
            Self::PreconditionFailed | Self::NoMatch { .. } => {
                (StatusCode::PRECONDITION_FAILED, "urn:crm:problem:changed-since", "Changed since")
            }
            Self::TimedOut { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "urn:crm:problem:timed-out", "Timed out")
            }
            Self::Unavailable(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "urn:crm:problem:unavailable", "Temporarily unavailable")
            }
            Self::Internal(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "urn:crm:problem:internal", "Internal error")
            }
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, r#type, title) = self.kind();
        let errors = if let Self::Invalid(errors) = &self { errors.list().to_vec() } else { Vec::new() };
        let current_version = match &self {
            Self::OtherVersion { version, .. } | Self::NoMatch { version } => Some(*version),
            _ => None,
        };
        let (status_code, detail) = (status.as_u16(), self.to_string());
        let problem = Problem { r#type, title, status: status_code, detail, errors, current_version };
        let mut response = (status, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            // What RFC 9110, 11.6.1 asks for: how one could say who one is.
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Self::TooOften { retry_after } = &self {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after.as_secs() + 1));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
        }
        response.extensions_mut().insert(Refusal(self));
        response
    }
}
