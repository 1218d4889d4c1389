//! What can be done about access: sign in, be known, and end it again.

use super::model::{
    BROWSER, Credential, DEVICE, MadePassword, MadeToken, Me, NewToken, PasswordChange, PasswordKind,
    Session, SessionHandle, SessionKind, SessionRow, SessionView, SignIn,
};
use super::{cache, store};
use crate::app::App;
use crate::caller::{Act, Caller, UserId};
use crate::companies::{self, Company, NewCompany};
use crate::database::{Database, Single, State};
use crate::error::{Error, FieldErrors};
use crate::password::Password;
use crate::time::Moment;
use crate::trail;
use crate::users::{self, NewUser, User};
use crate::written::Announced;
use larder::session::{SessionId, Token};
use larder::{Limit, Tag};
use larder_axum::{ClientAddress, Current};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

/// No address is longer (RFC 5321, 4.5.3.1.3).
const MAX_EMAIL_BYTES: usize = 254;

/// How long an operator's token lasts that one command makes for itself.
pub const ERRAND: Duration = Duration::from_secs(60);

/// A browser that has signed in.
pub(super) struct SignedIn {
    pub(super) token: Token,
    /// What it is known by at its next sign-in, if it was not before.
    pub(super) device: Option<Token>,
    pub(super) me: Me,
}

/// Who wants to sign in, as far as is known.
#[derive(Debug)]
pub(super) struct Stranger {
    pub(super) address: Option<ClientAddress>,
    pub(super) device: Option<Token>,
}

/// Signs somebody in. That the address is unknown, the password wrong, or the user inactive takes as long and says the same.
///
/// # Errors
/// [`Error::WrongCredentials`], [`Error::TooOften`], [`Error::Busy`]; what the database reports.
///
/// # Cancel safety
/// As [`App::finish`].
pub(super) async fn sign_in(app: &Arc<App>, stranger: Stranger, request: SignIn) -> Result<SignedIn, Error> {
    if let Some(address) = stranger.address {
        spend(app, &cache::FROM_ADDRESS, address).await?;
    }
    let email = request.email.trim().to_lowercase();
    let mut snapshot = app.database.snapshot().await?;
    let credential = match email.contains(char::is_control) || email.len() > MAX_EMAIL_BYTES {
        true => None, // no address, and none that PostgreSQL would take
        false => store::credential_by_email(&mut snapshot, &email).await?,
    };
    let device = match (&stranger.device, &credential) {
        (Some(device), Some(credential))
            if store::is_device(&mut snapshot, &device.id(), &credential.user_id).await? =>
        {
            Some(device.id())
        }
        _ => None,
    };
    drop(snapshot); // hashing takes a while
    match &device {
        Some(device) => spend(app, &cache::FROM_DEVICE, device).await?,
        None => spend(app, &cache::FOR_USER, &email).await?,
    }
    let hash =
        credential.as_ref().filter(|credential| credential.active.0).and_then(|known| known.hash.clone());
    let is_right = request.password.is(hash).await?;
    let credential = credential.filter(|_| is_right).ok_or(Error::WrongCredentials)?;
    forget_expired(app);
    let owned = Arc::clone(app);
    app.finish(async move {
        let (token, new_device) = (Token::new(), device.is_none().then(Token::new));
        let mut change = owned.database.change().await?;
        let row = browser(&token, &credential);
        let written = match &new_device {
            None => store::begin(&mut change, &row).await?,
            Some(device) => {
                let (kind, expires_at) = (SessionKind::Device, row.created_at.plus(DEVICE));
                let device = SessionRow { id: device.id(), kind, expires_at, ..row.clone() };
                store::begin_in(&mut change, &row, &device).await?
            }
        };
        owned.commit(change, written).await?;
        Ok(SignedIn { token, device: new_device, me: credential.into() })
    })
    .await
}

/// Forgets the sessions that have expired, beside what somebody waits for.
fn forget_expired(app: &Arc<App>) {
    let owned = Arc::clone(app);
    app.start_once("expired sessions", async move {
        let forgotten = async {
            let mut change = owned.database.change().await?;
            let written = store::delete_expired(&mut change).await?;
            owned.commit(change, written).await
        };
        match forgotten.await {
            Ok(_) | Err(Error::PreconditionFailed) => {} // or another process was quicker
            Err(error) => tracing::warn!(%error, "expired sessions could not be forgotten; the next sign-in tries again"),
        }
    });
}

