//! The HTTP of contacts.

use super::actions;
use super::model::{Contact, ContactEdit, ContactId, ContactKind, ContactQuery, ContactSort, NewContact};
use crate::app::App;
use crate::caller::{Caller, CompanyId};
use crate::error::Error;
use crate::http::answer::{Changed, Created, Gone, Seen};
use crate::http::params::{NoParams, Params};
use crate::http::request::{Id, Json};
use crate::page::Order;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use larder_axum::Served;
use std::sync::Arc;

async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(company): Id<CompanyId>,
    mut params: Params,
) -> Result<Served, Error> {
    let by_name = Order { by: ContactSort::Name, descending: false };
    let query = ContactQuery {
        paging: params.paging(),
        order: params.order(ContactSort::parse, ContactSort::WORDS, by_name),
        kind: params.word("kind", ContactKind::parse, ContactKind::WORDS),
        country: params.text("country"),
        owner: params.id("owner"),
        search: params.search(),
    };
    params.finish()?;
    actions::list(&app, &caller, &company, &query).await
}

async fn one(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(id): Id<ContactId>,
    _none: NoParams,
) -> Result<Served, Error> {
    actions::get(&app, &caller, &id).await
}

async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(company): Id<CompanyId>,
    _none: NoParams,
    Json(new): Json<NewContact>,
) -> Result<Created<Contact>, Error> {
    let made = actions::create(&app, &caller, company, new).await?;
    Ok(Created { location: format!("/api/contacts/{}", made.row.id), made })
}

async fn update(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(id): Id<ContactId>,
    _none: NoParams,
    seen: Seen,
    Json(edit): Json<ContactEdit>,
) -> Result<Changed<Contact>, Error> {
    actions::update(&app, &caller, id, edit, seen).await.map(Changed)
}

async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(id): Id<ContactId>,
    _none: NoParams,
    seen: Seen,
) -> Result<Gone, Error> {
    actions::delete(&app, &caller, id, seen).await.map(Gone)
}

/// The routes of this domain.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/api/companies/{id}/contacts", get(list).post(create))
        .route("/api/contacts/{id}", get(one).patch(update).delete(remove))
}
