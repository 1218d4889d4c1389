//! The SQL of users.

use super::cache;
use super::model::{User, UserQuery, UserSort};
use crate::caller::{CompanyId, UserId};
use crate::database::{Change, Statements};
use crate::error::Error;
use crate::http::csv::Record;
use crate::page::{Page, Select};
use crate::time::Moment;
use crate::words::search_pattern;
use crate::written::Written;

/// The columns of a [`User`], in every `SELECT` of this file.
macro_rules! columns {
    () => {
        "id, company_id, external_id, email, name, role, active, created_at_ms, updated_at_ms, version"
    };
}

/// One user of a company.
///
/// # Errors
/// What the database reports.
pub async fn find(
    statements: &mut impl Statements,
    company: &CompanyId,
    id: &UserId,
) -> Result<Option<User>, Error> {
    let sql = concat!("SELECT ", columns!(), " FROM users WHERE company_id = $1 AND id = $2");
    Ok(sqlx::query_as(sql).bind(company).bind(id).fetch_optional(statements.statement()).await?)
}

/// A user of a company who has to be there.
///
/// # Errors
/// [`Error::NotFound`]; what the database reports.
pub async fn require(
    statements: &mut impl Statements,
    company: &CompanyId,
    id: &UserId,
) -> Result<User, Error> {
    find(statements, company, id).await?.ok_or(Error::NotFound("user"))
}

/// The company that a user belongs to.
///
/// # Errors
/// What the database reports.
pub(super) async fn company_of(
    statements: &mut impl Statements,
    id: &UserId,
) -> Result<Option<CompanyId>, Error> {
    let sql = "SELECT company_id FROM users WHERE id = $1";
    Ok(sqlx::query_scalar(sql).bind(id).fetch_optional(statements.statement()).await?)
}

/// How many admins of a company may sign in, beside this user.
///
/// # Errors
/// What the database reports.
pub(super) async fn count_other_admins(statements: &mut impl Statements, user: &User) -> Result<i64, Error> {
    let sql =
        "SELECT COUNT(*) FROM users WHERE company_id = $1 AND id <> $2 AND role = 'admin' AND active = 1";
    let query = sqlx::query_scalar(sql).bind(&user.company_id).bind(&user.id);
    Ok(query.fetch_one(statements.statement()).await?)
}

/// The imported user of this natural key in its company.
///
/// # Errors
/// What the database reports.
pub async fn by_external_id(
    statements: &mut impl Statements,
    company: &CompanyId,
    external_id: &str,
) -> Result<Option<User>, Error> {
    let sql = concat!("SELECT ", columns!(), " FROM users WHERE company_id = $1 AND external_id = $2");
    let user = sqlx::query_as(sql).bind(company).bind(external_id);
    Ok(user.fetch_optional(statements.statement()).await?)
}

/// One page of a company's users.
///
/// # Errors
/// What the database reports.
pub async fn page(
    statements: &mut impl Statements,
    company: &CompanyId,
    query: &UserQuery,
) -> Result<Page<User>, Error> {
    let column = match query.order.by {
        UserSort::Name => "name",
        UserSort::Created => "created_at_ms",
    };
    let direction = query.order.direction();
    selected(company, query)
        .page(statements, &format!("{column} {direction}, id {direction}"), query.paging)
        .await
}

/// Which of a company's users.
pub(super) fn selected(company: &CompanyId, query: &UserQuery) -> Select {
    // All bound values are text; `active` is the only number, so it is compared as text.
    let active = query.active.map(|active| active.as_number().to_string());
    Select::new(columns!(), "users")
        .and("company_id =", company.as_str(), "")
        .and_if("role =", query.role.map(|role| role.word()), "")
        .and_if("CAST(active AS TEXT) =", active, "")
        .and_if("search_text LIKE", query.search.as_deref().map(search_pattern), r"ESCAPE '\'")
}

