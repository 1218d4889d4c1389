//! The HTTP of deals.

use super::actions;
use super::model::{
    DealEdit, DealId, DealQuery, DealSort, DealView, HandOver, HandedOver, Move, NewDeal, Stage,
};
use crate::app::App;
use crate::caller::{Caller, CompanyId, UserId};
use crate::error::Error;
use crate::http::answer::{Changed, Created, Gone, Made, Seen};
use crate::http::api::{Cached, IfMatch, Takes, parameters};
use crate::http::csv::Csv;
use crate::http::params::{NoParams, Params};
use crate::http::request::{Id, Json};
use crate::page::{Order, Page};
use axum::extract::State;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

parameters! {
    /// What a list takes.
    ListParameters: Takes::Paging, Takes::Order(DealSort::WORDS), Takes::Search, Takes::Choice("stage", Stage::WORDS), Takes::Id("owner"), Takes::Id("contact"), Takes::Id("product")
}

parameters! {
    /// What a file takes.
    FileParameters: Takes::Search, Takes::Choice("stage", Stage::WORDS), Takes::Id("owner"), Takes::Id("contact"), Takes::Id("product")
}

/// Which deals, as the parameters of a request say.
///
/// # Errors
/// [`Error::Invalid`] and [`Error::BadRequest`], as [`Params::finish`].
pub fn query(mut params: Params) -> Result<DealQuery, Error> {
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
    Ok(query)
}

/// The deals of a company, a page at a time.
#[utoipa::path(get, path = "/api/companies/{id}/deals", tag = "deals", params(("id" = CompanyId, Path, description = "The company."), ListParameters))]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(company): Id<CompanyId>,
    params: Params,
) -> Result<Cached<Page<DealView>>, Error> {
    actions::list(&app, &caller, &company, &query(params)?).await.map(Cached::from)
}

/// All deals of a company that the filters find, as a file of CSV, in the order in which they were added.
#[utoipa::path(get, path = "/api/companies/{id}/deals.csv", tag = "deals",
    params(("id" = CompanyId, Path, description = "The company."), FileParameters))]
async fn export(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(company): Id<CompanyId>,
    mut params: Params,
) -> Result<Csv, Error> {
    params.refuse(&["page", "per_page", "sort"]);
    actions::export(&app, &caller, &company, &query(params)?).await
}

/// One deal, with the names of what it refers to.
#[utoipa::path(get, path = "/api/deals/{id}", tag = "deals", params(("id" = DealId, Path, description = "The deal.")))]
async fn one(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(id): Id<DealId>,
    _none: NoParams,
) -> Result<Cached<DealView>, Error> {
    actions::get(&app, &caller, &id).await.map(Cached::from)
}

/// Adds a deal.
#[utoipa::path(post, path = "/api/companies/{id}/deals", tag = "deals", params(("id" = CompanyId, Path, description = "The company.")), request_body = NewDeal)]
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

/// Changes a deal: the fields that are given.
#[utoipa::path(patch, path = "/api/deals/{id}", tag = "deals", params(("id" = DealId, Path, description = "The deal."), IfMatch), request_body = DealEdit)]
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

/// Moves a deal to another stage.
#[utoipa::path(post, path = "/api/deals/{id}/stage", tag = "deals", params(("id" = DealId, Path, description = "The deal."), IfMatch), request_body = Move)]
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

/// Removes a deal.
#[utoipa::path(delete, path = "/api/deals/{id}", tag = "deals", params(("id" = DealId, Path, description = "The deal."), IfMatch))]
async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(id): Id<DealId>,
    _none: NoParams,
    seen: Seen,
) -> Result<Gone, Error> {
    actions::delete(&app, &caller, id, seen).await.map(Gone)
}

/// Gives all deals and contacts of a user to another, so that the user can be removed.
#[utoipa::path(post, path = "/api/users/{id}/hand-over", tag = "users",
    params(("id" = UserId, Path, description = "The user.")), request_body = HandOver)]
async fn hand_over(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(from): Id<UserId>,
    _none: NoParams,
    Json(HandOver { to }): Json<HandOver>,
) -> Result<Made<HandedOver, 200>, Error> {
    actions::hand_over(&app, &caller, from, to).await.map(Made)
}

/// The routes of this domain.
pub fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(export))
        .routes(routes!(one, update, remove))
        .routes(routes!(step))
        .routes(routes!(hand_over))
}
