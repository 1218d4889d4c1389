//! The HTTP of analytics.

use super::actions;
use crate::app::App;
use crate::caller::{Caller, CompanyId, UserId};
use crate::error::Error;
use crate::http::params::NoParams;
use crate::http::request::Id;
use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use larder_axum::Served;
use std::sync::Arc;

type Of<T> = (State<Arc<App>>, Caller, Id<T>, NoParams);

async fn pipeline((State(app), caller, Id(id), _none): Of<CompanyId>) -> Result<Served, Error> {
    actions::pipeline(&app, &caller, &id).await
}

async fn monthly((State(app), caller, Id(id), _none): Of<CompanyId>) -> Result<Served, Error> {
    actions::monthly(&app, &caller, &id).await
}

async fn refresh((State(app), caller, Id(id), _none): Of<CompanyId>) -> Result<Served, Error> {
    actions::refresh(&app, &caller, &id).await
}

async fn dashboard((State(app), caller, Id(id), _none): Of<CompanyId>) -> Result<Served, Error> {
    actions::dashboard(&app, &caller, &id).await
}

async fn user_stats((State(app), caller, Id(id), _none): Of<UserId>) -> Result<Served, Error> {
    actions::user_stats(&app, &caller, &id).await
}

/// The routes of this domain.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/api/companies/{id}/pipeline", get(pipeline))
        .route("/api/companies/{id}/analytics/monthly", get(monthly))
        .route("/api/companies/{id}/analytics/refresh", post(refresh))
        .route("/api/companies/{id}/dashboard", get(dashboard))
        .route("/api/users/{id}/stats", get(user_stats))
}
