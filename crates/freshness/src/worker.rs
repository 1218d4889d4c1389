//! A process of a run: readers and writers over one cache.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use larder::Acknowledged;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::clock::{now_ns, patiently};
use crate::crm::{Crm, Patched};
use crate::database;
use crate::history::{Change, History};
use crate::judge::{Judged, Known, Origin, Promise, Seen, Wrong, judge};
use crate::loader::{Failed, Value};
use crate::rule::Rule;
use crate::subject::{Kind, Subject};
use crate::tally::Tally;
use crate::view::{Answer, View};

/// What a process is told at its start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// Which process it is.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) without: Vec<Rule>,
    /// The folder of the run, where the history lies, and where it writes down what is wrong.
    pub(crate) folder: PathBuf,
    /// Where the cache is: Redis, or a server of the CRM.
    pub(crate) url: String,
    pub(crate) database_url: String,
    pub(crate) rows: u64,
    pub(crate) seed: u64,
    /// Which process it is, of so many.
    pub(crate) number: u64,
    pub(crate) processes: u64,
    /// Whether it changes rows.
    pub(crate) writes: bool,
    /// When the run began.
    pub(crate) begun_ns: u64,
}

/// What it is asked.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// What it has counted since it was last asked.
    Report,
    /// To stop writing; what is under way goes on to its end.
    RestWriters,
    /// To stop reading too.
    Rest,
    /// To compare everything with the database, when all rest.
    Compare,
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Word {
    Report(Box<Tally>),
    Rests,
    /// What differs from the database, in words; and how many of the answers that were compared had not been loaded for that.
    Compared {
        differs: Vec<String>,
        found: u64,
    },
}

/// The file in a run's folder that all processes share.
pub(crate) const HISTORY: &str = "history";

/// That to which they add what is wrong, a line of JSON each: what a process has found outlives it.
pub(crate) const VIOLATIONS: &str = "violations.jsonl";

/// What is written there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Violation {
    /// When the read began, in seconds since the run did.
    pub(crate) at_s: f64,
    pub(crate) process: String,
    pub(crate) view: View,
    pub(crate) seen: Seen,
    pub(crate) wrong: Wrong,
    pub(crate) behind_ns: u64,
}

/// 20: violations that a process writes down; more are counted.
const WRITTEN_DOWN: u64 = 20;

/// 16 readers and 3 writers in each process.
const READERS: u64 = 16;
const WRITERS: u64 = 3;

/// 20: reads one after the other of what may be in the process end when so many have missed.
const BURST_MISSES: usize = 20;

/// 200: after so many reads others have their turn, as in an application whose requests do more than read.
const YIELD_EVERY: usize = 200;

/// 2 to 6 ms: how long a reader rests after each of its turns.
const REST_MS: std::ops::Range<u64> = 2..6;

/// 130 ms on average: how long a writer waits before its next change. One in five comes within 6 ms of the one before, on the same row.
const WRITER_RESTS_MS: std::ops::Range<u64> = 10..250;
const AGAIN_WITHIN_MS: u64 = 6;

/// 50 ms: after which a change is asked for again that was not answered.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// 10 seconds: how long a read of larder may take at most, whatever fails and whoever dies meanwhile. Its process may have stood still for five of
/// them, a load of one that is gone is waited for two, and a call to Redis takes half of one.
const HANGS_NS: u64 = 10_000_000_000;

/// Every fourth row is changed by a fortieth as often as others, every half a minute or so: what its removal has missed, no later one makes good
/// soon.
const COLD: u64 = 4;
const COLD_IS_CHANGED: u32 = 40;

/// 20 seconds: how long a process may take to hear of all that was changed, once everything works.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(20);

