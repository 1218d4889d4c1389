//! What can be done with contacts: read through the cache; write, commit, announce.

use super::model::{Contact, ContactEdit, ContactId, ContactQuery, NewContact};
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

/// One page of a company's contacts.
///
/// # Errors
/// [`Error::NotFound`] when there is no such company; what the database reports.
///
/// # Cancel safety
/// As [`App::read`].
pub(super) async fn list(app: &App, company: &CompanyId, query: &ContactQuery) -> Result<Served, Error> {
    let key = cache::CONTACTS.key(&cache::list_key(company, query));
    app.read(key, cache::list_policy(company), Whose::Of(company.as_str()), async |mut snapshot| {
        companies::require(&mut snapshot, company).await?;
        Body::of(company, &store::page(&mut snapshot, company, query).await?)
    })
    .await
}

/// One contact.
///
/// # Errors
/// [`Error::NotFound`]; what the database reports.
///
/// # Cancel safety
/// As [`App::read`].
pub(super) async fn get(app: &App, id: &ContactId) -> Result<Served, Error> {
    app.read(cache::CONTACT.key(id), Policy::new(), Whose::Any, async |mut snapshot| {
        let contact = require(&mut snapshot, id).await?;
        Body::of(&contact.company_id, &contact)
    })
    .await
}

async fn require(statements: &mut impl Statements, id: &ContactId) -> Result<Contact, Error> {
    store::find(statements, id).await?.ok_or(Error::NotFound("contact"))
}

/// Adds a contact to a company.
///
/// # Errors
/// [`Error::NotFound`] when there is no such company; [`Error::Invalid`], [`Error::Conflict`]; what the database reports.
///
/// # Cancel safety
/// As [`App::finish`].
pub(super) async fn create(
    app: &Arc<App>,
    company: CompanyId,
    new: NewContact,
) -> Result<Announced<Contact>, Error> {
    let owned = Arc::clone(app);
    app.finish(async move {
        let mut change = owned.database.change().await?;
        companies::require(&mut change, &company).await?;
        let written = store::insert(&mut change, Contact::new(&company, &new)?).await?;
        owned.commit(change, written).await
    })
    .await
}

/// Changes a contact.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Invalid`], and those of a change that somebody else was faster with.
///
/// # Cancel safety
/// As [`App::finish`].
pub(super) async fn update(
    app: &Arc<App>,
    id: ContactId,
    edit: ContactEdit,
    seen: Seen,
) -> Result<Announced<Contact>, Error> {
    let owned = Arc::clone(app);
    app.finish(async move {
        let mut change = owned.database.change().await?;
        let contact = require(&mut change, &id).await?;
        seen.check(&contact, edit.version, contact.version)?;
        let written = store::save(&mut change, contact.edited(&edit)?).await?;
        owned.commit(change, written).await
    })
    .await
}

/// Removes a contact that no deal names.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Conflict`], and those of a change that somebody else was faster with.
///
/// # Cancel safety
/// As [`App::finish`].
pub(super) async fn delete(app: &Arc<App>, id: ContactId, seen: Seen) -> Result<Announced<()>, Error> {
    let owned = Arc::clone(app);
    app.finish(async move {
        let mut change = owned.database.change().await?;
        let contact = require(&mut change, &id).await?;
        seen.check(&contact, None, contact.version)?;
        let written = store::delete(&mut change, contact).await?;
        owned.commit(change, written.showing(())).await
    })
    .await
}
