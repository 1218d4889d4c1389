//! The HTTP of activities.

use super::actions;
use super::model::{Activity, ActivityEdit, ActivityId, ActivityKind, ActivityQuery, NewActivity, Subject};
use crate::app::App;
use crate::caller::Caller;
use crate::contacts::ContactId;
use crate::deals::DealId;
use crate::error::Error;
use crate::http::answer::{Changed, Created, Gone, Seen};
use crate::http::api::{Cached, IfMatch, Takes, parameters};
use crate::http::params::{NoParams, Params};
use crate::http::request::{Id, Json};
use crate::page::Page;
use axum::extract::State;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

parameters! {
    /// What a list takes.
    ListParameters: Takes::Paging, Takes::Choice("kind", ActivityKind::WORDS)
}

fn query(mut params: Params) -> Result<ActivityQuery, Error> {
    let kind = params.word("kind", ActivityKind::parse, ActivityKind::WORDS);
    let query = ActivityQuery { paging: params.paging(), kind };
    params.finish()?;
    Ok(query)
}

/// The activities of a deal, the newest first.
#[utoipa::path(get, path = "/api/deals/{id}/activities", tag = "activities",
    params(("id" = DealId, Path, description = "The deal."), ListParameters))]
async fn of_deal(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(deal): Id<DealId>,
    params: Params,
) -> Result<Cached<Page<Activity>>, Error> {
    actions::list(&app, &caller, &Subject::Deal(deal), &query(params)?).await.map(Cached::from)
}

/// The activities of a contact, the newest first.
#[utoipa::path(get, path = "/api/contacts/{id}/activities", tag = "activities",
    params(("id" = ContactId, Path, description = "The contact."), ListParameters))]
async fn of_contact(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(contact): Id<ContactId>,
    params: Params,
) -> Result<Cached<Page<Activity>>, Error> {
    actions::list(&app, &caller, &Subject::Contact(contact), &query(params)?).await.map(Cached::from)
}

/// One activity.
#[utoipa::path(get, path = "/api/activities/{id}", tag = "activities",
    params(("id" = ActivityId, Path, description = "The activity.")))]
async fn one(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(id): Id<ActivityId>,
    _none: NoParams,
) -> Result<Cached<Activity>, Error> {
    actions::get(&app, &caller, &id).await.map(Cached::from)
}

async fn create(
    app: &Arc<App>,
    caller: &Caller,
    subject: Subject,
    new: NewActivity,
) -> Result<Created<Activity>, Error> {
    let made = actions::create(app, caller, subject, new).await?;
    Ok(Created { location: format!("/api/activities/{}", made.row.id), made })
}

/// Adds an activity to a deal.
#[utoipa::path(post, path = "/api/deals/{id}/activities", tag = "activities",
    params(("id" = DealId, Path, description = "The deal.")), request_body = NewActivity)]
async fn add_to_deal(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(deal): Id<DealId>,
    _none: NoParams,
    Json(new): Json<NewActivity>,
) -> Result<Created<Activity>, Error> {
    create(&app, &caller, Subject::Deal(deal), new).await
}

/// Adds an activity to a contact.
#[utoipa::path(post, path = "/api/contacts/{id}/activities", tag = "activities",
    params(("id" = ContactId, Path, description = "The contact.")), request_body = NewActivity)]
async fn add_to_contact(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(contact): Id<ContactId>,
    _none: NoParams,
    Json(new): Json<NewActivity>,
) -> Result<Created<Activity>, Error> {
    create(&app, &caller, Subject::Contact(contact), new).await
}

/// Changes an activity: the fields that are given.
#[utoipa::path(patch, path = "/api/activities/{id}", tag = "activities",
    params(("id" = ActivityId, Path, description = "The activity."), IfMatch), request_body = ActivityEdit)]
async fn update(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(id): Id<ActivityId>,
    _none: NoParams,
    seen: Seen,
    Json(edit): Json<ActivityEdit>,
) -> Result<Changed<Activity>, Error> {
    actions::update(&app, &caller, id, edit, seen).await.map(Changed)
}

/// Removes an activity.
#[utoipa::path(delete, path = "/api/activities/{id}", tag = "activities",
    params(("id" = ActivityId, Path, description = "The activity."), IfMatch))]
async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(id): Id<ActivityId>,
    _none: NoParams,
    seen: Seen,
) -> Result<Gone, Error> {
    actions::delete(&app, &caller, id, seen).await.map(Gone)
}

/// The routes of this domain.
pub fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(of_deal, add_to_deal))
        .routes(routes!(of_contact, add_to_contact))
        .routes(routes!(one, update, remove))
}
