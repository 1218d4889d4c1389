//! The HTTP of contacts.

use super::actions;
use super::model::{Contact, ContactEdit, ContactId, ContactKind, ContactQuery, ContactSort, NewContact};
use crate::app::App;
use crate::caller::{Caller, CompanyId};
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
    ListParameters: Takes::Paging, Takes::Order(ContactSort::WORDS), Takes::Search, Takes::Choice("kind", ContactKind::WORDS), Takes::Text("country"), Takes::Id("owner")
}

parameters! {
    /// What a file takes.
    FileParameters: Takes::Search, Takes::Choice("kind", ContactKind::WORDS), Takes::Text("country"), Takes::Id("owner")
}

/// Which contacts, as the parameters of a request say.
///
/// # Errors
/// [`Error::Invalid`] and [`Error::BadRequest`], as [`Params::finish`].
pub fn query(mut params: Params) -> Result<ContactQuery, Error> {
    let by_name = Order { by: ContactSort::Name, descending: false };
    let query = ContactQuery {
        paging: params.paging(),
        order: params.order(ContactSort::parse, ContactSort::WORDS, by_name),
        kind: params.word("kind", ContactKind::parse, ContactKind::WORDS),
        country: params.text("country"),
        owner: params.id("owner"),
        search: params.search(),
    };
    params.finish()?;
    Ok(query)
}

/// The contacts of a company, a page at a time.
#[utoipa::path(get, path = "/api/companies/{id}/contacts", tag = "contacts", params(("id" = CompanyId, Path, description = "The company."), ListParameters))]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(company): Id<CompanyId>,
    params: Params,
) -> Result<Cached<Page<Contact>>, Error> {
    actions::list(&app, &caller, &company, &query(params)?).await.map(Cached::from)
}

/// All contacts of a company that the filters find, as a file of CSV, in the order in which they were added.
#[utoipa::path(get, path = "/api/companies/{id}/contacts.csv", tag = "contacts",
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

/// One contact.
#[utoipa::path(get, path = "/api/contacts/{id}", tag = "contacts", params(("id" = ContactId, Path, description = "The contact.")))]
async fn one(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(id): Id<ContactId>,
    _none: NoParams,
) -> Result<Cached<Contact>, Error> {
    actions::get(&app, &caller, &id).await.map(Cached::from)
}

/// Adds a contact.
#[utoipa::path(post, path = "/api/companies/{id}/contacts", tag = "contacts", params(("id" = CompanyId, Path, description = "The company.")), request_body = NewContact)]
async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(company): Id<CompanyId>,
    _none: NoParams,
    Json(new): Json<NewContact>,
) -> Result<Created<Contact>, Error> {
    let made = actions::create(&app, &caller, company, new).await?;
    Ok(Created { location: format!("/api/contacts/{}", made.row.id), made })
}

/// Changes a contact: the fields that are given.
#[utoipa::path(patch, path = "/api/contacts/{id}", tag = "contacts", params(("id" = ContactId, Path, description = "The contact."), IfMatch), request_body = ContactEdit)]
async fn update(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(id): Id<ContactId>,
    _none: NoParams,
    seen: Seen,
    Json(edit): Json<ContactEdit>,
) -> Result<Changed<Contact>, Error> {
    actions::update(&app, &caller, id, edit, seen).await.map(Changed)
}

/// Removes a contact.
#[utoipa::path(delete, path = "/api/contacts/{id}", tag = "contacts", params(("id" = ContactId, Path, description = "The contact."), IfMatch))]
async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(id): Id<ContactId>,
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
