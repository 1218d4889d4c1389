//! What every request needs: the database, the cache, the settings, and a place for writes to run to their end.

use crate::caller::{Caller, CompanyId};
use crate::config::Settings;
use crate::database::{Change, Database, Single, State, StatementCount};
use crate::error::Error;
use crate::history::History;
use crate::written::{Announced, Written};
use larder::{CacheService, Key, Policy};
use larder_axum::{Body, Served};
use larder_outbox::Outbox;
use sqlx::Any;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinSet;

/// The running application.
#[derive(Debug)]
pub struct App {
    /// The database.
    pub database: Database,
    /// The cache in front of it.
    pub cache: CacheService,
    /// What tells it of changes, of this process and of others.
    pub outbox: Outbox<Any>,
    /// The settings that hold.
    pub settings: Settings,
    /// How the cache did lately.
    pub history: History,
    tasks: Mutex<JoinSet<()>>,
    /// Requests that may still begin.
    pub(crate) room: Arc<Semaphore>,
    /// Places for answers that are made as they are sent, as files are: a part of the room, and at least one.
    pub(crate) streams: Arc<Semaphore>,
    /// The names of tasks of which one runs at a time.
    running: Mutex<HashSet<String>>,
}

/// Whose data a read may answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose<'a> {
    /// That of the company with this id.
    Of(&'a str),
    /// What all companies share.
    Shared,
}

impl<'a> Whose<'a> {
    const fn owner(self) -> Option<&'a str> {
        match self {
            Self::Of(id) => Some(id),
            Self::Shared => None,
        }
    }
}

impl App {
    /// Puts the application together.
    #[must_use]
    pub fn new(
        database: Database,
        cache: CacheService,
        outbox: Outbox<Any>,
        settings: Settings,
    ) -> Arc<Self> {
        let room = Arc::new(Semaphore::new(settings.max_requests));
        let streams = Arc::new(Semaphore::new(settings.streams()));
        Arc::new(Self {
            database,
            cache,
            outbox,
            settings,
            history: History::default(),
            tasks: Mutex::default(),
            room,
            streams,
            running: Mutex::default(),
        })
    }

    /// Answers a read from the cache, or by `load`, which gets one state of the database, opened after the cache has
    /// taken note that it is loading.
    ///
    /// # Errors
    /// What `load` reports. [`Error::Internal`] when the stored body is another company's: it is never served.
    ///
    /// # Cancel safety
    /// The load is handed to another caller who waits for it, if there is one; else nothing has happened.
    pub async fn read<S, F, Fut>(
        &self,
        key: Key<'_, Body>,
        policy: Policy,
        whose: Whose<'_>,
        load: F,
    ) -> Result<Served, Error>
    where
        S: State,
        F: FnOnce(S) -> Fut,
        Fut: Future<Output = Result<Body, Error>>,
    {
        let read =
            self.cache.read_through(key, policy, || async { load(S::open(&self.database).await?).await });
        let served = Served::to(whose.owner(), read.await?);
        served.ok_or_else(|| Error::internal("a body of another company lay under this key"))
    }

    /// Hides a row of another company from a caller, as if it were not there, before anything of it is read: the entry at `key` says
    /// whose the row is, or `load`.
    ///
    /// # Errors
    /// [`Error::NotFound`] with `what`, when there is no such row or it is another company's; what `load` reports.
    ///
    /// # Cancel safety
    /// As [`App::read`].
    pub async fn within<F, Fut>(
        &self,
        key: Key<'_, CompanyId>,
        caller: &Caller,
        what: &'static str,
        load: F,
    ) -> Result<(), Error>
    where
        F: FnOnce(Single) -> Fut,
        Fut: Future<Output = Result<Option<CompanyId>, Error>>,
    {
        let home = self.cache.get_or_set(key, Policy::new(), || async {
            load(Single::open(&self.database).await?).await?.ok_or(Error::NotFound(what))
        });
        caller.within(&*home.await?, what)
    }

    /// Takes the room of one request until what it answers is dropped, as one that is being answered does.
    pub async fn hold_a_request(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.room).acquire_owned().await.ok()
    }

    /// Runs a task to its end, whoever goes away. [`App::close`] waits for it.
    pub fn start(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {} // those that have ended make room
        tasks.spawn(task);
    }

    /// The same, but for a task of which one is enough at a time: while one of this name runs, nothing happens.
    pub fn start_once(self: &Arc<Self>, name: &str, task: impl Future<Output = ()> + Send + 'static) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if !running.insert(name.to_owned()) {
            return;
        }
        drop(running);
        let over = Over { app: Arc::clone(self), name: name.to_owned() };
        self.start(async move {
            let _whatever_happens = over;
            task.await;
        });
    }

    /// Runs a write to its end, even if whoever asked for it goes away: a change that is committed and then not
    /// announced would leave stale answers behind until the relay announces it.
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
        self.start(async move {
            // Nobody may be waiting any more; the write has taken place all the same.
            result.send(count.of(write).await).ok();
        });
        answer.await.map_err(|_sender_dropped| Error::internal("a write panicked"))?
    }

    /// Commits a change and announces it to the cache. To be called inside [`App::finish`]. Where Redis could not be told,
    /// the outbox remembers: this process serves nothing from there before it has made up for it, and the others are told within a
    /// moment.
    ///
    /// # Errors
    /// What the database reports. The change is announced then too, if it may have taken place.
    ///
    /// # Cancel safety
    /// A committed change is announced by the relay then.
    pub async fn commit<T>(&self, change: Change, written: Written<T>) -> Result<Announced<T>, Error> {
        match change.commit(written, &self.outbox).await {
            Ok(committed) => Ok(committed.announce(&self.outbox).await),
            Err((error, unknown)) => {
                if let Some(unknown) = unknown {
                    unknown.announce_unsure(&self.outbox).await;
                }
                Err(error)
            }
        }
    }

    /// Waits for the writes and tasks that are still going on, then ends the cache's tasks and closes the database.
    ///
    /// # Cancel safety
    /// Dropped early, writes that have not ended are cut off, as by a crash.
    pub async fn close(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        while tasks.join_next().await.is_some() {}
        self.outbox.shutdown().await;
        self.cache.shutdown().await;
        self.database.close().await;
    }
}

/// Lets another task of a name run when this one is over.
struct Over {
    app: Arc<App>,
    name: String,
}

impl Drop for Over {
    fn drop(&mut self) {
        self.app.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}