struct Works {
    settings: Settings,
    subject: Subject,
    history: History,
    tally: Mutex<Tally>,
    /// Of each row, the newest version of which this process was told that it is in force, and when.
    own: Vec<Mutex<(u64, u64)>>,
    /// Of each row, by each view, the newest version that this process has found in Redis, and when.
    found: Mutex<BTreeMap<(View, u64), (u64, u64)>>,
    /// Since when each reader waits for an answer, 0 if it does not.
    waits_since_ns: Vec<AtomicU64>,
    /// Of the rows that this process alone changes, the version and the nonce that it has made last.
    made: Mutex<BTreeMap<u64, (u64, u64)>>,
    writers_rest: AtomicBool,
    rests: AtomicBool,
    written_down: Mutex<u64>,
}

/// The life of such a process.
pub(crate) async fn serve(settings: Settings) -> Result<(), Box<dyn Error + Send + Sync>> {
    let history = History::open(&settings.folder.join(HISTORY))?;
    let subject = start(&settings).await?;
    let (seed, writers) = (settings.seed, if settings.writes { WRITERS } else { 0 });
    let works = Arc::new(Works {
        own: (0..settings.rows).map(|_| Mutex::default()).collect(),
        found: Mutex::default(),
        waits_since_ns: (0..READERS).map(|_| AtomicU64::default()).collect(),
        settings,
        subject,
        history,
        tally: Mutex::default(),
        made: Mutex::default(),
        writers_rest: AtomicBool::new(false),
        rests: AtomicBool::new(false),
        written_down: Mutex::default(),
    });
    let (reading, writing) = (Arc::new(Mutex::new(JoinSet::new())), Arc::new(Mutex::new(JoinSet::new())));
    for task in 0..READERS + writers {
        let (works, rng) = (Arc::clone(&works), StdRng::seed_from_u64(seed ^ task << 32));
        if task < READERS {
            reading.lock().spawn(async move { works.read(task as usize, rng).await });
        } else {
            writing.lock().spawn(async move {
                match &works.subject {
                    Subject::Crm(crm) => works.patch(crm, task - READERS, rng).await,
                    _ => works.write(rng).await,
                }
            });
        }
    }
    testkit::worker::serve(move |order| {
        let (works, reading, writing) = (Arc::clone(&works), Arc::clone(&reading), Arc::clone(&writing));
        async move {
            let order = serde_json::from_str(&order).expect("orders are those of this program");
            let word = match order {
                Order::Report => Word::Report(Box::new(works.report())),
                Order::RestWriters => {
                    works.writers_rest.store(true, Ordering::Release);
                    end(&writing).await;
                    Word::Rests
                }
                Order::Rest => {
                    works.rests.store(true, Ordering::Release);
                    end(&reading).await;
                    Word::Rests
                }
                Order::Compare => works.compare().await,
            };
            serde_json::to_string(&word).expect("words are plain data")
        }
    })
    .await;
    Ok(())
}

/// Starts the subject, again and again while what it depends on is away.
async fn start(settings: &Settings) -> Result<Subject, Box<dyn Error + Send + Sync>> {
    patiently(async || {
        let pool = database::pool(&settings.database_url).await?;
        Subject::start(settings.kind, &settings.url, pool, settings.rows, &settings.without).await
    })
    .await
}

/// Waits for the end of tasks that have been told to rest.
async fn end(tasks: &Mutex<JoinSet<()>>) {
    let mut tasks = std::mem::take(&mut *tasks.lock());
    while let Some(ended) = tasks.join_next().await {
        ended.expect("a panic has ended the process");
    }
}

impl Works {
    fn report(&self) -> Tally {
        self.look_for_hanging();
        let mut tally = std::mem::take(&mut *self.tally.lock());
        (tally.hits, tally.misses, tally.loads) = self.subject.counted();
        tally
    }