async fn spend(app: &App, limit: &Limit, of: impl Display) -> Result<(), Error> {
    let decision = app.cache.limit(limit, of).await;
    if decision.allowed { Ok(()) } else { Err(Error::TooOften { retry_after: decision.retry_after }) }
}

fn browser(token: &Token, credential: &Credential) -> SessionRow {
    let now = Moment::now();
    SessionRow {
        id: token.id(),
        kind: SessionKind::Browser,
        user_id: Some(credential.user_id.clone()),
        access_epoch: credential.access_epoch,
        name: None,
        created_at: now,
        expires_at: BROWSER.begun(now.system_time()).into(),
    }
}

/// The session of a token and what it depends on, from the database; `None` when there is none.
///
/// # Errors
/// What the database reports.
///
/// # Cancel safety
/// Nothing has happened if it is dropped.
pub(super) async fn load(app: &App, id: &SessionId) -> Result<Option<(Session, Vec<Tag>)>, Error> {
    let session = store::session(&mut Single::open(&app.database).await?, id).await?;
    Ok(session.map(|session| {
        let tags = cache::depends_on(&session);
        (session, tags)
    }))
}

/// Lets a session that is used last longer, where that is worth writing down.
pub(super) fn keep(app: &Arc<App>, current: &Current<Session>) {
    if let Some(until) = current.session.renewed(Moment::now()) {
        renew(app, current.id.clone(), until);
    }
}

/// Writes down that a session lasts longer, behind the request that it came with: it holds as it is.
fn renew(app: &Arc<App>, id: SessionId, until: Moment) {
    let owned = Arc::clone(app);
    app.start_once(&id.to_string(), async move {
        let renewed = async {
            let mut change = owned.database.change().await?;
            let written = store::renew(&mut change, &id, until).await?;
            owned.commit(change, written).await
        };
        match renewed.await {
            Ok(_) | Err(Error::PreconditionFailed) => {} // or another process was quicker
            Err(error) => {
                tracing::warn!(%error, "a session could not be renewed; the next request tries again")
            }
        }
    });
}

/// Ends the session that asks.
///
/// # Errors
/// What the database reports.
///
/// # Cancel safety
/// As [`App::finish`].
pub(super) async fn sign_out(app: &Arc<App>, caller: &Caller) -> Result<Announced<()>, Error> {
    end(app, caller.session.clone()).await
}

async fn end(app: &Arc<App>, session: SessionId) -> Result<Announced<()>, Error> {
    let owned = Arc::clone(app);
    app.finish(async move {
        let mut change = owned.database.change().await?;
        let written = store::delete(&mut change, &session).await?;
        owned.commit(change, written).await
    })
    .await
}

/// Who asks.
///
/// # Errors
/// [`Error::SignInNeeded`] when it has been removed meanwhile; what the database reports.
///
/// # Cancel safety
/// Nothing has happened if it is dropped.
pub(super) async fn me(app: &App, caller: &Caller) -> Result<Me, Error> {
    let credential = store::credential(&mut app.database.snapshot().await?, &caller.user).await?;
    Ok(credential.ok_or(Error::SignInNeeded)?.into())
}

/// Changes the password of whoever asks, ends all its sessions, and begins another for this browser.
///
/// # Errors
/// [`Error::Invalid`] when the current password is wrong or the new one is none; [`Error::Busy`]; what the database reports.
///
/// # Cancel safety
/// As [`App::finish`].
pub(super) async fn change_password(
    app: &Arc<App>,
    caller: &Caller,
    request: PasswordChange,
) -> Result<Announced<Token>, Error> {
    let credential = store::credential(&mut app.database.snapshot().await?, &caller.user).await?;
    let credential = credential.ok_or(Error::SignInNeeded)?;
    spend(app, &cache::OWN_PASSWORD, &caller.user).await?;
    let mut errors = FieldErrors::default();
    if !request.current.is(credential.hash.clone()).await? {
        errors.add("current", "is not your password", "give the one that you have signed in with");
    }
    let known = [credential.email.as_deref().unwrap_or_default(), &credential.name, request.current.expose()];
    request.new.check(&mut errors, "new", &known);
    errors.or(())?;
    let hash = request.new.hash().await?;
    let (owned, caller) = (Arc::clone(app), caller.clone());
    app.finish(async move {
        let mut change = owned.database.change().await?;
        // Somebody may have ended this session meanwhile, or given the user another password: that holds.
        let now = store::credential(&mut change, &credential.user_id).await?.ok_or(Error::SignInNeeded)?;
        let is_as_it_was = (&now.hash, now.access_epoch) == (&credential.hash, credential.access_epoch);
        if !is_as_it_was || store::hold(&mut change, &caller.session).await?.is_none() {
            return Err(Error::SignInNeeded);
        }
        let token = Token::new();
        let row = browser(&token, &credential);
        trail::note_secret(&mut change, &caller, ("user", caller.user.as_str()), "password").await?;
        let written = store::set_password_and_begin(&mut change, &credential.user_id, &hash, row).await?;
        owned.commit(change, written.showing(token)).await
    })
    .await
}

