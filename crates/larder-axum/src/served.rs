//! The answer to a cached read, and what it says of itself.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use larder::{Freshness, Read};

use crate::body::Body;

/// Says where an answer came from: see [`Source::word`].
pub const X_CACHE: HeaderName = HeaderName::from_static("x-cache");

/// Where the body of a read came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The cache of this process.
    HitLocal,
    /// Redis.
    Hit,
    /// The cache of this process, as it was when Redis was last there.
    Stale,
    /// The database, by this caller's load or one that it shared.
    Miss,
    /// The database, past the cache.
    Bypass,
}

impl Source {
    /// The word in the `X-Cache` header.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::HitLocal => "hit-local",
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Miss => "miss",
            Self::Bypass => "bypass",
        }
    }
}

impl From<(larder::Source, Freshness)> for Source {
    fn from((source, freshness): (larder::Source, Freshness)) -> Self {
        match source {
            _ if matches!(freshness, Freshness::Stale { .. }) => Self::Stale,
            larder::Source::Local => Self::HitLocal,
            larder::Source::Remote => Self::Hit,
            larder::Source::Bypass => Self::Bypass,
            // `Loaded` and `Joined`: whoever shared another's load waited for the database too.
            _ => Self::Miss,
        }
    }
}

/// A read to be answered: the stored bytes, with `ETag`, `X-Cache`, `Age`, and `Cache-Control` by which whoever keeps it asks again
/// before using it.
#[derive(Debug, Clone)]
pub struct Served {
    /// What is sent.
    pub body: Arc<Body>,
    /// Where it came from.
    pub source: Source,
    /// How long ago it was read from the database.
    pub age: Duration,
}

impl Served {
    /// What was read, if it is this owner's: `None` for what is another's, of which not one byte is served.
    #[must_use]
    pub fn to(owner: Option<&str>, read: Read<Body>) -> Option<Self> {
        let is_theirs = read.value.owner.as_deref() == owner;
        is_theirs.then(|| Self {
            source: (read.source, read.freshness).into(),
            age: read.age,
            body: read.value,
        })
    }
}

impl IntoResponse for Served {
    fn into_response(self) -> Response {
        let mut response = self.body.respond(StatusCode::OK);
        let headers = response.headers_mut();
        headers.insert(X_CACHE, HeaderValue::from_static(self.source.word()));
        headers.insert(header::AGE, HeaderValue::from(self.age.as_secs()));
        // Whoever keeps an answer asks again before using it: what is stale here is for the server to know.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_where_it_came_from() {
        let (fresh, stale) = (Freshness::Fresh, Freshness::Stale { age: Duration::ZERO });
        for (source, freshness, word) in [
            (larder::Source::Local, fresh, "hit-local"),
            (larder::Source::Local, stale, "stale"),
            (larder::Source::Remote, fresh, "hit"),
            (larder::Source::Loaded, fresh, "miss"),
            (larder::Source::Joined, fresh, "miss"),
            (larder::Source::Bypass, Freshness::Bypass, "bypass"),
        ] {
            assert_eq!(Source::from((source, freshness)).word(), word);
        }
    }
}
