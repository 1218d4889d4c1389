//! What can be done with deals: read through the cache; write, commit, announce.

use super::model::{Deal, DealEdit, DealId, DealQuery, DealView, HandedOver, Move, NewDeal};
use super::{cache, store};
use crate::app::{App, Whose};
use crate::caller::{Act, Caller, CompanyId, UserId};
use crate::contacts::{self, ContactId};
use crate::database::{Change, Single, Statements};
use crate::error::{Error, FieldErrors};
use crate::http::answer::Seen;
use crate::http::csv::Csv;
use crate::products;
use crate::trail;
use crate::users;
use crate::written::{Announced, Written};
use larder_axum::Body;
use larder_axum::Served;
use std::sync::Arc;

/// One page of a company's deals.
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
    query: &DealQuery,
) -> Result<Served, Error> {
    caller.within(company, "company")?;
    let key = cache::DEALS.key(&cache::list_key(company, query));
    app.read(key, cache::list_policy(company), Whose::Of(company.as_str()), async |mut single: Single| {
        Ok(Body::of(company, &store::page(&mut single, company, query).await?)?)
    })
    .await
}

/// All deals of a company that a query finds, as a file.
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
    query: &DealQuery,
) -> Result<Csv, Error> {
    caller.within(company, "company")?;
    Csv::of::<DealView>(app, "deals.csv", store::selected(company, query)).await
}

/// One deal, with the names of what it refers to.
///
/// # Errors
/// [`Error::NotFound`]; what the database reports.
///
/// # Cancel safety
/// As [`App::read`].
pub async fn get(app: &App, caller: &Caller, id: &DealId) -> Result<Served, Error> {
    within(app, caller, id).await?;
    let company = &caller.company;
    let whose = Whose::Of(company.as_str());
    app.read(cache::DEAL.key(id), cache::view_policy(company), whose, async |mut single: Single| {
        Ok(Body::of(company, &view(&mut single, company, id).await?)?)
    })
    .await
}

/// Hides a deal of another company from the caller.
///
/// # Errors
/// [`Error::NotFound`]; what the database reports.
///
/// # Cancel safety
/// As [`App::read`].
pub async fn within(app: &App, caller: &Caller, id: &DealId) -> Result<(), Error> {
    app.within(cache::HOME.key(id), caller, "deal", async |mut single: Single| {
        store::company_of(&mut single, id).await
    })
    .await
}

async fn view(statements: &mut impl Statements, company: &CompanyId, id: &DealId) -> Result<DealView, Error> {
    store::view(statements, company, id).await?.ok_or(Error::NotFound("deal"))
}

/// Adds a deal to a company.
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
    mut new: NewDeal,
) -> Result<Announced<DealView>, Error> {
    caller.within(&company, "company")?;
    new.owner_id = caller.owner_of_new(new.owner_id);
    caller.may(Act::Write(new.owner_id.as_ref()))?;
    let (owned, caller) = (Arc::clone(app), caller.clone());
    app.finish(async move {
        let mut change = owned.database.change().await?;
        let deal = Deal::new(&company, &new)?;
        check_references(&mut change, None, &deal).await?;
        trail::note(&mut change, &caller, ("deal", deal.id.as_str()), None, Some(&deal)).await?;
        let id = deal.id.clone();
        let written = store::insert(&mut change, deal).await?;
        let written = shown(&mut change, &company, &id, written).await?;
        owned.commit(change, written).await
    })
    .await
}

/// Changes a deal, but not its stage.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Forbidden`], [`Error::Invalid`], and those of a change that somebody else was faster with.
///
/// # Cancel safety
/// As [`App::finish`].
pub async fn update(
    app: &Arc<App>,
    caller: &Caller,
    id: DealId,
    edit: DealEdit,
    seen: Seen,
) -> Result<Announced<DealView>, Error> {
    let version = edit.version;
    replace(app, caller, id, (seen, version), move |deal| deal.edited(&edit)).await
}

/// Moves a deal to another stage.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Forbidden`], [`Error::Invalid`], and those of a change that somebody else was faster with.
///
/// # Cancel safety
/// As [`App::finish`].
pub async fn step(
    app: &Arc<App>,
    caller: &Caller,
    id: DealId,
    step: Move,
    seen: Seen,
) -> Result<Announced<DealView>, Error> {
    let version = step.version;
    replace(app, caller, id, (seen, version), move |deal| deal.moved(&step)).await
}

