//! The SQL of passwords and sessions.

use super::cache;
use super::model::{Credential, PasswordKind, Session, SessionHandle, SessionKind, SessionRow, SessionView};
use crate::caller::UserId;
use crate::database::{Change, Statements};
use crate::error::Error;
use crate::time::Moment;
use crate::written::Written;
use larder::Invalidation;
use larder::session::SessionId;

macro_rules! credential {
    ($condition:literal) => {
        concat!(
            "SELECT u.id AS user_id, u.company_id, u.name, u.email, u.role, u.active, u.access_epoch, p.hash, \
             p.kind AS password_kind FROM users u LEFT JOIN passwords p ON p.user_id = u.id WHERE ",
            $condition
        )
    };
}

/// What the user of an address has to sign in with.
///
/// # Errors
/// What the database reports.
pub(super) async fn credential_by_email(
    statements: &mut impl Statements,
    email: &str,
) -> Result<Option<Credential>, Error> {
    let query = sqlx::query_as(credential!("u.email = $1")).bind(email);
    Ok(query.fetch_optional(statements.statement()).await?)
}

/// What a user has to sign in with.
///
/// # Errors
/// What the database reports.
pub(super) async fn credential(
    statements: &mut impl Statements,
    user: &UserId,
) -> Result<Option<Credential>, Error> {
    let query = sqlx::query_as(credential!("u.id = $1")).bind(user);
    Ok(query.fetch_optional(statements.statement()).await?)
}

/// Sets the password of a user, and ends all its sessions.
///
/// # Errors
/// What the database reports.
pub(super) async fn set_password(
    change: &mut Change,
    user: &UserId,
    hash: &str,
    kind: PasswordKind,
) -> Result<Written<()>, Error> {
    insert_password(change, user, hash, kind).await?;
    let sql = "UPDATE users SET access_epoch = access_epoch + 1 WHERE id = $1";
    sqlx::query(sql).bind(user).execute(change.statement()).await?;
    // The browsers in which it has signed in are its own still.
    let sql = "DELETE FROM sessions WHERE user_id = $1 AND kind <> 'device'";
    sqlx::query(sql).bind(user).execute(change.statement()).await?;
    Ok(Written::new((), cache::all_ended(user)))
}

/// Sets the password of a user who has not signed in yet, so that nothing depends on it.
///
/// # Errors
/// What the database reports.
pub async fn insert_password(
    change: &mut Change,
    user: &UserId,
    hash: &str,
    kind: PasswordKind,
) -> Result<(), Error> {
    let sql = "INSERT INTO passwords (user_id, hash, kind, changed_at_ms) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash, kind = excluded.kind, \
               changed_at_ms = excluded.changed_at_ms";
    let query = sqlx::query(sql).bind(user).bind(hash).bind(kind).bind(Moment::now());
    query.execute(change.statement()).await?;
    Ok(())
}

/// How many users have the password of the manual.
///
/// # Errors
/// What the database reports.
pub async fn count_demo_passwords(statements: &mut impl Statements) -> Result<i64, Error> {
    let sql = "SELECT COUNT(*) FROM passwords WHERE kind = 'demo'";
    Ok(sqlx::query_scalar(sql).fetch_one(statements.statement()).await?)
}

/// The session of a token, if it holds.
///
/// # Errors
/// What the database reports.
pub(super) async fn session(
    statements: &mut impl Statements,
    id: &SessionId,
) -> Result<Option<Session>, Error> {
    let sql = "SELECT s.kind, s.user_id, u.name, u.company_id, u.role, p.kind AS password_kind, s.created_at_ms, s.expires_at_ms \
               FROM sessions s LEFT JOIN users u ON u.id = s.user_id LEFT JOIN passwords p ON p.user_id = s.user_id \
               WHERE s.id = $1 AND s.kind <> 'device' AND (s.user_id IS NULL OR (u.active = 1 AND u.access_epoch = s.access_epoch))";
    let query = sqlx::query_as(sql).bind(id.as_str());
    Ok(query.fetch_optional(statements.statement()).await?)
}

/// Whether a browser is one in which this user has signed in before.
///
/// # Errors
/// What the database reports.
pub(super) async fn is_device(
    statements: &mut impl Statements,
    device: &SessionId,
    user: &UserId,
) -> Result<bool, Error> {
    let sql = "SELECT COUNT(*) FROM sessions \
               WHERE id = $1 AND user_id = $2 AND kind = 'device' AND expires_at_ms > $3";
    let query = sqlx::query_scalar(sql).bind(device.as_str()).bind(user).bind(Moment::now());
    let found: i64 = query.fetch_one(statements.statement()).await?;
    Ok(found > 0)
}

/// Begins a session, and remembers the browser it is in. Answers the session's handle.
///
/// # Errors
/// What the database reports.
pub(super) async fn begin_in(
    change: &mut Change,
    row: &SessionRow,
    device: &SessionRow,
) -> Result<Written<SessionHandle>, Error> {
    insert(change, device).await?;
    begin(change, row).await
}

