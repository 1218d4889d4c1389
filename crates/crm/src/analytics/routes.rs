//! The HTTP of analytics.

use super::actions;
use super::model::{Dashboard, Monthly, Pipeline, UserStats};
use crate::app::App;
use crate::caller::{Caller, CompanyId, UserId};
use crate::error::Error;
use crate::http::api::Cached;
use crate::http::params::NoParams;
use crate::http::request::Id;
use axum::extract::State;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

type Of<T> = (State<Arc<App>>, Caller, Id<T>, NoParams);

/// Count and value of the deals of each stage, and what the closed ones say.
#[utoipa::path(get, path = "/api/companies/{id}/pipeline", tag = "analytics", params(("id" = CompanyId, Path, description = "The company.")))]
async fn pipeline((State(app), caller, Id(id), _none): Of<CompanyId>) -> Result<Cached<Pipeline>, Error> {
    actions::pipeline(&app, &caller, &id).await.map(Cached::from)
}

/// What was opened, won and lost in each month; up to an hour old.
#[utoipa::path(get, path = "/api/companies/{id}/analytics/monthly", tag = "analytics", params(("id" = CompanyId, Path, description = "The company.")))]
async fn monthly((State(app), caller, Id(id), _none): Of<CompanyId>) -> Result<Cached<Monthly>, Error> {
    actions::monthly(&app, &caller, &id).await.map(Cached::from)
}

/// Makes the months anew.
#[utoipa::path(post, path = "/api/companies/{id}/analytics/refresh", tag = "analytics", params(("id" = CompanyId, Path, description = "The company.")))]
async fn refresh((State(app), caller, Id(id), _none): Of<CompanyId>) -> Result<Cached<Monthly>, Error> {
    actions::refresh(&app, &caller, &id).await.map(Cached::from)
}

/// The numbers of a first page.
#[utoipa::path(get, path = "/api/companies/{id}/dashboard", tag = "analytics", params(("id" = CompanyId, Path, description = "The company.")))]
async fn dashboard((State(app), caller, Id(id), _none): Of<CompanyId>) -> Result<Cached<Dashboard>, Error> {
    actions::dashboard(&app, &caller, &id).await.map(Cached::from)
}

/// What one user has in hand and has achieved.
#[utoipa::path(get, path = "/api/users/{id}/stats", tag = "analytics", params(("id" = UserId, Path, description = "The user.")))]
async fn user_stats((State(app), caller, Id(id), _none): Of<UserId>) -> Result<Cached<UserStats>, Error> {
    actions::user_stats(&app, &caller, &id).await.map(Cached::from)
}

/// The routes of this domain.
pub fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(pipeline))
        .routes(routes!(monthly))
        .routes(routes!(refresh))
        .routes(routes!(dashboard))
        .routes(routes!(user_stats))
}
