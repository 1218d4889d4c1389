//! The door: a record of what changes made untrue, written with them, and announced after them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use larder::{Acknowledged, CacheService, Invalidation, Place};
use parking_lot::Mutex;
use sqlx::{AssertSqlSafe, Connection, Pool};
use tokio::task::JoinSet;

use crate::ablation::{Ablation, Ablations};
use crate::database::Database;
use crate::dialect::{Dialect, TABLE};
use crate::error::Error;
use crate::own;
use crate::record::{Record, number};
use crate::relay::{Runner, Shared};
use crate::settings::Settings;
use crate::stats::Stats;

/// A record of invalidations in the application's database, for one cache. Cloning it is cheap.
///
/// See the [crate's documentation](crate) for how it is used.
pub struct Outbox<DB: Database> {
    shared: Arc<Shared>,
    pool: Pool<DB>,
    dialect: &'static Dialect,
    tasks: Arc<Mutex<JoinSet<()>>>,
    rules_out: Ablations,
}

/// What was written into a transaction, to be [announced](Outbox::announce) once that has committed.
///
/// Dropped instead, it is announced by the relay, if the transaction was committed.
#[derive(Debug)]
#[must_use = "announce it after the commit: else others read what it removes until the relay comes by"]
pub struct Recorded {
    changed: Invalidation,
    /// `None` where there was nothing to remove, and once it is known what has become of it.
    row: Option<own::Place>,
    shared: Arc<Shared>,
}

impl<DB: Database> Outbox<DB> {
    /// Makes the tables of the outbox where they are not there. Those who keep their migrations elsewhere find the statements in
    /// [`SQLITE_SCHEMA`](crate::SQLITE_SCHEMA) and [`POSTGRES_SCHEMA`](crate::POSTGRES_SCHEMA).
    ///
    /// # Errors
    /// What the database reports.
    ///
    /// # Cancel safety
    /// Dropped early, nothing has happened, or all of it.
    pub async fn migrate(pool: &Pool<DB>) -> Result<(), Error> {
        let mut connection = pool.acquire().await?;
        let dialect = DB::dialect(&connection)?;
        // Where they are there, nobody who writes for long is in the way.
        let is_there = DB::fetch(&mut connection, dialect.state, &[]).next().await;
        if matches!(is_there, Some(Ok(_))) {
            return Ok(());
        }
        let mut change = connection.begin_with(AssertSqlSafe(dialect.begin.to_owned())).await?;
        for statement in dialect.schema_lock.into_iter().chain(statements(dialect.schema)) {
            DB::execute(&mut change, statement, &[]).await?;
        }
        Ok(change.commit().await?)
    }

