//! What can be asked of the trail. It is not cached: few read it, and each change adds to it.

use super::model::{Entry, EntryQuery};
use super::store;
use crate::app::App;
use crate::caller::{Act, Caller, CompanyId};
use crate::error::Error;
use crate::page::Page;

/// One page of a company's changes, the newest first.
///
/// # Errors
/// [`Error::NotFound`] when there is no such company for the caller; [`Error::Forbidden`]; what the database reports.
///
/// # Cancel safety
/// Nothing has happened if it is dropped.
pub(super) async fn list(
    app: &App,
    caller: &Caller,
    company: &CompanyId,
    query: &EntryQuery,
) -> Result<Page<Entry>, Error> {
    caller.within(company, "company")?;
    caller.may(Act::Oversee)?;
    store::page(&mut app.database.snapshot().await?, company, query).await
}
