//! The HTTP of companies and countries.

use super::actions;
use super::model::{Company, CompanyEdit, CompanyQuery, CompanySort, Country};
use crate::app::App;
use crate::caller::{Asker, Caller, CompanyId};
use crate::error::Error;
use crate::http::answer::{Changed, Seen};
use crate::http::api::{Cached, IfMatch, Takes, parameters};
use crate::http::params::{NoParams, Params};
use crate::http::request::{Id, Json};
use crate::page::{Order, Page};
use axum::extract::State;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

parameters! {
    /// What a list takes.
    ListParameters: Takes::Paging, Takes::Order(CompanySort::WORDS), Takes::Search
}

/// The companies that are there for whoever asks: its own.
#[utoipa::path(get, path = "/api/companies", tag = "companies", params(ListParameters))]
async fn list(
    State(app): State<Arc<App>>,
    asker: Asker,
    mut params: Params,
) -> Result<Cached<Page<Company>>, Error> {
    let by_name = Order { by: CompanySort::Name, descending: false };
    let query = CompanyQuery {
        paging: params.paging(),
        order: params.order(CompanySort::parse, CompanySort::WORDS, by_name),
        search: params.search(),
    };
    params.finish()?;
    actions::list(&app, &asker, &query).await.map(Cached::from)
}

/// One company.
#[utoipa::path(get, path = "/api/companies/{id}", tag = "companies", params(("id" = CompanyId, Path, description = "The company.")))]
async fn one(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(id): Id<CompanyId>,
    _none: NoParams,
) -> Result<Cached<Company>, Error> {
    actions::get(&app, &caller, &id).await.map(Cached::from)
}

/// All countries, by name.
#[utoipa::path(get, path = "/api/countries", tag = "reference")]
async fn countries(State(app): State<Arc<App>>, _none: NoParams) -> Result<Cached<Vec<Country>>, Error> {
    actions::countries(&app).await.map(Cached::from)
}

/// Changes a company: the fields that are given.
#[utoipa::path(patch, path = "/api/companies/{id}", tag = "companies", params(("id" = CompanyId, Path, description = "The company."), IfMatch), request_body = CompanyEdit)]
async fn update(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(id): Id<CompanyId>,
    _none: NoParams,
    seen: Seen,
    Json(edit): Json<CompanyEdit>,
) -> Result<Changed<Company>, Error> {
    actions::update(&app, &caller, id, edit, seen).await.map(Changed)
}

/// The routes of this domain.
pub fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(one, update)).routes(routes!(countries))
}
