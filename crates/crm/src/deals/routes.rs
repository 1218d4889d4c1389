//! The HTTP of deals.

use super::actions;
use super::model::{DealEdit, DealId, DealQuery, DealSort, DealView, Move, NewDeal, Stage};
use crate::app::App;
use crate::caller::{Caller, CompanyId};
use crate::error::Error;
use crate::http::answer::{Changed, Created, Gone, Seen};
use crate::http::params::{NoParams, Params};
use crate::http::request::{Id, Json};
use crate::page::Order;
use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use larder_axum::Served;
use std::sync::Arc;

async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(company): Id<CompanyId>,
    mut params: Params,
) -> Result<Served, Error> {
    let newest_first = Order { by: DealSort::Created, descending: true };
    let query = DealQuery {
        paging: params.paging(),
        order: params.order(DealSort::parse, DealSort::WORDS, newest_first),
        stage: params.word("stage", Stage::parse, Stage::WORDS),
        owner: params.id("owner"),
        contact: params.id("contact"),
        product: params.id("product"),
        search: params.search(),
    };
    params.finish()?;
    actions::list(&app, &caller, &company, &query).await
}

async fn one(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(id): Id<DealId>,
    _none: NoParams,
) -> Result<Served, Error> {
    actions::get(&app, &caller, &id).await
}

async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(company): Id<CompanyId>,
    _none: NoParams,
    Json(new): Json<NewDeal>,
) -> Result<Created<DealView>, Error> {
    let made = actions::create(&app, &caller, company, new).await?;
    Ok(Created { location: format!("/api/deals/{}", made.row.id), made })
}

async fn update(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(id): Id<DealId>,
    _none: NoParams,
    seen: Seen,
    Json(edit): Json<DealEdit>,
) -> Result<Changed<DealView>, Error> {
    actions::update(&app, &caller, id, edit, seen).await.map(Changed)
}

async fn step(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(id): Id<DealId>,
    _none: NoParams,
    seen: Seen,
    Json(step): Json<Move>,
) -> Result<Changed<DealView>, Error> {
    actions::step(&app, &caller, id, step, seen).await.map(Changed)
}

async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(id): Id<DealId>,
    _none: NoParams,
    seen: Seen,
) -> Result<Gone, Error> {
    actions::delete(&app, &caller, id, seen).await.map(Gone)
}

/// The routes of this domain.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/api/companies/{id}/deals", get(list).post(create))
        .route("/api/deals/{id}", get(one).patch(update).delete(remove))
        .route("/api/deals/{id}/stage", post(step))
}
