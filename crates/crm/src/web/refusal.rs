//! What a browser is shown where a program gets a problem document.

use super::shown::Shown;
use super::visit::document;
use crate::error::Error;
use crate::http::params::MAX_PARAM_CHARS;
use crate::http::problem::Refusal;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

/// Makes a page of a refusal, where it is a page that was asked for.
pub async fn for_browsers(request: Request, next: Next) -> Response {
    let is_for_programs = request.uri().path().starts_with("/api/") || !accepts_pages(request.headers());
    if is_for_programs {
        return next.run(request).await;
    }
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let response = next.run(request).await;
    let Some(Refusal(error)) = response.extensions().get::<Refusal>() else { return response };
    match error {
        Error::SignInNeeded => {
            // What a form has sent is lost by then: nothing leads back to it.
            let to = uri.path_and_query().filter(|_| method == Method::GET).map_or("/", |to| to.as_str());
            // What is too long to be handed on leads back to the page, without what was asked of it.
            let to = if to.chars().count() > MAX_PARAM_CHARS { uri.path() } else { to };
            let to = if to.chars().count() > MAX_PARAM_CHARS { "/" } else { to };
            let to: String = form_urlencoded::byte_serialize(to.as_bytes()).collect();
            Shown::at(&format!("/sign-in?to={to}")).into_response()
        }
        Error::PasswordChangeNeeded => Shown::at("/password").into_response(),
        // What a form was sent to, and somebody has reloaded or gone back to: it belongs to what is above it.
        Error::MethodNotAllowed if method == Method::GET => {
            let above = uri.path().rsplit_once('/').map_or("", |(above, _)| above);
            Shown::at(if above.is_empty() { "/" } else { above }).into_response()
        }
        error => refused(error, &response),
    }
}

/// Whether what asks is a browser that goes to a page.
fn accepts_pages(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|kind| kind.trim().starts_with("text/html"))
}

fn refused(error: &Error, response: &Response) -> Response {
    let status = response.status();
    let (title, detail) = match error {
        Error::NoSuchPath => ("There is no such page", "Nothing is at this address.".to_owned()),
        Error::NotFound(what) => ("It is not there", format!("There is no such {what}, or it is gone.")),
        Error::Forbidden(why) => ("You may not do this", format!("Your role does not allow it: {why}.")),
        Error::Internal(_) => ("Something is broken", error.to_string()),
        _ if status == StatusCode::SERVICE_UNAVAILABLE => ("Not just now", error.to_string()),
        _ => ("That did not work", error.to_string()),
    };
    let main = html! {
        div.narrow {
            h1 { (title) }
            p { (detail) }
            p { a href="/board" { "To the board" } }
        }
    };
    let page = Shown::page(status, document(title, &Markup::default(), None, &main)).into_response();
    let (_, body) = page.into_parts();
    let mut headers = response.headers().clone();
    headers.remove(header::CONTENT_LENGTH);
    let (parts, _) = Shown::page(status, Markup::default()).into_response().into_parts();
    headers.extend(parts.headers);
    (status, headers, body).into_response()
}
