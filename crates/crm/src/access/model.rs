//! What a session is, and how long it lasts.

use crate::caller::{Caller, CompanyId, Role, UserId};
use crate::checks;
use crate::error::FieldErrors;
use crate::password::Password;
use crate::time::Moment;
use crate::users::Active;
use crate::words::{id, word_enum};
use larder::session::{Lifetime, SessionId};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a browser stays signed in: a week after it was last seen, and a month at most.
pub(super) const BROWSER: Lifetime = Lifetime {
    idle: Duration::from_secs(7 * DAY.as_secs()),
    absolute: Duration::from_secs(30 * DAY.as_secs()),
};

/// How long it is remembered of a browser that its user has signed in there.
pub(super) const DEVICE: Duration = Duration::from_secs(366 * DAY.as_secs());

/// How long a program's token lasts when nobody says.
const TOKEN_DAYS: u32 = 90;
/// How long it lasts at most.
const MAX_TOKEN_DAYS: u32 = 366;

word_enum! {
    /// Who holds a token.
    SessionKind {
        /// A browser, as a cookie: it slides.
        Browser = "browser",
        /// A program that acts for a user.
        Token = "token",
        /// A browser in which its user has signed in before: it lets nobody in.
        Device = "device",
        /// Whoever runs the service.
        Operator = "operator",
    }
}

word_enum! {
    /// How somebody came by its password.
    PasswordKind {
        /// It chose it.
        Own = "own",
        /// An admin made it, and it is to be changed at the next sign-in.
        Temporary = "temporary",
        /// It stands in the manual.
        Demo = "demo",
    }
}

/// A session, as it is cached and asked for at each request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Session {
    /// Who holds it.
    pub kind: SessionKind,
    /// Whose it is; an operator's is nobody's.
    pub user_id: Option<UserId>,
    /// The name of that user.
    pub name: Option<String>,
    /// The company of that user.
    pub company_id: Option<CompanyId>,
    /// What that user may do.
    pub role: Option<Role>,
    /// How that user came by its password.
    pub password_kind: Option<PasswordKind>,
    /// When it began.
    #[sqlx(rename = "created_at_ms")]
    pub created_at: Moment,
    /// From when on it is none any more.
    #[sqlx(rename = "expires_at_ms")]
    pub expires_at: Moment,
}

impl larder::session::Session for Session {
    fn expires_at(&self) -> SystemTime {
        self.expires_at.system_time()
    }
}

impl Session {
    /// Who asks with it; `None` for an operator's.
    #[must_use]
    pub fn caller(&self, session: SessionId) -> Option<Caller> {
        Some(Caller {
            user: self.user_id.clone()?,
            name: self.name.clone()?,
            company: self.company_id.clone()?,
            role: self.role?,
            session,
            must_change_password: self.kind == SessionKind::Browser
                && self.password_kind == Some(PasswordKind::Temporary),
        })
    }

    /// When it is to expire from now on, if that is worth writing down.
    #[must_use]
    pub fn renewed(&self, now: Moment) -> Option<Moment> {
        if self.kind != SessionKind::Browser {
            return None;
        }
        let (created, expires) = (self.created_at.system_time(), self.expires_at.system_time());
        BROWSER.renewed(created, expires, now.system_time()).map(Moment::from)
    }
}

/// A session to be written down.
#[derive(Debug, Clone)]
pub struct SessionRow {
    /// The digest of its token.
    pub id: SessionId,
    /// Who holds it.
    pub kind: SessionKind,
    /// Whose it is.
    pub user_id: Option<UserId>,
    /// The epoch of that user in which it begins.
    pub access_epoch: i64,
    /// What it is for.
    pub name: Option<String>,
    /// When it begins.
    pub created_at: Moment,
    /// When it expires.
    pub expires_at: Moment,
}

id! {
    /// Names one session to its user.
    SessionHandle
}

