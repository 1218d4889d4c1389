//! The HTTP of access, and the one place where a request becomes somebody's.

use super::actions::{self, SignedIn, Stranger};
use super::model::{MadePassword, MadeToken, Me, NewToken, PasswordChange, SessionKind, SessionView, SignIn};
use crate::app::App;
use crate::caller::{Caller, Operator, UserId};
use crate::error::Error;
use crate::http::answer::{Gone, Made, private};
use crate::http::client::{self, ClientAddress};
use crate::http::cookies;
use crate::http::params::NoParams;
use crate::http::request::{Id, Json};
use axum::Router;
use axum::extract::{Extension, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use larder::{Decision, Limit};
use std::fmt::Display;
use std::sync::Arc;

const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// What anybody may ask, signed in or not.
const OPEN: [&str; 3] = ["/api/auth/login", "/livez", "/readyz"];

/// What somebody may ask who has to choose a password first.
const BEFORE_A_PASSWORD: [&str; 3] = ["/api/me", "/api/me/password", "/api/auth/logout"];

/// Finds out who asks, and lets nobody further who has not signed in: a route that nobody has thought of is closed.
pub async fn identify(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let limits = &app.settings.limits;
    let address = client::address(request.extensions(), request.headers(), limits);
    let counted = Counted::of(&app, limits.of_address(), address).await;
    if let Some(refused) = counted.refusal() {
        return refused;
    }
    request.extensions_mut().insert(address);
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let Some(path) = path else {
        return next.run(request).await; // no route has it, and that is what is answered
    };
    if OPEN.contains(&path.as_str()) {
        return counted.on(next.run(request).await);
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
            let counted = Counted::of(&app, limits.of_user(), Some(&caller.user)).await;
            if let Some(refused) = counted.refusal() {
                return refused;
            }
            request.extensions_mut().insert(caller);
            return counted.on(next.run(request).await);
        }
    }
    next.run(request).await
}

/// A request that counts towards a limit, if there is one.
struct Counted(Option<(Limit, Decision)>);

impl Counted {
    async fn of(app: &App, limit: Option<Limit>, whom: Option<impl Display>) -> Self {
        let Some((limit, whom)) = limit.zip(whom) else { return Self(None) };
        let decision = app.cache.limit(&limit, whom).await;
        Self(Some((limit, decision)))
    }

    fn refusal(&self) -> Option<Response> {
        let (_, decision) = self.0.as_ref().filter(|(_, decision)| !decision.allowed)?;
        Some(self.on(Error::TooOften { retry_after: decision.retry_after }.into_response()))
    }

    /// Says on an answer what is left of the limit (draft-ietf-httpapi-ratelimit-headers-10).
    fn on(&self, mut response: Response) -> Response {
        if let Some((limit, decision)) = &self.0 {
            let (name, count, seconds) = (limit.name(), limit.count(), limit.period().as_secs());
            let (left, reset) = (decision.remaining, decision.reset.as_secs());
            for (header, text) in [
                (RATELIMIT_POLICY, format!("\"{name}\";q={count};w={seconds}")),
                (RATELIMIT, format!("\"{name}\";r={left};t={reset}")),
            ] {
                if let Ok(value) = HeaderValue::try_from(text) {
                    response.headers_mut().insert(header, value);
                }
            }
        }
        response
    }
}

async fn login(
    State(app): State<Arc<App>>,
    Extension(address): Extension<Option<ClientAddress>>,
    headers: HeaderMap,
    _none: NoParams,
    Json(request): Json<SignIn>,
) -> Result<Response, Error> {
    let stranger = Stranger { address, device: cookies::device(&headers) };
    let SignedIn { token, device, me } = actions::sign_in(&app, stranger, request).await?;
    let device = device.map(|device| AppendHeaders(cookies::set_device(&app.settings, &device)));
    Ok((AppendHeaders(cookies::set(&app.settings, &token)), device, private(me)).into_response())
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
