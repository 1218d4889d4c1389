//! What can be done with users: read through the cache; write, commit, announce.

use super::model::{Active, NewUser, User, UserEdit, UserQuery};
use super::{cache, store};
use crate::app::{App, Whose};
use crate::caller::{Act, Caller, CompanyId, Role, UserId};
use crate::database::{Single, Statements};
use crate::error::{Error, FieldErrors};
use crate::http::answer::Seen;
use crate::http::csv::Csv;
use crate::trail;
use crate::written::Announced;
use larder::Policy;
use larder_axum::Body;
use larder_axum::Served;
use std::sync::Arc;

/// One page of a company's users.
///
/// # Errors
/// [`Error::NotFound`] when there is no such company for the caller; what the database reports.
///
/// # Cancel safety
/// As [`App::read`].
pub async fn list(
    app: &App,
    caller: &Caller,
    company: &CompanyId,
    query: &UserQuery,
) -> Result<Served, Error> {
    caller.within(company, "company")?;
    let key = cache::USERS.key(&cache::list_key(company, query));
    app.read(key, cache::list_policy(company), Whose::Of(company.as_str()), async |mut single: Single| {
        Ok(Body::of(company, &store::page(&mut single, company, query).await?)?)
    })
    .await
}

/// All users of a company that a query finds, as a file.
///
/// # Errors
/// [`Error::NotFound`] when there is no such company for the caller; what the database reports.
///
/// # Cancel safety
/// Nothing has happened if it is dropped.
pub(super) async fn export(
    app: &Arc<App>,
    caller: &Caller,
    company: &CompanyId,
    query: &UserQuery,
) -> Result<Csv, Error> {
    caller.within(company, "company")?;
    Csv::of::<User>(app, "users.csv", store::selected(company, query)).await
}

/// One user.
///
/// # Errors
/// [`Error::NotFound`]; what the database reports.
///
/// # Cancel safety
/// As [`App::read`].
pub(super) async fn get(app: &App, caller: &Caller, id: &UserId) -> Result<Served, Error> {
    within(app, caller, id).await?;
    let company = &caller.company;
    app.read(cache::USER.key(id), Policy::new(), Whose::Of(company.as_str()), async |mut single: Single| {
        Ok(Body::of(company, &store::require(&mut single, company, id).await?)?)
    })
    .await
}

/// Hides a user of another company from the caller.
///
/// # Errors
/// [`Error::NotFound`]; what the database reports.
///
/// # Cancel safety
/// As [`App::read`].
pub async fn within(app: &App, caller: &Caller, id: &UserId) -> Result<(), Error> {
    app.within(cache::HOME.key(id), caller, "user", async |mut single: Single| {
        store::company_of(&mut single, id).await
    })
    .await
}

/// Adds a user to a company.
///
/// # Errors
/// [`Error::NotFound`] when there is no such company for the caller; [`Error::Forbidden`], [`Error::Invalid`],
/// [`Error::Conflict`]; what the database reports.
///
/// # Cancel safety
/// As [`App::finish`].
pub(super) async fn create(
    app: &Arc<App>,
    caller: &Caller,
    company: CompanyId,
    new: NewUser,
) -> Result<Announced<User>, Error> {
    caller.within(&company, "company")?;
    caller.may(Act::Administer)?;
    let (owned, caller) = (Arc::clone(app), caller.clone());
    app.finish(async move {
        let mut change = owned.database.change().await?;
        let user = User::new(&company, &new)?;
        trail::note(&mut change, &caller, ("user", user.id.as_str()), None, Some(&user)).await?;
        let written = store::insert(&mut change, user).await?;
        owned.commit(change, written).await
    })
    .await
}

/// Changes a user. Another role, or that it is not active any more, ends all its sessions.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Forbidden`], [`Error::Invalid`], [`Error::Conflict`] when nobody would be left to manage the
/// company, and those of a change that somebody else was faster with.
///
/// # Cancel safety
/// As [`App::finish`].
pub(super) async fn update(
    app: &Arc<App>,
    caller: &Caller,
    id: UserId,
    edit: UserEdit,
    seen: Seen,
) -> Result<Announced<User>, Error> {
    within(app, caller, &id).await?;
    caller.may(Act::Administer)?;
    let (owned, caller) = (Arc::clone(app), caller.clone());
    app.finish(async move {
        let mut change = owned.database.change().await?;
        if edit.role.is_some() || edit.active.is_some() {
            change.exclude_others().await?; // two admins who each take the other's role leave one
        }
        let before = store::require(&mut change, &caller.company, &id).await?;
        seen.check(&before, edit.version, before.version)?;
        let user = before.clone().edited(&edit)?;
        if !manages(&user) {
            keep_an_admin(&mut change, &before).await?;
        }
        trail::note(&mut change, &caller, ("user", id.as_str()), Some(&before), Some(&user)).await?;
        let written = store::save(&mut change, user).await?;
        owned.commit(change, written).await
    })
    .await
}

/// Removes a user that no deal and no contact names.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Forbidden`], [`Error::Conflict`], and those of a change that somebody else was faster with.
///
/// # Cancel safety
/// As [`App::finish`].
pub(super) async fn delete(
    app: &Arc<App>,
    caller: &Caller,
    id: UserId,
    seen: Seen,
) -> Result<Announced<()>, Error> {
    within(app, caller, &id).await?;
    caller.may(Act::Administer)?;
    let (owned, caller) = (Arc::clone(app), caller.clone());
    app.finish(async move {
        let mut change = owned.database.change().await?;
        change.exclude_others().await?;
        let user = store::require(&mut change, &caller.company, &id).await?;
        seen.check(&user, None, user.version)?;
        keep_an_admin(&mut change, &user).await?;
        trail::note(&mut change, &caller, ("user", id.as_str()), Some(&user), None).await?;
        let written = store::delete(&mut change, user).await?;
        owned.commit(change, written.showing(())).await
    })
    .await
}

fn manages(user: &User) -> bool {
    user.role == Role::Admin && user.active == Active(true)
}

/// Refuses to take its last admin from a company.
async fn keep_an_admin(statements: &mut impl Statements, before: &User) -> Result<(), Error> {
    if !manages(before) || store::count_other_admins(statements, before).await? > 0 {
        return Ok(());
    }
    Err(Error::Conflict("nobody else could manage the company: make another user an admin first".to_owned()))
}

/// Notes that somebody is not to own anything, if it is not the one who did `before`: a user who is no active one of the company.
///
/// # Errors
/// What the database reports.
pub async fn check_owner(
    statements: &mut impl Statements,
    errors: &mut FieldErrors,
    company: &CompanyId,
    before: Option<&UserId>,
    owner: Option<&UserId>,
) -> Result<(), Error> {
    let Some(owner) = owner.filter(|owner| before != Some(owner)) else { return Ok(()) };
    match store::find(statements, company, owner).await? {
        None => errors.add("owner_id", "names no user of the company", "give the id of one, or null"),
        Some(user) if !user.active.0 => {
            errors.add("owner_id", "names a user who is not active", "give the id of an active one");
        }
        Some(_) => {}
    }
    Ok(())
}