/// Forgets the sessions that have expired: they are none any more, so that nothing depends on it.
///
/// # Errors
/// What the database reports.
pub(super) async fn delete_expired(change: &mut Change) -> Result<Written<()>, Error> {
    let sql = "DELETE FROM sessions WHERE expires_at_ms < $1";
    sqlx::query(sql).bind(Moment::now()).execute(change.statement()).await?;
    Ok(Written::new((), Invalidation::new()))
}

/// Begins a session. Nobody has asked for it yet, so that nothing depends on it. Answers its
/// handle.
///
/// # Errors
/// What the database reports.
pub(super) async fn begin(change: &mut Change, row: &SessionRow) -> Result<Written<SessionHandle>, Error> {
    Ok(Written::new(insert(change, row).await?, Invalidation::new()))
}

/// Sets the password of a user, ends all its sessions, and begins the one of `row` in the epoch that follows.
///
/// # Errors
/// What the database reports.
pub(super) async fn set_password_and_begin(
    change: &mut Change,
    user: &UserId,
    hash: &str,
    row: SessionRow,
) -> Result<Written<SessionHandle>, Error> {
    let written = set_password(change, user, hash, PasswordKind::Own).await?;
    let handle = insert(change, &SessionRow { access_epoch: row.access_epoch + 1, ..row }).await?;
    Ok(written.showing(handle))
}

async fn insert(change: &mut Change, row: &SessionRow) -> Result<SessionHandle, Error> {
    let handle = SessionHandle::new();
    let sql = "INSERT INTO sessions (id, handle, kind, user_id, access_epoch, name, created_at_ms, expires_at_ms) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    sqlx::query(sql)
        .bind(row.id.as_str())
        .bind(&handle)
        .bind(row.kind)
        .bind(&row.user_id)
        .bind(row.access_epoch)
        .bind(&row.name)
        .bind(row.created_at)
        .bind(row.expires_at)
        .execute(change.statement())
        .await?;
    Ok(handle)
}

/// Lets a session last longer, unless somebody else has meanwhile.
///
/// # Errors
/// What the database reports.
pub(super) async fn renew(change: &mut Change, id: &SessionId, until: Moment) -> Result<Written<()>, Error> {
    let sql = "UPDATE sessions SET expires_at_ms = $2 WHERE id = $1 AND expires_at_ms < $2";
    sqlx::query(sql).bind(id.as_str()).bind(until).execute(change.statement()).await?;
    Ok(Written::new((), cache::changed(id)))
}

/// Keeps a session from being ended before this change ends, if it is there still. Answers who holds it, and the epoch in which it
/// holds.
///
/// # Errors
/// What the database reports.
pub(super) async fn hold(change: &mut Change, id: &SessionId) -> Result<Option<(SessionKind, i64)>, Error> {
    // A row that is written is one that nobody else removes or has removed, in PostgreSQL too.
    let sql = "UPDATE sessions SET expires_at_ms = expires_at_ms WHERE id = $1";
    sqlx::query(sql).bind(id.as_str()).execute(change.statement()).await?;
    let sql = "SELECT kind, access_epoch FROM sessions WHERE id = $1";
    Ok(sqlx::query_as(sql).bind(id.as_str()).fetch_optional(change.statement()).await?)
}

/// Ends a session.
///
/// # Errors
/// What the database reports.
pub(super) async fn delete(change: &mut Change, id: &SessionId) -> Result<Written<()>, Error> {
    sqlx::query("DELETE FROM sessions WHERE id = $1").bind(id.as_str()).execute(change.statement()).await?;
    Ok(Written::new((), cache::changed(id)))
}

/// Ends all sessions of a user but one.
///
/// # Errors
/// What the database reports.
pub(super) async fn delete_others(
    change: &mut Change,
    user: &UserId,
    but: &SessionId,
) -> Result<Written<()>, Error> {
    let sql = "DELETE FROM sessions WHERE user_id = $1 AND id <> $2 AND kind <> 'device'";
    sqlx::query(sql).bind(user).bind(but.as_str()).execute(change.statement()).await?;
    Ok(Written::new((), cache::all_ended(user)))
}

/// Ends all sessions of everybody. Answers how many.
///
/// # Errors
/// What the database reports.
pub async fn end_all(change: &mut Change) -> Result<Written<u64>, Error> {
    // The browsers in which somebody has signed in let nobody in.
    let sql = "DELETE FROM sessions WHERE kind <> 'device'";
    let ended = sqlx::query(sql).execute(change.statement()).await?.rows_affected();
    Ok(Written::new(ended, cache::everybody_out()))
}

/// The sessions of a user that hold, the newest first.
///
/// # Errors
/// What the database reports.
pub(super) async fn sessions_of(
    statements: &mut impl Statements,
    user: &UserId,
) -> Result<Vec<SessionView>, Error> {
    let sql = "SELECT s.id, s.handle, s.kind, s.name, s.created_at_ms, s.expires_at_ms \
               FROM sessions s JOIN users u ON u.id = s.user_id AND u.access_epoch = s.access_epoch \
               WHERE s.user_id = $1 AND s.kind <> 'device' AND s.expires_at_ms > $2 ORDER BY s.created_at_ms DESC, s.id";
    let query = sqlx::query_as(sql).bind(user).bind(Moment::now());
    Ok(query.fetch_all(statements.statement()).await?)
}
