//! Imports a sales pipeline: `accounts.csv`, `products.csv`, `sales_teams.csv` and `sales_pipeline.csv` of one directory.
//!
//! The rooms, in the order in which an import walks through them: `files` reads the four files and checks them against
//! each other, with `repair` for what is known to be misspelt; `plan` turns their rows into what they become; `write`
//! brings the database there; `report` and `summary` say what happened.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::path::PathBuf;

use super::findings::Findings;
use super::progress::{Audience, Progress};
use crate::companies;
use crate::config::DatabaseUrl;
use crate::database::Database;
use crate::error::Error;
use crate::lock::{DatabaseLock, LockError};

use self::files::SalesFiles;
use self::plan::Plan;
use self::report::{Outcome, Report};
use self::summary::Summary;
pub use self::write::WriteError;
use self::write::Writer;

mod files;
mod plan;
mod repair;
mod report;
mod summary;
mod write;

/// What `crm import sales` is asked to do.
#[derive(Clone, Debug, clap::Args)]
#[command(about = "Import a sales pipeline from four CSV files", long_about = ABOUT, after_long_help = EXAMPLES)]
pub struct SalesArgs {
    /// The directory that holds accounts.csv, products.csv, sales_teams.csv and sales_pipeline.csv
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Print one JSON object on standard output instead of a page for people
    #[arg(long)]
    pub json: bool,
    /// Show no progress
    #[arg(long, short)]
    pub quiet: bool,
}

const ABOUT: &str = "\
Import a sales pipeline from accounts.csv, products.csv, sales_teams.csv and sales_pipeline.csv.

A regional office becomes a company, its agents and managers become users of it (without an e-mail address until you \
give them one), an account becomes a contact of each company that has a deal with it, products are shared by all. \
Dollars become cents. The names and ids of the files are kept as `external_id`.

The import is whole or not at all. A file that is not UTF-8 or was cut, a column too few or too many, a row of the wrong \
length, a date, number or stage that cannot be, a name that no other file knows, an id that comes twice: each refuses \
the import with its file and line, and the database stays as it was. Known misspellings are repaired and reported \
(GTXPro, technolgy, Philipines). Open deals without an account are accepted.

Importing the same files again changes nothing. Importing newer files creates and changes what differs, and keeps the \
ids; it never deletes. Stop `crm serve` first: it keeps a cache that would not see the import.";

const EXAMPLES: &str = "\
Examples:
  crm import sales exports/2026-11
  crm import sales exports/2026-11 --json | jq .repaired

Exit status: 0 when the database holds what the files say, 1 when the import was refused or failed.";

/// Why an import could not be carried out, other than by what the files say.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// There is no such directory.
    #[error("{} is not a directory: name the one that holds {}", .0.display(), files::NAMES.join(", "))]
    NoDirectory(PathBuf),
    /// The database would be gone with this process.
    #[error(
        "the database is in the memory of this process and would be gone at its end: name a file, as in sqlite:crm.db"
    )]
    InMemory,
    /// Another process has the database.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// The database cannot be opened.
    #[error("the database cannot be opened: {0}")]
    Open(#[source] sqlx::Error),
    /// The database or a domain did not take the rows; nothing was written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The report cannot be printed; the import itself is done.
    #[error("the report cannot be printed: {0}")]
    Print(#[source] io::Error),
}

/// Whether the database holds what the files say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Ended {
    /// It does.
    Well,
    /// The files were refused, the report says why, and the database is as it was.
    Refused,
}

/// Imports a directory and prints the report: on standard output, or, when the files were refused and a page for people
/// was asked for, on standard error.
///
/// # Errors
/// When the database is in use, cannot be opened or does not take the rows. What is wrong with the files is no error
/// of this function but in the report.
///
/// # Cancel safety
/// Dropped midway, the database is as it was, or, when the commit was under way, holds the whole import.
pub async fn run(args: &SalesArgs, url: &DatabaseUrl) -> Result<Ended, ImportError> {
    let progress = Progress::new(match args {
        SalesArgs { quiet: true, .. } => Audience::Nobody,
        SalesArgs { json: true, .. } => Audience::Terminal,
        _ => Audience::Anyone,
    });
    let report = import(args, url, &progress).await;
    progress.end();
    let report = report?;
    print(&report, args).map_err(ImportError::Print)?;
    Ok(match report.outcome {
        Outcome::Refused => Ended::Refused,
        Outcome::Imported | Outcome::Unchanged => Ended::Well,
    })
}

async fn import(args: &SalesArgs, url: &DatabaseUrl, progress: &Progress) -> Result<Report, ImportError> {
    if !args.directory.is_dir() {
        return Err(ImportError::NoDirectory(args.directory.clone()));
    }
    if url.file().is_none() {
        return Err(ImportError::InMemory);
    }
    // First, so that whoever has to stop a server is told before waiting for anything else.
    let lock = DatabaseLock::take(url)?;
    progress.begin("Reading");
    let mut findings = Findings::default();
    let files = files::read(&args.directory, &mut findings);
    if findings.any_refused() {
        return Ok(Report::refused(findings));
    }
    let database = Database::open(url).await.map_err(ImportError::Open)?;
    let report = import_into(&database, files, &lock, progress, findings).await;
    database.close().await;
    Ok(report?)
}

async fn import_into(
    database: &Database,
    files: SalesFiles,
    lock: &DatabaseLock,
    progress: &Progress,
    mut findings: Findings,
) -> Result<Report, WriteError> {
    let countries =
        countries(database).await.map_err(|error| WriteError::new("the list of countries", error))?;
    let plan = Plan::of(files, &countries, &mut findings);
    if findings.any_refused() {
        return Ok(Report::refused(findings));
    }
    let totals = plan.totals();
    progress.begin_rows("Writing", totals.rows(plan.companies.len()));
    let whole = |error| WriteError::new("the whole", error);
    let mut change = database.change().await.map_err(whole)?;
    let (companies, rows) = Writer::new(&mut change, lock, progress).write(&plan).await?;
    change.commit_alone(lock).await.map_err(whole)?;
    let outcome = if rows.created + rows.changed == 0 { Outcome::Unchanged } else { Outcome::Imported };
    Ok(Report { outcome, companies, totals, rows, accepted: plan.accepted, findings })
}

/// The code of each country that the CRM knows, by its name.
async fn countries(database: &Database) -> Result<HashMap<String, String>, Error> {
    let countries = companies::countries(&mut database.snapshot().await?).await?;
    Ok(countries.into_iter().map(|country| (country.name, country.code)).collect())
}

fn print(report: &Report, args: &SalesArgs) -> io::Result<()> {
    if args.json {
        return writeln!(io::stdout().lock(), "{}", report.json()?);
    }
    match report.outcome {
        Outcome::Refused => write!(io::stderr().lock(), "{}", Summary(report)),
        Outcome::Imported | Outcome::Unchanged => write!(io::stdout().lock(), "{}", Summary(report)),
    }
}
