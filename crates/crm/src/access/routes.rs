//! The HTTP of access, and the one place where a request becomes somebody's.

use super::actions::{self, SignedIn};
use super::model::{MadePassword, MadeToken, Me, NewToken, PasswordChange, SessionKind, SessionView, SignIn};
use crate::app::App;
use crate::caller::{Caller, Operator, UserId};
use crate::error::Error;
use crate::http::answer::{Gone, Made, private};
use crate::http::cookies;
use crate::http::params::NoParams;
use crate::http::request::{Id, Json};
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use std::sync::Arc;

/// What anybody may ask, signed in or not.
const OPEN: [&str; 3] = ["/api/auth/login", "/livez", "/readyz"];

/// What somebody may ask who has to choose a password first.
const BEFORE_A_PASSWORD: [&str; 3] = ["/api/me", "/api/me/password", "/api/auth/logout"];

/// Finds out who asks, and lets nobody further who has not signed in: a route that nobody has thought of is closed.
pub async fn identify(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let Some(path) = path else {
        return next.run(request).await; // no route has it, and that is what is answered
    };
    if OPEN.contains(&path.as_str()) {
        return next.run(request).await;
    }
    let session = match cookies::token(request.headers()) {
        None => return Error::SignInNeeded.into_response(),
        Some(token) => (token.id(), actions::identify(&app, &token).await),
    };
    match session {
        (_, Err(error)) => return error.into_response(),
        (_, Ok(None)) => return Error::SignInNeeded.into_response(),
        (_, Ok(Some(session))) if session.kind == SessionKind::Operator => {
            request.extensions_mut().insert(Operator);
        }
        (id, Ok(Some(session))) => {
            let Some(caller) = session.caller(id) else { return Error::SignInNeeded.into_response() };
            if caller.must_change_password && !BEFORE_A_PASSWORD.contains(&path.as_str()) {
                return Error::PasswordChangeNeeded.into_response();
            }
            request.extensions_mut().insert(caller);
        }
    }
    next.run(request).await
}

async fn login(
    State(app): State<Arc<App>>,
    _none: NoParams,
    Json(request): Json<SignIn>,
) -> Result<Response, Error> {
    let SignedIn { token, me } = actions::sign_in(&app, request).await?;
    Ok((cookies::set(&app.settings, &token), private(me)).into_response())
}

async fn logout(State(app): State<Arc<App>>, caller: Caller, _none: NoParams) -> Result<Response, Error> {
    let ended = actions::sign_out(&app, &caller).await?;
    Ok((cookies::clear(&app.settings), Gone(ended)).into_response())
}

async fn me(State(app): State<Arc<App>>, caller: Caller, _none: NoParams) -> Result<Response, Error> {
    let me: Me = actions::me(&app, &caller).await?;
    Ok(private(me))
}

async fn change_password(
    State(app): State<Arc<App>>,
    caller: Caller,
    _none: NoParams,
    Json(request): Json<PasswordChange>,
) -> Result<Response, Error> {
    let changed = actions::change_password(&app, &caller, request).await?;
    let cookie = cookies::set(&app.settings, &changed.row);
    Ok((cookie, Gone(changed.showing(()))).into_response())
}

async fn reset_password(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(user): Id<UserId>,
    _none: NoParams,
) -> Result<Made<MadePassword>, Error> {
    actions::reset_password(&app, &caller, user).await.map(|made| Made(StatusCode::OK, made))
}

async fn sessions(State(app): State<Arc<App>>, caller: Caller, _none: NoParams) -> Result<Response, Error> {
    let sessions: Vec<SessionView> = actions::sessions(&app, &caller).await?;
    Ok(private(sessions))
}

async fn end_session(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(handle): Id<String>,
    _none: NoParams,
) -> Result<Gone, Error> {
    actions::end_session(&app, &caller, &handle).await.map(Gone)
}

async fn end_others(State(app): State<Arc<App>>, caller: Caller, _none: NoParams) -> Result<Gone, Error> {
    actions::end_others(&app, &caller).await.map(Gone)
}

async fn make_token(
    State(app): State<Arc<App>>,
    caller: Caller,
    _none: NoParams,
    Json(request): Json<NewToken>,
) -> Result<Made<MadeToken>, Error> {
    actions::make_token(&app, &caller, request).await.map(|made| Made(StatusCode::CREATED, made))
}

/// The routes of this domain.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/api/auth/login", post(login))
        .route("/api/auth/logout", post(logout))
        .route("/api/me", get(me))
        .route("/api/me/password", put(change_password))
        .route("/api/me/sessions", get(sessions).delete(end_others))
        .route("/api/me/sessions/{id}", delete(end_session))
        .route("/api/me/tokens", post(make_token))
        .route("/api/users/{id}/password", post(reset_password))
}
