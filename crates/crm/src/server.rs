//! The server: the cache with every space, the routes of every domain, and serving until it is told to stop.

use crate::app::App;
use crate::config::{ConfigError, Settings, Switch};
use crate::database::program;
use crate::{access, analytics, companies, contacts, deals, http, products, users};
use axum::Router;
use larder::{CacheService, Clock};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// How long a start waits for Redis before it goes on without: several times what one that is there takes to answer.
const REACH_LIMIT: Duration = Duration::from_secs(1);

/// Why there is no cache.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// A file that the settings name cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The spaces do not fit together, or the library takes a setting of Redis otherwise than it was meant.
    #[error(transparent)]
    Cache(#[from] larder::Error),
}

/// The cache, with the spaces of every domain, in Redis where the settings name one; with the cache switched off, one that
/// keeps nothing. Ages and lifetimes are those of the clock. It serves once the database [tells](crate::database::Database::tell) it of
/// changes. This waits for nobody.
///
/// # Errors
/// A file for TLS cannot be read, the URL of Redis cannot be used, or the spaces do not fit together.
pub fn cache(settings: &Settings, clock: Clock) -> Result<CacheService, CacheError> {
    if settings.cache == Switch::Off {
        return Ok(CacheService::bypass());
    }
    let domains = [
        companies::register,
        users::register,
        access::register,
        contacts::register,
        products::register,
        deals::register,
        analytics::register,
    ];
    let builder = CacheService::builder().local_capacity_bytes(settings.cache_capacity_bytes).clock(clock);
    // What another version made of its tables is not understood here.
    let builder = builder.relayed().program(&program());
    let builder = match settings.redis.connection()? {
        Some(redis) => builder.redis(redis),
        None => builder,
    };
    Ok(domains.into_iter().fold(builder, |builder, register| register(builder)).build()?)
}

/// Waits until Redis has answered, for as long as a start may take; answers whether it has. A cache without Redis is
/// there at once.
///
/// # Cancel safety
/// It changes nothing.
pub async fn reach(cache: &CacheService) -> bool {
    tokio::time::timeout(REACH_LIMIT, cache.ready()).await.is_ok()
}

/// Every domain's routes. What stands above the domains adds its own.
pub fn routes() -> Router<Arc<App>> {
    let domains = [
        companies::router(),
        users::router(),
        access::router(),
        contacts::router(),
        products::router(),
        deals::router(),
        analytics::router(),
        http::health::router(),
    ];
    domains.into_iter().fold(Router::new(), Router::merge)
}

/// Serves `routes` until `stop` is ready; then takes no more requests, and ends when those under way are answered, or at
/// the drain limit.
///
/// # Errors
/// When the listener fails.
///
/// # Cancel safety
/// Dropped early, requests under way are cut off, and writes among them go on until [`App::close`] or the end of the runtime.
pub async fn serve(
    app: Arc<App>,
    routes: Router<Arc<App>>,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let limit = app.settings.drain_limit;
    let router = http::edge::around(access::guard(routes, &app), Arc::clone(&app));
    let (draining, drain) = oneshot::channel();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, service).with_graceful_shutdown(async move {
        stop.await;
        draining.send(()).ok(); // whoever does not wait for it has ended already
    });
    let drained = async {
        // The sender is dropped only with `serving`, whose end is what is waited for then.
        if drain.await.is_err() {
            std::future::pending::<()>().await;
        }
        tracing::info!(
            limit_ms = limit.as_millis(),
            "stopping: no more requests, those under way are finished"
        );
        tokio::time::sleep(limit).await;
    };
    let result = tokio::select! {
        result = async { serving.await } => result,
        () = drained => {
            tracing::warn!("requests were still under way at the drain limit and are cut off");
            Ok(())
        }
    };
    if tokio::time::timeout(limit, app.close()).await.is_err() {
        tracing::warn!("writes were still under way at the drain limit and are cut off");
    }
    result
}
