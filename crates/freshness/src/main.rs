//! `freshness run`: checks the promise of larder. Processes read and write through caches over one real Redis and one real database, things
//! go wrong as a seed draws them, and every read is judged while it runs.

mod ablations;
mod clock;
mod crm;
mod database;
mod ground;
mod history;
mod judge;
mod loader;
mod options;
mod peers;
mod plot;
mod report;
mod rule;
mod run;
mod schedule;
mod subject;
mod tally;
mod view;
mod worker;

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Checks that a cache never returns what was changed and acknowledged before.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Let processes read and write while things go wrong, and judge every read.
    ///
    /// Starts redis-server twice, PostgreSQL if it is asked for, and some processes of its own; all of them end with it. Prints one
    /// closing line; fails if a read was wrong. docs/freshness.md says how it judges.
    Run(Box<options::Options>),
    /// Take one rule of the protocol out after the other, and look how long it takes to find what then goes wrong.
    ///
    /// The same runs, each ended by its first violation. Fails if a rule was not missed.
    Ablations(ablations::Ablations),
    /// A process of a run, which starts it.
    #[command(hide = true)]
    Worker,
    /// A server of the CRM of a run, which starts it.
    #[command(hide = true)]
    Crm,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(io::stderr)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = runtime.map_err(Into::into).and_then(|runtime| {
        runtime.block_on(async {
            match Arguments::parse().task {
                Task::Run(options) => report::close(&options, &run::run(&options).await?),
                Task::Ablations(options) => ablations::run(&options).await,
                Task::Crm => {
                    let place = testkit::worker::settings().ok_or("a run starts this, nobody else")?;
                    crm::serve(serde_json::from_str(&place)?).await.map(|()| true)
                }
                Task::Worker => {
                    // A task that panics is not missed by anybody: the process ends, and is.
                    let report = std::panic::take_hook();
                    std::panic::set_hook(Box::new(move |panic| {
                        report(panic);
                        std::process::abort();
                    }));
                    let settings = testkit::worker::settings().ok_or("a run starts this, nobody else")?;
                    worker::serve(serde_json::from_str(&settings)?).await?;
                    Ok(true)
                }
            }
        })
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            let failure: Box<dyn std::error::Error + Send + Sync> = failure;
            bench::terminal::tell(&format!("freshness: {failure}"));
            ExitCode::FAILURE
        }
    }
}