    /// Reads that have not ended for too long, each once: what died while somebody waited for it leaves nobody waiting. Of larder alone; others
    /// may take as long as they say.
    fn look_for_hanging(&self) {
        let now_ns = now_ns();
        for since in self.waits_since_ns.iter().filter(|_| self.settings.kind == Kind::Larder) {
            let start_ns = since.load(Ordering::Acquire);
            if start_ns != 0 && now_ns.saturating_sub(start_ns) > HANGS_NS {
                since.store(0, Ordering::Release);
                self.accuse(Wrong::Hanging, u64::MAX, 0, start_ns);
            }
        }
    }

    /// Notes what is wrong without a read that has answered so.
    fn accuse(&self, wrong: Wrong, row: u64, version: u64, start_ns: u64) {
        let (promise, origin) = (Promise::Strict, Origin::Loaded);
        let seen = Seen { row, version, nonce: 0, promise, origin, start_ns, end_ns: now_ns() };
        self.tally.lock().count_wrong(wrong, promise);
        self.write_down(View::Kept, seen, wrong, 0);
    }

    /// Reads until it is to rest.
    async fn read(&self, reader: usize, mut rng: StdRng) {
        let reader = &self.waits_since_ns[reader];
        while !self.rests.load(Ordering::Acquire) {
            self.turn(reader, &mut rng).await;
            sleep(Duration::from_millis(rng.random_range(REST_MS))).await;
        }
    }

    /// One turn of a reader: reads by one of the ways that there are.
    async fn turn(&self, reader: &AtomicU64, rng: &mut StdRng) {
        let subject = &self.subject;
        match rng.random_range(0..100) {
            0..70 => {
                let (views, mut misses) = (subject.local_views(), 0);
                for read in 0..subject.burst() {
                    if read % YIELD_EVERY == 0 {
                        tokio::task::yield_now().await;
                    }
                    let view = *views.choose(rng).unwrap_or(&View::Strict);
                    misses += usize::from(!self.read_one(reader, view, self.row(rng), None).await);
                    if misses == BURST_MISSES {
                        break;
                    }
                }
            }
            70..85 => {
                let view = *subject.strict_views().choose(rng).expect("there are views");
                self.read_one(reader, view, self.row(rng), None).await;
            }
            85..92 => {
                let start_ns = now_ns();
                if waited(reader, subject.sync()).await {
                    let view = *subject.local_views().choose(rng).unwrap_or(&View::Strict);
                    self.read_one(reader, view, self.row(rng), Some(start_ns)).await;
                }
            }
            92..97 => {
                let rows: Vec<u64> = (0..4).map(|_| self.row(rng)).collect();
                self.read_many(reader, &rows).await;
            }
            _ => {
                let (row, start_ns) = (self.row(rng), now_ns());
                if let Some(answer) = waited(reader, subject.look(row)).await {
                    self.judge(View::Kept, row, start_ns, &answer);
                }
            }
        }
    }

    fn row(&self, rng: &mut StdRng) -> u64 {
        rng.random_range(0..self.settings.rows)
    }

    /// Reads a row and judges the answer; a read that `sync` went before is held to what it is by the start of that.
    /// Answers whether it was a hit in the process.
    async fn read_one(&self, reader: &AtomicU64, view: View, row: u64, synced_ns: Option<u64>) -> bool {
        let start_ns = synced_ns.unwrap_or_else(now_ns);
        match waited(reader, self.subject.read(view, row)).await {
            Ok(mut answer) => {
                let is_local = answer.promise != Promise::Strict;
                if synced_ns.is_some() && answer.promise == Promise::Local {
                    answer.promise = Promise::Strict;
                }
                self.judge(view, row, start_ns, &answer);
                is_local
            }
            Err(Failed) => {
                self.tally.lock().failed += 1;
                false
            }
        }
    }

    /// Reads some rows by one call, where there is one.
    async fn read_many(&self, reader: &AtomicU64, rows: &[u64]) {
        let start_ns = now_ns();
        match waited(reader, self.subject.read_many(rows)).await {
            Some(Ok(answers)) => {
                let answers = rows.iter().zip(answers);
                answers.for_each(|(row, answer)| self.judge(View::Strict, *row, start_ns, &answer));
            }
            Some(Err(Failed)) => self.tally.lock().failed += 1,
            None => {
                for row in rows {
                    self.read_one(reader, View::Strict, *row, None).await;
                }
            }
        }
    }

