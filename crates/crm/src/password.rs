//! Passwords: never shown, never kept, slow to guess.
//!
//! What is kept is the Argon2id hash (RFC 9106) as a PHC string, with the memory, passes and lanes that OWASP's cheat sheet on
//! password storage asks for: 19 MiB, 2, 1. One hash takes some tens of milliseconds of a processor.

use crate::error::{Error, FieldErrors};
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use rand::RngExt;
use serde::Deserialize;
use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Fewest characters of a password.
pub const MIN_CHARS: usize = 10;
/// Most characters of a password: room for any phrase, no room for a novel to be hashed.
pub const MAX_CHARS: usize = 200;

/// Hashes at a time: each takes 19 MiB and a whole processor, so that a flood of sign-ins leaves some for those who have signed in.
const AT_A_TIME: usize = 2;
/// How long a sign-in waits for its turn.
const TURN_LIMIT: Duration = Duration::from_secs(5);

static TURNS: Semaphore = Semaphore::const_new(AT_A_TIME);

/// The hash of a password that nobody knows: checking against it takes as long as checking against anybody's.
static NOBODYS: LazyLock<String> =
    LazyLock::new(|| hash_now(&Password::generated()).unwrap_or_else(|_no_randomness| String::new()));

/// A password as somebody typed it. It shows itself to nobody.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Password(String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(***)")
    }
}

impl utoipa::PartialSchema for Password {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        let text = utoipa::openapi::schema::ObjectBuilder::new();
        let text = text.schema_type(utoipa::openapi::schema::Type::String);
        let secret = utoipa::openapi::KnownFormat::Password;
        text.format(Some(utoipa::openapi::SchemaFormat::KnownFormat(secret))).into()
    }
}

impl utoipa::ToSchema for Password {}

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Password {
    /// One that nobody has chosen: 20 letters and digits without those that look alike, some 99 bits.
    #[must_use]
    pub fn generated() -> Self {
        const LETTERS: &[u8; 31] = b"abcdefghijkmnpqrstuvwxyz3456789";
        let mut random = rand::rng();
        Self((0..20).map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())])).collect())
    }

    /// The secret itself, to be handed to whoever is to use it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Notes what is wrong with it as a new password, for a user of this address and name. Length is what counts, not kinds of
    /// characters (NIST SP 800-63B, 3.1.1.2).
    pub fn check(&self, errors: &mut FieldErrors, field: &'static str, known: &[&str]) {
        let chars = self.0.chars().count();
        if chars < MIN_CHARS {
            errors.add(
                field,
                "is too short",
                format!("give at least {MIN_CHARS} characters: a few words make a good one"),
            );
        }
        if chars > MAX_CHARS {
            errors.add(field, "is too long", format!("give at most {MAX_CHARS} characters"));
        }
        let lower = self.0.to_lowercase();
        let is_known = known.iter().any(|known| lower == known.to_lowercase());
        if is_known || lower.chars().all(|letter| lower.starts_with(letter)) {
            errors.add(
                field,
                "is guessed at once",
                "give one that does not follow from the name or a single key",
            );
        }
    }

    /// The hash that is kept of it.
    ///
    /// # Errors
    /// [`Error::Busy`] when too many wait for their turn.
    ///
    /// # Cancel safety
    /// Nothing has happened if it is dropped.
    pub async fn hash(&self) -> Result<String, Error> {
        let password = self.clone();
        in_turn(move || hash_now(&password)).await?
    }

    /// Whether it is the one that this hash is kept of; against nobody's hash it takes as long.
    ///
    /// # Errors
    /// [`Error::Busy`] when too many wait for their turn.
    ///
    /// # Cancel safety
    /// Nothing has happened if it is dropped.
    pub async fn is(&self, hash: Option<String>) -> Result<bool, Error> {
        let password = self.clone();
        in_turn(move || {
            let is_somebodys = hash.is_some();
            let hash = hash.unwrap_or_else(|| NOBODYS.clone());
            let Ok(hash) = PasswordHash::new(&hash) else { return false };
            let is_right = Argon2::default().verify_password(password.0.as_bytes(), &hash).is_ok();
            is_right && is_somebodys
        })
        .await
    }
}

fn hash_now(password: &Password) -> Result<String, Error> {
    let hash = Argon2::default().hash_password(password.0.as_bytes());
    Ok(hash.map_err(|error| Error::internal(error.to_string()))?.to_string())
}

async fn in_turn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let turn = tokio::time::timeout(TURN_LIMIT, TURNS.acquire()).await.map_err(|_elapsed| Error::Busy)?;
    let turn = turn.map_err(Error::internal)?;
    let done = tokio::task::spawn_blocking(move || {
        let _held_until_done = turn; // also when nobody waits for it any more
        work()
    });
    done.await.map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_by_its_hash_and_by_nothing_else() {
        testkit::run(async {
            let password = Password::generated();
            let hash = password.hash().await.unwrap();
            assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
            assert!(
                !hash.contains(password.expose()) && !format!("{password:?}").contains(password.expose())
            );
            assert!(password.is(Some(hash.clone())).await.unwrap());
            assert_ne!(hash, password.hash().await.unwrap(), "salted");
            assert!(!Password::generated().is(Some(hash)).await.unwrap());
            for nobodys in [None, Some(String::new()), Some("$argon2id$".to_owned())] {
                assert!(!password.is(nobodys).await.unwrap());
            }
        });
    }

    #[test]
    fn what_is_guessed_at_once_is_refused() {
        for (password, good) in [
            ("short", false),
            ("correct horse battery", true),
            ("aaaaaaaaaaaaaaaa", false),
            ("ANN@EXAMPLE.COM", false),
            ("äöüäöüäöüä", true),
        ] {
            let mut errors = FieldErrors::default();
            Password::from(password.to_owned()).check(&mut errors, "password", &["ann@example.com"]);
            assert_eq!(errors.list().is_empty(), good, "{password}");
        }
        let mut errors = FieldErrors::default();
        Password::from("ab".repeat(101)).check(&mut errors, "password", &[]);
        assert_eq!(errors.list().len(), 1);
    }
}
