//! What can be done with contacts: read through the cache; write, commit, announce.

use super::model::{Contact, ContactEdit, ContactId, ContactQuery, NewContact};
use super::{cache, store};
use crate::app::{App, Whose};
use crate::caller::{Act, Caller, CompanyId};
use crate::database::{Change, Single};
use crate::error::{Error, FieldErrors};
use crate::http::answer::Seen;
use crate::http::csv::Csv;
use crate::trail;
use crate::users;
use crate::written::Announced;
use larder::Policy;
use larder_axum::Body;
use larder_axum::Served;
use std::sync::Arc;

/// One page of a company's contacts.
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
    query: &ContactQuery,
) -> Result<Served, Error> {
    caller.within(company, "company")?;
    let key = cache::CONTACTS.key(&cache::list_key(company, query));
    app.read(key, cache::list_policy(company), Whose::Of(company.as_str()), async |mut single: Single| {
        Ok(Body::of(company, &store::page(&mut single, company, query).await?)?)
    })
    .await
}

/// All contacts of a company that a query finds, as a file.
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
    query: &ContactQuery,
) -> Result<Csv, Error> {
    caller.within(company, "company")?;
    Csv::of::<Contact>(app, "contacts.csv", store::selected(company, query)).await
}

/// One contact.
///
/// # Errors
/// [`Error::NotFound`]; what the database reports.
///
/// # Cancel safety
/// As [`App::read`].
pub async fn get(app: &App, caller: &Caller, id: &ContactId) -> Result<Served, Error> {
    within(app, caller, id).await?;
    let company = &caller.company;
    app.read(
        cache::CONTACT.key(id),
        Policy::new(),
        Whose::Of(company.as_str()),
        async |mut single: Single| Ok(Body::of(company, &store::require(&mut single, company, id).await?)?),
    )
    .await
}

/// Hides a contact of another company from the caller.
///
/// # Errors
/// [`Error::NotFound`]; what the database reports.
///
/// # Cancel safety
/// As [`App::read`].
pub async fn within(app: &App, caller: &Caller, id: &ContactId) -> Result<(), Error> {
    app.within(cache::HOME.key(id), caller, "contact", async |mut single: Single| {
        store::company_of(&mut single, id).await
    })
    .await
}

/// Adds a contact to a company.
///
/// # Errors
/// [`Error::NotFound`] when there is no such company for the caller; [`Error::Forbidden`], [`Error::Invalid`]; what the
/// database reports.
///
/// # Cancel safety
/// As [`App::finish`].
pub async fn create(
    app: &Arc<App>,
    caller: &Caller,
    company: CompanyId,
    mut new: NewContact,
) -> Result<Announced<Contact>, Error> {
    caller.within(&company, "company")?;
    new.owner_id = caller.owner_of_new(new.owner_id);
    caller.may(Act::Write(new.owner_id.as_ref()))?;
    let (owned, caller) = (Arc::clone(app), caller.clone());
    app.finish(async move {
        let mut change = owned.database.change().await?;
        let contact = Contact::new(&company, &new)?;
        check_owner(&mut change, None, &contact).await?;
        trail::note(&mut change, &caller, ("contact", contact.id.as_str()), None, Some(&contact)).await?;
        let written = store::insert(&mut change, contact).await?;
        owned.commit(change, written).await
    })
    .await
}

/// Changes a contact.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Forbidden`], [`Error::Invalid`], and those of a change that somebody else was faster with.
///
/// # Cancel safety
/// As [`App::finish`].
pub async fn update(
    app: &Arc<App>,
    caller: &Caller,
    id: ContactId,
    edit: ContactEdit,
    seen: Seen,
) -> Result<Announced<Contact>, Error> {
    within(app, caller, &id).await?;
    let (owned, caller) = (Arc::clone(app), caller.clone());
    app.finish(async move {
        let mut change = owned.database.change().await?;
        let before = store::require(&mut change, &caller.company, &id).await?;
        caller.may(Act::Write(before.owner_id.as_ref()))?;
        seen.check(&before, edit.version, before.version)?;
        let contact = before.clone().edited(&edit)?;
        caller.may(Act::Write(contact.owner_id.as_ref()))?;
        check_owner(&mut change, Some(&before), &contact).await?;
        trail::note(&mut change, &caller, ("contact", id.as_str()), Some(&before), Some(&contact)).await?;
        let written = store::save(&mut change, contact).await?;
        owned.commit(change, written).await
    })
    .await
}

/// Removes a contact that no deal names.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Forbidden`], [`Error::Conflict`], and those of a change that somebody else was faster with.
///
/// # Cancel safety
/// As [`App::finish`].
pub async fn delete(
    app: &Arc<App>,
    caller: &Caller,
    id: ContactId,
    seen: Seen,
) -> Result<Announced<()>, Error> {
    within(app, caller, &id).await?;
    let (owned, caller) = (Arc::clone(app), caller.clone());
    app.finish(async move {
        let mut change = owned.database.change().await?;
        let contact = store::require(&mut change, &caller.company, &id).await?;
        caller.may(Act::Write(contact.owner_id.as_ref()))?;
        seen.check(&contact, None, contact.version)?;
        trail::note(&mut change, &caller, ("contact", id.as_str()), Some(&contact), None).await?;
        let written = store::delete(&mut change, contact).await?;
        owned.commit(change, written.showing(())).await
    })
    .await
}

/// Refuses a contact that is newly given to somebody who cannot have it.
async fn check_owner(change: &mut Change, before: Option<&Contact>, contact: &Contact) -> Result<(), Error> {
    let mut errors = FieldErrors::default();
    let before = before.and_then(|before| before.owner_id.as_ref());
    users::check_owner(change, &mut errors, &contact.company_id, before, contact.owner_id.as_ref()).await?;
    Ok(errors.or(())?)
}
