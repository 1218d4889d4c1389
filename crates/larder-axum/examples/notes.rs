//! A note of whoever has signed in: cached, conditional, limited. A table in memory stands for a database. `curl -c jar -d ''
//! localhost:8090/sign-in/ann; curl -b jar -X PUT -d hello localhost:8090/note; curl -ib jar localhost:8090/note`
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Router, routing};
use larder::session::{SessionId, Token, Visitor};
use larder::{CacheService, Limit, Policy, Space};
use larder_axum::{Body, Conditional, Current, Limited, SameOrigin, Served, Sessions, TokenCookie};
use parking_lot::Mutex;
use std::{collections::HashMap, convert::Infallible, error::Error, sync::Arc, time::Duration};

pub(crate) static VISITOR: Space<SessionId, Visitor> = Space::new("session:{id}", "Read by each request.");
pub(crate) static NOTE: Space<str, Body> = Space::new("note:{user}", "Read all day; changes with a PUT.");
const COOKIE: TokenCookie = TokenCookie::new("notes", Duration::from_secs(86_400));
const REQUESTS: Limit = Limit::new("requests", 600, Duration::from_secs(60)).burst(100);

type Tables = Arc<Mutex<(HashMap<SessionId, Visitor>, HashMap<String, String>)>>;
type App = State<(CacheService, Tables)>;

async fn sign_in(State((_, tables)): App, Path(user): Path<String>) -> impl IntoResponse {
    let token = Token::new(); // after a look at the password
    tables.lock().0.insert(token.id(), Visitor::lasting(user, Duration::from_secs(86_400)));
    (COOKIE.set(&token), StatusCode::NO_CONTENT)
}

async fn read(State((cache, tables)): App, who: Current<Visitor>) -> Response {
    let user = who.session.subject.as_str();
    let load = || async { Body::of(user, &tables.lock().1.get(user)).map_err(Arc::new) };
    let read = cache.read_through(NOTE.key(user), Policy::new(), load).await;
    let served = read.ok().and_then(|read| Served::to(Some(user), read));
    served.map_or(StatusCode::INTERNAL_SERVER_ERROR.into_response(), Served::into_response)
}

async fn write(State((cache, tables)): App, who: Current<Visitor>, note: String) -> StatusCode {
    tables.lock().1.insert(who.session.subject.clone(), note);
    cache.delete(NOTE.key(who.session.subject.as_str())).await;
    StatusCode::NO_CONTENT
}

/// The application over a cache that knows [`VISITOR`] and [`NOTE`].
pub(crate) fn application(cache: CacheService) -> Router {
    let tables = Tables::default();
    let state = (cache.clone(), Arc::clone(&tables));
    let session = move |id| {
        let row = tables.lock().0.get(&id).cloned();
        async move { Ok::<_, Infallible>(row.map(|row| (row, vec![]))) }
    };
    let user = |asked: &Request| Some(asked.extensions().get::<Current<Visitor>>()?.session.subject.clone());
    let routes = Router::new().route("/sign-in/{user}", routing::post(sign_in));
    let routes = routes.route("/note", routing::get(read).put(write)).with_state(state);
    let routes = routes.layer(Limited::new(cache.clone(), REQUESTS, user)); // the last layer is the first to see a request
    let routes = routes.layer(Sessions::new(cache, &VISITOR, COOKIE, session));
    routes.layer(Conditional).layer(SameOrigin::trusting(&[]))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let cache = CacheService::builder().space(&VISITOR).space(&NOTE).build()?; // `.redis(…)` shares it
    Ok(axum::serve(tokio::net::TcpListener::bind("127.0.0.1:8090").await?, application(cache)).await?)
}
