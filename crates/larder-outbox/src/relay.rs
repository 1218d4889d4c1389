//! The relay: reads what is recorded, by whichever process, and passes it on to the cache.
//!
//! **In one process** every row is removed at once, but those that this process has announced itself. **Over Redis** a row is left to the
//! process that wrote it for a while; when the table does not say by then that the present life of the server has executed it, this
//! relay does it. A life of a server that was reached anew is not served from before every row that it may have lost, or
//! never heard of, is executed there: `done` names the life that executed a row, and for any other one it is not done. So relaying
//! and replaying are one operation, which may be repeated, by several processes at once.
//!
//! How far back a life has to be told is what the **watermark** says that lies in Redis itself, with the data that it is true of: every
//! row before it had been executed when it was written. Where the table does not reach back to it, a new era begins.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder::{Incarnation, Invalidation, Place, Relay, Suspect};
use rand::RngExt;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::ablation::Ablation;
use crate::cursor::{Cursor, Position};
use crate::database::Database;
use crate::error::Error;
use crate::own::{self, Fate, Own};
use crate::record::{BATCH, From, MAX_TAIL, Record, Row, State, Tail};
use crate::settings::Settings;
use crate::stats::Counters;
use crate::watermark::Watermark;

/// 1 second: how often the watermark is moved on. A Redis that comes back is told of so much too much at most.
const MARK_EVERY: Duration = Duration::from_secs(1);

/// 250 ms: after what did not work it is tried again.
const RETRY: Duration = Duration::from_millis(250);

/// Who has executed nothing.
const NOBODY: u64 = 0;

/// What the door and the relay share.
pub(crate) struct Shared {
    pub(crate) relay: Relay,
    pub(crate) own: Own,
    pub(crate) counters: Counters,
    /// Before there everything was executed.
    horizon: AtomicU64,
    stop: Notify,
    /// How many times somebody has asked for everything at once.
    rushes: watch::Sender<u64>,
    /// Up to which of those everything is done.
    rushed: watch::Sender<u64>,
}

impl Shared {
    pub(crate) fn new(relay: Relay) -> Self {
        let (rushes, rushed) = Default::default();
        let (own, counters, horizon, stop) = Default::default();
        Shared { relay, own, counters, horizon, stop, rushes, rushed }
    }

    pub(crate) fn horizon(&self) -> Position {
        self.horizon.load(Ordering::Acquire)
    }

    pub(crate) fn stop(&self) {
        self.stop.notify_one();
    }

    pub(crate) async fn caught_up(&self, limit: Duration) -> Result<(), Error> {
        if self.relay.place() == Place::Nowhere {
            return Ok(()); // there is nothing to be removed from
        }
        let mut ticket = 0;
        self.rushes.send_modify(|rushes| {
            *rushes += 1;
            ticket = *rushes;
        });
        let mut rushed = self.rushed.subscribe();
        let done = rushed.wait_for(|rushed| *rushed >= ticket);
        match tokio::time::timeout(limit, done).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Error::Behind(limit)),
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("relay", &self.relay).finish_non_exhaustive()
    }
}

/// A row that is left to the process that wrote it, until it is due.
#[derive(Debug)]
struct Watched {
    row: Row,
    due: Instant,
}

/// The relay of one cache.
pub(crate) struct Runner<DB: Database> {
    record: Record<DB>,
    passing: Passing,
    cursor: Option<Cursor>,
    /// By which connection it was taken.
    connections: u64,
    /// The watermark that was last noted.
    marked: Position,
    /// Where the database had recovered from its last crash when this connection was made.
    recovered: String,
    mark_at: Instant,
    prune_at: Instant,
    /// Up to where everything was seen when rows were last deleted.
    seen_before: Position,
    /// That it does not work was told.
    told: bool,
}

/// The life of the server that is served from, as far as the relay knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// There is none, or none that was confirmed: what is recorded is for the next confirmation.
    None,
    Known(u64),
    /// It does not say which it is, so that nobody can note what it has executed.
    Unnamed,
}

