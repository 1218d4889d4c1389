//! The HTTP of companies and countries.

use super::actions;
use super::model::{Company, CompanyEdit, CompanyQuery, CompanySort};
use crate::app::App;
use crate::caller::{Asker, Caller, CompanyId};
use crate::error::Error;
use crate::http::answer::{Changed, Seen};
use crate::http::params::{NoParams, Params};
use crate::http::request::{Id, Json};
use crate::page::Order;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use larder_axum::Served;
use std::sync::Arc;

async fn list(State(app): State<Arc<App>>, asker: Asker, mut params: Params) -> Result<Served, Error> {
    let by_name = Order { by: CompanySort::Name, descending: false };
    let query = CompanyQuery {
        paging: params.paging(),
        order: params.order(CompanySort::parse, CompanySort::WORDS, by_name),
        search: params.search(),
    };
    params.finish()?;
    actions::list(&app, &asker, &query).await
}

async fn one(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(id): Id<CompanyId>,
    _none: NoParams,
) -> Result<Served, Error> {
    actions::get(&app, &caller, &id).await
}

async fn countries(State(app): State<Arc<App>>, _none: NoParams) -> Result<Served, Error> {
    actions::countries(&app).await
}

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
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/api/companies", get(list))
        .route("/api/companies/{id}", get(one).patch(update))
        .route("/api/countries", get(countries))
}
