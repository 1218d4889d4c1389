//! `crm serve`: the server, from its database to the last answered request.

use super::{Failure, open};
use crate::app::App;
use crate::config::{Settings, Switch};
use crate::database::Database;
use crate::time::Day;
use crate::{access, demo, server, warm};
use clap::Args;
use serde_json::json;
use std::io::{self, Write};
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// What `serve` takes besides the settings.
#[derive(Debug, Default, Args)]
pub(super) struct Arguments {
    /// Leave an empty database empty, instead of filling it with demo data
    #[arg(long)]
    no_demo: bool,
    /// Load companies and their pipelines into the cache before the first request; --warm-at-start does it in the background
    #[arg(long)]
    warm: bool,
}

pub(super) async fn run(settings: Settings, arguments: Arguments) -> Result<(), Failure> {
    if settings.cache == Switch::Off && settings.redis.url.is_some() {
        tracing::warn!("the cache is off: redis_url is not used");
    }
    if settings.shared_cache().is_some() {
        settings.redis.connection()?; // before anybody is troubled: the files that it names are there
    }
    let address = settings.listen;
    let listener = TcpListener::bind(address).await.map_err(|source| Failure::Listen { address, source })?;
    let stop = stop_signal()?; // before anybody is told that this serves, and may stop it
    let cache = server::cache(&settings, larder::Clock::system())?;
    let database = open(&settings).await?;
    let is_open = !address.ip().is_loopback() || settings.public_url.is_some();
    let demo = !arguments.no_demo && !is_open && demo::fill(&database, Day::today()).await?;
    let has_demo = has_demo(&database).await?;
    if is_open && has_demo {
        return Err(Failure::DemoInTheOpen(address));
    }
    if settings.public_url.is_some() && settings.limits.trusted_proxies.is_empty() {
        tracing::warn!(
            "all requests through a proxy come from its address, and share its limits: name it with --trusted-proxies"
        );
    }
    if is_open && !settings.is_over_tls() {
        tracing::warn!(
            "passwords and sessions go over the network as they are: put a proxy that speaks TLS in front, and name its \
             address with --public-url https://…"
        );
    }
    let outbox = database.tell(&cache).await?;
    if let Some(place) = settings.shared_cache()
        && !server::reach(&cache).await
    {
        tracing::warn!(%place, "Redis does not answer: the database is asked for everything until it does");
    }
    let app = App::new(database, cache, outbox, settings);
    let wants_warmth = arguments.warm || app.settings.warm_at_start == Switch::On;
    if wants_warmth && app.settings.cache == Switch::Off {
        tracing::warn!(
            "the cache is off: there is nothing to warm, and neither --warm nor warm_at_start does anything"
        );
    } else if arguments.warm {
        let summary = warm::run(&app, warm::CONCURRENCY, async |_progress| true).await?;
        tracing::info!(companies = summary.companies, entries = summary.loaded, "the cache is warm");
    }
    if let Err(error) = greet(listener.local_addr()?, &app.settings, demo, has_demo) {
        // Whoever started it may have closed standard output: that is no reason not to serve.
        tracing::warn!(%error, "the greeting could not be printed");
    }
    server::serve(app, server::routes(), listener, stop).await;
    Ok(())
}

/// Whether somebody can sign in with the password of the manual.
async fn has_demo(database: &Database) -> Result<bool, Failure> {
    let mut snapshot = database.snapshot().await.map_err(crate::error::Error::from)?;
    Ok(access::count_demo_passwords(&mut snapshot).await? > 0)
}

fn greet(address: SocketAddr, settings: &Settings, demo: bool, has_demo: bool) -> io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "crm {} serves http://{address} from {}",
        env!("CARGO_PKG_VERSION"),
        settings.database_url
    )?;
    match (settings.cache, settings.shared_cache()) {
        (Switch::Off, _) => writeln!(out, "The cache is off.")?,
        (Switch::On, None) => writeln!(out, "The cache is in this process.")?,
        (Switch::On, Some(place)) => writeln!(out, "The cache is in Redis at {place}.")?,
    }
    if demo {
        writeln!(out, "The database was empty and has demo data now; --no-demo leaves it empty.")?;
    }
    if has_demo {
        writeln!(
            out,
            "Open it in a browser, and sign in as {} with the password {}; or as a program:",
            demo::ADMIN,
            demo::PASSWORD
        )?;
        let login = json!({"email": demo::ADMIN, "password": demo::PASSWORD});
        let json = "-H 'Content-Type: application/json'";
        writeln!(out, "  curl -c jar http://{address}/api/auth/login {json} -d '{login}'")?;
        writeln!(out, "  curl -b jar http://{address}/api/companies")?;
    } else {
        writeln!(
            out,
            "Who has signed in may use it; `crm user add --help` says how to add the first of a company."
        )?;
    }
    writeln!(out, "Stop it with Ctrl-C.")?;
    out.flush()
}

/// Ready when the process is asked to end: by Ctrl-C, or by SIGTERM as supervisors send it.
fn stop_signal() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