/// What is passed on to the cache.
struct Passing {
    shared: Arc<Shared>,
    settings: Settings,
    identity: String,
    place: Place,
    life: Life,
    watched: BTreeMap<u64, Watched>,
    /// From where on the table has to be asked what is left.
    left_from: Option<(Position, Instant)>,
}

impl<DB: Database> Runner<DB> {
    pub(crate) fn new(record: Record<DB>, shared: Arc<Shared>, settings: Settings, identity: String) -> Self {
        let place = shared.relay.place();
        let (now, prune_every) = (Instant::now(), settings.prune_every);
        let passing = Passing {
            shared,
            settings,
            identity,
            place,
            life: Life::None,
            watched: BTreeMap::new(),
            left_from: None,
        };
        Runner {
            record,
            passing,
            cursor: None,
            connections: 0,
            marked: 0,
            recovered: String::new(),
            mark_at: now,
            prune_at: now + prune_every,
            seen_before: 0,
            told: false,
        }
    }

    /// Relays until it is stopped.
    pub(crate) async fn run(mut self) {
        let shared = Arc::clone(&self.passing.shared);
        let mut asked = shared.rushes.subscribe();
        let mut next = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = shared.stop.notified() => break,
                suspect = shared.relay.suspect() => {
                    let confirmed = self.confirm(suspect).await;
                    self.tell(confirmed);
                }
                () = shared.relay.asked() => {}
                // Its sender lives as long as this borrow of it.
                Ok(()) = asked.changed() => {}
                () = tokio::time::sleep_until(next) => {}
            }
            let ticket = *asked.borrow_and_update();
            let rushes = ticket > *shared.rushed.borrow();
            let looked = self.look(rushes).await;
            let pause = if looked.is_ok() { self.passing.settings.poll } else { RETRY };
            if looked.is_ok() && self.passing.is_idle() {
                shared.rushed.send_if_modified(|rushed| std::mem::replace(rushed, ticket) != ticket);
            }
            self.tell(looked);
            next = Instant::now() + pause;
        }
        let flushed = self.flush().await;
        self.tell(flushed);
    }

    /// Says once that it does not work, and once that it does again.
    fn tell(&mut self, outcome: Result<(), Error>) {
        match outcome {
            Ok(()) if self.told => {
                self.told = false;
                tracing::info!("the relay of the outbox reads again what is recorded");
            }
            Err(error) if !self.told => {
                self.told = true;
                tracing::warn!("the relay of the outbox: {error}");
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// One look at what is new, and all that is due.
    async fn look(&mut self, rushes: bool) -> Result<(), Error> {
        self.read().await?;
        if self.passing.place == Place::Redis {
            self.pass_due(rushes).await?;
            self.mark().await?;
        }
        // Behind what others wait for: where somebody else writes for long, nothing can be noted or deleted meanwhile.
        self.flush().await?;
        self.prune().await
    }

    /// Reads what is recorded and was not seen yet.
    pub(crate) async fn read(&mut self) -> Result<(), Error> {
        let round = self.passing.shared.relay.begin();
        let connections = self.record.connect().await?;
        if connections != self.connections && !self.record.dialect.counts {
            // Should the database have crashed meanwhile, transactions have ids again that the cursor has passed.
            self.cursor = None;
            self.marked = 0;
            self.passing.left_from = (self.passing.life != Life::None).then(|| (0, Instant::now()));
        }
        if connections != self.connections || self.recovered.is_empty() {
            self.recovered = self.record.recovered().await?;
        }
        self.connections = connections;
        let from = match self.cursor.clone() {
            Some(cursor) => cursor,
            None => {
                let cursor = self.record.now().await?;
                // Of what was changed before that nobody was told.
                self.passing.shared.relay.forget();
                self.cursor.insert(cursor).clone()
            }
        };
        if let Some(version) = self.record.may_have_changed().await? {
            let Tail { rows, is_whole, behind, floor } = self.record.tail(&from).await?;
            self.passing.pass(rows, is_whole).await?;
            let lost = if floor >= from.horizon() {
                Some("rows of the outbox were deleted before they were seen")
            } else if behind.horizon() < from.horizon() {
                Some("the outbox was emptied by somebody else")
            } else {
                None
            };
            if let Some(lost) = lost {
                tracing::warn!("{lost}, so that the cache begins anew");
                self.passing.shared.counters.era();
                self.passing.shared.relay.apply(&Invalidation::everything()).await?;
            }
            if self.passing.place == Place::InProcess {
                self.passing.shared.horizon.store(behind.horizon(), Ordering::Release);
            }
            self.cursor = Some(behind);
            self.record.was_read(version);
        }
        self.passing.shared.relay.end(round);
        Ok(())
    }

    /// Notes in the table what this process has announced itself.
    async fn flush(&mut self) -> Result<(), Error> {
        let mut flushed = Ok(());
        for (who, mut rows) in self.passing.shared.own.take_unmarked() {
            while flushed.is_ok() && !rows.is_empty() {
                let batch = rows.len().min(BATCH);
                flushed = self.record.mark(&rows[..batch], who).await.map(drop);
                if flushed.is_ok() {
                    rows.drain(..batch);
                }
            }
            if !rows.is_empty() {
                self.passing.shared.own.put_back(who, rows);
            }
        }
        flushed
    }

    /// Passes on what its own process has not announced in time.
    async fn pass_due(&mut self, rushes: bool) -> Result<(), Error> {
        let who = match self.passing.life {
            Life::None => return Ok(()),
            Life::Known(who) => Some(who),
            Life::Unnamed => None,
        };
        if let Some((from, at)) = self.passing.left_from
            && (rushes || at <= Instant::now())
        {
            let left = self.pass_left(from, who).await;
            self.passing.left_from = left.is_err().then(|| (from, Instant::now() + RETRY));
            left?;
        }
        loop {
            let due = self.passing.due(rushes);
            if due.is_empty() {
                return Ok(());
            }
            let places: Vec<own::Place> = due.iter().map(|row| (row.position, row.seq)).collect();
            let open = match who {
                None => due,
                Some(who) => {
                    let open = self.record.open(&places, who).await?;
                    due.into_iter().filter(|row| open.contains(&row.seq)).collect()
                }
            };
            match self.passing.apply(&open).await {
                Ok(who) => self.note(&open, who).await,
                Err(error) => {
                    self.passing.postpone(&places);
                    return Err(error);
                }
            }
            places.iter().for_each(|(_, seq)| drop(self.passing.watched.remove(seq)));
        }
    }

    /// Passes on all that is left from a position on.
    async fn pass_left(&mut self, from: Position, who: Option<u64>) -> Result<(), Error> {
        let mut from = From::Position(from);
        loop {
            let rows = self.record.missing(&mut from, who.unwrap_or(NOBODY)).await?;
            if rows.is_empty() {
                return Ok(());
            }
            let who = self.passing.apply(&rows).await?;
            self.note(&rows, who).await;
        }
    }

    /// Notes what was executed. Where that fails it is noted later, and may be executed once more by others.
    async fn note(&mut self, rows: &[Row], who: Option<u64>) {
        self.passing.shared.counters.applied(rows.len());
        let places: Vec<own::Place> = rows.iter().map(|row| (row.position, row.seq)).collect();
        if let Some(who) = who.filter(|_| !places.is_empty())
            && self.record.mark(&places, who).await.is_err()
        {
            self.passing.shared.own.put_back(who, places);
        }
    }

    /// Makes up for what a life of a server has not heard of, so that it may be served from.
    async fn confirm(&mut self, mut suspect: Suspect) -> Result<(), Error> {
        self.passing.life = Life::None;
        self.passing.watched.clear();
        self.passing.left_from = None;
        let State { floor, .. } = self.record.state().await?;
        let recovered = self.record.recovered().await?;
        // Taken before it is asked what is left: what is committed afterwards is told by the next looks.
        let now = self.record.now().await?;
        self.cursor.get_or_insert_with(|| now.clone());
        let identity = self.passing.identity.clone();
        let noted = suspect.watermark().and_then(Watermark::parse).filter(|noted| {
            noted.identity == identity && floor < noted.position && noted.position <= now.end()
        });
        let who = suspect.incarnation().map(Incarnation::as_u64);
        let keeps = match (who, noted) {
            (Some(_), Some(noted)) if self.passing.is_out(Ablation::SuspectGate) => {
                self.passing.left_from = Some((noted.position, Instant::now()));
                true
            }
            (Some(who), Some(noted)) => {
                let from = if noted.recovered == recovered { noted.position } else { 0 };
                self.replay(&mut suspect, from, who).await?
                    && self.record.state().await?.floor < noted.position
            }
            _ => false,
        };
        let watermark = Watermark { identity, recovered, position: now.horizon() };
        if keeps {
            suspect.confirm(&watermark.to_bytes());
        } else {
            self.passing.shared.counters.era();
            suspect.begin_era(&watermark.to_bytes());
        }
        self.passing.life = who.map_or(Life::Unnamed, Life::Known);
        (self.marked, self.mark_at) = (watermark.position, Instant::now() + MARK_EVERY);
        self.passing.shared.horizon.store(watermark.position, Ordering::Release);
        Ok(())
    }

    /// Executes in a suspect life what it has not executed of all that stands from a position on. Answers `false` where one of the rows says
    /// that everything is to be removed, which a new era does.
    async fn replay(&mut self, suspect: &mut Suspect, from: Position, who: u64) -> Result<bool, Error> {
        let mut place = From::Position(from);
        loop {
            let mut rows = self.record.missing(&mut place, who).await?;
            if rows.is_empty() || self.passing.is_out(Ablation::Replay) {
                break;
            }
            rows.retain(|row| !self.passing.is_done(row));
            suspect.apply(&self.passing.all_of(&rows)).await?;
            if suspect.begins_an_era() {
                return Ok(false); // none of it is noted before the era has begun
            }
            self.passing.shared.counters.replayed(rows.len());
            self.note(&rows, Some(who)).await;
        }
        Ok(true)
    }

    /// Notes in Redis up to where everything is executed.
    async fn mark(&mut self) -> Result<(), Error> {
        let (Life::Known(life), Some(cursor)) = (self.passing.life, &self.cursor) else { return Ok(()) };
        let position = self.passing.executed_up_to(cursor);
        self.passing.shared.horizon.store(position, Ordering::Release);
        if Instant::now() < self.mark_at {
            return Ok(());
        }
        self.mark_at = Instant::now() + MARK_EVERY;
        if position <= self.marked {
            return Ok(());
        }
        let (identity, recovered) = (self.passing.identity.clone(), self.recovered.clone());
        let watermark = Watermark { identity, recovered, position };
        // Where it cannot be noted, more is told next time.
        match self.passing.shared.relay.mark(Incarnation::from_u64(life), &watermark.to_bytes()).await {
            Ok(true) => self.marked = position,
            Ok(false) => {}
            Err(error) => tracing::debug!("the watermark is not moved on: {error}"),
        }
        Ok(())
    }

    /// Deletes what is old.
    async fn prune(&mut self) -> Result<(), Error> {
        if Instant::now() < self.prune_at {
            return Ok(());
        }
        self.prune_at = Instant::now() + self.passing.settings.prune_every;
        let keep_ms = u64::try_from(self.passing.settings.keep.as_millis()).unwrap_or(u64::MAX);
        let pruned = self.record.prune(keep_ms, self.passing.settings.max_rows, self.seen_before).await?;
        self.passing.shared.counters.pruned(pruned);
        self.seen_before = self.cursor.as_ref().map_or(0, Cursor::horizon);
        Ok(())
    }
}

impl Passing {
    /// Passes rows on that were not seen before: at once in this process, and over Redis when they are due.
    /// Where there are more than these, all are taken to be changed.
    async fn pass(&mut self, rows: Vec<Row>, is_whole: bool) -> Result<(), Error> {
        if self.place == Place::InProcess {
            let announced = |row: &Row| matches!(self.shared.own.met(row.seq), Some(Fate::Announced(_)));
            let rows: Vec<Row> = rows.into_iter().filter(|row| !announced(row)).collect();
            self.shared.counters.applied(rows.len());
            if is_whole {
                self.apply(&rows).await?;
            } else {
                self.shared.own.forget_all();
                self.shared.relay.forget();
            }
            return Ok(());
        }
        let first = rows.first().map_or(0, |row| row.position);
        for row in rows {
            let fate = self.shared.own.met(row.seq);
            let is_done = |who| self.life == Life::Known(who);
            let grace = match fate {
                _ if self.life == Life::None => continue,
                Some(Fate::Announced(Some(who))) if is_done(who) => continue,
                // A server that does not say who it is has executed it all the same.
                Some(Fate::Announced(None)) => continue,
                _ if row.done.is_some_and(is_done) || self.is_done(&row) => continue,
                // Another life has executed it, which may be no more: nobody else does it in this one.
                Some(Fate::Announced(Some(_))) => Duration::ZERO,
                Some(Fate::Written) | None => self.settings.grace.mul_f64(rand::rng().random_range(1.0..1.5)),
            };
            self.watched.insert(row.seq, Watched { row, due: Instant::now() + grace });
        }
        if !is_whole {
            self.shared.own.forget_all();
        }
        if self.life != Life::None && (!is_whole || self.watched.len() > MAX_TAIL) {
            // The table is asked which are left.
            let watched = self.watched.values().map(|watched| watched.row.position);
            let left = self.left_from.map(|(from, _)| from);
            let from = watched.chain(left).chain([first]).min().unwrap_or(first);
            self.left_from = Some((from, Instant::now() + self.settings.grace));
            self.watched.clear();
        }
        Ok(())
    }

    fn is_out(&self, rule: Ablation) -> bool {
        self.settings.rules_out.is_out(rule)
    }

    /// Whether any life has executed a row, where that is taken for enough.
    fn is_done(&self, row: &Row) -> bool {
        row.done.is_some() && self.is_out(Ablation::DoneIncarnation)
    }

    /// A batch of what is due, or of all that is watched.
    fn due(&self, rushes: bool) -> Vec<Row> {
        let now = Instant::now();
        let due = self.watched.values().filter(|watched| rushes || watched.due <= now);
        due.take(BATCH).map(|watched| watched.row.clone()).collect()
    }

    fn postpone(&mut self, places: &[own::Place]) {
        let due = Instant::now() + RETRY;
        for (_, seq) in places {
            self.watched.entry(*seq).and_modify(|watched| watched.due = due);
        }
    }

    /// Removes what these rows say, wherever the entries are, and answers which life of a server did it.
    async fn apply(&self, rows: &[Row]) -> Result<Option<u64>, Error> {
        if rows.is_empty() {
            return Ok(None);
        }
        let who = self.shared.relay.apply(&self.all_of(rows)).await?;
        Ok(who.map(Incarnation::as_u64))
    }

    /// What these rows say, once each.
    fn all_of(&self, rows: &[Row]) -> Invalidation {
        let mut all = Invalidation::new();
        for row in rows {
            let changed = row.removes.parse().unwrap_or_else(|error| {
                tracing::error!(
                    seq = row.seq,
                    "a row of the outbox cannot be read, so that everything is removed: {error}"
                );
                self.shared.counters.garbled();
                Invalidation::everything()
            });
            all.merge(changed);
        }
        all.dedup();
        all
    }

    /// Whether nothing is left to be passed on.
    fn is_idle(&self) -> bool {
        self.watched.is_empty()
            && self.left_from.is_none()
            && (self.life != Life::None || self.place == Place::InProcess)
    }

    /// Every row before there is executed.
    fn executed_up_to(&self, cursor: &Cursor) -> Position {
        let watched = self.watched.values().map(|watched| watched.row.position);
        let left = self.left_from.map(|(from, _)| from);
        watched.chain(left).chain([cursor.horizon()]).min().unwrap_or(0)
    }
}
