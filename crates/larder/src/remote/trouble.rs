//! What can be wrong with Redis, and what its answers are made of.

use std::fmt;

use redis::{ErrorKind, RedisError, ServerError, Value};

use crate::error::{self, Error};

/// Why Redis did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// There is no connection that may be used; the reason says why.
    Away(String),
    /// No answer came in time.
    TimedOut,
    /// The connection broke.
    Lost(String),
    /// Its memory is full and it may not evict.
    Full,
    /// The key holds something else than a string.
    WrongType,
    /// The user that we are may not do this; that says nothing about who the server is.
    Forbidden(String),
    /// It said no.
    Refused(String),
    /// The answer is none that this command has.
    Garbled,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Away(reason) => write!(f, "Redis is away: {reason}"),
            Trouble::TimedOut => f.write_str("Connection timeout"),
            Trouble::Lost(reason) => write!(f, "Connection lost: {reason}"),
            Trouble::Full => f.write_str("Redis has no memory left; raise maxmemory or let it evict"),
            Trouble::WrongType => f.write_str("the key holds another type of Redis than a string"),
            Trouble::Forbidden(words) => {
                write!(
                    f,
                    "Redis forbids it to this user: {words}; deploy/users.acl has the rights that are needed"
                )
            }
            Trouble::Refused(words) => write!(f, "Redis refused: {words}"),
            Trouble::Garbled => f.write_str("the answer is none that Redis gives to this command"),
        }
    }
}

impl Trouble {
    /// Nobody is left to ask.
    pub(crate) fn ended() -> Trouble {
        Trouble::Away("the service has ended".to_owned())
    }

    /// Whether what was asked may have been done all the same.
    pub(crate) fn leaves_open(&self) -> bool {
        matches!(self, Trouble::TimedOut | Trouble::Lost(_) | Trouble::Garbled)
    }

    /// Whether a connection on which this happened may not be trusted any further: what it says may be of another
    /// server, of another role, or of nobody.
    pub(super) fn is_of_the_connection(&self) -> bool {
        !matches!(self, Trouble::Full | Trouble::WrongType | Trouble::Forbidden(_))
    }
}

impl From<Trouble> for Error {
    fn from(trouble: Trouble) -> Self {
        // That a connection is given up, and why, and that the server is full, is logged once, where it is noticed.
        let known = trouble.is_of_the_connection() || trouble == Trouble::Full;
        Error::new(error::ErrorKind::Unavailable, trouble.to_string()).already_known(known)
    }
}

impl From<&ServerError> for Trouble {
    fn from(error: &ServerError) -> Self {
        match error.code() {
            "OOM" => Trouble::Full,
            "WRONGTYPE" => Trouble::WrongType,
            "NOPERM" => Trouble::Forbidden(error.details().unwrap_or_default().to_owned()),
            code => {
                // An unknown command is told with its arguments, and among them may be another tenant's key.
                let details = error.details().unwrap_or_default();
                let words = details.split(", with args").next().unwrap_or_default();
                Trouble::Refused(format!("{code} {words}"))
            }
        }
    }
}

impl From<RedisError> for Trouble {
    fn from(error: RedisError) -> Self {
        match error.kind() {
            ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::AuthenticationFailed => {
                // A server that does not know a command repeats its arguments, a password among them.
                let words = error.to_string();
                Trouble::Refused(words.split(", with args").next().unwrap_or_default().to_owned())
            }
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => Trouble::Garbled,
            _ => Trouble::Lost(error.to_string()),
        }
    }
}

/// A string, or nothing.
pub(super) fn string(value: Value) -> Result<Option<Vec<u8>>, Trouble> {
    match value {
        Value::BulkString(bytes) => Ok(Some(bytes)),
        Value::Nil => Ok(None),
        Value::ServerError(error) => Err(Trouble::from(&error)),
        _ => Err(Trouble::Garbled),
    }
}

/// A whole number.
pub(super) fn integer(value: &Value) -> Result<i64, Trouble> {
    match value {
        Value::Int(number) => Ok(*number),
        Value::ServerError(error) => Err(Trouble::from(error)),
        _ => Err(Trouble::Garbled),
    }
}

/// A yes, or the nothing that stands for a no.
pub(super) fn okay(value: &Value) -> Result<bool, Trouble> {
    match value {
        Value::Okay => Ok(true),
        Value::Nil => Ok(false),
        Value::ServerError(error) => Err(Trouble::from(error)),
        _ => Err(Trouble::Garbled),
    }
}

/// A text.
pub(super) fn text(value: Value) -> Result<String, Trouble> {
    match value {
        Value::SimpleString(text) => Ok(text),
        // RESP3 gives INFO as a text that says its format.
        Value::VerbatimString { text, .. } => Ok(text),
        value => Ok(String::from_utf8_lossy(&string(value)?.ok_or(Trouble::Garbled)?).into_owned()),
    }
}
