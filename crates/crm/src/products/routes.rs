//! The HTTP of products.

use super::actions;
use super::model::{Product, ProductEdit, ProductId};
use crate::app::App;
use crate::caller::Operator;
use crate::error::Error;
use crate::http::answer::{Changed, Seen};
use crate::http::api::{Cached, IfMatch};
use crate::http::params::NoParams;
use crate::http::request::{Id, Json};
use axum::extract::State;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The price list.
#[utoipa::path(get, path = "/api/products", tag = "reference")]
async fn list(State(app): State<Arc<App>>, _none: NoParams) -> Result<Cached<Vec<Product>>, Error> {
    actions::list(&app).await.map(Cached::from)
}

/// The price list is of all companies, so that none of their users changes it.
#[utoipa::path(patch, path = "/api/products/{id}", tag = "reference", params(("id" = ProductId, Path, description = "The product."), IfMatch), request_body = ProductEdit)]
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
pub fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(update))
}
