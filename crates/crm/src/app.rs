//! What every request needs: the database, the settings, and a place for writes to run to their end.

use crate::body::Body;
use crate::config::Settings;
use crate::database::{Change, Database, StatementCount};
use crate::error::Error;
use crate::written::Written;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// The running application.
#[derive(Debug)]
pub struct App {
    /// The database.
    pub database: Database,
    /// The settings that hold.
    pub settings: Settings,
    writes: Mutex<JoinSet<()>>,
}

/// Where the body of a read came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The cache of this process.
    HitLocal,
    /// The database; it is cached now.
    Miss,
    /// The database, past the cache.
    Bypass,
}

impl Source {
    /// The word in the `X-Cache` header.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::HitLocal => "hit-local",
            Self::Miss => "miss",
            Self::Bypass => "bypass",
        }
    }
}

/// The answer to a read.
#[derive(Debug, Clone)]
pub struct Served {
    /// What is sent.
    pub body: Arc<Body>,
    /// Where it came from.
    pub source: Source,
    /// How long ago it was read from the database.
    pub age: Duration,
}

impl App {
    /// Puts the application together.
    #[must_use]
    pub fn new(database: Database, settings: Settings) -> Arc<Self> {
        Arc::new(Self { database, settings, writes: Mutex::default() })
    }

    /// Answers a read that is not cached.
    ///
    /// # Errors
    /// What `load` reports.
    ///
    /// # Cancel safety
    /// As `load`.
    pub async fn bypass(&self, load: impl Future<Output = Result<Body, Error>>) -> Result<Served, Error> {
        let body = load.await?;
        Ok(Served { body: Arc::new(body), source: Source::Bypass, age: Duration::ZERO })
    }

    /// Runs a write to its end, even if whoever asked for it goes away: a change that is committed and then not
    /// announced would leave stale answers behind.
    ///
    /// # Errors
    /// What `write` reports, or that it panicked.
    ///
    /// # Cancel safety
    /// Dropped early, the write goes on; its result is lost.
    pub async fn finish<T, F>(&self, write: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let (result, answer) = oneshot::channel();
        let count = StatementCount::current();
        {
            let mut writes = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
            while writes.try_join_next().is_some() {} // those that have ended make room
            writes.spawn(async move {
                // Nobody may be waiting any more; the write has taken place all the same.
                result.send(count.of(write).await).ok();
            });
        }
        answer.await.map_err(|_sender_dropped| Error::internal("a write panicked"))?
    }

    /// Commits a change and announces it. To be called inside [`App::finish`].
    ///
    /// # Errors
    /// What the database reports.
    ///
    /// # Cancel safety
    /// None: a committed change would not be announced. [`App::finish`] never drops it.
    pub async fn commit<T>(&self, change: Change, written: Written<T>) -> Result<T, Error> {
        match change.commit(written).await {
            Ok(committed) => Ok(committed.announce()),
            Err((error, unknown)) => {
                drop(unknown.announce());
                Err(error.into())
            }
        }
    }

    /// Waits for the writes that are still going on, then closes the database.
    ///
    /// # Cancel safety
    /// Dropped early, writes that have not ended are cut off, as by a crash.
    pub async fn close(&self) {
        let writes = std::mem::take(&mut *self.writes.lock().unwrap_or_else(PoisonError::into_inner));
        writes.join_all().await;
        self.database.close().await;
    }
}
