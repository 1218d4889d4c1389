//! How sessions are cached, and what ends them.
//!
//! Not cached: passwords, and the list of a user's own sessions, which is looked at before something is ended.

use super::model::Session;
use crate::caller::UserId;
use crate::users::access_of;
use larder::session::SessionId;
use larder::{Builder, Invalidation, Space, Tag, Ttl};

/// The session of a token: who asks.
pub static SESSION: Space<SessionId, Session> = Space::new(
    "session:{token}",
    "Read by every request; ends by sign-out or another role or password; a stale one lets somebody in who was shut out.",
)
.ttl(Ttl::MEDIUM)
.prefix("sessions");

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