/// How many users of a company may sign in.
///
/// # Errors
/// What the database reports.
pub async fn count_active(statements: &mut impl Statements, company: &CompanyId) -> Result<i64, Error> {
    let sql = "SELECT COUNT(*) FROM users WHERE company_id = $1 AND active = 1";
    Ok(sqlx::query_scalar(sql).bind(company).fetch_one(statements.statement()).await?)
}

/// Adds a user.
///
/// # Errors
/// [`Error::Conflict`] when another user has the address; what the database reports.
pub async fn insert(change: &mut Change, user: User) -> Result<Written<User>, Error> {
    let sql = "INSERT INTO users (id, company_id, external_id, email, name, role, active, created_at_ms, \
               updated_at_ms, version, search_text) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    sqlx::query(sql)
        .bind(&user.id)
        .bind(&user.company_id)
        .bind(&user.external_id)
        .bind(&user.email)
        .bind(&user.name)
        .bind(user.role)
        .bind(user.active.as_number())
        .bind(user.created_at)
        .bind(user.updated_at)
        .bind(user.version)
        .bind(user.search_text())
        .execute(change.statement())
        .await
        .map_err(refused)?;
    Ok(written(user))
}

/// Writes a changed user over the row of the version it was made from, and raises the version. Another role, or that it is not active
/// any more, ends all its sessions.
///
/// # Errors
/// [`Error::PreconditionFailed`] when the row has another version; [`Error::Conflict`] when another user has the address.
pub async fn save(change: &mut Change, mut user: User) -> Result<Written<User>, Error> {
    user.updated_at = Moment::now();
    let sql = "UPDATE users SET email = $3, name = $4, role = $5, active = $6, updated_at_ms = $7, \
               search_text = $8, version = version + 1, \
               access_epoch = access_epoch + (CASE WHEN role <> $5 OR active <> $6 THEN 1 ELSE 0 END) \
               WHERE id = $1 AND version = $2";
    let result = sqlx::query(sql)
        .bind(&user.id)
        .bind(user.version)
        .bind(&user.email)
        .bind(&user.name)
        .bind(user.role)
        .bind(user.active.as_number())
        .bind(user.updated_at)
        .bind(user.search_text())
        .execute(change.statement())
        .await
        .map_err(refused)?;
    if result.rows_affected() == 0 {
        return Err(Error::PreconditionFailed);
    }
    user.version += 1;
    Ok(written(user))
}

/// Removes a user who owns no deal.
///
/// # Errors
/// [`Error::Conflict`] when deals name the user; [`Error::PreconditionFailed`] when the row has another version.
pub async fn delete(change: &mut Change, user: User) -> Result<Written<User>, Error> {
    let sql = "DELETE FROM users WHERE id = $1 AND version = $2";
    let query = sqlx::query(sql).bind(&user.id).bind(user.version);
    let result = query.execute(change.statement()).await.map_err(refused)?;
    if result.rows_affected() == 0 {
        return Err(Error::PreconditionFailed);
    }
    let changed = cache::removed(&user);
    Ok(Written::new(user, changed))
}

fn written(user: User) -> Written<User> {
    let changed = cache::changed(&user);
    Written::new(user, changed)
}

fn refused(error: sqlx::Error) -> Error {
    match error.as_database_error() {
        Some(cause) if cause.is_unique_violation() => {
            Error::Conflict("another user has this e-mail address: each user needs its own".to_owned())
        }
        Some(cause) if cause.is_foreign_key_violation() => Error::Conflict(
            "the user still owns deals or contacts: give them to somebody else first, by a hand-over, or set `active` to false"
                .to_owned(),
        ),
        _ => error.into(),
    }
}

impl Record for User {
    const COLUMNS: &'static [&'static str] = &["id", "name", "email", "role", "active", "created_at"];

    fn cells(&self) -> Vec<String> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        vec![
            self.id.to_string(),
            self.name.clone(),
            text(&self.email),
            self.role.to_string(),
            self.active.0.to_string(),
            self.created_at.to_string(),
        ]
    }

    fn id(&self) -> &str {
        self.id.as_str()
    }
}
