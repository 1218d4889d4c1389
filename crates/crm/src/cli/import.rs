//! `crm import`: data of other systems, whole or not at all.

use super::Failure;
use crate::config::Settings;
use crate::contacts::ContactKind;
use crate::import::contacts::{Encoding, Mapping};
use crate::import::{Audience, contacts, sales};
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

const CONTACTS: &str = "\
Import contacts of one company from any CSV file whose first line names its columns.

Columns are known by their names (name, organisation or company, title, email, phone, country, kind, external_id, in any spelling); \
--map says it where they are not. What no field takes is left out, and said so. A country may be a code or an English name.

A contact that the company has already, or that stands earlier in the file, is left as it is and reported: the same external_id, or \
else the same address of e-mail, or else the same kind, name and organisation. So a second import of a file changes nothing.

A row that cannot be a contact refuses the import, and the database stays as it was; --skip-refused leaves such rows out and imports \
the others. Everything is one transaction, for which other changes wait on SQLite. Servers may run meanwhile.";

const CONTACTS_EXAMPLES: &str = "\
Examples:
  crm import contacts customers.csv --company 'Lee & Sons' --dry-run
  crm import contacts people.csv --company 'Lee & Sons' --map name=first_name+last_name --map title=
  crm import contacts kunden.csv --company 'Lee & Sons' --kind organisation --encoding windows-1252 --delimiter ';'

Exit status: 0 when it was imported, or would be, 1 when it was refused or failed.";

/// What can be imported.
#[derive(Debug, Subcommand)]
pub(super) enum Import {
    /// Import a sales pipeline from four CSV files
    #[command(long_about = SALES, after_long_help = SALES_EXAMPLES)]
    Sales(Arguments),
    /// Import contacts from any CSV file with a header
    #[command(long_about = CONTACTS, after_long_help = CONTACTS_EXAMPLES)]
    Contacts(ContactsArguments),
}

/// What an import of contacts takes besides the settings.
#[derive(Debug, Args)]
pub(super) struct ContactsArguments {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The name or the id of the company
    #[arg(long, value_name = "COMPANY")]
    company: String,
    /// Which column a field is taken from: name=full_name, name=first+last, or title= for none
    #[arg(long, value_name = "FIELD=COLUMN")]
    map: Vec<Mapping>,
    /// What the rows are, where no column says so
    #[arg(long, value_name = "person|organisation", default_value = "person", value_parser = kind)]
    kind: ContactKind,
    /// How the bytes of the file are to be read
    #[arg(long, value_enum, default_value = "utf8")]
    encoding: Encoding,
    /// What stands between fields: a comma, or `;`, or `tab`
    #[arg(long, default_value = ",", value_parser = delimiter)]
    delimiter: u8,
    /// Say what would happen, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Leave rows out that are refused, and import the others
    #[arg(long)]
    skip_refused: bool,
    /// Print one JSON object on standard output instead of a page for people
    #[arg(long)]
    json: bool,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
}

fn kind(word: &str) -> Result<ContactKind, String> {
    ContactKind::parse(word).ok_or_else(|| format!("give one of: {}", ContactKind::WORDS.join(", ")))
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() => Ok(*byte),
        b"tab" => Ok(b'\t'),
        _ => Err("give one character, or `tab`".to_owned()),
    }
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
    let audience = |quiet: bool, json: bool| match (quiet, json) {
        (true, _) => Audience::Nobody,
        (false, true) => Audience::Terminal,
        (false, false) => Audience::Anyone,
    };
    let Arguments { directory, json, quiet } = match import {
        Import::Sales(arguments) => arguments,
        Import::Contacts(arguments) => {
            let audience = audience(arguments.quiet, arguments.json);
            return import_contacts(settings, arguments, audience).await;
        }
    };
    let audience = audience(*quiet, *json);
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

async fn import_contacts(
    settings: &Settings,
    arguments: &ContactsArguments,
    audience: Audience,
) -> Result<ExitCode, Failure> {
    let options = contacts::Options {
        file: arguments.file.clone(),
        company: arguments.company.clone(),
        map: arguments.map.clone(),
        kind: arguments.kind,
        encoding: arguments.encoding,
        delimiter: arguments.delimiter,
        dry_run: arguments.dry_run,
        skip_refused: arguments.skip_refused,
    };
    let report = contacts::import(&options, &settings.database_url, audience).await?;
    if arguments.json {
        let json = serde_json::to_string(&report).map_err(std::io::Error::from)?;
        writeln!(std::io::stdout().lock(), "{json}")?;
    } else if report.is_refused() {
        write!(std::io::stderr().lock(), "{report}")?;
    } else {
        write!(std::io::stdout().lock(), "{report}")?;
    }
    Ok(if report.is_refused() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
