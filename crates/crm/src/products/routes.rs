//! The HTTP of products.

use super::actions;
use super::model::{Product, ProductEdit, ProductId};
use crate::app::App;
use crate::caller::Operator;
use crate::error::Error;
use crate::http::answer::{Changed, Seen};
use crate::http::params::NoParams;
use crate::http::request::{Id, Json};
use axum::Router;
use axum::extract::State;
use axum::routing::{get, patch};
use larder_axum::Served;
use std::sync::Arc;

async fn list(State(app): State<Arc<App>>, _none: NoParams) -> Result<Served, Error> {
    actions::list(&app).await
}

/// The price list is of all companies, so that none of their users changes it.
async fn update(
    State(app): State<Arc<App>>,
    _operator: Operator,
    Id(id): Id<ProductId>,
    _none: NoParams,
    seen: Seen,
    Json(edit): Json<ProductEdit>,
) -> Result<Changed<Product>, Error> {
    actions::update(&app, id, edit, seen).await.map(Changed)
}

/// The routes of this domain.
pub fn router() -> Router<Arc<App>> {
    Router::new().route("/api/products", get(list)).route("/api/products/{id}", patch(update))
}
