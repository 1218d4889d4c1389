//! `crm import`: data of other systems, whole or not at all.

use super::Failure;
use crate::config::Settings;
use crate::import::{Audience, sales};
use clap::{Args, Subcommand};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

const SALES: &str = "\
Import a sales pipeline from accounts.csv, products.csv, sales_teams.csv and sales_pipeline.csv.

A regional office becomes a company, its agents and managers become users of it (without an e-mail address until you \
give them one), an account becomes a contact of each company that has a deal with it, products are shared by all. \
Dollars become cents. The names and ids of the files are kept as `external_id`.

The import is whole or not at all. A file that is not UTF-8 or was cut, a column too few or too many, a row of the wrong \
length, a date, number or stage that cannot be, a name that no other file knows, an id that comes twice: each refuses \
the import with its file and line, and the database stays as it was. Known misspellings are repaired and reported \
(GTXPro, technolgy, Philipines). Open deals without an account are accepted.

Importing the same files again changes nothing. Importing newer files creates and changes what differs, and keeps the \
ids; it never deletes. In the fields that the files hold they win over what was edited in the CRM; e-mail addresses, \
roles, titles and phone numbers stay as they were set there. Servers may run meanwhile: they show the import a moment after \
it has ended, and their caches begin empty then.";

const SALES_EXAMPLES: &str = "\
Examples:
  crm import sales exports/2026-11
  crm import sales exports/2026-11 --json | jq .repaired
  crm import sales exports/2026-11 --database-url sqlite:trial.db

Exit status: 0 when the database holds what the files say, 1 when the import was refused or failed.";

/// What can be imported.
#[derive(Debug, Subcommand)]
pub(super) enum Import {
    /// Import a sales pipeline from four CSV files
    #[command(long_about = SALES, after_long_help = SALES_EXAMPLES)]
    Sales(Arguments),
}

/// What an import takes besides the settings.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The directory that holds accounts.csv, products.csv, sales_teams.csv and sales_pipeline.csv
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Print one JSON object on standard output instead of a page for people
    #[arg(long)]
    json: bool,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
}

pub(super) async fn run(settings: &Settings, import: &Import) -> Result<ExitCode, Failure> {
    let Import::Sales(Arguments { directory, json, quiet }) = import;
    let audience = match (quiet, json) {
        (true, _) => Audience::Nobody,
        (false, true) => Audience::Terminal,
        (false, false) => Audience::Anyone,
    };
    let report = sales::import(directory, &settings.database_url, audience).await?;
    if *json {
        let json = serde_json::to_string(&report.json()).map_err(std::io::Error::from)?;
        writeln!(std::io::stdout().lock(), "{json}")?;
    } else if report.is_refused() {
        write!(std::io::stderr().lock(), "{report}")?;
    } else {
        write!(std::io::stdout().lock(), "{report}")?;
    }
    Ok(if report.is_refused() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
