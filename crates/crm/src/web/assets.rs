//! The style, the script and the icon of the pages: part of the program, and kept by browsers until they change.

use super::shown::Shown;
use crate::app::App;
use crate::error::Error;
use axum::extract::Path;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use larder_axum::digest;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use utoipa::IntoResponses;
use utoipa::openapi::{RefOr, Response as Answer};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// A file of the program.
#[derive(Debug)]
pub(super) struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
    path: LazyLock<String>,
}

/// How all pages look.
pub(super) static STYLE: Asset = Asset {
    name: "crm.css",
    kind: "text/css; charset=utf-8",
    text: include_str!("assets/crm.css"),
    path: LazyLock::new(|| path_of(&STYLE)),
};

/// What pages do beyond links and forms.
pub(super) static SCRIPT: Asset = Asset {
    name: "crm.js",
    kind: "text/javascript; charset=utf-8",
    text: include_str!("assets/crm.js"),
    path: LazyLock::new(|| path_of(&SCRIPT)),
};

/// What stands on the tab of a browser.
pub(super) static ICON: Asset = Asset {
    name: "icon.svg",
    kind: "image/svg+xml",
    text: include_str!("assets/icon.svg"),
    path: LazyLock::new(|| path_of(&ICON)),
};

fn path_of(asset: &Asset) -> String {
    format!("/assets/{}?{:.8}", asset.name, digest(asset.text))
}

impl Asset {
    /// Where it is, under a name that changes with what is in it.
    pub(super) fn path(&self) -> &str {
        &self.path
    }
}

#[derive(Debug)]
struct Sent {
    asset: &'static Asset,
    /// Whether it is what the name stands for, and not that of another program that serves beside this one.
    is_named: bool,
}

impl IntoResponse for Sent {
    fn into_response(self) -> Response {
        let lasts = if self.is_named { "public, max-age=31536000, immutable" } else { "no-cache" };
        let headers = [
            (header::CONTENT_TYPE, self.asset.kind),
            (header::CACHE_CONTROL, lasts),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        (StatusCode::OK, headers, self.asset.text).into_response()
    }
}

impl IntoResponses for Sent {
    fn responses() -> BTreeMap<String, RefOr<Answer>> {
        Shown::responses()
    }
}

/// A file that pages load.
#[utoipa::path(get, path = "/assets/{name}", tag = "pages", security(()))]
async fn asset(Path(name): Path<String>, uri: Uri) -> Result<Sent, Error> {
    let assets: [&'static Asset; 3] = [&STYLE, &SCRIPT, &ICON];
    let asset = assets.into_iter().find(|asset| asset.name == name).ok_or(Error::NoSuchPath)?;
    let is_named = uri.path_and_query().is_some_and(|asked| asked.as_str() == asset.path());
    Ok(Sent { asset, is_named })
}

/// The routes.
pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(asset))
}
