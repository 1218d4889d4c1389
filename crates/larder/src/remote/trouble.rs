//! What can be wrong with Redis, and what its answers are made of.

use std::fmt;

use super::reply::{Refusal, Reply};
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

impl From<&Refusal> for Trouble {
    fn from(Refusal { code, words }: &Refusal) -> Self {
        match &**code {
            "OOM" => Trouble::Full,
            "WRONGTYPE" => Trouble::WrongType,
            "NOPERM" => Trouble::Forbidden(words.clone()),
            code => {
                // An unknown command is told with its arguments, and among them may be a password, or another tenant's key.
                let words = words.split(", with args").next().unwrap_or_default();
                Trouble::Refused(format!("{code} {words}"))
            }
        }
    }
}

/// A string, or nothing.
pub(super) fn string(reply: Reply) -> Result<Option<Vec<u8>>, Trouble> {
    match reply {
        Reply::Bytes(bytes) => Ok(Some(bytes)),
        Reply::Nil => Ok(None),
        Reply::Error(refusal) => Err(Trouble::from(&refusal)),
        _ => Err(Trouble::Garbled),
    }
}

/// A whole number.
pub(super) fn integer(reply: &Reply) -> Result<i64, Trouble> {
    match reply {
        Reply::Int(number) => Ok(*number),
        Reply::Error(refusal) => Err(Trouble::from(refusal)),
        _ => Err(Trouble::Garbled),
    }
}

/// A yes, or the nothing that stands for a no.
pub(super) fn okay(reply: &Reply) -> Result<bool, Trouble> {
    match reply {
        Reply::Okay => Ok(true),
        Reply::Nil => Ok(false),
        Reply::Error(refusal) => Err(Trouble::from(refusal)),
        _ => Err(Trouble::Garbled),
    }
}

/// A text.
pub(super) fn text(reply: Reply) -> Result<String, Trouble> {
    match reply {
        Reply::Text(text) => Ok(text), // RESP3 gives INFO so
        reply => Ok(String::from_utf8_lossy(&string(reply)?.ok_or(Trouble::Garbled)?).into_owned()),
    }
}
