//! Sessions: whoever shows a token is who it was given to, for as long as the application says so.
//!
//! The application keeps its sessions in its database, under the digest of their tokens, and that is the truth. Here they are found
//! at the price of a cache hit, and end everywhere when the application removes what they depend on: by the key of one session at
//! sign-out, by a tag when what its user may do has changed. As everywhere, a copy in another process may be a second older.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//!
//! use larder::session::{self, Lifetime, SessionId, Token, Visitor};
//! use larder::{CacheService, Space, Tag, Ttl};
//!
//! static SESSION: Space<SessionId, Visitor> =
//!     Space::new("session:{id}", "Read by every request; ends at sign-out; a stale one lets somebody in.").ttl(Ttl::MEDIUM);
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cache = CacheService::builder().space(&SESSION).build()?;
//! let lifetime = Lifetime { idle: Duration::from_secs(7 * 86_400), absolute: Duration::from_secs(30 * 86_400) };
//!
//! // At sign-in: the token goes to the client, its digest and the rest into the database.
//! let token = Token::new();
//! let (row_id, expires_at) = (token.id(), lifetime.begun(SystemTime::now()));
//!
//! // At each request.
//! let shown = Token::parse(token.expose()).ok_or("not a token")?;
//! let found = session::find(&cache, &SESSION, &shown, async |id| {
//!     let row = (id == row_id).then(|| Visitor { subject: "ann".to_owned(), expires_at }); // queried by `id`
//!     Ok::<_, std::convert::Infallible>(row.map(|visitor| (visitor, vec![Tag::new("user", "ann")])))
//! });
//! assert_eq!(found.await?.map(|visitor| visitor.subject.clone()).as_deref(), Some("ann"));
//!
//! // At sign-out, and when the user is not who it was: once that is committed.
//! cache.delete(SESSION.key(&row_id)).await;
//! cache.invalidate_tag(Tag::new("user", "ann")).await;
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rand::RngExt;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::codec::Value;
use crate::key::{Id, KeyWriter, Space, Tag};
use crate::service::{CacheService, Policy};

/// Bytes of a token and of its digest: nobody guesses 256 bits.
const BYTES: usize = 32;

/// A session is written anew when it would last longer by this part of its idle limit: one write in so many, not one a request.
const RENEWALS: u32 = 16;

/// The secret of one session: 64 hexadecimal digits, drawn at random. It is shown to its client once and kept nowhere; what is kept
/// is its [`id`](Token::id).
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// What a session is kept under: the SHA-256 of its token, as 64 hexadecimal digits. Whoever reads it cannot sign in with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(String);

/// What an application keeps of a session.
pub trait Session {
    /// From when on it is none any more.
    fn expires_at(&self) -> SystemTime;
}

/// A session that says no more than whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visitor {
    /// Whose it is, as the application names its users.
    pub subject: String,
    /// From when on it is none any more.
    pub expires_at: SystemTime,
}

impl Visitor {
    /// One that begins now.
    pub fn lasting(subject: impl Into<String>, lifetime: Duration) -> Visitor {
        Visitor { subject: subject.into(), expires_at: SystemTime::now() + lifetime }
    }
}

impl Session for Visitor {
    fn expires_at(&self) -> SystemTime {
        self.expires_at
    }
}

/// How long sessions last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// How long one lasts that is not used.
    pub idle: Duration,
    /// How long one lasts at most, however often it is used.
    pub absolute: Duration,
}

impl Token {
    /// A new one, by the operating system's seeded generator.
    #[expect(clippy::new_without_default, reason = "a secret is made on purpose, never filled in")]
    pub fn new() -> Token {
        Token(hex(&rand::rng().random::<[u8; BYTES]>()))
    }

