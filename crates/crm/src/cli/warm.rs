//! `crm warm`: asks the running server, whose process has the cache, and shows how it gets on.

use super::{Failure, open};
use crate::access;
use crate::config::Settings;
use crate::warm::{CONCURRENCY, MAX_CONCURRENCY, ask};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::Write;
use std::time::Duration;

pub(super) const LONG_ABOUT: &str = "\
Ask the running server to load companies and their pipelines into its cache.

The server is that of --listen and of the same database. It loads as reads do: what is in the cache stays there, what somebody changes meanwhile \
is never older than the change, and several servers that share a Redis load each entry once. `crm serve --warm` warms before it serves, \
`--warm-at-start on` in the background.";

/// What `warm` takes besides the settings.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How many companies are loaded at a time; the server has eight connections to its database
    #[arg(long, value_name = "COUNT", default_value_t = CONCURRENCY, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_CONCURRENCY)))]
    concurrency: u32,
}

pub(super) async fn run(settings: &Settings, arguments: &Arguments) -> Result<(), Failure> {
    // Drawn on stderr, and only where that is a terminal.
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos} of {len} companies") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    let begun = std::time::SystemTime::now();
    // Whoever has the database of a server may ask it.
    let database = open(settings).await?;
    let token = access::operator_token(&database, access::ERRAND).await?;
    database.close().await;
    let result = ask(settings.listen, &token, arguments.concurrency, |progress| {
        bar.set_length(u64::try_from(progress.of).unwrap_or(u64::MAX));
        bar.set_position(u64::try_from(progress.done).unwrap_or(u64::MAX));
    });
    let result = result.await;
    bar.finish_and_clear();
    let summary = result?;
    writeln!(
        std::io::stdout().lock(),
        "warmed {} companies in {} ms: {} entries loaded, {} were there already, {} failed",
        summary.companies,
        begun.elapsed().unwrap_or_default().as_millis(),
        summary.loaded,
        summary.present,
        summary.failed
    )?;
    Ok(())
}
