//! What can be done with users: read through the cache; write, commit, announce.

use super::model::{NewUser, User, UserEdit, UserId, UserQuery};
use super::{cache, store};
use crate::app::{App, Served, Whose};
use crate::body::Body;
use crate::companies::{self, CompanyId};
use crate::database::Statements;
use crate::error::Error;
use crate::http::answer::Seen;
use crate::written::Announced;
use larder::Policy;
use std::sync::Arc;

/// One page of a company's users.
///
/// # Errors
/// [`Error::NotFound`] when there is no such company; what the database reports.
///
/// # Cancel safety
/// As [`App::read`].
pub(super) async fn list(app: &App, company: &CompanyId, query: &UserQuery) -> Result<Served, Error> {
    let key = cache::USERS.key(&cache::list_key(company, query));
    app.read(key, cache::list_policy(company), Whose::Of(company.as_str()), async |mut snapshot| {
        companies::require(&mut snapshot, company).await?;
        Body::of(company, &store::page(&mut snapshot, company, query).await?)
    })
    .await
}

/// One user.
///
/// # Errors
/// [`Error::NotFound`]; what the database reports.
///
/// # Cancel safety
/// As [`App::read`].
pub(super) async fn get(app: &App, id: &UserId) -> Result<Served, Error> {
    app.read(cache::USER.key(id), Policy::new(), Whose::Any, async |mut snapshot| {
        let user = require(&mut snapshot, id).await?;
        Body::of(&user.company_id, &user)
    })
    .await
}

async fn require(statements: &mut impl Statements, id: &UserId) -> Result<User, Error> {
    store::find(statements, id).await?.ok_or(Error::NotFound("user"))
}

/// Adds a user to a company.
///
/// # Errors
/// [`Error::NotFound`] when there is no such company; [`Error::Invalid`], [`Error::Conflict`]; what the database reports.
///
/// # Cancel safety
/// As [`App::finish`].
pub(super) async fn create(
    app: &Arc<App>,
    company: CompanyId,
    new: NewUser,
) -> Result<Announced<User>, Error> {
    let owned = Arc::clone(app);
    app.finish(async move {
        let mut change = owned.database.change().await?;
        companies::require(&mut change, &company).await?;
        let written = store::insert(&mut change, User::new(&company, &new)?).await?;
        owned.commit(change, written).await
    })
    .await
}

/// Changes a user.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Invalid`], and those of a change that somebody else was faster with.
///
/// # Cancel safety
/// As [`App::finish`].
pub(super) async fn update(
    app: &Arc<App>,
    id: UserId,
    edit: UserEdit,
    seen: Seen,
) -> Result<Announced<User>, Error> {
    let owned = Arc::clone(app);
    app.finish(async move {
        let mut change = owned.database.change().await?;
        let user = require(&mut change, &id).await?;
        seen.check(&user, edit.version, user.version)?;
        let written = store::save(&mut change, user.edited(&edit)?).await?;
        owned.commit(change, written).await
    })
    .await
}

/// Removes a user that no deal names.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Conflict`], and those of a change that somebody else was faster with.
///
/// # Cancel safety
/// As [`App::finish`].
pub(super) async fn delete(app: &Arc<App>, id: UserId, seen: Seen) -> Result<Announced<()>, Error> {
    let owned = Arc::clone(app);
    app.finish(async move {
        let mut change = owned.database.change().await?;
        let user = require(&mut change, &id).await?;
        seen.check(&user, None, user.version)?;
        let written = store::delete(&mut change, user).await?;
        owned.commit(change, written.showing(())).await
    })
    .await
}

/// The company of a user, as the cached user says it.
///
/// # Errors
/// [`Error::NotFound`]; what the database reports.
///
/// # Cancel safety
/// As [`App::read`].
pub async fn company_of(app: &App, id: &UserId) -> Result<CompanyId, Error> {
    let user = get(app, id).await?;
    let company = user.body.company.clone().ok_or_else(|| Error::internal("a user without a company"))?;
    Ok(CompanyId::named(company))
}
