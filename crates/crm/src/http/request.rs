//! What requests carry: ids in the path, JSON in the body, and what the caller has seen.

use super::answer::Seen;
use crate::app::App;
use crate::caller::{Asker, Caller, Operator};
use crate::error::Error;
use crate::words::{MAX_ID_CHARS, is_id_text};
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::header;
use axum::http::request::Parts;
use larder_axum::ClientAddress;
use serde::de::DeserializeOwned;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// Longest body of a request: every field at its longest fits several times.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

// Who asks has been found out ahead of any route (`access::identify`).
impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        match parts.extensions.get::<Self>() {
            Some(caller) => Ok(caller.clone()),
            None if parts.extensions.get::<Operator>().is_some() => {
                Err(Error::Forbidden("this is for the users of a company: sign in as one"))
            }
            None => Err(Error::SignInNeeded),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Operator {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        let operator = parts.extensions.get::<Self>().copied();
        operator.ok_or(Error::Forbidden(
            "this is for whoever runs the service: `crm operator-token` makes a token for that",
        ))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Asker {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        if Operator::from_request_parts(parts, state).await.is_ok() {
            return Ok(Self::Operator);
        }
        Caller::from_request_parts(parts, state).await.map(Self::Caller)
    }
}

/// The address that a request came from; `None` where there is no connection, as in tests of parts.
#[derive(Debug, Clone, Copy)]
pub struct Address(pub Option<ClientAddress>);

impl FromRequestParts<Arc<App>> for Address {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        let proxies = &app.settings.limits.trusted_proxies;
        Ok(Self(ClientAddress::of(&parts.extensions, &parts.headers, proxies)))
    }
}

/// How long a body may take to arrive: the longest that is read takes two seconds at 250 kbit/s.
const BODY_LIMIT: Duration = Duration::from_secs(3);

/// The id in the path.
#[derive(Debug)]
pub struct Id<T>(pub T);

impl<T, S> FromRequestParts<S> for Id<T>
where
    T: From<String>,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let Path(id) = path.map_err(|rejection| Error::BadRequest(rejection.body_text()))?;
        if !is_id_text(&id) {
            return Err(Error::BadRequest(format!(
                "an id has at most {MAX_ID_CHARS} characters, and no control characters"
            )));
        }
        Ok(Self(T::from(id)))
    }
}

/// Whether a request says that its body is of this type.
pub(crate) fn is_declared_as(request: &Request, kind: &str) -> bool {
    let declared = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let declared = declared.unwrap_or_default().split(';').next().unwrap_or_default();
    declared.trim().eq_ignore_ascii_case(kind)
}

/// The body of a request, if all of it arrives in time and is not too long.
pub(crate) async fn body_of<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Error> {
    let read = tokio::time::timeout(BODY_LIMIT, Bytes::from_request(request, state)).await;
    let read = read.map_err(|_elapsed| {
        Error::BadRequest(format!("the body did not arrive within {} s: send it again", BODY_LIMIT.as_secs()))
    })?;
    read.map_err(|rejection| {
        if rejection.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
            Error::TooLong { limit_bytes: MAX_BODY_BYTES }
        } else {
            Error::BadRequest("the body did not arrive in whole: send it again".to_owned())
        }
    })
}

/// A body of JSON whose fields are all known.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T, S> FromRequest<S> for Json<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        if !is_declared_as(&request, "application/json") {
            return Err(Error::NotJson);
        }
        let bytes = body_of(request, state).await?;
        let value = serde_json::from_slice(&bytes).map_err(|error| {
            if error.is_data() {
                Error::WrongShape(format!("the body is not what is expected here: {error}"))
            } else {
                Error::BadRequest(format!("the body is not JSON: {error}"))
            }
        });
        // An array would be read too, as fields without their names, in whatever order they are declared in.
        if value.is_ok() && !bytes.trim_ascii_start().starts_with(b"{") {
            return Err(Error::WrongShape(
                "the body must be a JSON object, with names and values".to_owned(),
            ));
        }
        value.map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Seen {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::new(parts.headers.clone()))
    }
}
