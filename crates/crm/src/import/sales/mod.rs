//! Imports a sales pipeline: `accounts.csv`, `products.csv`, `sales_teams.csv` and `sales_pipeline.csv` of one directory.
//!
//! The rooms, in the order in which an import walks through them: `files` reads the four files and checks them against
//! each other, with `repair` for what is known to be misspelt; `plan` turns their rows into what they become; `write`
//! brings the database there; `report` and `summary` say what happened.
//!
//! | what is found | what is done |
//! |---|---|
//! | the file cannot be trusted: missing, larger than 64 MiB, not UTF-8, cut, broken quotes, a column missing or too many, no rows, a row of the wrong length | refused |
//! | a row cannot be true: a bad date, number, stage or text, a value below zero, dates or a value that contradict the stage, an id or name that comes twice, a name that no other file or the list of countries knows | refused |
//! | known misspellings, listed in `repair` | repaired and reported |
//! | open deals without an account, agents and accounts without deals, countries by another name | accepted and counted |
//!
//! One refusal refuses the import: a pipeline with rows left out adds up to wrong sums, and nobody would know. All
//! refusals are reported together, so that one round of corrections is enough. A deal whose agent has moved to another
//! office is a new deal of that company, and the old one stays: a deal belongs to its company for good.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::findings::Findings;
use super::progress::{Audience, Progress};
use crate::companies;
use crate::config::DatabaseUrl;
use crate::database::{Database, OpenError};
use crate::error::Error;
use crate::written::Bulk;

use self::files::SalesFiles;
use self::plan::Plan;
use self::report::Outcome;
use self::write::Writer;

pub use self::report::Report;
pub use self::write::WriteError;

mod files;
mod plan;
mod repair;
mod report;
mod summary;
mod write;

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
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database or a domain did not take the rows; nothing was written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Imports the files of a directory into a database, which is created if there is none, and says what came of it. Whoever
/// is the `audience` sees on standard error how far it has come.
///
/// # Errors
/// When the database cannot be opened or does not take the rows. What is wrong with the files is no error
/// of this function but in the report.
///
/// # Cancel safety
/// Dropped midway, the database is as it was, or, when the commit was under way, holds the whole import.
pub async fn import(directory: &Path, url: &DatabaseUrl, audience: Audience) -> Result<Report, ImportError> {
    let progress = Progress::new(audience);
    let report = import_showing(directory, url, &progress).await;
    progress.end();
    report
}

async fn import_showing(
    directory: &Path,
    url: &DatabaseUrl,
    progress: &Progress,
) -> Result<Report, ImportError> {
    if !directory.is_dir() {
        return Err(ImportError::NoDirectory(directory.to_owned()));
    }
    if url.is_in_memory() {
        return Err(ImportError::InMemory);
    }
    progress.begin("Reading");
    let mut findings = Findings::default();
    let files = files::read(directory, &mut findings);
    if findings.any_refused() {
        return Ok(Report::refused(findings));
    }
    let database = Database::open(url).await?;
    let report = import_into(&database, files, progress, findings).await;
    database.close().await;
    Ok(report?)
}

async fn import_into(
    database: &Database,
    files: SalesFiles,
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
    let mut change = database.change().await.map_err(|error| WriteError::new("the whole", error))?;
    let mut bulk = Bulk::new();
    let (companies, rows) = Writer::new(&mut change, &mut bulk, progress).write(&plan).await?;
    change.commit_bulk(bulk).await.map_err(|error| WriteError::new("the whole", error))?;
    let outcome = if rows.created + rows.changed == 0 { Outcome::Unchanged } else { Outcome::Imported };
    Ok(Report { outcome, companies, totals, rows, accepted: plan.accepted, findings })
}

/// The code of each country that the CRM knows, by its name.
async fn countries(database: &Database) -> Result<HashMap<String, String>, Error> {
    let countries = companies::countries(&mut database.snapshot().await?).await?;
    Ok(countries.into_iter().map(|country| (country.name, country.code)).collect())
}
