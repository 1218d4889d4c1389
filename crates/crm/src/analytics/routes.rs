//! The HTTP of analytics.

use super::actions;
use crate::app::{App, Served};
use crate::companies::CompanyId;
use crate::error::Error;
use crate::http::params::NoParams;
use crate::http::request::Id;
use crate::users::UserId;
use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use std::sync::Arc;

type Of<T> = (State<Arc<App>>, Id<T>, NoParams);

async fn pipeline((State(app), Id(id), _none): Of<CompanyId>) -> Result<Served, Error> {
    actions::pipeline(&app, &id).await
}

async fn monthly((State(app), Id(id), _none): Of<CompanyId>) -> Result<Served, Error> {
    actions::monthly(&app, &id).await
}

async fn refresh((State(app), Id(id), _none): Of<CompanyId>) -> Result<Served, Error> {
    actions::refresh(&app, &id).await
}

async fn dashboard((State(app), Id(id), _none): Of<CompanyId>) -> Result<Served, Error> {
    actions::dashboard(&app, &id).await
}

async fn user_stats((State(app), Id(id), _none): Of<UserId>) -> Result<Served, Error> {
    actions::user_stats(&app, &id).await
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