/// Makes a password for a user of the same company, which it has to change at its next sign-in, and ends all its sessions.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Forbidden`], [`Error::Conflict`] for a user without an address, [`Error::Busy`]; what the database
/// reports.
///
/// # Cancel safety
/// As [`App::finish`].
pub(super) async fn reset_password(
    app: &Arc<App>,
    caller: &Caller,
    user: UserId,
) -> Result<Announced<MadePassword>, Error> {
    users::within(app, caller, &user).await?;
    caller.may(Act::Administer)?;
    spend(app, &cache::PASSWORDS_MADE, &caller.user).await?;
    let password = Password::generated();
    let hash = password.hash().await?;
    let (owned, caller) = (Arc::clone(app), caller.clone());
    app.finish(async move {
        let mut change = owned.database.change().await?;
        let user = users::require(&mut change, &caller.company, &user).await?;
        if user.email.is_none() {
            return Err(Error::Conflict(
                "the user has no e-mail address to sign in with: give it one first".to_owned(),
            ));
        }
        trail::note_secret(&mut change, &caller, ("user", user.id.as_str()), "password").await?;
        let written = store::set_password(&mut change, &user.id, &hash, PasswordKind::Temporary).await?;
        owned.commit(change, written.showing(MadePassword { password: password.expose().to_owned() })).await
    })
    .await
}

/// The sessions and tokens of whoever asks.
///
/// # Errors
/// What the database reports.
///
/// # Cancel safety
/// Nothing has happened if it is dropped.
pub(super) async fn sessions(app: &App, caller: &Caller) -> Result<Vec<SessionView>, Error> {
    let mut sessions = store::sessions_of(&mut app.database.snapshot().await?, &caller.user).await?;
    for session in &mut sessions {
        session.current = session.digest == caller.session.as_str();
    }
    Ok(sessions)
}

/// Ends one session of whoever asks.
///
/// # Errors
/// [`Error::NotFound`] when it has none of this name; what the database reports.
///
/// # Cancel safety
/// As [`App::finish`].
pub(super) async fn end_session(
    app: &Arc<App>,
    caller: &Caller,
    handle: &SessionHandle,
) -> Result<Announced<()>, Error> {
    let sessions = sessions(app, caller).await?;
    let session =
        sessions.into_iter().find(|session| session.id == *handle).ok_or(Error::NotFound("session"))?;
    end(app, SessionId::parse(&session.digest).ok_or_else(|| Error::internal("a session under no digest"))?)
        .await
}

/// Ends all sessions and tokens of whoever asks but the one that it asks with.
///
/// # Errors
/// What the database reports.
///
/// # Cancel safety
/// As [`App::finish`].
pub(super) async fn end_others(app: &Arc<App>, caller: &Caller) -> Result<Announced<()>, Error> {
    let (owned, caller) = (Arc::clone(app), caller.clone());
    app.finish(async move {
        let mut change = owned.database.change().await?;
        let written = store::delete_others(&mut change, &caller.user, &caller.session).await?;
        owned.commit(change, written).await
    })
    .await
}

/// Makes a token for a program that is to act for whoever asks.
///
/// # Errors
/// [`Error::Invalid`]; what the database reports.
///
/// # Cancel safety
/// As [`App::finish`].
pub(super) async fn make_token(
    app: &Arc<App>,
    caller: &Caller,
    request: NewToken,
) -> Result<Announced<MadeToken>, Error> {
    let (owned, caller) = (Arc::clone(app), caller.clone());
    app.finish(async move {
        let now = Moment::now();
        let (name, expires_at) = request.checked(now)?;
        let mut change = owned.database.change().await?;
        // It may have been ended meanwhile, and then by right: what it makes must not outlive that.
        let held = store::hold(&mut change, &caller.session).await?;
        let (kind, access_epoch) = held.ok_or(Error::SignInNeeded)?;
        if kind != SessionKind::Browser {
            return Err(Error::Forbidden("a token makes no tokens: sign in for it"));
        }
        trail::note_secret(&mut change, &caller, ("user", caller.user.as_str()), "token").await?;
        let credential = store::credential(&mut change, &caller.user).await?.ok_or(Error::SignInNeeded)?;
        let token = Token::new();
        let row = SessionRow {
            access_epoch,
            kind: SessionKind::Token,
            name: Some(name.clone()),
            created_at: now,
            expires_at,
            ..browser(&token, &credential)
        };
        let written = store::begin(&mut change, &row).await?;
        let Announced { row: id, acknowledged } = owned.commit(change, written).await?;
        Ok(Announced {
            row: MadeToken { id, name, token: token.expose().to_owned(), expires_at },
            acknowledged,
        })
    })
    .await
}