    fn judge(&self, view: View, row: u64, start_ns: u64, answer: &Answer) {
        let end_ns = now_ns();
        let Value { version, nonce, .. } = *answer.value;
        let Answer { promise, origin, .. } = *answer;
        let seen = Seen { row, version, nonce, promise, origin, start_ns, end_ns };
        let judged = match answer.value.row == row {
            true => self.judged(view, &seen),
            false => Judged { wrong: Some(Wrong::AnotherRow), ..Judged::default() },
        };
        self.tally.lock().count(&seen, &judged);
        if let Some(wrong) = judged.wrong {
            let of_its_commit = wrong == Wrong::Overdue;
            self.write_down(
                view,
                seen,
                wrong,
                if of_its_commit { judged.behind_committed_ns } else { judged.behind_ns },
            );
        }
    }

    fn judged(&self, view: View, seen: &Seen) -> Judged {
        let before = |(version, at_ns): (u64, u64)| if at_ns < seen.start_ns { version } else { 0 };
        let own = before(*self.own[seen.row as usize].lock());
        let found = if seen.origin == Origin::Redis { before(self.find(view, seen)) } else { 0 };
        let changes = self.history.changes(seen.row).expect("the history can be read");
        let judged = judge(seen, Known { own, found }, &changes);
        // Whoever sees a change knows that it was committed, though its writer may be gone.
        let is_news = |change: &&Change| change.version == seen.version && change.committed_ns == 0;
        if judged.wrong.is_none() && changes.known.iter().any(|change| is_news(&change)) {
            self.history.committed(seen.row, seen.version, seen.end_ns).expect("the history can be written");
        }
        judged
    }

    /// The newest version that was found in Redis, by this view, before; from now on it is the one that is seen, if that is newer.
    fn find(&self, view: View, seen: &Seen) -> (u64, u64) {
        let mut found = self.found.lock();
        let newest = found.entry((view, seen.row)).or_default();
        let before = *newest;
        if seen.version > newest.0 {
            *newest = (seen.version, seen.end_ns);
        }
        before
    }

    fn write_down(&self, view: View, seen: Seen, wrong: Wrong, behind_ns: u64) {
        let Settings { name, begun_ns, .. } = &self.settings;
        let at_s = seen.start_ns.saturating_sub(*begun_ns) as f64 / 1e9;
        let violation = Violation { at_s, process: name.clone(), view, seen, wrong, behind_ns };
        let mut written_down = self.written_down.lock();
        *written_down += 1;
        if *written_down <= WRITTEN_DOWN {
            let path = self.settings.folder.join(VIOLATIONS);
            let mut file = OpenOptions::new().append(true).create(true).open(path).expect("it can be opened");
            let line = serde_json::to_string(&violation).expect("it is plain data");
            file.write_all(format!("{line}\n").as_bytes()).expect("it can be written");
        }
    }

    /// A row that is to be changed.
    fn row_to_change(&self, rng: &mut StdRng) -> u64 {
        loop {
            let row = self.row(rng);
            if is_due(row, rng) {
                return row;
            }
        }
    }

