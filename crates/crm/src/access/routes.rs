//! The HTTP of access, and the one place where a request becomes somebody's.

use super::actions::{self, SignedIn, Stranger};
use super::cache;
use super::model::{
    BROWSER, DEVICE, MadePassword, MadeToken, Me, NewToken, PasswordChange, Session, SessionHandle,
    SessionKind, SessionView, SignIn,
};
use crate::app::App;
use crate::caller::{Caller, Operator, UserId};
use crate::config::Limits;
use crate::error::Error;
use crate::http::answer::{Gone, Made};
use crate::http::api::{Private, WithCookies};
use crate::http::params::NoParams;
use crate::http::request::{Address, Id, Json};
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::HeaderMap;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use larder_axum::{ClientAddress, Current, Limited, Sessions, TokenCookie};
use std::sync::Arc;
use tower::ServiceBuilder;
use tower::util::option_layer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What a browser is known by: for as long as a session may last at most.
const SESSION_COOKIE: TokenCookie = TokenCookie::new("crm_session", BROWSER.absolute);
/// What says of a browser that its user has signed in there before.
const DEVICE_COOKIE: TokenCookie = TokenCookie::new("crm_device", DEVICE);

/// What anybody may ask, signed in or not.
const OPEN: [&str; 9] = [
    "/sign-in",
    "/assets/{name}",
    "/api/auth/login",
    "/api/docs",
    "/api/docs/",
    "/api/docs/{*rest}",
    "/api/openapi.json",
    "/livez",
    "/readyz",
];

/// What somebody may ask who has to choose a password first.
const BEFORE_A_PASSWORD: [&str; 5] =
    ["/password", "/sign-out", "/api/me", "/api/me/password", "/api/auth/logout"];

/// Everything that stands between a request and the routes of all domains: it is counted, and becomes somebody's.
pub fn guard(routes: Router<Arc<App>>, app: &Arc<App>) -> Router<Arc<App>> {
    let limits = &app.settings.limits;
    let limited = |limit, whom: fn(&Limits, &Request) -> Option<String>| {
        let limits = limits.clone();
        let limited = Limited::new(app.cache.clone(), limit, move |request| whom(&limits, request));
        limited
            .refusing_with(|decision| Error::TooOften { retry_after: decision.retry_after }.into_response())
    };
    let owned = Arc::clone(app);
    let load = move |id| {
        let app = Arc::clone(&owned);
        async move { actions::load(&app, &id).await }
    };
    let by_user: fn(&Limits, &Request) -> Option<String> =
        |_limits, request| Some(request.extensions().get::<Caller>()?.user.to_string());
    let by_address: fn(&Limits, &Request) -> Option<String> = |limits, request| {
        let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
        if ["/livez", "/readyz"].contains(&route) {
            return None; // asked by who watches over the process
        }
        let proxies = &limits.trusted_proxies;
        ClientAddress::of(request.extensions(), request.headers(), proxies).map(|address| address.to_string())
    };
    let of_user = limits.of_user().map(|limit| limited(limit, by_user));
    let of_address = limits.of_address().map(|limit| limited(limit, by_address));
    // As one layer: each of a router's own is in a box that is cloned for a request, with all that is in it.
    let guards = ServiceBuilder::new()
        .layer(option_layer(of_address))
        .layer(Sessions::new(app.cache.clone(), &cache::SESSION, session_cookie(app), load))
        .layer(from_fn_with_state(Arc::clone(app), identify))
        .layer(option_layer(of_user));
    routes.layer(guards)
}

fn session_cookie(app: &App) -> TokenCookie {
    SESSION_COOKIE.over_tls(app.settings.is_over_tls())
}

/// Finds out who asks, and lets nobody further who has not signed in: a route that nobody has thought of is closed.
async fn identify(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let Some(path) = request.extensions().get::<MatchedPath>() else {
        return next.run(request).await; // no route has it, and that is what is answered
    };
    if OPEN.contains(&path.as_str()) {
        return next.run(request).await;
    }
    let may_wait = BEFORE_A_PASSWORD.contains(&path.as_str());
    let Some(current) = request.extensions().get::<Current<Session>>().cloned() else {
        return Error::SignInNeeded.into_response();
    };
    actions::keep(&app, &current);
    if current.session.kind == SessionKind::Operator {
        request.extensions_mut().insert(Operator);
    } else if let Some(caller) = current.session.caller(current.id) {
        if caller.must_change_password && !may_wait {
            return Error::PasswordChangeNeeded.into_response();
        }
        request.extensions_mut().insert(caller);
    }
    next.run(request).await
}

/// Signs a user in.
#[utoipa::path(post, path = "/api/auth/login", tag = "access", request_body = SignIn, security(()))]
async fn login(
    State(app): State<Arc<App>>,
    Address(address): Address,
    headers: HeaderMap,
    _none: NoParams,
    Json(request): Json<SignIn>,
) -> Result<WithCookies<Private<Me>>, Error> {
    sign_in(&app, address, &headers, request).await
}

