//! Every way in which the application says no: one variant per answer to the client.

use std::sync::Arc;
use std::time::Duration;

/// What is wrong with one field of a request, and what to send instead.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// The field, by its name in the request.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: String,
    /// What to do about it.
    pub fix: String,
}

/// The fields of a request that break a rule; empty means that none does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// Notes that a field breaks a rule.
    pub fn add(&mut self, field: &'static str, problem: impl Into<String>, fix: impl Into<String>) {
        self.0.push(FieldError { field, problem: problem.into(), fix: fix.into() });
    }

    /// The errors, in the order in which they were found.
    #[must_use]
    pub fn list(&self) -> &[FieldError] {
        &self.0
    }

    /// `value` if no field breaks a rule.
    ///
    /// # Errors
    /// These errors, if there are any.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl std::fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let gap = if index == 0 { "" } else { "; " };
            write!(f, "{gap}{}: {}: {}", error.field, error.problem, error.fix)?;
        }
        Ok(())
    }
}

/// Why a request is not answered as asked. Cheap to clone, because callers who shared a load share its failure.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// 404: there is no such thing, or not for this caller.
    #[error("there is no {0} with this id")]
    NotFound(&'static str),
    /// 401: nobody has signed in, or not any more.
    #[error(
        "sign in first: POST /api/auth/login with `email` and `password`, or send a token as `Authorization: Bearer`"
    )]
    SignInNeeded,
    /// 401: whoever wants to sign in is not known by this address and password.
    #[error("no active user has this e-mail address and this password")]
    WrongCredentials,
    /// 403: whoever asks may not do this.
    #[error("{0}")]
    Forbidden(&'static str),
    /// 403: whoever asks has to choose a password first.
    #[error("your password was made by somebody else: choose your own first, with PUT /api/me/password")]
    PasswordChangeNeeded,
    /// 403: a web page of another site wants to change something.
    #[error("this request comes from a web page of another site, and changes nothing here")]
    CrossSite,
    /// 503: too much of what takes a processor is asked for at once.
    #[error("too many sign in at once: try again in a moment")]
    Busy,
    /// 429: this was done too often.
    #[error("too often: try again in {} s", retry_after.as_secs() + 1)]
    TooOften {
        /// How long until it may be done again.
        retry_after: Duration,
    },
    /// 503: as many requests as may be are being answered.
    #[error("too many requests at once: try again in a moment")]
    Overloaded,
    /// 404: no route has this path.
    #[error("nothing is served at this path; `crm --help` lists what is")]
    NoSuchPath,
    /// 405: the path exists, but not for this method.
    #[error("this path does not answer this method; the Allow header lists those that it answers")]
    MethodNotAllowed,
    /// 400: the query or the body cannot be read at all.
    #[error("{0}")]
    BadRequest(String),
    /// 415: the body is not declared as JSON.
    #[error("send the body as JSON, with `Content-Type: application/json`")]
    NotJson,
    /// 413: the body is too long.
    #[error("the body is longer than {limit_bytes} bytes: send only the fields that change")]
    TooLong {
        /// The longest body that is read.
        limit_bytes: usize,
    },
    /// 422: the body is JSON, but a field is missing, unknown or of another type.
    #[error("{0}")]
    WrongShape(String),
    /// 422: fields break rules.
    #[error("{0}")]
    Invalid(FieldErrors),
    /// 409: the request is right, but the present state does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// 409: the row is at another version than the one that the caller saw.
    #[error(
        "`version` is {saw}, but it has been changed since and is at version {version}: read it again, and repeat the change \
         on what it is now"
    )]
    OtherVersion {
        /// What the body says.
        saw: i64,
        /// What the row is at.
        version: i64,
    },
    /// 412: the row is no longer the one that the caller saw.
    #[error("it has been changed since: read it again, and repeat the change on what it is now")]
    PreconditionFailed,
    /// 412: the row is no longer the one that `If-Match` names, as is known from the row itself.
    #[error("it has been changed since: read it again, and repeat the change on what it is now")]
    NoMatch {
        /// What the row is at.
        version: i64,
    },
    /// 503: no answer within the time limit.
    #[error(
        "the request took longer than {limit_ms} ms: try again later; look first whether a change took place all the same"
    )]
    TimedOut {
        /// The limit.
        limit_ms: u64,
    },
    /// 503: the database is busy or away.
    #[error("the database does not answer: try again later")]
    Unavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// 500: a defect, here or below.
    #[error("something is broken on the server; its log says what")]
    Internal(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// A defect, with its cause, which is logged and never shown.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(Arc::from(cause.into()))
    }
}

impl From<FieldErrors> for Error {
    fn from(errors: FieldErrors) -> Self {
        Self::Invalid(errors)
    }
}

impl From<serde_json::Error> for Error {
    /// A view that cannot be written as JSON is a defect.
    fn from(error: serde_json::Error) -> Self {
        Self::internal(error)
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) => {
                Self::Unavailable(Arc::new(error))
            }
            // SQLite's words for a writer that waited longer than busy_timeout: codes 5 (BUSY) and 6 (LOCKED).
            sqlx::Error::Database(inner)
                if matches!(inner.code().as_deref(), Some("5" | "6" | "261" | "517")) =>
            {
                Self::Unavailable(Arc::new(error))
            }
            // PostgreSQL's: somebody else has written the row since this transaction began (40001), or two have waited for each
            // other and this one gave way (40P01).
            sqlx::Error::Database(inner) if matches!(inner.code().as_deref(), Some("40001" | "40P01")) => {
                Self::PreconditionFailed
            }
            // What it refers to was there when it was looked for, and is gone.
            sqlx::Error::Database(inner) if inner.is_foreign_key_violation() => {
                Self::Conflict("something that it refers to is gone: read it again".to_owned())
            }
            // It is stopping or starting (57P01 to 57P03), has too many connections (53300), or somebody else holds the row (55P03).
            sqlx::Error::Database(inner)
                if matches!(
                    inner.code().as_deref(),
                    Some("57P01" | "57P02" | "57P03" | "53300" | "55P03")
                ) =>
            {
                Self::Unavailable(Arc::new(error))
            }
            _ => Self::internal(error),
        }
    }
}
