//! Putting a backup back, and what has to be done where others have put one back.

use super::file::{Access, Contents, copy, examine, fold};
use super::{BackupError, Step, file_of, folder_of, of, sync};
use crate::access;
use crate::config::DatabaseUrl;
use crate::database::Database;
use crate::error::Error;
use crate::lock::{self, PreparationLock};
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};
use tempfile::TempPath;

/// What SQLite keeps beside the file of a database.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// What becomes of a database that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and nothing is put back.
    Stays,
    /// It is kept under another name.
    IsReplaced,
}

/// What was put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// What is in it.
    pub contents: Contents,
    /// The last migration of the backup, before its tables were brought up to date.
    pub from_migration: i64,
    /// How many sessions and tokens were ended.
    pub ended: u64,
    /// Where the database is that was there.
    pub kept: Option<PathBuf>,
}

/// Puts a backup in the place of a database. What is put back is made whole beside it first, with its tables up to date and all sessions
/// ended, and then takes its place at one stroke: a process that dies leaves the one or the other.
///
/// # Errors
/// The backup is none of this CRM, damaged, or of a newer program; there is a database that is not to be replaced, or somebody uses it;
/// what the system and SQLite report.
///
/// # Cancel safety
/// Dropped early, the database is as it was; what was prepared is removed, here or by the next call.
pub async fn restore(
    url: &DatabaseUrl,
    file: &Path,
    existing: Existing,
    tell: impl Fn(Step),
) -> Result<Restored, BackupError> {
    let database = lock::end_of_links(file_of(url, BackupError::RestoreDump)?);
    if !file.is_file() {
        return Err(BackupError::NoFile(file.to_owned()));
    }
    let lock = PreparationLock::take(url).await?; // until its end no `crm` opens the database
    let is_there = database.exists();
    if is_there && existing == Existing::Stays {
        return Err(BackupError::Exists(database));
    }
    if is_there && lock::is_open(&database).map_err(of(&database))? {
        return Err(BackupError::InUse(url.clone()));
    }
    tell(Step::Check);
    let from_migration = examine(file).await?.migration;
    let next = beside(&database, ".restoring");
    remove_leftovers(&next)?;
    let until_in_place = TempPath::try_from_path(&next).map_err(of(&next))?;
    // It holds passwords, hashed: nobody but its owner reads it, until it gets the rights of the one that it replaces.
    let only_ours = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&next);
    drop(only_ours.map_err(of(&next))?);
    copy(file, Access::Read, &next, &tell).await?;
    tell(Step::Migrate);
    let ended = begin_anew_alone(&next, &lock).await?;
    fold(&next).await?;
    tell(Step::Check);
    let contents = examine(&next).await?;
    let kept = if is_there { Some(keep(&database, &next).await?) } else { None };
    sync(&next)?;
    take_place(&database, until_in_place, kept.as_deref())?;
    Ok(Restored { contents, from_migration, ended, kept })
}

/// Does what has to be done after others have put a database back: makes it another one to every cache, and ends all sessions. Answers how
/// many.
///
/// # Errors
/// Somebody uses it; what the database reports.
///
/// # Cancel safety
/// Dropped early, it may be done or not; doing it again does no harm.
pub async fn announce_restored(url: &DatabaseUrl) -> Result<u64, BackupError> {
    let lock = PreparationLock::take(url).await?;
    if url.is_in_memory() {
        return Err(BackupError::InMemory);
    }
    if let Some(file) = url.file() {
        if !file.is_file() {
            return Err(BackupError::NoDatabase(file.to_owned()));
        }
        if lock::is_open(file).map_err(of(file))? {
            return Err(BackupError::InUse(url.clone()));
        }
    }
    // Before it is opened, which brings its tables up to date.
    if Database::is_served(url).await? {
        return Err(BackupError::InUse(url.clone()));
    }
    let database = Database::open_with(url, &lock).await?;
    let ended = begin_anew(&database).await?;
    database.close().await;
    Ok(ended)
}

/// Sessions that were ended after the backup would hold again, and caches would be believed that are newer.
async fn begin_anew(database: &Database) -> Result<u64, Error> {
    let mut change = database.change().await?;
    let ended = access::end_all(&mut change).await?;
    change.commit_anew(ended).await
}

/// The same, with the tables brought up to date, of a file that nobody knows yet.
async fn begin_anew_alone(file: &Path, lock: &PreparationLock) -> Result<u64, BackupError> {
    let url = DatabaseUrl::parse(&format!("sqlite:{}", file.display()));
    let url = url.map_err(|refused| of(file)(io::Error::new(io::ErrorKind::InvalidFilename, refused)))?;
    let database = Database::open_with(&url, lock).await?;
    let ended = begin_anew(&database).await?;
    database.close().await;
    Ok(ended)
}

/// Gives the database that is there a second name, and the next one its owner and rights. Answers the name.
async fn keep(database: &Path, next: &Path) -> Result<PathBuf, BackupError> {
    let old = fs::metadata(database).map_err(of(database))?;
    let new = fs::metadata(next).map_err(of(next))?;
    if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
        chown(next, Some(old.uid()), Some(old.gid())).map_err(of(next))?;
    }
    fs::set_permissions(next, old.permissions()).map_err(of(next))?;
    match fold(database).await {
        Ok(()) => {}
        // It may be why a backup is put back: it is kept as it is, with its log.
        Err(BackupError::Damaged { .. } | BackupError::Foreign { .. }) => {}
        Err(error) => return Err(error),
    }
    for number in 1_u32.. {
        let name = beside(database, &format!(".replaced-{number}"));
        match fs::hard_link(database, &name) {
            Ok(()) => return Ok(name),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // One that died in between may have given it this name.
                let is_it =
                    fs::metadata(&name).is_ok_and(|kept| (kept.dev(), kept.ino()) == (old.dev(), old.ino()));
                if is_it {
                    return Ok(name);
                }
            }
            Err(error) => return Err(of(&name)(error)),
        }
    }
    Err(BackupError::Exists(database.to_owned())) // four thousand million of them
}

/// Puts the next database in its place. What is beside the one that was there goes first: SQLite would take its log for one of the next.
fn take_place(database: &Path, next: TempPath, kept: Option<&Path>) -> Result<(), BackupError> {
    // What belongs to a database that was moved away is kept too: its last commits may be in there alone.
    let aside = kept.map_or_else(|| free_name(database), Path::to_owned);
    for ending in BESIDE {
        let file = beside(database, ending);
        match fs::rename(&file, beside(&aside, ending)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(of(&file)(error)),
            Ok(()) | Err(_) => {}
        }
    }
    sync(folder_of(database))?;
    next.persist(database).map_err(|refused| of(database)(refused.error))?;
    sync(folder_of(database))
}

/// A name for what was replaced that nothing has yet.
fn free_name(database: &Path) -> PathBuf {
    let is_free =
        |name: &PathBuf| !name.exists() && BESIDE.iter().all(|ending| !beside(name, ending).exists());
    let mut names = (1_u32..).map(|number| beside(database, &format!(".replaced-{number}")));
    names.find(is_free).unwrap_or_else(|| beside(database, ".replaced"))
}

/// Removes what a call that died has left behind.
fn remove_leftovers(next: &Path) -> Result<(), BackupError> {
    let leftovers = BESIDE.iter().map(|ending| beside(next, ending)).chain([next.to_owned()]);
    for leftover in leftovers {
        match fs::remove_file(&leftover) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(of(&leftover)(error)),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// A name that begins with that of a file.
fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(ending);
    PathBuf::from(name)
}