    /// The token that a client shows, if the text can be one; whether it is, [`find`] tells.
    pub fn parse(text: &str) -> Option<Token> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 2 * BYTES && text.bytes().all(is_digit)).then(|| Token(text.to_owned()))
    }

    /// The secret itself, to be handed to its client.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What the session is kept under.
    pub fn id(&self) -> SessionId {
        SessionId(hex(&Sha256::digest(self.0.as_bytes())))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

impl SessionId {
    /// The id of these digits, if it can be one.
    pub fn parse(digits: &str) -> Option<SessionId> {
        Token::parse(digits).map(|Token(digits)| SessionId(digits))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Id for SessionId {
    const SEGMENTS: usize = 1;

    fn write(&self, key: &mut KeyWriter<'_>) {
        key.segment(&self.0);
    }
}

impl Lifetime {
    /// When a session that begins now expires.
    pub fn begun(&self, now: SystemTime) -> SystemTime {
        now + self.idle.min(self.absolute)
    }

    /// When a session that is used now expires from now on, if that is worth writing down: one that has lasted for a sixteenth of
    /// the idle limit since it was, and has not come near its absolute limit. Once that is committed, its key is to be removed from the
    /// cache.
    pub fn renewed(&self, begun: SystemTime, expires_at: SystemTime, now: SystemTime) -> Option<SystemTime> {
        let later = (now + self.idle.min(self.absolute)).min(begun + self.absolute);
        let gained = later.duration_since(expires_at).ok()?;
        (gained > self.idle / RENEWALS).then_some(later)
    }
}

/// The session of a token: from the cache, or by `load`, which answers the row with this id and the tags that it depends on, and
/// may run twice for a session that is new to the cache (see [`CacheService::get_or_set_tagged`]). `None` when there is none, or it
/// has expired; whoever lets a session last longer removes its key, for what is cached is not looked up again. That there is none is not cached: whoever can be asked by strangers limits how often.
///
/// # Consistency
/// As for [`CacheService::get_or_set`].
///
/// # Errors
/// What `load` reports.
///
/// # Cancel safety
/// As for [`CacheService::get_or_set`].
pub async fn find<S, E, F, Fut>(
    cache: &CacheService,
    space: &Space<SessionId, S>,
    token: &Token,
    load: F,
) -> Result<Option<Arc<S>>, E>
where
    S: Session + Value,
    E: Clone + Send + Sync + 'static,
    F: Fn(SessionId) -> Fut,
    Fut: Future<Output = Result<Option<(S, Vec<Tag>)>, E>>,
{
    let id = token.id();
    let read = cache.get_or_set_tagged(space.key(&id), Policy::new(), || async {
        load(id.clone()).await.map_err(Missing::Failed)?.ok_or(Missing::Nobody)
    });
    match read.await {
        Ok(read) => Ok((read.value.expires_at() > SystemTime::now()).then_some(read.value)),
        Err(Missing::Nobody) => Ok(None),
        Err(Missing::Failed(error)) => Err(error),
    }
}

/// Why a load found no session.
#[derive(Clone)]
enum Missing<E> {
    Nobody,
    Failed(E),
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut digits, byte| {
        digits.push(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]));
        digits.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
        digits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const LIFETIME: Lifetime = Lifetime { idle: DAY, absolute: Duration::from_secs(10 * 86_400) };

    #[test]
    fn a_token_is_read_back_and_shows_itself_to_nobody() {
        let token = Token::new();
        assert_eq!(Token::parse(token.expose()), Some(token.clone()));
        assert_ne!(Token::new(), token);
        assert_eq!(format!("{token:?}"), "Token(***)");
        // SHA-256 of sixty-four zeros as text, by `printf %064d 0 | sha256sum`.
        let zeros = Token::parse(&"0".repeat(64)).unwrap();
        assert_eq!(zeros.id().as_str(), "60e05bd1b195af2f94112fa7197a5c88289058840ce7c6df9693756bc6250f55");
    }

    #[test]
    fn what_cannot_be_a_token_is_none() {
        let good = "0".repeat(64);
        for text in [
            "",
            "a",
            &good[1..],
            &format!("{good}0"),
            &good.replacen('0', "G", 1),
            &"A".repeat(64),
            &"é".repeat(32),
        ] {
            assert_eq!(Token::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_session_that_is_used_lasts_and_not_for_ever() {
        let begun = SystemTime::UNIX_EPOCH;
        let expires_at = LIFETIME.begun(begun);
        assert_eq!(expires_at, begun + DAY);
        assert_eq!(LIFETIME.renewed(begun, expires_at, begun + DAY / 20), None, "not worth a write");
        assert_eq!(LIFETIME.renewed(begun, expires_at, begun + DAY / 10), Some(begun + DAY + DAY / 10));
        let late = begun + DAY * 19 / 2;
        assert_eq!(LIFETIME.renewed(begun, late + DAY / 10, late), Some(begun + DAY * 10));
        assert_eq!(LIFETIME.renewed(begun, begun + DAY * 10, begun + DAY * 10 - DAY / 100), None);
    }
}