async fn replace(
    app: &Arc<App>,
    caller: &Caller,
    id: DealId,
    (seen, version): (Seen, Option<i64>),
    alter: impl FnOnce(Deal) -> Result<Deal, FieldErrors> + Send + 'static,
) -> Result<Announced<DealView>, Error> {
    within(app, caller, &id).await?;
    let (owned, caller) = (Arc::clone(app), caller.clone());
    app.finish(async move {
        let mut change = owned.database.change().await?;
        let before = checked(&mut change, &caller, &id, (&seen, version)).await?;
        let deal = alter(before.clone())?;
        caller.may(Act::Write(deal.owner_id.as_ref()))?;
        check_references(&mut change, Some(&before), &deal).await?;
        trail::note(&mut change, &caller, ("deal", id.as_str()), Some(&before), Some(&deal)).await?;
        let written = store::save(&mut change, &before, deal).await?;
        let written = shown(&mut change, &caller.company, &id, written).await?;
        owned.commit(change, written).await
    })
    .await
}

/// Removes a deal.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Forbidden`], and those of a change that somebody else was faster with.
///
/// # Cancel safety
/// As [`App::finish`].
pub async fn delete(app: &Arc<App>, caller: &Caller, id: DealId, seen: Seen) -> Result<Announced<()>, Error> {
    within(app, caller, &id).await?;
    let (owned, caller) = (Arc::clone(app), caller.clone());
    app.finish(async move {
        let mut change = owned.database.change().await?;
        let deal = checked(&mut change, &caller, &id, (&seen, None)).await?;
        trail::note(&mut change, &caller, ("deal", id.as_str()), Some(&deal), None).await?;
        let written = store::delete(&mut change, deal).await?;
        owned.commit(change, written.showing(())).await
    })
    .await
}

/// Gives all deals and contacts of a user to another, so that the user can be removed.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Forbidden`], [`Error::Invalid`]; what the database reports.
///
/// # Cancel safety
/// As [`App::finish`].
pub(super) async fn hand_over(
    app: &Arc<App>,
    caller: &Caller,
    from: UserId,
    to: UserId,
) -> Result<Announced<HandedOver>, Error> {
    users::within(app, caller, &from).await?;
    caller.may(Act::Administer)?;
    let (owned, caller) = (Arc::clone(app), caller.clone());
    app.finish(async move {
        let mut change = owned.database.change().await?;
        let mut errors = FieldErrors::default();
        if from == to {
            errors.add("to", "is the same user", "give the id of another one");
        } else if !users::find(&mut change, &caller.company, &to).await?.is_some_and(|user| user.active.0) {
            errors.add("to", "names no active user of the company", "give the id of one");
        }
        errors.or(())?;
        let company = &caller.company;
        let contacts = contacts::hand_over(&mut change, company, &from, &to).await?;
        let both = contacts.and(store::hand_over(&mut change, company, &from, &to).await?);
        let owners = (&from, &to);
        let ids = both.row().0.iter().map(ContactId::as_str);
        trail::note_owner(&mut change, &caller, ("contact", ids), owners).await?;
        let ids = both.row().1.iter().map(DealId::as_str);
        trail::note_owner(&mut change, &caller, ("deal", ids), owners).await?;
        let handed = HandedOver { contacts: both.row().0.len(), deals: both.row().1.len() };
        owned.commit(change, both.showing(handed)).await
    })
    .await
}

/// The row to be changed, if the caller may and it is still what the caller saw.
async fn checked(
    change: &mut Change,
    caller: &Caller,
    id: &DealId,
    (seen, version): (&Seen, Option<i64>),
) -> Result<Deal, Error> {
    let deal = store::find(change, &caller.company, id).await?.ok_or(Error::NotFound("deal"))?;
    caller.may(Act::Write(deal.owner_id.as_ref()))?;
    seen.check(&view(change, &caller.company, id).await?, version, deal.version)?;
    Ok(deal)
}

/// The written deal as readers will see it, read in the transaction that wrote it.
async fn shown(
    change: &mut Change,
    company: &CompanyId,
    id: &DealId,
    written: Written<Deal>,
) -> Result<Written<DealView>, Error> {
    Ok(written.showing(view(change, company, id).await?))
}

/// Refuses a deal that newly names a contact, product or owner who does not exist or is not the company's.
async fn check_references(change: &mut Change, before: Option<&Deal>, deal: &Deal) -> Result<(), Error> {
    let mut errors = FieldErrors::default();
    if let Some(id) = &deal.contact_id
        && before.is_none_or(|before| before.contact_id.as_ref() != Some(id))
        && contacts::find(change, &deal.company_id, id).await?.is_none()
    {
        errors.add("contact_id", "names no contact of the company", "give the id of one, or null");
    }
    if let Some(id) = &deal.product_id
        && before.is_none_or(|before| before.product_id.as_ref() != Some(id))
        && products::find(change, id).await?.is_none()
    {
        errors.add("product_id", "names no product", "give one of the ids of /api/products, or null");
    }
    let owner_before = before.and_then(|before| before.owner_id.as_ref());
    let owner = deal.owner_id.as_ref();
    users::check_owner(change, &mut errors, &deal.company_id, owner_before, owner).await?;
    Ok(errors.or(())?)
}
