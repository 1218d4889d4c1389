//! Imports contacts from any CSV file with a header, into one company.
//!
//! The file is read as it comes, a row at a time, and written in one transaction: of a million rows some fifty megabytes are held,
//! by which rows that come twice are known. `columns` says which column is what, `row` what a row becomes, `report` what happened.
//!
//! | what is found | what is done |
//! |---|---|
//! | a contact that is in the company already, or earlier in the file: of the same `external_id`, or else address of e-mail, or else kind, name and organisation | left as it is, and reported |
//! | a row that breaks a rule of contacts, is not in the encoding, or has more or fewer fields than the header | refused, and with it the import, unless `skip_refused` |
//! | columns that no field takes | left out, and reported |

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;

use csv::{ByteRecord, ReaderBuilder};
use encoding_rs_io::DecodeReaderBytesBuilder;
use sha2::{Digest, Sha256};

use super::progress::{Audience, Progress};
use crate::companies;
use crate::config::DatabaseUrl;
use crate::contacts::{self, Contact, ContactKind};
use crate::database::{Change, Database, OpenError};
use crate::error::Error;
use crate::written::Bulk;

use self::columns::Columns;
use self::row::{Countries, read};

pub use self::columns::{MapError, Mapping};
pub use self::report::Report;

mod columns;
mod report;
mod row;

/// How the bytes of a file are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Encoding {
    /// UTF-8, or UTF-16 where the file begins with its mark.
    Utf8,
    /// Windows-1252, which has all of Latin-1.
    #[value(name = "windows-1252")]
    Windows1252,
}

/// What is to be imported, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The file.
    pub file: PathBuf,
    /// The name or id of the company.
    pub company: String,
    /// Which column is what, where the header does not say so.
    pub map: Vec<Mapping>,
    /// What the rows are, where no column says so.
    pub kind: ContactKind,
    /// How the bytes are to be read.
    pub encoding: Encoding,
    /// What stands between fields.
    pub delimiter: u8,
    /// Nothing is to be written.
    pub dry_run: bool,
    /// Rows that are refused are to be left out, and the others imported.
    pub skip_refused: bool,
}

/// Why an import could not be carried out, other than by what its rows say.
#[derive(Debug, thiserror::Error)]
pub enum ContactsError {
    /// The file cannot be read.
    #[error("{} cannot be read: {source}", .file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is no CSV.
    #[error("{} is no CSV file that can be read: {source}", .file.display())]
    NoCsv {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        source: csv::Error,
    },
    /// The header and the mapping do not fit together.
    #[error("{}: {source}", .file.display())]
    Map {
        /// Which file.
        file: PathBuf,
        /// What is wrong.
        source: MapError,
    },
    /// The database would be gone with this process.
    #[error(
        "the database is in the memory of this process and would be gone at its end: name a file, as in sqlite:crm.db"
    )]
    InMemory,
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database says no; nothing was imported.
    #[error("nothing was imported: {0}")]
    Database(#[from] Error),
}

impl From<sqlx::Error> for ContactsError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

/// Imports contacts, and says what came of it. Whoever is the `audience` sees on standard error how far it has come.
///
/// # Errors
/// When the file or the database cannot be read, or the company is not there. What is wrong with rows is in the report.
///
/// # Cancel safety
/// Dropped midway, the database is as it was, or, when the commit was under way, holds the whole import.
pub async fn import(
    options: &Options,
    url: &DatabaseUrl,
    audience: Audience,
) -> Result<Report, ContactsError> {
    if url.is_in_memory() {
        return Err(ContactsError::InMemory);
    }
    let progress = Progress::new(audience);
    let result = import_showing(options, url, &progress).await;
    progress.end();
    result
}

async fn import_showing(
    options: &Options,
    url: &DatabaseUrl,
    progress: &Progress,
) -> Result<Report, ContactsError> {
    let unreadable = |source| ContactsError::Unreadable { file: options.file.clone(), source };
    let mut file = File::open(&options.file).map_err(unreadable)?;
    progress.begin("Counting");
    let lines = count_lines(&mut file).map_err(unreadable)?;
    let database = Database::open(url).await?;
    let result = import_into(&database, options, file, (progress, lines)).await;
    database.close().await;
    result
}

