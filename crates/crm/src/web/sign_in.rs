//! Signing in and out, and one's own password.

use super::fields::Fields;
use super::form::{Form, Trouble};
use super::shown::Shown;
use super::visit::{Place, Visit, document};
use crate::access::{self, PasswordChange, SignIn};
use crate::app::App;
use crate::caller::Caller;
use crate::error::{Error, FieldErrors};
use crate::http::api::WithCookies;
use crate::http::params::{NoParams, Params};
use crate::http::request::Address;
use crate::password::MIN_CHARS;
use axum::extract::State;
use axum::http::HeaderMap;
use maud::{Markup, html};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Where everybody begins.
const HOME: &str = "/board";

/// The page that somebody wanted to see before it had to sign in: one of ours, whatever somebody has written into a link.
fn wanted(to: &str) -> &str {
    let is_ours = to.starts_with('/') && !to.starts_with("//") && !to.contains(['\\', '\n', '\r', '\t']);
    if is_ours && to != "/" { to } else { HOME }
}

fn sign_in_form(form: &Form, trouble: &Trouble) -> Shown {
    let fields = Fields::new(form, trouble);
    let main = html! {
        div.narrow {
            h1 { "Sign in" }
            (fields.summary(&[]))
            form.box method="post" action="/sign-in" {
                input type="hidden" name="to" value=(wanted(form.value("to")));
                div.fields {
                    div.wide {
                        label for="email" { "E-mail address" }
                        input id="email" name="email" type="email" required autocomplete="username" autofocus value=(form.value("email"));
                    }
                    div.wide { (fields.password("password", "Password", "current-password")) }
                    div.wide { button.main { "Sign in" } }
                }
            }
        }
    };
    trouble.page(document("Sign in", &Markup::default(), None, &main))
}

/// Where somebody signs in.
#[utoipa::path(get, path = "/sign-in", tag = "pages", security(()))]
async fn show(mut params: Params) -> Result<Shown, Error> {
    let to = params.text("to").unwrap_or_default();
    params.finish()?;
    Ok(sign_in_form(&Form::filled([("to", to)]), &Trouble::default()))
}

/// Signs somebody in.
#[utoipa::path(post, path = "/sign-in", tag = "pages", security(()))]
async fn sign_in(
    State(app): State<Arc<App>>,
    Address(address): Address,
    headers: HeaderMap,
    form: Form,
) -> Result<Shown, Error> {
    let request =
        SignIn { email: form.value("email").to_owned(), password: form.value("password").to_owned().into() };
    match access::sign_in(&app, address, &headers, request).await {
        Ok(WithCookies(cookies, _me)) => Ok(Shown::at(wanted(form.value("to"))).with(cookies)),
        Err(error) => Ok(sign_in_form(&form, &Trouble::of(error)?)),
    }
}

/// Signs out.
#[utoipa::path(post, path = "/sign-out", tag = "pages")]
async fn sign_out(State(app): State<Arc<App>>, caller: Caller) -> Result<Shown, Error> {
    let WithCookies(cookies, _gone) = access::sign_out(&app, &caller).await?;
    Ok(Shown::at("/sign-in").with(cookies))
}

fn password_form(caller: &Caller, trouble: &Trouble) -> Markup {
    let empty = Form::default();
    let fields = Fields::new(&empty, trouble);
    html! {
        div.narrow {
            h1 { "Your password" }
            @if caller.must_change_password { p { "Somebody else has made your password: choose your own." } }
            (fields.summary(&[("current", "Present password"), ("new", "New password"), ("again", "The new password once more")]))
            form.box method="post" action="/password" {
                div.fields {
                    div.wide { (fields.password("current", "Present password", "current-password")) }
                    div.wide { (fields.password("new", &format!("New password, of at least {MIN_CHARS} characters"), "new-password")) }
                    div.wide { (fields.password("again", "The new password once more", "new-password")) }
                    div.wide { button.main { "Change it" } " " span.soft { "All other sessions end." } }
                }
            }
        }
    }
}

/// Where somebody chooses a password.
#[utoipa::path(get, path = "/password", tag = "pages")]
async fn show_password(visit: Visit, _none: NoParams) -> Result<Shown, Error> {
    let main = password_form(&visit.caller, &Trouble::default());
    Ok(visit.form(Place::Elsewhere, "Your password", &Trouble::default(), &main))
}

/// Changes one's own password.
#[utoipa::path(post, path = "/password", tag = "pages")]
async fn choose_password(visit: Visit, form: Form) -> Result<Shown, Error> {
    let request = PasswordChange {
        current: form.value("current").to_owned().into(),
        new: form.value("new").to_owned().into(),
    };
    let is_the_same = form.value("new") == form.value("again");
    let chosen = async {
        let mut errors = FieldErrors::default();
        if !is_the_same {
            errors.add("again", "is another one", "type the new password twice");
        }
        errors.or(())?;
        access::choose_password(&visit.app, &visit.caller, request).await
    };
    match chosen.await {
        Ok(WithCookies(cookies, _gone)) => Ok(Shown::at(HOME).with(cookies)),
        Err(error) => {
            let trouble = Trouble::of(error)?;
            let main = password_form(&visit.caller, &trouble);
            Ok(visit.form(Place::Elsewhere, "Your password", &trouble, &main))
        }
    }
}

/// Where everybody begins.
#[utoipa::path(get, path = "/", tag = "pages")]
async fn home(_caller: Caller) -> Result<Shown, Error> {
    Ok(Shown::at(HOME))
}

/// The routes.
pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(home))
        .routes(routes!(show, sign_in))
        .routes(routes!(sign_out))
        .routes(routes!(show_password, choose_password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_to_another_site() {
        for (to, leads_to) in [
            ("/deals?stage=won", "/deals?stage=won"),
            ("", HOME),
            ("/", HOME),
            ("https://evil.example", HOME),
            ("//evil.example", HOME),
            ("/\\evil.example", HOME),
            ("/\t/evil.example", HOME),
            ("javascript:alert(1)", HOME),
        ] {
            assert_eq!(wanted(to), leads_to, "{to}");
        }
    }
}