/// A browser's session for a user, as by a sign-in, for who has the database in hand.
///
/// # Errors
/// [`Error::NotFound`] when there is no such user; what the database reports.
///
/// # Cancel safety
/// Nothing has happened if it is dropped before its end.
pub async fn issue(database: &Database, user: &UserId) -> Result<Token, Error> {
    let mut change = database.change().await?;
    let credential = store::credential(&mut change, user).await?.ok_or(Error::NotFound("user"))?;
    let token = Token::new();
    let written = store::begin(&mut change, &browser(&token, &credential)).await?;
    change.commit_alone(written).await?;
    Ok(token)
}

/// A token of the operator, for a command that has the database in hand and asks a server that has it too.
///
/// # Errors
/// What the database reports.
///
/// # Cancel safety
/// Nothing has happened if it is dropped before its end.
pub async fn operator_token(database: &Database, lasts: Duration) -> Result<Token, Error> {
    let (token, now) = (Token::new(), Moment::now());
    let row = SessionRow {
        id: token.id(),
        kind: SessionKind::Operator,
        user_id: None,
        access_epoch: 0,
        name: None,
        created_at: now,
        expires_at: now.plus(lasts),
    };
    let mut change = database.change().await?;
    let written = store::begin(&mut change, &row).await?;
    change.commit_alone(written).await?;
    Ok(token)
}

/// Sets the password of a user for who has the database in hand, and ends all its sessions; servers hear of it by the outbox.
///
/// # Errors
/// [`Error::Conflict`] when no user has this address; [`Error::Invalid`]; what the database reports.
///
/// # Cancel safety
/// Nothing has happened if it is dropped before its end.
pub async fn set_password(
    database: &Database,
    email: &str,
    password: &Password,
    kind: PasswordKind,
) -> Result<(), Error> {
    let email = email.trim().to_lowercase();
    let known = store::credential_by_email(&mut database.snapshot().await?, &email).await?;
    let unknown =
        || Error::Conflict(format!("no user has the e-mail address {email}: `crm user add` adds one"));
    let known = known.ok_or_else(unknown)?;
    let hash = new_hash(password, &email, &known.name).await?;
    let mut change = database.change().await?;
    let written = store::set_password(&mut change, &known.user_id, &hash, kind).await?;
    change.commit_alone(written).await
}

/// Adds a user for who has the database in hand, with a company for it if there is none yet; servers hear of it by the outbox.
///
/// # Errors
/// [`Error::Invalid`], [`Error::Conflict`] when another user has the address or there is no such company; what the database reports.
///
/// # Cancel safety
/// Nothing has happened if it is dropped before its end.
pub async fn add_user(
    database: &Database,
    company: Home,
    new: NewUser,
    (password, kind): (&Password, PasswordKind),
) -> Result<User, Error> {
    let hash = new_hash(password, new.email.as_deref().unwrap_or_default(), &new.name).await?;
    let mut change = database.change().await?;
    let (company, founded) = match company {
        Home::Of(name) => (companies::named(&mut change, &name).await?.id, None),
        Home::New(company) => {
            let company = Company::new(&company)?;
            (company.id.clone(), Some(companies::insert(&mut change, company).await?))
        }
    };
    let user = User::new(&company, &new)?;
    let written = users::insert(&mut change, user.clone()).await?;
    store::insert_password(&mut change, &user.id, &hash, kind).await?;
    match founded {
        None => change.commit_alone(written).await?,
        Some(founded) => change.commit_alone(founded.and(written)).await?.1,
    };
    Ok(user)
}

/// The company of a user to be added.
#[derive(Debug, Clone)]
pub enum Home {
    /// The one of this name, or of this id.
    Of(String),
    /// One that is added with it.
    New(NewCompany),
}

async fn new_hash(password: &Password, email: &str, name: &str) -> Result<String, Error> {
    let mut errors = FieldErrors::default();
    password.check(&mut errors, "password", &[email, name]);
    errors.or(())?;
    password.hash().await
}
