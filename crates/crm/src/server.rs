//! The server: the cache with every space, the routes of every domain, and serving until it is told to stop.

use crate::app::App;
use crate::config::{ConfigError, Settings, Switch};
use crate::database::program;
use crate::http::problem::Problem;
use crate::http::serving::Patience;
use crate::page::Page;
use crate::time::Moment;
use crate::{
    access, activities, analytics, audit, companies, contacts, deals, history, http, products, users, warm,
    web,
};
use axum::Router;
use axum::middleware::from_fn;
use larder::{CacheService, Clock};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi as _};
use utoipa_axum::router::OpenApiRouter;

/// What the description of the API says besides its routes.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "crm",
        description = "A multi-tenant CRM. Sign in with `POST /api/auth/login`; a program sends a token as `Authorization: Bearer`. \
                       Reads carry `ETag` and honour `If-None-Match`; changes honour `If-Match`, or a `version` in the body. Money is \
                       integer cents, times and days are UTC, ids are opaque."
    ),
    components(schemas(
        Problem,
        companies::Company,
        Page<companies::Company>,
        companies::Country,
        users::User,
        Page<users::User>,
        contacts::Contact,
        Page<contacts::Contact>,
        products::Product,
        deals::DealView,
        deals::HandedOver,
        Page<deals::DealView>,
        activities::Activity,
        Page<activities::Activity>,
        audit::Entry,
        Page<audit::Entry>,
        analytics::Pipeline,
        analytics::Monthly,
        analytics::Dashboard,
        analytics::UserStats,
        access::Me,
        access::SessionView,
        access::MadeToken,
        access::MadePassword,
        http::health::Health,
        warm::Line
    )),
    modifiers(&Credentials),
    security(("cookie" = []), ("token" = []))
)]
struct Described;

/// How one says who one is.
struct Credentials;

impl Modify for Credentials {
    fn modify(&self, api: &mut OpenApi) {
        let components = api.components.get_or_insert_default();
        let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new("crm_session")));
        components.add_security_scheme("cookie", cookie);
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("token", SecurityScheme::Http(token));
    }
}

/// How often a process looks whether something is due that another one has not done.
const LOOK_FOR_JOBS: Duration = Duration::from_secs(30);

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
        activities::register,
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

/// Every route, and the description of the API that they make.
pub fn routes() -> Router<Arc<App>> {
    let (routes, api) = documented().split_for_parts();
    let (pages, _described_for_tests) = web::router().split_for_parts();
    let config = utoipa_swagger_ui::Config::from("/api/openapi.json").try_it_out_enabled(true);
    routes
        .merge(pages)
        .merge(utoipa_swagger_ui::SwaggerUi::new("/api/docs").url("/api/openapi.json", api).config(config))
}

/// The description of the API, made from its routes.
#[must_use]
pub fn api() -> OpenApi {
    documented().into_openapi()
}

/// The description of the pages, in the same form: what the API promises is promised of them, and tested.
#[must_use]
pub fn pages() -> OpenApi {
    web::router().into_openapi()
}

fn documented() -> OpenApiRouter<Arc<App>> {
    let domains = [
        companies::router(),
        users::router(),
        access::router(),
        contacts::router(),
        products::router(),
        deals::router(),
        activities::router(),
        analytics::router(),
        audit::router(),
        http::health::router(),
        warm::router(),
    ];
    let described = OpenApiRouter::with_openapi(Described::openapi());
    domains.into_iter().fold(described, OpenApiRouter::merge)
}

/// Runs what is due, again and again.
async fn look_for_jobs(app: Arc<App>) {
    let mut looks = tokio::time::interval(LOOK_FOR_JOBS);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let owned = Arc::clone(&app);
        app.start_once("analytics job", async move {
            match analytics::run_if_due(&owned, owned.settings.analytics_job).await {
                Ok(None) => {}
                Ok(Some(companies)) => tracing::info!(companies, "the months are added up anew"),
                Err(error) => tracing::warn!(%error, "the months could not be added up anew; trying again"),
            }
        });
    }
}

/// Looks at the counters of the cache, again and again.
async fn look_at_the_cache(app: Arc<App>) {
    let mut looks = tokio::time::interval(history::LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        looks.tick().await;
        app.history.note(Moment::now(), &app.cache.stats().total);
    }
}

/// Serves `routes` until `stop` is ready; then takes no more requests, and ends when those under way are answered, or at
/// the drain limit.
///
/// # Cancel safety
/// Dropped early, requests under way are cut off, and writes among them go on until [`App::close`] or the end of the runtime.
pub async fn serve(
    app: Arc<App>,
    routes: Router<Arc<App>>,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send,
) {
    let settings = &app.settings;
    let patience = Patience { for_headers: settings.header_limit, for_the_end: settings.drain_limit };
    let router = http::edge::around(access::guard(routes, &app), Arc::clone(&app));
    let router = router.layer(from_fn(web::for_browsers));
    let mut jobs = JoinSet::new();
    jobs.spawn(look_for_jobs(Arc::clone(&app)));
    jobs.spawn(look_at_the_cache(Arc::clone(&app)));
    if settings.warm_at_start == Switch::On && settings.cache == Switch::On {
        let app = Arc::clone(&app);
        jobs.spawn(async move { warm::at_start(&app).await });
    }
    if !http::serving::serve(router, listener, patience, stop).await {
        tracing::warn!("requests were still under way at the drain limit and are cut off");
    }
    drop(jobs); // what is under way is a task of the application
    if tokio::time::timeout(settings.drain_limit, app.close()).await.is_err() {
        tracing::warn!("writes were still under way at the drain limit and are cut off");
    }
}
