//! Connections: taken one by one, bounded in what a client may make of its headers and in how long it may take, and drained at the
//! end. `axum::serve` has no such bounds.

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use std::io;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tower::ServiceExt;

/// All headers of a request together, in bytes, up to twice that by how they arrive: those of browsers have some two thousand.
const MAX_HEAD_BYTES: usize = 32 * 1024;
/// How long accepting rests when the process may open no more files, as a flood of connections makes it.
const OUT_OF_FILES_REST: Duration = Duration::from_millis(100);

/// How long a client may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// From when a connection waits for a request until its headers are there.
    pub(crate) for_headers: Duration,
    /// From the end of accepting until the last request is answered.
    pub(crate) for_the_end: Duration,
}

/// Answers requests until `stop` is ready; then takes no more, and ends when those under way are answered, or its patience does.
/// Answers whether all were.
///
/// # Cancel safety
/// Dropped early, connections are cut off.
pub(crate) async fn serve(
    router: Router,
    listener: TcpListener,
    patience: Patience,
    stop: impl Future<Output = ()>,
) -> bool {
    let (graceful, mut connections) = (GracefulShutdown::new(), JoinSet::new());
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(patience.for_headers).max_buf_size(MAX_HEAD_BYTES);
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        while connections.try_join_next().is_some() {} // those that have ended make room
        let (stream, address) = match accepted {
            Ok(connection) => connection,
            Err(error) => {
                rest_after(&error).await;
                continue;
            }
        };
        let router = router.clone();
        let answer = move |request: hyper::Request<hyper::body::Incoming>| {
            let mut request: Request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(address));
            router.clone().oneshot(request)
        };
        let connection = builder.serve_connection(TokioIo::new(prompt(stream)), service_fn(answer));
        let watched = graceful.watch(connection);
        connections.spawn(async move {
            // A client that breaks off, or is too slow, is its own affair.
            watched.await.ok();
        });
    }
    drop(listener); // from now on nobody can connect
    tracing::info!(
        limit_ms = patience.for_the_end.as_millis(),
        "stopping: no more requests, those under way are finished"
    );
    tokio::time::timeout(patience.for_the_end, graceful.shutdown()).await.is_ok()
}

/// Answers are sent at once, and not when more has gathered.
fn prompt(stream: TcpStream) -> TcpStream {
    stream.set_nodelay(true).ok(); // where it cannot be set it is only slower
    stream
}

/// A connection that ended before it was taken is nothing; where there are no more files, some will be free in a moment.
async fn rest_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if [ConnectionAborted, ConnectionRefused, ConnectionReset].contains(&error.kind()) {
        return;
    }
    tracing::warn!(%error, "no connection could be taken; trying again");
    tokio::time::sleep(OUT_OF_FILES_REST).await;
}
