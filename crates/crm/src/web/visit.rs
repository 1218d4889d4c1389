//! A visit of somebody who has signed in, and the frame around every page.

use super::assets;
use super::form::Trouble;
use super::shown::Shown;
use crate::app::App;
use crate::caller::{Act, Caller};
use crate::companies::{self, Company};
use crate::error::Error;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use larder_axum::{Served, Weak, digest, names_tag};
use maud::{DOCTYPE, Markup, html};
use serde::de::DeserializeOwned;
use std::sync::{Arc, LazyLock};
use std::time::UNIX_EPOCH;

/// What renders pages: another one may make another page of the same parts.
static PROGRAM: LazyLock<String> = LazyLock::new(|| {
    let file = std::env::current_exe().and_then(std::fs::metadata);
    let since =
        |file: &std::fs::Metadata| Some(file.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos());
    let file = file.ok().map(|file| (file.len(), since(&file)));
    digest(&format!("{} {file:?}", crate::database::program()))
});

/// The pages that everybody is led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Board,
    Deals,
    Contacts,
    Dashboard,
    Cache,
    Elsewhere,
}

/// Who visits a page, and how.
pub(super) struct Visit {
    pub(super) app: Arc<App>,
    pub(super) caller: Caller,
    pub(super) company: Company,
    headers: HeaderMap,
    /// What makes this page another one besides what it is about.
    seen_by: String,
}

impl FromRequestParts<Arc<App>> for Visit {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Error> {
        let caller = Caller::from_request_parts(parts, app).await?;
        let company = companies::get(app, &caller, &caller.company).await?;
        let seen_by =
            format!("{} {} {} {} {}", *PROGRAM, caller.user, caller.role, caller.name, company.body.etag);
        let (headers, uri) = (parts.headers.clone(), &parts.uri);
        let company = read(&company)?;
        Ok(Self { app: Arc::clone(app), caller, company, headers, seen_by: format!("{seen_by} {uri}") })
    }
}

/// What a cached body shows.
pub(super) fn read<T: DeserializeOwned>(served: &Served) -> Result<T, Error> {
    Ok(serde_json::from_str(served.body.json.get())?)
}

impl Visit {
    /// Answers with a page about these parts, unless the browser has it already: then nothing is rendered.
    pub(super) fn answer(
        &self,
        place: Place,
        title: &str,
        parts: &[&Served],
        main: impl FnOnce() -> Result<Markup, Error>,
    ) -> Result<Shown, Error> {
        let mut seen = self.seen_by.clone();
        parts.iter().for_each(|part| seen.push_str(&part.body.etag));
        let etag = format!("W/\"{}\"", digest(&seen));
        let Ok(tag) = HeaderValue::try_from(&etag) else {
            return Err(Error::internal("an entity tag is none"));
        };
        let strong = etag.strip_prefix("W/").unwrap_or_default();
        if names_tag(&self.headers, &header::IF_NONE_MATCH, strong, Weak::Counts) {
            let known = (StatusCode::NOT_MODIFIED, Body::empty()).into_response();
            return Ok(Shown::from(known).with([(header::ETAG, tag)]));
        }
        let page = self.frame(place, title, Some(&etag), &main()?);
        Ok(Shown::page(StatusCode::OK, page).with([(header::ETAG, tag)]))
    }

    /// Answers with a page that is another one each time.
    pub(super) fn answer_now(&self, place: Place, title: &str, main: &Markup) -> Shown {
        Shown::page(StatusCode::OK, self.frame(place, title, Some(""), main))
    }

    /// Answers with a form: filled for the first time, or again, since it was refused.
    pub(super) fn form(&self, place: Place, title: &str, trouble: &Trouble, main: &Markup) -> Shown {
        trouble.page(self.frame(place, title, None, main))
    }

    /// A page with its frame. `live` is what the script asks with whether there is another state of it.
    fn frame(&self, place: Place, title: &str, live: Option<&str>, main: &Markup) -> Markup {
        let link = |to: Place, path: &str, words: &str| {
            html! { li { a href=(path) aria-current=[(to == place).then_some("page")] { (words) } } }
        };
        let top = html! {
            header {
                span.name { (self.company.name) }
                nav aria-label="Pages" {
                    ul {
                        (link(Place::Board, "/board", "Board"))
                        (link(Place::Deals, "/deals", "Deals"))
                        (link(Place::Contacts, "/contacts", "Contacts"))
                        (link(Place::Dashboard, "/dashboard", "Dashboard"))
                        @if self.caller.can(Act::Administer) { (link(Place::Cache, "/cache", "Cache")) }
                    }
                }
                div.who {
                    span { (self.caller.name) ", " (self.caller.role) }
                    a href="/password" { "Password" }
                    form method="post" action="/sign-out" { button.plain { "Sign out" } }
                }
            }
        };
        document(title, &top, live, main)
    }
}

/// A whole document.
pub(super) fn document(title: &str, top: &Markup, live: Option<&str>, main: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · CRM" }
                link rel="icon" href=(assets::ICON.path()) type="image/svg+xml";
                link rel="stylesheet" href=(assets::STYLE.path());
                script src=(assets::SCRIPT.path()) defer {}
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                (top)
                p #said role="status" {}
                main #main tabindex="-1" data-live=[live] { (main) }
                footer { a href="/api/docs/" { "API" } }
            }
        }
    }
}
