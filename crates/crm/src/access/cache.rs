//! How sessions are cached, what ends them, and how often a sign-in may be tried.
//!
//! Not cached: passwords, and the list of a user's own sessions, which is looked at before something is ended.

use super::model::Session;
use crate::caller::UserId;
use crate::users::access_of;
use larder::session::SessionId;
use larder::{Builder, Invalidation, Limit, Space, Tag, Ttl};
use std::time::Duration;

/// The session of a token: who asks.
pub static SESSION: Space<SessionId, Session> = Space::new(
    "session:{token}",
    "Read by every request; ends by sign-out or another role or password; a stale one lets somebody in who was shut out.",
)
.ttl(Ttl::MEDIUM)
.prefix("sessions");

/// Sign-ins that are tried from one address of the network.
pub(super) const FROM_ADDRESS: Limit = Limit::new("sign-in-address", 30, Duration::from_secs(60));
/// Sign-ins that are tried for one user, by whoever has not signed in before: whoever guesses needs years, and whoever knows has time.
pub(super) const FOR_USER: Limit = Limit::new("sign-in-user", 10, Duration::from_secs(600));
/// Sign-ins that are tried from a browser in which this user has signed in before: nobody else can use them up (OWASP, "Slow Down
/// Online Guessing Attacks with Device Cookies").
pub(super) const FROM_DEVICE: Limit = Limit::new("sign-in-device", 10, Duration::from_secs(600));

/// Guesses at its own password, by who has signed in.
pub(super) const OWN_PASSWORD: Limit = Limit::new("own-password", 10, Duration::from_secs(600));
/// Passwords that one admin makes for others.
pub(super) const PASSWORDS_MADE: Limit = Limit::new("passwords-made", 60, Duration::from_secs(600));

/// Makes the spaces known to a cache.
pub fn register(builder: Builder) -> Builder {
    builder.space(&SESSION)
}

/// What a session depends on besides itself.
pub(super) fn depends_on(session: &Session) -> Vec<Tag> {
    session.user_id.iter().map(access_of).collect()
}

/// What is no longer true when one session ends or lasts longer.
pub(super) fn changed(session: &SessionId) -> Invalidation {
    Invalidation::new().key(SESSION.key(session))
}

/// What is no longer true when all sessions of a user end.
pub(super) fn all_ended(user: &UserId) -> Invalidation {
    Invalidation::new().tag(access_of(user))
}

/// What is no longer true when all sessions of everybody end.
pub(super) fn everybody_out() -> Invalidation {
    Invalidation::everything()
}
