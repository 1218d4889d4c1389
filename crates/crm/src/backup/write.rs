//! Writing a backup.

use super::file::{Access, Contents, copy, examine};
use super::{BackupError, Step, file_of, folder_of, of, sync};
use crate::config::DatabaseUrl;
use std::path::Path;

/// Writes one state of a database into a new file, while servers may write, and answers what is in it. The file has its name when it is
/// written, found to be whole and on the disk; nobody but its owner can read it.
///
/// # Errors
/// There is such a file already, no such database, or it is none in a file; what the system and SQLite report.
///
/// # Cancel safety
/// Dropped early, there is no backup, and what was written of it is removed; if the process dies, it stays, by a name that ends with
/// `.unfinished`.
pub async fn write(url: &DatabaseUrl, file: &Path, tell: impl Fn(Step)) -> Result<Contents, BackupError> {
    let database = file_of(url, BackupError::Dump)?;
    if !database.is_file() {
        return Err(BackupError::NoDatabase(database.to_owned()));
    }
    if file.symlink_metadata().is_ok() {
        return Err(BackupError::Taken(file.to_owned()));
    }
    // As a full path: SQLite takes a name that begins with `file:` for something else.
    let folder = folder_of(file).canonicalize().map_err(of(folder_of(file)))?;
    let unfinished = tempfile::Builder::new().prefix(".crm-").suffix(".unfinished").tempfile_in(&folder);
    let unfinished = unfinished.map_err(of(&folder))?.into_temp_path();
    copy(database, Access::Shared, &unfinished, &tell).await?;
    tell(Step::Check);
    let contents = examine(&unfinished).await?;
    sync(&unfinished)?;
    unfinished.persist_noclobber(file).map_err(|refused| match refused.error.kind() {
        std::io::ErrorKind::AlreadyExists => BackupError::Taken(file.to_owned()),
        _ => of(file)(refused.error),
    })?;
    sync(&folder)?;
    Ok(contents)
}