    /// Starts the outbox of this cache, and its relay. From then on the cache may serve.
    ///
    /// The relay has a connection of its own, by the options of the pool, unless the pool has no more than one. What the pool does to
    /// its connections (`after_connect`) is not done to that one: a `search_path` belongs into the options.
    ///
    /// # Errors
    /// [`NotRelayed`](Error::NotRelayed) if the cache was not built to be [`relayed`](larder::Builder::relayed), or has an
    /// outbox already; [`Setting`](Error::Setting); what the database reports, if the tables are not there for instance.
    ///
    /// # Cancel safety
    /// Nothing has happened, but that the cache cannot be given another outbox, and that rows of another history are gone.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub async fn start(pool: &Pool<DB>, cache: &CacheService, settings: Settings) -> Result<Self, Error> {
        settings.check()?;
        let mut record = Record::of(pool).await?;
        record.settle().await?;
        let state = record.state().await?;
        let relay = cache.relay().ok_or(Error::NotRelayed)?;
        let (place, dialect) = (relay.place(), record.dialect);
        let (shared, rules_out) = (Arc::new(Shared::new(relay)), settings.rules_out);
        let mut tasks = JoinSet::new();
        if place != Place::Nowhere {
            let mut runner = Runner::new(record, Arc::clone(&shared), settings, state.identity);
            runner.read().await?; // from here on the cache serves
            tasks.spawn(runner.run());
        }
        Ok(Outbox { shared, pool: pool.clone(), dialect, tasks: Arc::new(Mutex::new(tasks)), rules_out })
    }

    /// Writes into a transaction what its changes make untrue. It is in force when the transaction has committed, at the latest when
    /// the relay has seen it.
    ///
    /// # Errors
    /// What the database reports; the transaction is of no more use then.
    ///
    /// # Cancel safety
    /// Dropped early, it may be in the transaction or not.
    pub async fn add(
        &self,
        transaction: &mut DB::Connection,
        changed: Invalidation,
    ) -> Result<Recorded, Error> {
        let (changed, row) = match self.rules_out.is_out(Ablation::OutboxRow) {
            true => (changed, None),
            false => write::<DB>(transaction, changed).await?,
        };
        row.iter().for_each(|(_, seq)| self.shared.own.written(*seq));
        Ok(Recorded { changed, row, shared: Arc::clone(&self.shared) })
    }

    /// Writes into a transaction what its changes make untrue, for a program that has no cache of its own: the relays of those that have
    /// one remove it, soon after the commit.
    ///
    /// # Errors
    /// What the database reports; the transaction is of no more use then.
    ///
    /// # Cancel safety
    /// Dropped early, it may be in the transaction or not.
    pub async fn record(transaction: &mut DB::Connection, changed: Invalidation) -> Result<(), Error> {
        write::<DB>(transaction, changed).await.map(drop)
    }

    /// Makes the record another one, in a database that was put back from a backup: of what was changed since, and is no more, a Redis has
    /// entries that look right. When the transaction has committed none is believed that has heard of the record before: each begins a
    /// new era. Nobody may have [started](Self::start) an outbox on this database meanwhile; who has goes on as before.
    ///
    /// # Errors
    /// What the database reports; the transaction is of no more use then.
    ///
    /// # Cancel safety
    /// Dropped early, it may be in the transaction or not.
    pub async fn renew(transaction: &mut DB::Connection) -> Result<(), Error> {
        let dialect = DB::dialect(transaction)?;
        Ok(DB::execute(transaction, dialect.renew, &[]).await.map(drop)?)
    }

    /// Removes from the cache what a transaction has made untrue, after its commit has succeeded. Where the commit failed it is
    /// [`announce_unsure`](Self::announce_unsure).
    ///
    /// The answer is [`Applied`](Acknowledged::Applied), or, if Redis did not do it now,
    /// [`Durable`](Acknowledged::Durable): the relay of whichever process reaches it does.
    ///
    /// # Cancel safety
    /// Dropped early, the relay announces it.
    pub async fn announce(&self, mut recorded: Recorded) -> Acknowledged {
        if recorded.changed.is_empty() {
            return Acknowledged::Applied;
        }
        match self.shared.relay.announce(&recorded.changed).await {
            Ok(who) => {
                let who = who.map(larder::Incarnation::as_u64);
                recorded.row.take().iter().for_each(|row| self.shared.own.announced(*row, who));
                Acknowledged::Applied
            }
            Err(error) => {
                // Dropped as it is, it is the relay's.
                tracing::debug!("the relay has to remove what a change made untrue: {error}");
                Acknowledged::Durable
            }
        }
    }

    /// Removes from the cache what a transaction may have made untrue whose commit failed, so that nobody knows whether it took place. If
    /// it did, the relay removes it once more: the answer is [`Durable`](Acknowledged::Durable) at best.
    ///
    /// # Cancel safety
    /// Dropped early, the relay does it if it was committed.
    pub async fn announce_unsure(&self, recorded: Recorded) -> Acknowledged {
        if let Some((_, seq)) = recorded.row {
            // The number may be given to another row now.
            self.shared.own.forget(seq);
            if let Err(error) = self.shared.relay.announce(&recorded.changed).await {
                tracing::debug!("the relay has to remove what a change may have made untrue: {error}");
            }
        }
        Acknowledged::Durable
    }

    /// Waits until everything that is committed now, by whomever, is removed from the cache of this process, or from Redis: what
    /// triggers have recorded, for instance. To read one's own raw SQL.
    ///
    /// # Errors
    /// [`Behind`](Error::Behind) if that takes longer than `limit`.
    ///
    /// # Cancel safety
    /// Nothing has happened; the relay goes on.
    pub async fn caught_up(&self, limit: Duration) -> Result<(), Error> {
        self.shared.caught_up(limit).await
    }

    /// How the relay does.
    ///
    /// # Errors
    /// What the database reports when it is asked how many rows wait.
    ///
    /// # Cancel safety
    /// It changes nothing.
    pub async fn stats(&self) -> Result<Stats, Error> {
        let mut record = Record::pooled(&self.pool, self.dialect);
        let (depth, lag_ms) = record.depth(self.shared.horizon()).await?;
        Ok(self.shared.counters.snapshot(depth, Duration::from_millis(lag_ms)))
    }

    /// Ends the relay, after it has noted what is done. In this process the cache serves nothing from then on, and over Redis until the
    /// connection ends.
    ///
    /// # Cancel safety
    /// Dropped before its end, what is done may not be noted, and is then done once more.
    pub async fn shutdown(&self) {
        self.shared.stop();
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        while tasks.join_next().await.is_some() {}
        self.shared.own.end();
    }
}

/// Writes a row, if there is something to remove.
async fn write<DB: Database>(
    transaction: &mut DB::Connection,
    mut changed: Invalidation,
) -> Result<(Invalidation, Option<own::Place>), Error> {
    changed.dedup();
    if changed.is_empty() {
        return Ok((changed, None));
    }
    let dialect = DB::dialect(transaction)?;
    let text = changed.to_string();
    let row = {
        let arguments = [text.as_str()];
        let mut rows = DB::fetch(transaction, dialect.add, &arguments);
        rows.next().await.ok_or(sqlx::Error::RowNotFound)??
    };
    Ok((changed, Some((number(&row, 1, TABLE)?, number(&row, 0, TABLE)?))))
}

/// The statements of a file of them. None of ours contains a semicolon elsewhere than at its end, or in a comment.
fn statements(file: &'static str) -> impl Iterator<Item = &'static str> {
    file.split_inclusive(";\n").filter(|statement| statement.trim_end().ends_with(';'))
}

impl Drop for Recorded {
    fn drop(&mut self) {
        if let Some((_, seq)) = self.row {
            self.shared.own.forget(seq);
        }
    }
}

impl<DB: Database> Clone for Outbox<DB> {
    fn clone(&self) -> Self {
        Outbox {
            shared: Arc::clone(&self.shared),
            pool: self.pool.clone(),
            dialect: self.dialect,
            tasks: Arc::clone(&self.tasks),
            rules_out: self.rules_out,
        }
    }
}

impl<DB: Database> std::fmt::Debug for Outbox<DB> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox").field("relay", &self.shared.relay).finish_non_exhaustive()
    }
}
