//! What can be done with companies: read through the cache; write, commit, announce.

use super::model::{Company, CompanyEdit, CompanyId, CompanyQuery};
use super::{cache, store};
use crate::app::{App, Served, Whose};
use crate::body::Body;
use crate::database::Statements;
use crate::error::Error;
use crate::http::answer::Seen;
use crate::written::Announced;
use larder::Policy;
use std::sync::Arc;

/// One page of all companies.
///
/// # Errors
/// What the database reports.
///
/// # Cancel safety
/// As [`App::read`].
pub(super) async fn list(app: &App, query: &CompanyQuery) -> Result<Served, Error> {
    let key = cache::COMPANIES.key(&cache::list_key(query));
    app.read(key, cache::list_policy(), Whose::Shared, async |mut snapshot| {
        Body::shared(&store::page(&mut snapshot, query).await?)
    })
    .await
}

/// One company.
///
/// # Errors
/// [`Error::NotFound`]; what the database reports.
///
/// # Cancel safety
/// As [`App::read`].
pub async fn get(app: &App, id: &CompanyId) -> Result<Served, Error> {
    app.read(cache::COMPANY.key(id), Policy::new(), Whose::Of(id.as_str()), async |mut snapshot| {
        Body::of(id, &require(&mut snapshot, id).await?)
    })
    .await
}

/// All countries.
///
/// # Errors
/// What the database reports.
///
/// # Cancel safety
/// As [`App::read`].
pub(super) async fn countries(app: &App) -> Result<Served, Error> {
    app.read(cache::COUNTRIES.key(&()), Policy::new(), Whose::Shared, async |mut snapshot| {
        Body::shared(&store::countries(&mut snapshot).await?)
    })
    .await
}

/// A company that has to be there, because what is asked for belongs to it.
///
/// # Errors
/// [`Error::NotFound`]; what the database reports.
///
/// # Cancel safety
/// Nothing has happened if it is dropped.
pub async fn require(statements: &mut impl Statements, id: &CompanyId) -> Result<Company, Error> {
    store::find(statements, id).await?.ok_or(Error::NotFound("company"))
}

/// Changes a company.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Invalid`], and those of a change that somebody else was faster with.
///
/// # Cancel safety
/// As [`App::finish`].
pub(super) async fn update(
    app: &Arc<App>,
    id: CompanyId,
    edit: CompanyEdit,
    seen: Seen,
) -> Result<Announced<Company>, Error> {
    let owned = Arc::clone(app);
    app.finish(async move {
        let mut change = owned.database.change().await?;
        let company = require(&mut change, &id).await?;
        seen.check(&company, edit.version, company.version)?;
        let written = store::save(&mut change, company.edited(&edit)?).await?;
        owned.commit(change, written).await
    })
    .await
}
