//! The HTTP of the trail.

use super::actions;
use super::model::{Entry, EntryQuery};
use crate::app::App;
use crate::caller::{Caller, CompanyId};
use crate::error::Error;
use crate::http::api::{Private, Takes, parameters};
use crate::http::params::Params;
use crate::http::request::Id;
use crate::page::Page;
use axum::extract::State;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

parameters! {
    /// What the trail takes.
    ListParameters: Takes::Paging, Takes::Id("row"), Takes::Id("user")
}

/// Who changed what in a company, the newest first; for its managers.
#[utoipa::path(get, path = "/api/companies/{id}/audit", tag = "audit",
    params(("id" = CompanyId, Path, description = "The company."), ListParameters))]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(company): Id<CompanyId>,
    mut params: Params,
) -> Result<Private<Page<Entry>>, Error> {
    let query = EntryQuery { paging: params.paging(), row: params.text("row"), user: params.id("user") };
    params.finish()?;
    actions::list(&app, &caller, &company, &query).await.map(Private)
}

/// The routes of this domain.
pub fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list))
}
