//! `crm serve`: the server, from its database to the last answered request.

use super::{Failure, open};
use crate::app::App;
use crate::config::{Settings, Switch};
use crate::database::Database;
use crate::time::Day;
use crate::{companies, demo, server, warm};
use clap::Args;
use std::io::{self, Write};
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// What `serve` takes besides the settings.
#[derive(Debug, Default, Args)]
pub(super) struct Arguments {
    /// Leave an empty database empty, instead of filling it with demo data
    #[arg(long)]
    no_demo: bool,
    /// Load companies and their pipelines into the cache before the first request
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
    let demo = !arguments.no_demo && demo::fill(&database, Day::today()).await?;
    let example = example_company(&database).await?;
    let outbox = database.tell(&cache).await?;
    if let Some(place) = settings.shared_cache()
        && !server::reach(&cache).await
    {
        tracing::warn!(%place, "Redis does not answer: the database is asked for everything until it does");
    }
    let app = App::new(database, cache, outbox, settings);
    if arguments.warm && app.settings.cache == Switch::Off {
        tracing::warn!("the cache is off: there is nothing to warm, and --warm does nothing");
    } else if arguments.warm {
        let summary = warm::run(&app, |_progress| async { true }).await?;
        tracing::info!(companies = summary.companies, entries = summary.loaded, "the cache is warm");
    }
    if let Err(error) = greet(listener.local_addr()?, &app.settings, demo, example.as_deref()) {
        // Whoever started it may have closed standard output: that is no reason not to serve.
        tracing::warn!(%error, "the greeting could not be printed");
    }
    let routes = server::routes().merge(warm::router());
    server::serve(app, routes, listener, stop).await?;
    Ok(())
}

/// The id of a company to show requests with.
async fn example_company(database: &Database) -> Result<Option<String>, Failure> {
    let mut snapshot = database.snapshot().await.map_err(crate::error::Error::from)?;
    Ok(companies::ids(&mut snapshot).await?.first().map(ToString::to_string))
}

fn greet(address: SocketAddr, settings: &Settings, demo: bool, example: Option<&str>) -> io::Result<()> {
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
    writeln!(out, "Try:\n  curl http://{address}/api/companies\n  curl http://{address}/api/health")?;
    if let Some(company) = example {
        let base = format!("http://{address}/api/companies/{company}");
        writeln!(out, "  curl '{base}/deals?stage=won&sort=-value&per_page=5'\n  curl -i {base}/pipeline")?;
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
