//! The SQL of the trail: it is read here, and written by `trail`.

use super::model::{Entry, EntryQuery};
use crate::caller::{CompanyId, UserId};
use crate::database::Statements;
use crate::error::Error;
use crate::page::{Page, Select};

/// One page of a company's changes, the newest first.
///
/// # Errors
/// What the database reports.
pub(super) async fn page(
    statements: &mut impl Statements,
    company: &CompanyId,
    query: &EntryQuery,
) -> Result<Page<Entry>, Error> {
    Select::new("id, at_ms, user_id, user_name, verb, kind, row_id, changes", "audit")
        .and("company_id =", company.as_str(), "")
        .and_if("row_id =", query.row.as_deref(), "")
        .and_if("user_id =", query.user.as_ref().map(UserId::as_str), "")
        .page(statements, "at_ms DESC, id DESC", query.paging)
        .await
}