/// A session as its user sees it.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct SessionView {
    /// Names it, to end it.
    #[sqlx(rename = "handle")]
    pub id: SessionHandle,
    /// A browser, or a program's token.
    pub kind: SessionKind,
    /// What it is for.
    pub name: Option<String>,
    /// When it began.
    #[sqlx(rename = "created_at_ms")]
    pub created_at: Moment,
    /// When it expires.
    #[sqlx(rename = "expires_at_ms")]
    pub expires_at: Moment,
    /// Whether it is the one that asks.
    #[sqlx(default)]
    pub current: bool,
    /// Its digest, which says so.
    #[serde(skip)]
    #[sqlx(rename = "id")]
    pub digest: String,
}

/// What somebody has to sign in with.
#[derive(Clone, sqlx::FromRow)]
pub struct Credential {
    /// Who it is.
    pub user_id: UserId,
    /// Its company.
    pub company_id: CompanyId,
    /// Its name.
    pub name: String,
    /// Its address.
    pub email: Option<String>,
    /// What it may do.
    pub role: Role,
    /// Whether it may sign in at all.
    pub active: Active,
    /// The epoch in which a session would begin.
    pub access_epoch: i64,
    /// The hash of its password; it cannot sign in without one.
    pub hash: Option<String>,
    /// How it came by that.
    pub password_kind: Option<PasswordKind>,
}

/// A request to sign in.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "jana.petersen@nordlicht.example", "password": "demo-password"}))]
pub struct SignIn {
    /// The address.
    pub email: String,
    /// The password.
    pub password: Password,
}

/// A request to change one's own password.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"current": "demo-password", "new": "four words nobody knows"}))]
pub struct PasswordChange {
    /// The one that holds.
    pub current: Password,
    /// The one that is to hold.
    pub new: Password,
}

/// A request for a program's token.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "nightly export", "days": 30}))]
pub struct NewToken {
    /// What it is for.
    #[schema(schema_with = crate::checks::schema::required_text)]
    pub name: String,
    /// How many days it lasts.
    #[serde(default = "token_days")]
    pub days: u32,
}

const fn token_days() -> u32 {
    TOKEN_DAYS
}

impl NewToken {
    /// What it is for, and when it expires.
    ///
    /// # Errors
    /// The fields that break a rule.
    pub fn checked(&self, now: Moment) -> Result<(String, Moment), FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = checks::required_text(&mut errors, "name", &self.name);
        if !(1..=MAX_TOKEN_DAYS).contains(&self.days) {
            errors.add("days", "is out of range", format!("give a number from 1 to {MAX_TOKEN_DAYS}"));
        }
        errors.or((name, now.plus(DAY * self.days)))
    }
}

/// What a sign-in, and `/api/me`, answer.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Me {
    /// Who it is.
    pub user_id: UserId,
    /// Its company.
    pub company_id: CompanyId,
    /// Its name.
    pub name: String,
    /// Its address.
    pub email: Option<String>,
    /// What it may do.
    pub role: Role,
    /// Whether it has to choose a password before it may do anything else.
    pub must_change_password: bool,
}

impl From<Credential> for Me {
    fn from(credential: Credential) -> Self {
        let must_change_password = credential.password_kind == Some(PasswordKind::Temporary);
        let Credential { user_id, company_id, name, email, role, .. } = credential;
        Self { user_id, company_id, name, email, role, must_change_password }
    }
}

/// A token that was made, shown this once.
#[derive(Clone, Serialize, utoipa::ToSchema)]
pub struct MadeToken {
    /// Names it, to end it.
    pub id: SessionHandle,
    /// What it is for.
    pub name: String,
    /// The secret, to be sent as `Authorization: Bearer`.
    pub token: String,
    /// When it expires.
    pub expires_at: Moment,
}

/// A password that was made, shown this once.
#[derive(Clone, Serialize, utoipa::ToSchema)]
pub struct MadePassword {
    /// The secret, to be handed to its user, who has to change it at the next sign-in.
    pub password: String,
}

/// Without its secret.
impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("user_id", &self.user_id).finish_non_exhaustive()
    }
}

/// Without its secret.
impl std::fmt::Debug for MadeToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MadeToken").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Without its secret.
impl std::fmt::Debug for MadePassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MadePassword").finish_non_exhaustive()
    }
}
