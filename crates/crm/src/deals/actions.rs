//! What can be done with deals: read through the cache; write, commit, announce.

use super::model::{Deal, DealEdit, DealId, DealQuery, DealView, Move, NewDeal};
use super::{cache, store};
use crate::app::{App, Served, Whose};
use crate::body::Body;
use crate::companies::{self, CompanyId};
use crate::contacts;
use crate::database::{Change, Statements};
use crate::error::{Error, FieldErrors};
use crate::http::answer::Seen;
use crate::products;
use crate::users;
use crate::written::{Announced, Written};
use larder::Policy;
use std::sync::Arc;

/// One page of a company's deals.
///
/// # Errors
/// [`Error::NotFound`] when there is no such company; what the database reports.
///
/// # Cancel safety
/// As [`App::read`].
pub(super) async fn list(app: &App, company: &CompanyId, query: &DealQuery) -> Result<Served, Error> {
    let key = cache::DEALS.key(&cache::list_key(company, query));
    app.read(key, cache::list_policy(company), Whose::Of(company.as_str()), async |mut snapshot| {
        companies::require(&mut snapshot, company).await?;
        Body::of(company, &store::page(&mut snapshot, company, query).await?)
    })
    .await
}

/// One deal, with the names of what it refers to.
///
/// # Errors
/// [`Error::NotFound`]; what the database reports.
///
/// # Cancel safety
/// As [`App::read`].
pub(super) async fn get(app: &App, id: &DealId) -> Result<Served, Error> {
    // What a deal's view depends on has to be known before it is loaded, and that is its company's.
    let home = app.cache.get_or_set(cache::HOME.key(id), Policy::new(), || async {
        let mut snapshot = app.database.snapshot().await?;
        store::company_of(&mut snapshot, id).await?.ok_or(Error::NotFound("deal"))
    });
    let home = home.await?;
    let whose = Whose::Of(home.as_str());
    app.read(cache::DEAL.key(id), cache::view_policy(&home), whose, async |mut snapshot| {
        let view = view(&mut snapshot, id).await?;
        Body::of(&view.company_id, &view)
    })
    .await
}

async fn view(statements: &mut impl Statements, id: &DealId) -> Result<DealView, Error> {
    store::view(statements, id).await?.ok_or(Error::NotFound("deal"))
}

/// Adds a deal to a company.
///
/// # Errors
/// [`Error::NotFound`] when there is no such company; [`Error::Invalid`]; what the database reports.
///
/// # Cancel safety
/// As [`App::finish`].
pub(super) async fn create(
    app: &Arc<App>,
    company: CompanyId,
    new: NewDeal,
) -> Result<Announced<DealView>, Error> {
    let owned = Arc::clone(app);
    app.finish(async move {
        let mut change = owned.database.change().await?;
        companies::require(&mut change, &company).await?;
        let deal = Deal::new(&company, &new)?;
        check_references(&mut change, None, &deal).await?;
        let id = deal.id.clone();
        let written = store::insert(&mut change, deal).await?;
        let written = shown(&mut change, &id, written).await?;
        owned.commit(change, written).await
    })
    .await
}

/// Changes a deal, but not its stage.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Invalid`], and those of a change that somebody else was faster with.
///
/// # Cancel safety
/// As [`App::finish`].
pub(super) async fn update(
    app: &Arc<App>,
    id: DealId,
    edit: DealEdit,
    seen: Seen,
) -> Result<Announced<DealView>, Error> {
    let version = edit.version;
    replace(app, id, seen, version, move |deal| deal.edited(&edit)).await
}

/// Moves a deal to another stage.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Invalid`], and those of a change that somebody else was faster with.
///
/// # Cancel safety
/// As [`App::finish`].
pub(super) async fn step(
    app: &Arc<App>,
    id: DealId,
    step: Move,
    seen: Seen,
) -> Result<Announced<DealView>, Error> {
    let version = step.version;
    replace(app, id, seen, version, move |deal| deal.moved(&step)).await
}

async fn replace(
    app: &Arc<App>,
    id: DealId,
    seen: Seen,
    version: Option<i64>,
    alter: impl FnOnce(Deal) -> Result<Deal, FieldErrors> + Send + 'static,
) -> Result<Announced<DealView>, Error> {
    let owned = Arc::clone(app);
    app.finish(async move {
        let mut change = owned.database.change().await?;
        let before = checked(&mut change, &id, &seen, version).await?;
        let deal = alter(before.clone())?;
        check_references(&mut change, Some(&before), &deal).await?;
        let written = store::save(&mut change, &before, deal).await?;
        let written = shown(&mut change, &id, written).await?;
        owned.commit(change, written).await
    })
    .await
}

/// Removes a deal.
///
/// # Errors
/// [`Error::NotFound`], and those of a change that somebody else was faster with.
///
/// # Cancel safety
/// As [`App::finish`].
pub(super) async fn delete(app: &Arc<App>, id: DealId, seen: Seen) -> Result<Announced<()>, Error> {
    let owned = Arc::clone(app);
    app.finish(async move {
        let mut change = owned.database.change().await?;
        let deal = checked(&mut change, &id, &seen, None).await?;
        let written = store::delete(&mut change, deal).await?;
        owned.commit(change, written.showing(())).await
    })
    .await
}

/// The row to be changed, if it is still what the caller saw.
async fn checked(change: &mut Change, id: &DealId, seen: &Seen, version: Option<i64>) -> Result<Deal, Error> {
    let deal = store::find(change, id).await?.ok_or(Error::NotFound("deal"))?;
    seen.check(&view(change, id).await?, version, deal.version)?;
    Ok(deal)
}

/// The written deal as readers will see it, read in the transaction that wrote it.
async fn shown(change: &mut Change, id: &DealId, written: Written<Deal>) -> Result<Written<DealView>, Error> {
    Ok(written.showing(view(change, id).await?))
}

/// Refuses a deal that newly names a contact, product or owner who does not exist or is not the company's.
async fn check_references(change: &mut Change, before: Option<&Deal>, deal: &Deal) -> Result<(), Error> {
    let mut errors = FieldErrors::default();
    if let Some(id) = &deal.contact_id
        && before.is_none_or(|before| before.contact_id.as_ref() != Some(id))
        && contacts::find(change, id).await?.is_none_or(|contact| contact.company_id != deal.company_id)
    {
        errors.add("contact_id", "names no contact of the company", "give the id of one, or null");
    }
    if let Some(id) = &deal.product_id
        && before.is_none_or(|before| before.product_id.as_ref() != Some(id))
        && products::find(change, id).await?.is_none()
    {
        errors.add("product_id", "names no product", "give one of the ids of /api/products, or null");
    }
    if let Some(id) = &deal.owner_id
        && before.is_none_or(|before| before.owner_id.as_ref() != Some(id))
    {
        match users::find(change, id).await?.filter(|user| user.company_id == deal.company_id) {
            None => errors.add("owner_id", "names no user of the company", "give the id of one, or null"),
            Some(user) if !user.active.0 => {
                errors.add("owner_id", "names a user who is not active", "give the id of an active one");
            }
            Some(_) => {}
        }
    }
    Ok(errors.or(())?)
}