    /// Changes rows until it is to rest.
    async fn write(&self, mut rng: StdRng) {
        let mut again = None;
        while !self.writers_rest.load(Ordering::Acquire) {
            let rows = match again.take() {
                Some(row) => vec![row],
                None => {
                    let count = if rng.random_ratio(1, 8) { 3 } else { 1 };
                    let mut rows: Vec<u64> = (0..count).map(|_| self.row_to_change(&mut rng)).collect();
                    // In one order, so that no two changes wait for each other.
                    rows.sort_unstable();
                    rows.dedup();
                    rows
                }
            };
            let (rolls_back, first) = (rng.random_ratio(1, 20), rows[0]);
            let nonces: Vec<u64> = rows.iter().map(|_| rng.random_range(1..1 << 52)).collect();
            if self.change(&rows, &nonces, rolls_back).await.is_err() {
                self.tally.lock().rolled_back += 1;
            }
            let rest_ms = if rng.random_ratio(1, 5) {
                again = Some(first);
                rng.random_range(0..AGAIN_WITHIN_MS)
            } else {
                rng.random_range(WRITER_RESTS_MS)
            };
            sleep(Duration::from_millis(rest_ms)).await;
        }
    }

    /// Changes rows by requests until it is to rest, each row by one writer of one process alone: the server says what version a change has
    /// made only once it is committed, and it has to be noted before. So one that was not answered is asked for again until it is known to have
    /// taken place, by this request or one before.
    async fn patch(&self, crm: &Crm, writer: u64, mut rng: StdRng) {
        let Settings { number, processes, rows, .. } = self.settings;
        let (writer, writers) = (number * WRITERS + writer, processes * WRITERS);
        let rows: Vec<u64> = (writer..rows).step_by(writers as usize).collect();
        while let Some(row) = rows.choose(&mut rng)
            && !self.writers_rest.load(Ordering::Acquire)
        {
            if !is_due(*row, &mut rng) {
                continue;
            }
            let version = self.made.lock().get(row).map_or(0, |(version, _)| *version);
            let nonce = rng.random_range(1..1 << 52);
            let change = Change { version: version + 1, nonce, ..Change::default() };
            let start_ns = now_ns();
            self.history.begin(*row, change).expect("the history can be written");
            let mut patched = crm.change(*row, version, nonce).await;
            let is_known = !matches!(patched, Patched::Unknown);
            while matches!(patched, Patched::Unknown) {
                sleep(ASK_AGAIN).await;
                patched = crm.change(*row, version, nonce).await;
            }
            match patched {
                Patched::Acknowledged { is_applied } => {
                    self.history.committed(*row, version + 1, now_ns()).expect("the history can be written");
                    self.acknowledged(*row, change, is_applied).expect("the history can be written");
                    self.tally.lock().count_change(is_applied);
                }
                // By a request of before, whose answer did not come.
                Patched::Overtaken if !is_known => self.tally.lock().unsure += 1,
                Patched::Overtaken | Patched::Wrong | Patched::Unknown => {
                    self.accuse(Wrong::Lost, *row, version + 1, start_ns);
                    return;
                }
            }
            self.made.lock().insert(*row, (version + 1, nonce));
            sleep(Duration::from_millis(rng.random_range(WRITER_RESTS_MS))).await;
        }
    }

    /// Notes that a change of a row is in force, or will be.
    fn acknowledged(&self, row: u64, mut change: Change, is_applied: bool) -> io::Result<()> {
        let acknowledged_ns = now_ns();
        match is_applied {
            true => change.applied_ns = acknowledged_ns,
            false => change.durable_ns = acknowledged_ns,
        }
        self.history.update(row, change)?;
        let mut own = self.own[row as usize].lock();
        if is_applied && change.version > own.0 {
            *own = (change.version, acknowledged_ns);
        }
        Ok(())
    }

