//! Backups of a SQLite database: written while servers write, and put back. Of PostgreSQL, whose own programs do that, only what has to
//! be done behind them is done here.
//!
//! **A database that is put back has another past than its caches have seen.** What a Redis holds of the time behind the backup looks
//! right: its watermark may lie within the record, and rows get the same versions again. So the record of the outbox becomes
//! another one with the data ([`Change::commit_anew`](crate::database::Change::commit_anew)), and whoever compares begins a new era.

mod file;
mod restore;
mod write;

pub use file::Contents;
pub use restore::{Existing, Restored, announce_restored, restore};
pub use write::write;

use crate::config::{DatabaseKind, DatabaseUrl};
use crate::database::OpenError;
use crate::error::Error;
use crate::lock::LockError;
use std::io;
use std::path::{Path, PathBuf};

/// What is being done, for whoever waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It is copied.
    Copy {
        /// How much of it is written.
        written_bytes: u64,
        /// About how much there is.
        of_bytes: u64,
    },
    /// It is read from its beginning to its end, to see whether it is whole.
    Check,
    /// Its tables are brought up to date.
    Migrate,
}

/// Why there is no backup, or nothing was put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It is PostgreSQL's that is to be saved.
    #[error(
        "the database is in PostgreSQL, whose own program saves it, also while servers write: pg_dump --format=custom --file=crm.dump '{0}'"
    )]
    Dump(DatabaseUrl),
    /// It is PostgreSQL's that is to be put back.
    #[error(
        "the database is in PostgreSQL, whose own program puts it back. Stop all servers, and restore into an empty database: pg_restore \
         --exit-on-error --single-transaction --dbname='{0}' crm.dump. Then run `crm restored`, so that no cache is believed that is newer"
    )]
    RestoreDump(DatabaseUrl),
    /// It ends with its process.
    #[error("the database is in the memory of its process: there is nothing to save or to put back")]
    InMemory,
    /// There is nothing to be saved.
    #[error("there is no database {}: name another by --database-url", .0.display())]
    NoDatabase(PathBuf),
    /// A backup is never written over something.
    #[error("{} is there already, and is not written over: name another file", .0.display())]
    Taken(PathBuf),
    /// There is no such backup.
    #[error("there is no file {}", .0.display())]
    NoFile(PathBuf),
    /// It is something else.
    #[error("{} is no database of this CRM: {reason}", .file.display())]
    Foreign {
        /// Which.
        file: PathBuf,
        /// By what that is known.
        reason: String,
    },
    /// It knows tables that this program does not.
    #[error("a newer `crm` has made the tables of {}: run that one", .0.display())]
    Newer(PathBuf),
    /// It is one, but not as it was written.
    #[error("{} is damaged: {what}. Take another backup", .file.display())]
    Damaged {
        /// Which.
        file: PathBuf,
        /// What SQLite says.
        what: String,
    },
    /// There is a database where the backup is to go.
    #[error("there is a database {} already: --replace puts the backup in its place, and keeps it beside", .0.display())]
    Exists(PathBuf),
    /// Somebody works with it.
    #[error(
        "the database {0} is in use: stop all servers and other programs that have it open, and try again"
    )]
    InUse(DatabaseUrl),
    /// A file cannot be used.
    #[error("{} cannot be used: {source}", .file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// SQLite says no.
    #[error("{}: {source}", .file.display())]
    Sqlite {
        /// Of which file.
        file: PathBuf,
        /// What it said.
        source: sqlx::Error,
    },
    /// Another process prepares it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// It cannot be opened, or not be brought up to date.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What was put back cannot be put right.
    #[error(transparent)]
    Data(#[from] Error),
}

/// The file of a database, or what is to be done instead.
fn file_of(
    url: &DatabaseUrl,
    in_postgres: impl FnOnce(DatabaseUrl) -> BackupError,
) -> Result<&Path, BackupError> {
    if url.kind() == DatabaseKind::Postgres {
        return Err(in_postgres(url.clone()));
    }
    url.file().ok_or(BackupError::InMemory)
}

/// Says of which file the system said no.
fn of(file: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let file = file.to_owned();
    move |source| BackupError::File { file, source }
}

/// Waits until a file, or the names in a folder, are on the disk.
fn sync(file: &Path) -> Result<(), BackupError> {
    std::fs::File::open(file).and_then(|opened| opened.sync_all()).map_err(of(file))
}

/// The folder that a file is in.
fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
