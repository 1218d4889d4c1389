//! One process at a time prepares a SQLite file: makes its tables, and brings them up to date. SQLite's migrations know no lock of
//! their own; those of PostgreSQL do.

use crate::config::DatabaseUrl;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Most links that one name may lead through; Linux gives up at as many.
const MAX_LINKS: usize = 40;
/// How long a process waits for one that prepares the file.
const LIMIT: Duration = Duration::from_secs(30);
/// How often a process that waits looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The right to prepare a database. Released when dropped, or when the process dies.
#[derive(Debug)]
pub struct PreparationLock {
    _file: Option<File>,
}

/// Why the lock could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process keeps it.
    #[error(
        "another process has been preparing the database {} for {LIMIT:?}. Stop it and start again; an older `crm` keeps \
         the database for as long as it runs",
        .0.display()
    )]
    Taken(PathBuf),
    /// The lock file cannot be used.
    #[error("the lock file {} cannot be used: {source}. Its directory must exist and be writable", .path.display())]
    Unusable {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl PreparationLock {
    /// Takes the lock of a database, for which it waits; only a file has one.
    ///
    /// The lock file stays: removing it would let two processes hold locks on two files of one name.
    ///
    /// # Errors
    /// Another process does not end its preparation, or the file beside the database cannot be used.
    ///
    /// # Cancel safety
    /// Dropped early, nothing is held.
    pub async fn take(url: &DatabaseUrl) -> Result<Self, LockError> {
        let Some(database) = url.file() else { return Ok(Self { _file: None }) };
        let path = lock_path(database);
        let unusable = |source| LockError::Unusable { path: path.clone(), source };
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let file = file.map_err(unusable)?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: Some(file) }),
                Err(TryLockError::Error(source)) => return Err(unusable(source)),
                Err(TryLockError::WouldBlock) if begun.elapsed() > LIMIT => {
                    return Err(LockError::Taken(database.to_owned()));
                }
                Err(TryLockError::WouldBlock) => sleep(LOOK_AGAIN).await,
            }
        }
    }
}

/// Whether another process has a SQLite file open. SQLite's own locks say so, which each of its connections keeps for as long as it is
/// open, also those of other programs, and of a file that is damaged. Not to be asked where this process has it open: that would give its
/// locks up.
///
/// # Errors
/// The file cannot be opened for writing.
pub fn is_open(database: &Path) -> io::Result<bool> {
    let file = OpenOptions::new().read(true).write(true).open(database)?;
    match rustix::fs::fcntl_lock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(false), // and no longer locked from here on
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

fn lock_path(database: &Path) -> PathBuf {
    // Two names of one file must be one lock, also when the file that a link names is not there yet.
    let mut name = database.canonicalize().unwrap_or_else(|_| end_of_links(database)).into_os_string();
    name.push(".lock");
    PathBuf::from(name)
}

/// The file that a name leads to, if need be over links, also when it is not there yet.
pub fn end_of_links(name: &Path) -> PathBuf {
    let mut file = name.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(target) = file.read_link() else { break };
        file.pop(); // a link says where it leads as seen from its own directory
        file.push(target);
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn url(file: &Path) -> DatabaseUrl {
        DatabaseUrl::parse(&format!("sqlite:{}", file.display())).unwrap()
    }

    #[tokio::test]
    async fn one_at_a_time_by_whatever_name() {
        let directory = tempfile::tempdir().unwrap();
        let (data, link) = (directory.path().join("data.db"), directory.path().join("link.db"));
        std::os::unix::fs::symlink("data.db", &link).unwrap();
        let first = PreparationLock::take(&url(&link)).await.unwrap();
        let url = url(&data);
        let mut second = Box::pin(PreparationLock::take(&url));
        assert!((&mut second).now_or_never().is_none(), "it waits");
        drop(first);
        second.await.unwrap();
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_made_is_named_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let nowhere = url(&directory.path().join("no/crm.db"));
        let refused = PreparationLock::take(&nowhere).await.unwrap_err().to_string();
        assert!(refused.contains("must exist and be writable"), "{refused}");
    }
}
