//! What can be done with companies: read through the cache; write, commit, announce.

use super::model::{Company, CompanyEdit, CompanyQuery};
use super::{cache, store};
use crate::app::{App, Whose};
use crate::caller::{Act, Asker, Caller, CompanyId};
use crate::database::{Single, Statements};
use crate::error::Error;
use crate::http::answer::Seen;
use crate::trail;
use crate::written::Announced;
use larder::Policy;
use larder_axum::Body;
use larder_axum::Served;
use std::sync::Arc;

/// One page of the companies that are there for whoever asks: a user's own, or the operator's, who sees all.
///
/// # Errors
/// What the database reports.
///
/// # Cancel safety
/// As [`App::read`].
pub(super) async fn list(app: &App, asker: &Asker, query: &CompanyQuery) -> Result<Served, Error> {
    let only = asker.company();
    let key = cache::COMPANIES.key(&cache::list_key(only, query));
    let whose = only.map_or(Whose::Shared, |company| Whose::Of(company.as_str()));
    app.read(key, cache::list_policy(only), whose, async |mut single: Single| {
        let page = store::page(&mut single, only, query).await?;
        Ok(only.map_or_else(|| Body::shared(&page), |company| Body::of(company, &page))?)
    })
    .await
}

/// One company, as its users see it.
///
/// # Errors
/// [`Error::NotFound`]; what the database reports.
///
/// # Cancel safety
/// As [`App::read`].
pub async fn get(app: &App, caller: &Caller, id: &CompanyId) -> Result<Served, Error> {
    caller.within(id, "company")?;
    load(app, id).await
}

/// One company, whoever asks.
///
/// # Errors
/// [`Error::NotFound`]; what the database reports.
///
/// # Cancel safety
/// As [`App::read`].
pub async fn load(app: &App, id: &CompanyId) -> Result<Served, Error> {
    app.read(cache::COMPANY.key(id), Policy::new(), Whose::Of(id.as_str()), async |mut single: Single| {
        Ok(Body::of(id, &require(&mut single, id).await?)?)
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
    app.read(cache::COUNTRIES.key(&()), Policy::new(), Whose::Shared, async |mut single: Single| {
        Ok(Body::shared(&store::countries(&mut single).await?)?)
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
/// [`Error::NotFound`], [`Error::Forbidden`], [`Error::Invalid`], and those of a change that somebody else was faster with.
///
/// # Cancel safety
/// As [`App::finish`].
pub(super) async fn update(
    app: &Arc<App>,
    caller: &Caller,
    id: CompanyId,
    edit: CompanyEdit,
    seen: Seen,
) -> Result<Announced<Company>, Error> {
    caller.within(&id, "company")?;
    caller.may(Act::Administer)?;
    let (owned, caller) = (Arc::clone(app), caller.clone());
    app.finish(async move {
        let mut change = owned.database.change().await?;
        let before = require(&mut change, &id).await?;
        seen.check(&before, edit.version, before.version)?;
        let company = before.clone().edited(&edit)?;
        trail::note(&mut change, &caller, ("company", id.as_str()), Some(&before), Some(&company)).await?;
        let written = store::save(&mut change, company).await?;
        owned.commit(change, written).await
    })
    .await
}
