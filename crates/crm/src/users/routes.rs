//! The HTTP of users.

use super::actions;
use super::model::{Active, NewUser, User, UserEdit, UserQuery, UserSort};
use crate::app::App;
use crate::caller::{Caller, CompanyId, Role, UserId};
use crate::error::Error;
use crate::http::answer::{Changed, Created, Gone, Seen};
use crate::http::params::{NoParams, Params};
use crate::http::request::{Id, Json};
use crate::page::Order;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use larder_axum::Served;
use std::sync::Arc;

async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(company): Id<CompanyId>,
    mut params: Params,
) -> Result<Served, Error> {
    let by_name = Order { by: UserSort::Name, descending: false };
    let query = UserQuery {
        paging: params.paging(),
        order: params.order(UserSort::parse, UserSort::WORDS, by_name),
        role: params.word("role", Role::parse, Role::WORDS),
        active: params.word("active", |word| word.parse().ok().map(Active), &["true", "false"]),
        search: params.search(),
    };
    params.finish()?;
    actions::list(&app, &caller, &company, &query).await
}

async fn one(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(id): Id<UserId>,
    _none: NoParams,
) -> Result<Served, Error> {
    actions::get(&app, &caller, &id).await
}

async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(company): Id<CompanyId>,
    _none: NoParams,
    Json(new): Json<NewUser>,
) -> Result<Created<User>, Error> {
    let made = actions::create(&app, &caller, company, new).await?;
    Ok(Created { location: format!("/api/users/{}", made.row.id), made })
}

async fn update(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(id): Id<UserId>,
    _none: NoParams,
    seen: Seen,
    Json(edit): Json<UserEdit>,
) -> Result<Changed<User>, Error> {
    actions::update(&app, &caller, id, edit, seen).await.map(Changed)
}

async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(id): Id<UserId>,
    _none: NoParams,
    seen: Seen,
) -> Result<Gone, Error> {
    actions::delete(&app, &caller, id, seen).await.map(Gone)
}

/// The routes of this domain.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/api/companies/{id}/users", get(list).post(create))
        .route("/api/users/{id}", get(one).patch(update).delete(remove))
}