async fn import_into(
    database: &Database,
    options: &Options,
    file: File,
    (progress, lines): (&Progress, usize),
) -> Result<Report, ContactsError> {
    let mut snapshot = database.snapshot().await?;
    let company = companies::named(&mut snapshot, &options.company).await?.id;
    let countries = Countries::new(companies::countries(&mut snapshot).await?);
    drop(snapshot);
    let no_csv = |source| ContactsError::NoCsv { file: options.file.clone(), source };
    let mut reader = ReaderBuilder::new()
        .delimiter(options.delimiter)
        .flexible(true)
        .from_reader(decoded(file, options.encoding));
    let header = reader.byte_headers().map_err(no_csv)?.clone();
    let columns = Columns::of(&header, &options.map)
        .map_err(|source| ContactsError::Map { file: options.file.clone(), source })?;
    progress.begin_rows(if options.dry_run { "Checking" } else { "Importing" }, lines.saturating_sub(1));
    let mut import = Import {
        change: database.change().await?,
        bulk: Bulk::new(),
        seen: HashMap::new(),
        report: Report::new(&columns),
    };
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(no_csv)? {
        let line = record.position().map_or(0, csv::Position::line);
        progress.step();
        if record.len() != header.len() {
            let (found, wanted) = (record.len(), header.len());
            import.report.refuse(line, format!("{found} fields where the header has {wanted}"));
            continue;
        }
        match read(&columns, &record, &countries, options.kind)
            .and_then(|new| Contact::new(&company, &new).map_err(|errors| errors.to_string()))
        {
            Ok(contact) => import.take(line, contact).await?,
            Err(why) => import.report.refuse(line, why),
        }
    }
    import.end(options).await
}

/// An import under way.
struct Import {
    change: Change,
    bulk: Bulk,
    /// The lines of those that were imported, by a digest of what tells them from others.
    seen: HashMap<u128, u64>,
    report: Report,
}

impl Import {
    async fn take(&mut self, line: u64, contact: Contact) -> Result<(), ContactsError> {
        match self.seen.entry(identity(&contact)) {
            Entry::Occupied(earlier) => {
                self.report.repeat(line, Some(*earlier.get()));
                return Ok(());
            }
            Entry::Vacant(new) => drop(new.insert(line)),
        }
        if contacts::has_twin(&mut self.change, &contact).await? {
            self.report.repeat(line, None);
            return Ok(());
        }
        contacts::insert(&mut self.change, contact).await?.in_bulk(&mut self.bulk);
        self.report.imported += 1;
        Ok(())
    }

    /// Keeps what was imported, or nothing of it.
    async fn end(mut self, options: &Options) -> Result<Report, ContactsError> {
        let is_refused = self.report.any_refused() && !options.skip_refused;
        self.report.conclude(options.dry_run, is_refused);
        if !options.dry_run && !is_refused {
            self.change.commit_bulk(self.bulk).await?;
        }
        Ok(self.report)
    }
}

/// What tells a contact from others, in a few bytes: as [`contacts::has_twin`] has it.
fn identity(contact: &Contact) -> u128 {
    let text = match (&contact.external_id, &contact.email) {
        (Some(id), _) => format!("id\n{id}"),
        (None, Some(email)) => format!("email\n{email}"),
        (None, None) => {
            let organisation = contact.organisation.as_deref().unwrap_or_default();
            format!("name\n{}\n{}\n{organisation}", contact.kind, contact.name)
        }
    };
    let digest = Sha256::digest(text.as_bytes());
    u128::from_be_bytes(std::array::from_fn(|at| digest[at]))
}

/// The bytes of a file as UTF-8. What is not in the encoding is left as it is, for its row to be refused.
fn decoded(file: File, encoding: Encoding) -> impl Read {
    let mut builder = DecodeReaderBytesBuilder::new();
    match encoding {
        Encoding::Utf8 => builder.bom_sniffing(true).strip_bom(true),
        Encoding::Windows1252 => builder.encoding(Some(encoding_rs::WINDOWS_1252)),
    };
    BufReader::new(builder.build(file))
}

/// How many lines a file has, which is how many rows at most.
fn count_lines(file: &mut File) -> std::io::Result<usize> {
    let (mut lines, mut buffer) = (0, vec![0; 1 << 16]);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        lines += buffer[..read].iter().filter(|byte| **byte == b'\n').count();
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(lines)
}
