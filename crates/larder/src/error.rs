//! What can go wrong, split by what the caller would do about it.

use std::error::Error as StdError;
use std::fmt;

/// Why a cache operation did not do what it was asked.
///
/// The plain doors (`get`, `set`, …) never return it: they answer "not there" or "not stored", count the failure and log
/// it. The `try_` forms hand it out. It never contains a value.
pub struct Error {
    kind: ErrorKind,
    message: String,
    space: Option<&'static str>,
    /// It is a state that lasts, and was logged when it began.
    known: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The kinds of failure, one for each thing that a caller could do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The settings or the declared spaces contradict themselves: mend them and start again.
    Config,
    /// A registered space owns this name and refuses bare sets: load it through `get_or_set`, or write it through with
    /// `set_versioned`, or declare the space with `cache_is_source`.
    Refused,
    /// The key belongs to a space that this service was not built with: register it in the builder.
    Unregistered,
    /// The name, pattern, lifetime or list of tags of this call is not one that a cache can hold.
    InvalidInput,
    /// The value could not be turned into bytes.
    Encode,
    /// The stored bytes are not a value of the type that was asked for.
    Decode,
    /// Redis cannot be used now, or did not do what it was asked.
    Unavailable,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), space: None, known: false, source: None }
    }

    pub(crate) fn in_space(mut self, template: &'static str) -> Self {
        self.space = Some(template);
        self
    }

    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(crate) fn already_known(mut self, known: bool) -> Self {
        self.known = known;
        self
    }

    pub(crate) fn is_known(&self) -> bool {
        self.known
    }

    /// The kind of this failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The template of the space that it concerns, where it concerns one.
    pub fn space(&self) -> Option<&'static str> {
        self.space
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match self.space {
            Some(template) => write!(f, " (space `{template}`)"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind)
            .field("message", &self.message)
            .field("space", &self.space)
            .finish_non_exhaustive()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
