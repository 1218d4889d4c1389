//! A service that is another one with something around it.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::Response;
use futures_util::future::BoxFuture;
use tower::Service;

/// What a layer does around the service that it wraps.
pub(crate) trait Wrap: Send + Sync + 'static {
    fn wrap<S>(
        self: Arc<Self>,
        request: Request,
        inner: S,
    ) -> impl Future<Output = Result<Response, S::Error>> + Send
    where
        S: Service<Request, Response = Response, Error: Send, Future: Send> + Send;
}

/// A service with a layer around it.
#[derive(Clone, Debug)]
pub struct Around<S, W> {
    inner: S,
    layer: Arc<W>,
}

impl<S, W> Around<S, W> {
    pub(crate) fn new(inner: S, layer: Arc<W>) -> Self {
        Around { inner, layer }
    }
}

impl<S, W: Wrap> Service<Request> for Around<S, W>
where
    S: Service<Request, Response = Response, Error: Send, Future: Send> + Clone + Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The one that is ready goes with the request; its clone gets ready for the next.
        let clone = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, clone);
        Box::pin(Arc::clone(&self.layer).wrap(request, ready))
    }
}

/// Makes a layer of something that is cheap to clone.
macro_rules! layer {
    ($name:ident $(<$($param:ident),+>)?) => {
        impl<S $(, $($param),+)?> tower::Layer<S> for $name $(<$($param),+>)? {
            type Service = $crate::around::Around<S, $name $(<$($param),+>)?>;

            fn layer(&self, inner: S) -> Self::Service {
                $crate::around::Around::new(inner, std::sync::Arc::new(self.clone()))
            }
        }
    };
}
pub(crate) use layer;
