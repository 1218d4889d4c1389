//! The HTTP of users.

use super::actions;
use super::model::{Active, NewUser, User, UserEdit, UserQuery, UserSort};
use crate::app::App;
use crate::caller::{Caller, CompanyId, Role, UserId};
use crate::error::Error;
use crate::http::answer::{Changed, Created, Gone, Seen};
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
    ListParameters: Takes::Paging, Takes::Order(UserSort::WORDS), Takes::Search, Takes::Choice("role", Role::WORDS), Takes::Choice("active", &["true", "false"])
}

parameters! {
    /// What a file takes.
    FileParameters: Takes::Search, Takes::Choice("role", Role::WORDS), Takes::Choice("active", &["true", "false"])
}

/// Which users, as the parameters of a request say.
fn query(mut params: Params) -> Result<UserQuery, Error> {
    let by_name = Order { by: UserSort::Name, descending: false };
    let query = UserQuery {
        paging: params.paging(),
        order: params.order(UserSort::parse, UserSort::WORDS, by_name),
        role: params.word("role", Role::parse, Role::WORDS),
        active: params.word("active", |word| word.parse().ok().map(Active), &["true", "false"]),
        search: params.search(),
    };
    params.finish()?;
    Ok(query)
}

/// The users of a company, a page at a time.
#[utoipa::path(get, path = "/api/companies/{id}/users", tag = "users", params(("id" = CompanyId, Path, description = "The company."), ListParameters))]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(company): Id<CompanyId>,
    params: Params,
) -> Result<Cached<Page<User>>, Error> {
    actions::list(&app, &caller, &company, &query(params)?).await.map(Cached::from)
}

/// All users of a company that the filters find, as a file of CSV, in the order in which they were added.
#[utoipa::path(get, path = "/api/companies/{id}/users.csv", tag = "users",
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

/// One user.
#[utoipa::path(get, path = "/api/users/{id}", tag = "users", params(("id" = UserId, Path, description = "The user.")))]
async fn one(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(id): Id<UserId>,
    _none: NoParams,
) -> Result<Cached<User>, Error> {
    actions::get(&app, &caller, &id).await.map(Cached::from)
}

/// Adds a user.
#[utoipa::path(post, path = "/api/companies/{id}/users", tag = "users", params(("id" = CompanyId, Path, description = "The company.")), request_body = NewUser)]
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

/// Changes a user: the fields that are given.
#[utoipa::path(patch, path = "/api/users/{id}", tag = "users", params(("id" = UserId, Path, description = "The user."), IfMatch), request_body = UserEdit)]
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

/// Removes a user.
#[utoipa::path(delete, path = "/api/users/{id}", tag = "users", params(("id" = UserId, Path, description = "The user."), IfMatch))]
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
pub fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(export))
        .routes(routes!(one, update, remove))
}
