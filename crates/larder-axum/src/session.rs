//! Who asks: a layer that finds the session of a request, and an extractor for who has one.

use std::future::Future;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use larder::session::{self, Session, SessionId, Token};
use larder::{CacheService, Space, Tag, Value};
use tower::{Service, ServiceExt};

use crate::around::{Wrap, layer};
use crate::cookies::TokenCookie;

type Find<T> = dyn Fn(Token) -> BoxFuture<'static, Result<Option<Arc<T>>, Response>> + Send + Sync;

/// A layer that finds the session of a request by its token, from the cache or the application's database, and puts it into the
/// request as a [`Current`]. A request without one goes on without.
pub struct Sessions<T: 'static> {
    cookie: TokenCookie,
    find: Arc<Find<T>>,
}

impl<T> Clone for Sessions<T> {
    fn clone(&self) -> Self {
        Self { cookie: self.cookie, find: Arc::clone(&self.find) }
    }
}

impl<T> std::fmt::Debug for Sessions<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").field("cookie", &self.cookie).finish_non_exhaustive()
    }
}

impl<T: Session + Value> Sessions<T> {
    /// Finds sessions as [`session::find`] does: `load` answers the row of an id, and the tags that it depends on. Its error is the
    /// answer to the request.
    pub fn new<E, F, Fut>(
        cache: CacheService,
        space: &'static Space<SessionId, T>,
        cookie: TokenCookie,
        load: F,
    ) -> Self
    where
        E: IntoResponse + Clone + Send + Sync + 'static,
        F: Fn(SessionId) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Option<(T, Vec<Tag>)>, E>> + Send,
    {
        let find = move |token: Token| -> BoxFuture<'static, Result<Option<Arc<T>>, Response>> {
            let (cache, load) = (cache.clone(), load.clone());
            Box::pin(async move {
                let found = session::find(&cache, space, &token, load).await;
                found.map_err(IntoResponse::into_response)
            })
        };
        Self { cookie, find: Arc::new(find) }
    }
}

layer!(Sessions<T>);

impl<T: Session + Value> Wrap for Sessions<T> {
    async fn wrap<S>(self: Arc<Self>, mut request: Request, mut inner: S) -> Result<Response, S::Error>
    where
        S: Service<Request, Response = Response, Error: Send, Future: Send> + Send,
    {
        if let Some(token) = self.cookie.bearer_or_cookie(request.headers()) {
            let id = token.id();
            match (self.find)(token).await {
                Ok(None) => {}
                Ok(Some(session)) => drop(request.extensions_mut().insert(Current { session, id })),
                Err(refused) => return Ok(refused),
            }
        }
        inner.ready().await?.call(request).await
    }
}

/// The session of a request, as [`Sessions`] has found it. As an extractor it answers 401 to who has none.
#[derive(Debug)]
pub struct Current<T> {
    /// What the application keeps of it.
    pub session: Arc<T>,
    /// What it is kept under.
    pub id: SessionId,
}

impl<T> Clone for Current<T> {
    fn clone(&self) -> Self {
        Self { session: Arc::clone(&self.session), id: self.id.clone() }
    }
}

/// Nobody has signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotSignedIn;

impl IntoResponse for NotSignedIn {
    fn into_response(self) -> Response {
        // What RFC 9110, 11.6.1 asks for: how one could say who one is.
        let how = [(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))];
        (StatusCode::UNAUTHORIZED, how).into_response()
    }
}

impl<T: Send + Sync + 'static, S: Send + Sync> FromRequestParts<S> for Current<T> {
    type Rejection = NotSignedIn;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, NotSignedIn> {
        parts.extensions.get::<Self>().cloned().ok_or(NotSignedIn)
    }
}
