//! What can be done with activities: read through the cache; write, commit, announce.

use super::model::{Activity, ActivityEdit, ActivityId, ActivityQuery, NewActivity, Subject};
use super::{cache, store};
use crate::app::{App, Whose};
use crate::caller::{Act, Caller, UserId};
use crate::database::{Change, Single};
use crate::error::Error;
use crate::http::answer::Seen;
use crate::written::Announced;
use crate::{contacts, deals, trail};
use larder_axum::{Body, Served};
use std::sync::Arc;

/// One page of the activities of a deal or contact.
///
/// # Errors
/// [`Error::NotFound`] when that is not there for the caller; what the database reports.
///
/// # Cancel safety
/// As [`App::read`].
pub async fn list(
    app: &App,
    caller: &Caller,
    subject: &Subject,
    query: &ActivityQuery,
) -> Result<Served, Error> {
    match subject {
        Subject::Deal(deal) => deals::within(app, caller, deal).await?,
        Subject::Contact(contact) => contacts::within(app, caller, contact).await?,
    }
    let company = &caller.company;
    let key = cache::ACTIVITIES.key(&cache::list_key(subject, query));
    let whose = Whose::Of(company.as_str());
    app.read(key, cache::list_policy(company, subject), whose, async |mut single: Single| {
        Ok(Body::of(company, &store::page(&mut single, company, subject, query).await?)?)
    })
    .await
}

/// One activity.
///
/// # Errors
/// [`Error::NotFound`]; what the database reports.
///
/// # Cancel safety
/// As [`App::read`].
pub async fn get(app: &App, caller: &Caller, id: &ActivityId) -> Result<Served, Error> {
    within(app, caller, id).await?;
    let company = &caller.company;
    let whose = Whose::Of(company.as_str());
    app.read(cache::ACTIVITY.key(id), cache::policy(company), whose, async |mut single: Single| {
        Ok(Body::of(company, &store::require(&mut single, company, id).await?)?)
    })
    .await
}

/// Hides an activity of another company from the caller.
async fn within(app: &App, caller: &Caller, id: &ActivityId) -> Result<(), Error> {
    app.within(cache::HOME.key(id), caller, "activity", async |mut single: Single| {
        store::company_of(&mut single, id).await
    })
    .await
}

/// Who owns what an activity is about.
async fn owner_of(change: &mut Change, caller: &Caller, subject: &Subject) -> Result<Option<UserId>, Error> {
    let company = &caller.company;
    match subject {
        Subject::Deal(id) => {
            let deal = deals::find(change, company, id).await?.ok_or(Error::NotFound("deal"))?;
            Ok(deal.owner_id)
        }
        Subject::Contact(id) => {
            let contact = contacts::find(change, company, id).await?.ok_or(Error::NotFound("contact"))?;
            Ok(contact.owner_id)
        }
    }
}

/// Adds an activity to a deal or contact that the caller may write.
///
/// # Errors
/// [`Error::NotFound`] when that is not there for the caller; [`Error::Forbidden`], [`Error::Invalid`]; what the database reports.
///
/// # Cancel safety
/// As [`App::finish`].
pub async fn create(
    app: &Arc<App>,
    caller: &Caller,
    subject: Subject,
    new: NewActivity,
) -> Result<Announced<Activity>, Error> {
    let (owned, caller) = (Arc::clone(app), caller.clone());
    app.finish(async move {
        let mut change = owned.database.change().await?;
        let owner = owner_of(&mut change, &caller, &subject).await?;
        caller.may(Act::Write(owner.as_ref()))?;
        let activity = Activity::new(&caller, &subject, &new)?;
        trail::note(&mut change, &caller, ("activity", activity.id.as_str()), None, Some(&activity)).await?;
        let written = store::insert(&mut change, activity).await?;
        owned.commit(change, written).await
    })
    .await
}

/// Changes an activity that the caller wrote, or may write as a manager.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Forbidden`], [`Error::Invalid`], and those of a change that somebody else was faster with.
///
/// # Cancel safety
/// As [`App::finish`].
pub async fn update(
    app: &Arc<App>,
    caller: &Caller,
    id: ActivityId,
    edit: ActivityEdit,
    seen: Seen,
) -> Result<Announced<Activity>, Error> {
    let (owned, caller) = (Arc::clone(app), caller.clone());
    app.finish(async move {
        let mut change = owned.database.change().await?;
        let before = store::require(&mut change, &caller.company, &id).await?;
        caller.may(Act::Write(before.author_id.as_ref()))?;
        seen.check(&before, edit.version, before.version)?;
        let activity = before.clone().edited(&edit)?;
        trail::note(&mut change, &caller, ("activity", id.as_str()), Some(&before), Some(&activity)).await?;
        let written = store::save(&mut change, activity).await?;
        owned.commit(change, written).await
    })
    .await
}

/// Removes an activity that the caller wrote, or may remove as a manager.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Forbidden`], and those of a change that somebody else was faster with.
///
/// # Cancel safety
/// As [`App::finish`].
pub async fn delete(
    app: &Arc<App>,
    caller: &Caller,
    id: ActivityId,
    seen: Seen,
) -> Result<Announced<()>, Error> {
    let (owned, caller) = (Arc::clone(app), caller.clone());
    app.finish(async move {
        let mut change = owned.database.change().await?;
        let activity = store::require(&mut change, &caller.company, &id).await?;
        caller.may(Act::Write(activity.author_id.as_ref()))?;
        seen.check(&activity, None, activity.version)?;
        trail::note(&mut change, &caller, ("activity", id.as_str()), Some(&activity), None).await?;
        let written = store::delete(&mut change, activity).await?;
        owned.commit(change, written.showing(())).await
    })
    .await
}