    /// One change of some rows, from its begin to its acknowledgement.
    async fn change(
        &self,
        rows: &[u64],
        nonces: &[u64],
        rolls_back: bool,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let mut transaction = self.subject.loader().pool.begin().await?;
        let mut changes = BTreeMap::new();
        for (row, nonce) in rows.iter().zip(nonces) {
            let version = database::raise(&mut transaction, *row, *nonce).await?;
            let change = Change { version, nonce: *nonce, ..Change::default() };
            self.history.begin(*row, change)?;
            changes.insert(*row, change);
        }
        let due = self.subject.record(&mut transaction, rows).await?;
        if rolls_back {
            for (row, change) in changes {
                self.history.update(row, Change { rolled_back: true, ..change })?;
            }
            transaction.rollback().await?;
            return Err("on purpose".into());
        }
        if let Err(_error) = transaction.commit().await {
            self.tally.lock().unsure += 1;
            self.subject.announce(due, false).await;
            return Ok(());
        }
        let committed_ns = now_ns();
        for (row, change) in &changes {
            self.history.committed(*row, change.version, committed_ns)?;
        }
        let is_applied = self.subject.announce(due, true).await >= Acknowledged::Applied;
        let announced_ns = now_ns();
        for (row, change) in changes {
            self.acknowledged(row, change, is_applied)?;
        }
        let mut tally = self.tally.lock();
        tally.count_change(is_applied);
        tally.announced_us.record((announced_ns - committed_ns) / 1_000);
        Ok(())
    }

    /// Compares every view of every row with the database, when nobody writes any more.
    async fn compare(&self) -> Word {
        let mut differs = Vec::new();
        if !self.subject.caught_up(CATCH_UP_LIMIT).await {
            differs.push(format!("{}: it has not caught up within {CATCH_UP_LIMIT:?}", self.settings.name));
        }
        let truth = match self.subject.truth().await {
            Ok(truth) => truth,
            Err(error) => {
                let differs = vec![format!("{}: the database does not answer: {error}", self.settings.name)];
                return Word::Compared { differs, found: 0 };
            }
        };
        for (row, made) in &*self.made.lock() {
            if truth[*row as usize] != *made {
                let (name, version, (written, _)) = (&self.settings.name, truth[*row as usize].0, made);
                differs.push(format!(
                    "{name}: row {row} is version {version} in the database, and was written to {written}"
                ));
            }
        }
        if !self.subject.knows_all().await {
            differs.push(format!("{}: it cannot be told of all changes", self.settings.name));
        }
        let rows = (0..).zip(truth).map(|(row, truth)| self.compare_row(row, truth));
        let mut found = 0;
        for (more, of_row) in join_all(rows).await {
            differs.extend(more);
            found += of_row;
        }
        match self.subject.waiting().await {
            Some(0) => {}
            Some(waiting) => {
                differs.push(format!("{}: {waiting} changes wait in the outbox", self.settings.name))
            }
            None => differs.push(format!("{}: it does not say how many changes wait", self.settings.name)),
        }
        Word::Compared { differs, found }
    }

    /// What differs of a row, and how many answers were there already.
    async fn compare_row(&self, row: u64, (version, nonce): (u64, u64)) -> (Vec<String>, u64) {
        let (mut differs, mut found) = (Vec::new(), 0);
        let name = &self.settings.name;
        for view in [self.subject.local_views(), self.subject.strict_views()].into_iter().flatten() {
            let answer = self.subject.read(*view, row).await;
            found += u64::from(answer.as_ref().is_ok_and(|answer| answer.origin != Origin::Loaded));
            match answer {
                Ok(answer) if (answer.value.version, answer.value.nonce) == (version, nonce) => {}
                Ok(answer) => differs.push(format!(
                    "{name}: {view:?} of row {row} is version {} instead of {version}",
                    answer.value.version
                )),
                Err(Failed) => differs.push(format!("{name}: {view:?} of row {row} cannot be read")),
            }
        }
        (differs, found)
    }
}

/// Waits for an answer, and shows since when.
async fn waited<T>(reader: &AtomicU64, answer: impl Future<Output = T>) -> T {
    reader.store(now_ns(), Ordering::Release);
    let answer = answer.await;
    reader.store(0, Ordering::Release);
    answer
}

/// Whether a row that was drawn is changed: a cold one is so only now and then.
fn is_due(row: u64, rng: &mut StdRng) -> bool {
    !row.is_multiple_of(COLD) || rng.random_ratio(1, COLD_IS_CHANGED)
}
