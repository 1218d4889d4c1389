//! The pages: what people see of the CRM in a browser.
//!
//! They are made here, from the same cached bodies that the API answers with, and through the same actions: what a page may show and
//! change is decided where it is for programs. Everything works with links and forms; the script adds what they cannot do. The entity
//! tag of a page is made of those of its parts, so that a browser that asks whether anything has changed is told "no" before anything
//! is rendered.

mod assets;
mod board;
mod contacts;
mod dashboard;
mod deals;
mod fields;
mod form;
mod list;
mod notes;
mod operation;
mod plot;
mod refusal;
mod shown;
mod sign_in;
mod visit;
mod words;

use crate::app::App;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

pub use refusal::for_browsers;

/// The pages, described as the API is: that is for tests, which try each of them.
pub fn router() -> OpenApiRouter<Arc<App>> {
    let pages = [
        assets::router(),
        sign_in::router(),
        board::router(),
        deals::router(),
        contacts::router(),
        notes::router(),
        dashboard::router(),
        operation::router(),
    ];
    pages.into_iter().fold(OpenApiRouter::new(), OpenApiRouter::merge)
}
