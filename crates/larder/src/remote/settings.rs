//! Where Redis is, and how it is spoken to.

use std::fmt;
use std::time::Duration;

use super::address::{Address, Certificates};
use super::names::{Names, is_namespace};
use crate::error::{Error, ErrorKind};

/// 500 ms: ten times what a slow network takes, and short enough for a caller who then asks the database.
const OPERATION_LIMIT: Duration = Duration::from_millis(500);

/// Where Redis or Valkey is, and how it is spoken to, for [`Builder::redis`](crate::Builder::redis).
///
/// A URL alone is enough: what takes a `Redis` takes a `&str` or a `String`, too.
///
/// ```
/// use larder::Redis;
///
/// let redis = Redis::at("rediss://cache:secret@cache.internal:6380/2").namespace("crm");
/// assert!(!format!("{redis:?}").contains("secret"));
/// ```
#[derive(Clone)]
pub struct Redis {
    url: String,
    namespace: String,
    certificates: Certificates,
    operation_limit: Duration,
    local_tier: bool,
    sole: bool,
}

impl Redis {
    /// A server by its URL: `redis://` or `rediss://` (TLS), then `user:password@` where it asks for one, host, port, and
    /// the number of the database. On Unix also `redis+unix:///path/of/the/socket?db=0`.
    pub fn at(url: impl Into<String>) -> Self {
        Redis {
            url: url.into(),
            namespace: String::new(),
            certificates: Certificates::default(),
            operation_limit: OPERATION_LIMIT,
            local_tier: true,
            sole: false,
        }
    }

    /// What stands before all names, so that several applications can share a database: `crm` makes `deal:17` the key
    /// `crm:deal:17`. Letters, digits, `-`, `_` and `.`; by default there is none.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// The certificates, in PEM, of the authorities that may vouch for the server, instead of those of this machine, as they are when
    /// the service is built.
    #[must_use]
    pub fn ca_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.certificates.authorities = Some(pem.into());
        self
    }

    /// The certificate and the key, in PEM, that this client shows.
    #[must_use]
    pub fn client_pem(mut self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.certificates.own = Some((certificate.into(), key.into()));
        self
    }

    /// The longest that one call to Redis may take, after which the connection is given up and the caller does without. By
    /// default 500 ms, at most 650 ms.
    #[must_use]
    pub fn operation_limit(mut self, limit: Duration) -> Self {
        self.operation_limit = limit;
        self
    }

    /// Whether copies of what is read are kept in this process, of which Redis tells when they change: a hit then takes
    /// nanoseconds instead of a round trip, and may be older by a second at most, whatever fails. A space can
    /// [do without](crate::Space::local_tier). By default they are kept.
    ///
    /// What is copied is what reads find in Redis. [`sync`](crate::CacheService::sync) waits until all changes up to then are
    /// known here. A server, or a proxy before it, that tells of no changes is noticed when the connection is made: a copy is then
    /// kept for a second.
    #[must_use]
    pub fn local_tier(mut self, keeps: bool) -> Self {
        self.local_tier = keeps;
        self
    }

    /// This process is the only one that ever uses this Redis, or this namespace of it. Then a Redis that comes back with older data
    /// keeps what is still right: it is sent what this process has removed since, as far as this process remembers; what it has
    /// removed by a glob, or all at once, begins a new era there. A value that was overwritten by a bare `set` may come back. With several
    /// processes each of them would serve what another one had removed; they share a record, as `larder-outbox` keeps it, or begin
    /// with an empty cache. By default it may not be the only one.
    #[must_use]
    pub fn sole(mut self, is_sole: bool) -> Self {
        self.sole = is_sole;
        self
    }

    pub(super) fn is_sole(&self) -> bool {
        self.sole
    }

    pub(super) fn keeps_copies(&self) -> bool {
        self.local_tier
    }

    pub(super) fn limit(&self) -> Duration {
        self.operation_limit
    }

    pub(super) fn names(&self) -> Result<Names, Error> {
        if is_namespace(&self.namespace) {
            return Ok(Names::new(&self.namespace));
        }
        let rule = "the namespace may have letters, digits, `-`, `_` and `.`, and be none of the words that the library uses for its own keys";
        Err(Error::new(ErrorKind::Config, format!("{rule}: `{}` cannot be one", self.namespace)))
    }

    pub(super) fn address(&self) -> Result<Address, Error> {
        Address::new(&self.url, &self.certificates).map_err(|reason| {
            // The URL itself may hold a password.
            let form = "give it as redis://[user:password@]host[:port][/database], or rediss:// for TLS";
            Error::new(ErrorKind::Config, format!("the URL of Redis cannot be used: {reason}; {form}"))
        })
    }
}

impl From<&str> for Redis {
    fn from(url: &str) -> Self {
        Redis::at(url)
    }
}

impl From<String> for Redis {
    fn from(url: String) -> Self {
        Redis::at(url)
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("namespace", &self.namespace).finish_non_exhaustive() // the URL may hold a password
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_cannot_be_used_are_refused_without_their_password() {
        for url in [
            "",
            "localhost",
            "http://u:secret@h/",
            "redis://u:secret@h:port/",
            "redis://u:secret@h/x",
            "rediss://u:secret@h/#insecure",
        ] {
            let error = Redis::at(url).address().expect_err(url);
            assert_eq!(error.kind(), ErrorKind::Config);
            let said = format!("{error} {error:?} {:?}", Redis::at(url));
            assert!(said.contains("redis://[user:password@]") && !said.contains("secret"), "{said}");
        }
        for url in ["redis://localhost", "redis://u:p@[::1]:7000/3", "rediss://h:1/"] {
            Redis::at(url).address().expect(url);
        }
    }

    #[test]
    fn certificates_that_are_none_or_without_tls_and_namespaces_with_colons_are_refused() {
        let (plain, tls) = (Redis::at("redis://localhost"), Redis::at("rediss://localhost"));
        for (redis, says) in [
            (plain.clone().ca_pem("x"), "certificates are for TLS"),
            (plain.client_pem("x", "x"), "certificates are for TLS"),
            (tls.clone().ca_pem("x"), "no certificate in the PEM"),
            (tls.client_pem("x", "x"), "the key of this client is no PEM"),
        ] {
            let error = redis.address().expect_err(says);
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains(says), "{error}");
        }
        assert_eq!(
            Redis::at("redis://h").namespace("a:b").names().expect_err("a colon").kind(),
            ErrorKind::Config
        );
    }
}