/// Signs somebody in at a browser: the cookies are its session, and that it is known here from now on.
///
/// # Errors
/// [`Error::WrongCredentials`], [`Error::TooOften`], [`Error::Busy`]; what the database reports.
///
/// # Cancel safety
/// As [`App::finish`].
pub async fn sign_in(
    app: &Arc<App>,
    address: Option<ClientAddress>,
    headers: &HeaderMap,
    request: SignIn,
) -> Result<WithCookies<Private<Me>>, Error> {
    let device_cookie = DEVICE_COOKIE.over_tls(app.settings.is_over_tls());
    let stranger = Stranger { address, device: device_cookie.get(headers) };
    let SignedIn { token, device, me } = actions::sign_in(app, stranger, request).await?;
    let device = device.map(|device| device_cookie.set(&device));
    let cookies = [session_cookie(app).set(&token)].into_iter().chain(device).flatten();
    Ok(WithCookies(cookies.collect(), Private(me)))
}

/// Signs out: the session ends.
#[utoipa::path(post, path = "/api/auth/logout", tag = "access")]
async fn logout(
    State(app): State<Arc<App>>,
    caller: Caller,
    _none: NoParams,
) -> Result<WithCookies<Gone>, Error> {
    sign_out(&app, &caller).await
}

/// Ends the session that asks, and its cookie.
///
/// # Errors
/// What the database reports.
///
/// # Cancel safety
/// As [`App::finish`].
pub async fn sign_out(app: &Arc<App>, caller: &Caller) -> Result<WithCookies<Gone>, Error> {
    let ended = actions::sign_out(app, caller).await?;
    Ok(WithCookies(session_cookie(app).clear().into(), Gone(ended)))
}

/// Who has signed in.
#[utoipa::path(get, path = "/api/me", tag = "access")]
async fn me(State(app): State<Arc<App>>, caller: Caller, _none: NoParams) -> Result<Private<Me>, Error> {
    actions::me(&app, &caller).await.map(Private)
}

/// Changes one's own password, and ends all other sessions and tokens.
#[utoipa::path(put, path = "/api/me/password", tag = "access", request_body = PasswordChange)]
async fn change_password(
    State(app): State<Arc<App>>,
    caller: Caller,
    _none: NoParams,
    Json(request): Json<PasswordChange>,
) -> Result<WithCookies<Gone>, Error> {
    choose_password(&app, &caller, request).await
}

/// Gives whoever asks another password, and its browser a new session: all others end.
///
/// # Errors
/// [`Error::Invalid`] when the current password is wrong or the new one is none; [`Error::TooOften`], [`Error::Busy`]; what the database
/// reports.
///
/// # Cancel safety
/// As [`App::finish`].
pub async fn choose_password(
    app: &Arc<App>,
    caller: &Caller,
    request: PasswordChange,
) -> Result<WithCookies<Gone>, Error> {
    let changed = actions::change_password(app, caller, request).await?;
    let cookie = session_cookie(app).set(&changed.row);
    Ok(WithCookies(cookie.into(), Gone(changed.showing(()))))
}

/// Makes a password for a user, who has to change it at the next sign-in, and ends all its sessions and tokens.
#[utoipa::path(post, path = "/api/users/{id}/password", tag = "access", params(("id" = UserId, Path, description = "The user.")))]
async fn reset_password(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(user): Id<UserId>,
    _none: NoParams,
) -> Result<Made<MadePassword, 200>, Error> {
    actions::reset_password(&app, &caller, user).await.map(Made)
}

/// One's own sessions and tokens.
#[utoipa::path(get, path = "/api/me/sessions", tag = "access")]
async fn sessions(
    State(app): State<Arc<App>>,
    caller: Caller,
    _none: NoParams,
) -> Result<Private<Vec<SessionView>>, Error> {
    actions::sessions(&app, &caller).await.map(Private)
}

/// Ends one of one's own sessions or tokens.
#[utoipa::path(delete, path = "/api/me/sessions/{id}", tag = "access", params(("id" = SessionHandle, Path, description = "The session.")))]
async fn end_session(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(handle): Id<SessionHandle>,
    _none: NoParams,
) -> Result<Gone, Error> {
    actions::end_session(&app, &caller, &handle).await.map(Gone)
}

/// Ends all one's own sessions and tokens but the one that asks.
#[utoipa::path(delete, path = "/api/me/sessions", tag = "access")]
async fn end_others(State(app): State<Arc<App>>, caller: Caller, _none: NoParams) -> Result<Gone, Error> {
    actions::end_others(&app, &caller).await.map(Gone)
}

/// Makes a token for a program that is to act for one.
#[utoipa::path(post, path = "/api/me/tokens", tag = "access", request_body = NewToken)]
async fn make_token(
    State(app): State<Arc<App>>,
    caller: Caller,
    _none: NoParams,
    Json(request): Json<NewToken>,
) -> Result<Made<MadeToken, 201>, Error> {
    actions::make_token(&app, &caller, request).await.map(Made)
}

/// The routes of this domain.
pub fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(login))
        .routes(routes!(logout))
        .routes(routes!(me))
        .routes(routes!(change_password))
        .routes(routes!(reset_password))
        .routes(routes!(sessions, end_others))
        .routes(routes!(end_session))
        .routes(routes!(make_token))
}
