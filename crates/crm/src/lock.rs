//! One process at a time on a SQLite file: the cache is inside the process, so another's writes would go unseen.

use crate::config::DatabaseUrl;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

/// Most links that one name may lead through; Linux gives up at as many.
const MAX_LINKS: usize = 40;

/// Proof that no other process of this program has the database open. Released when dropped, or when the process dies.
#[derive(Debug)]
pub struct DatabaseLock {
    _file: Option<File>,
}

/// Why the lock could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error(
        "another `crm` process has the database {} open. Each process keeps its own cache and would not see what \
         the other writes: stop the other one first, or name another database with CRM_DATABASE_URL",
        .0.display()
    )]
    Taken(PathBuf),
    /// The lock file cannot be opened.
    #[error("the lock file {} cannot be opened: {source}. Its directory must exist and be writable", .path.display())]
    Unusable {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl DatabaseLock {
    /// Takes the lock of a database; one in memory has no other process to exclude and needs none.
    ///
    /// The lock is on a file beside the database (`crm.db.lock`), which stays: removing it would let two processes hold
    /// locks on two files of one name.
    ///
    /// # Errors
    /// [`LockError::Taken`] when another process has it: this does not wait.
    pub fn take(url: &DatabaseUrl) -> Result<Self, LockError> {
        let Some(database) = url.file() else { return Ok(Self { _file: None }) };
        let path = lock_path(database);
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|source| LockError::Unusable { path: path.clone(), source })?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: Some(file) }),
            Err(TryLockError::WouldBlock) => Err(LockError::Taken(database.to_owned())),
            Err(TryLockError::Error(source)) => Err(LockError::Unusable { path, source }),
        }
    }
}

fn lock_path(database: &Path) -> PathBuf {
    // Two names of one file must be one lock, also when the file that a link names is not there yet.
    let mut name = database.canonicalize().unwrap_or_else(|_| end_of_links(database)).into_os_string();
    name.push(".lock");
    PathBuf::from(name)
}

fn end_of_links(name: &Path) -> PathBuf {
    let mut file = name.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(target) = file.read_link() else { break };
        file.pop(); // a link says where it leads as seen from its own directory
        file.push(target);
    }
    file
}
