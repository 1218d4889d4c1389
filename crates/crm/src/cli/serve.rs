//! `crm serve`: the server, from the lock on its database to the last answered request.

use super::{Failure, open};
use crate::app::App;
use crate::config::{Settings, Switch};
use crate::database::Database;
use crate::lock::DatabaseLock;
use crate::time::Day;
use crate::{companies, demo, server, warm};
use clap::Args;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
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
    let lock = DatabaseLock::take(&settings.database_url)?;
    let address = settings.listen;
    let listener = TcpListener::bind(address).await.map_err(|source| Failure::Listen { address, source })?;
    let stop = stop_signal()?; // before anybody is told that this serves, and may stop it
    let database = open(&settings).await?;
    let demo = !arguments.no_demo && demo::fill(&database, &lock, Day::today()).await?;
    let example = example_company(&database).await?;
    let cache = server::cache(&settings, larder::Clock::system())?;
    let app = App::new(database, cache, settings);
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
    server::serve(Arc::clone(&app), routes, listener, stop).await?;
    drop(lock); // held until nothing of this process touches the database
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
