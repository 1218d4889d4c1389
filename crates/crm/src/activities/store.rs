//! The SQL of activities.

use super::cache;
use super::model::{Activity, ActivityId, ActivityQuery, Subject};
use crate::caller::CompanyId;
use crate::database::{Change, Statements};
use crate::error::Error;
use crate::page::{Page, Select};
use crate::time::Moment;
use crate::written::Written;

/// The columns of an [`Activity`], in every `SELECT` of this file.
macro_rules! columns {
    () => {
        "id, company_id, deal_id, contact_id, kind, text, author_id, author_name, due_on, done, created_at_ms, \
         updated_at_ms, version"
    };
}

/// An activity of a company that has to be there.
///
/// # Errors
/// [`Error::NotFound`]; what the database reports.
pub(super) async fn require(
    statements: &mut impl Statements,
    company: &CompanyId,
    id: &ActivityId,
) -> Result<Activity, Error> {
    let sql = concat!("SELECT ", columns!(), " FROM activities WHERE company_id = $1 AND id = $2");
    let found = sqlx::query_as(sql).bind(company).bind(id).fetch_optional(statements.statement()).await?;
    found.ok_or(Error::NotFound("activity"))
}

/// The company that an activity belongs to.
///
/// # Errors
/// What the database reports.
pub(super) async fn company_of(
    statements: &mut impl Statements,
    id: &ActivityId,
) -> Result<Option<CompanyId>, Error> {
    let sql = "SELECT company_id FROM activities WHERE id = $1";
    Ok(sqlx::query_scalar(sql).bind(id).fetch_optional(statements.statement()).await?)
}

/// One page of the activities of a deal or contact, the newest first.
///
/// # Errors
/// What the database reports.
pub(super) async fn page(
    statements: &mut impl Statements,
    company: &CompanyId,
    subject: &Subject,
    query: &ActivityQuery,
) -> Result<Page<Activity>, Error> {
    let column = match subject {
        Subject::Deal(_) => "deal_id =",
        Subject::Contact(_) => "contact_id =",
    };
    Select::new(columns!(), "activities")
        .and(column, subject.id(), "")
        .and("company_id =", company.as_str(), "")
        .and_if("kind =", query.kind.map(|kind| kind.word()), "")
        .page(statements, "created_at_ms DESC, id DESC", query.paging)
        .await
}

/// Adds an activity.
///
/// # Errors
/// What the database reports.
pub(super) async fn insert(change: &mut Change, activity: Activity) -> Result<Written<Activity>, Error> {
    let sql = "INSERT INTO activities (id, company_id, deal_id, contact_id, kind, text, author_id, author_name, due_on, \
               done, created_at_ms, updated_at_ms, version) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    sqlx::query(sql)
        .bind(&activity.id)
        .bind(&activity.company_id)
        .bind(&activity.deal_id)
        .bind(&activity.contact_id)
        .bind(activity.kind)
        .bind(&activity.text)
        .bind(&activity.author_id)
        .bind(&activity.author_name)
        .bind(activity.due_on)
        .bind(i64::from(activity.done.0))
        .bind(activity.created_at)
        .bind(activity.updated_at)
        .bind(activity.version)
        .execute(change.statement())
        .await?;
    Ok(written(activity))
}

/// Writes a changed activity over the row of the version it was made from, and raises the version.
///
/// # Errors
/// [`Error::PreconditionFailed`] when the row has another version.
pub(super) async fn save(change: &mut Change, mut activity: Activity) -> Result<Written<Activity>, Error> {
    activity.updated_at = Moment::now();
    let sql = "UPDATE activities SET text = $3, due_on = $4, done = $5, updated_at_ms = $6, version = version + 1 \
               WHERE id = $1 AND version = $2";
    let result = sqlx::query(sql)
        .bind(&activity.id)
        .bind(activity.version)
        .bind(&activity.text)
        .bind(activity.due_on)
        .bind(i64::from(activity.done.0))
        .bind(activity.updated_at)
        .execute(change.statement())
        .await?;
    if result.rows_affected() == 0 {
        return Err(Error::PreconditionFailed);
    }
    activity.version += 1;
    Ok(written(activity))
}

/// Removes an activity.
///
/// # Errors
/// [`Error::PreconditionFailed`] when the row has another version.
pub(super) async fn delete(change: &mut Change, activity: Activity) -> Result<Written<Activity>, Error> {
    let sql = "DELETE FROM activities WHERE id = $1 AND version = $2";
    let query = sqlx::query(sql).bind(&activity.id).bind(activity.version);
    if query.execute(change.statement()).await?.rows_affected() == 0 {
        return Err(Error::PreconditionFailed);
    }
    Ok(written(activity))
}

fn written(activity: Activity) -> Written<Activity> {
    let changed = cache::changed(&activity);
    Written::new(activity, changed)
}
