//! A process of a run: readers and writers over one cache.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
use crate::judge::{Judged, Promise, Seen, Wrong, judge};
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
    /// What differs from the database, in words.
    Compared(Vec<String>),
}

/// The file in a run's folder that all processes share.
pub(crate) const HISTORY: &str = "history";

/// That to which they add what is wrong, a line of JSON each: what a process has found outlives it.
pub(crate) const VIOLATIONS: &str = "violations.jsonl";

/// What is written there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Violation {
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

/// 20 seconds: how long a process may take to hear of all that was changed, once everything works.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(20);

struct Works {
    settings: Settings,
    subject: Subject,
    history: History,
    tally: Mutex<Tally>,
    /// Of each row, the newest version of which this process was told that it is in force, and when.
    own: Vec<Mutex<(u64, u64)>>,
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
            reading.lock().spawn(async move { works.read(rng).await });
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
                Order::Compare => Word::Compared(works.compare().await),
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
        let mut tally = std::mem::take(&mut *self.tally.lock());
        (tally.hits, tally.misses, tally.loads) = self.subject.counted();
        tally
    }

    /// Reads until it is to rest.
    async fn read(&self, mut rng: StdRng) {
        let subject = &self.subject;
        while !self.rests.load(Ordering::Acquire) {
            match rng.random_range(0..100) {
                0..70 => {
                    let (views, mut misses) = (subject.local_views(), 0);
                    for read in 0..subject.burst() {
                        if read % YIELD_EVERY == 0 {
                            tokio::task::yield_now().await;
                        }
                        let view = *views.choose(&mut rng).unwrap_or(&View::Strict);
                        misses += usize::from(!self.read_one(view, self.row(&mut rng), None).await);
                        if misses == BURST_MISSES {
                            break;
                        }
                    }
                }
                70..85 => {
                    let view = *subject.strict_views().choose(&mut rng).expect("there are views");
                    self.read_one(view, self.row(&mut rng), None).await;
                }
                85..92 => {
                    let start_ns = now_ns();
                    if subject.sync().await {
                        let view = *subject.local_views().choose(&mut rng).unwrap_or(&View::Strict);
                        self.read_one(view, self.row(&mut rng), Some(start_ns)).await;
                    }
                }
                92..97 => {
                    let rows: Vec<u64> = (0..4).map(|_| self.row(&mut rng)).collect();
                    self.read_many(&rows).await;
                }
                _ => {
                    let (row, start_ns) = (self.row(&mut rng), now_ns());
                    if let Some(answer) = subject.look(row).await {
                        self.judge(View::Kept, row, start_ns, &answer);
                    }
                }
            }
            sleep(Duration::from_millis(rng.random_range(REST_MS))).await;
        }
    }

    fn row(&self, rng: &mut StdRng) -> u64 {
        rng.random_range(0..self.settings.rows)
    }

    /// Reads a row and judges the answer; a read that `sync` went before is held to what it is by the start of that.
    /// Answers whether it was a hit in the process.
    async fn read_one(&self, view: View, row: u64, synced_ns: Option<u64>) -> bool {
        let start_ns = synced_ns.unwrap_or_else(now_ns);
        match self.subject.read(view, row).await {
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
    async fn read_many(&self, rows: &[u64]) {
        let start_ns = now_ns();
        match self.subject.read_many(rows).await {
            Some(Ok(answers)) => {
                let answers = rows.iter().zip(answers);
                answers.for_each(|(row, answer)| self.judge(View::Strict, *row, start_ns, &answer));
            }
            Some(Err(Failed)) => self.tally.lock().failed += 1,
            None => {
                for row in rows {
                    self.read_one(View::Strict, *row, None).await;
                }
            }
        }
    }

    fn judge(&self, view: View, row: u64, start_ns: u64, answer: &Answer) {
        let end_ns = now_ns();
        let Value { version, nonce, .. } = *answer.value;
        let seen = Seen { row, version, nonce, promise: answer.promise, start_ns, end_ns };
        let judged = match answer.value.row == row {
            true => self.judged(&seen),
            false => Judged { wrong: Some(Wrong::AnotherRow), ..Judged::default() },
        };
        self.tally.lock().count(&seen, &judged);
        if let Some(wrong) = judged.wrong {
            self.write_down(&Violation {
                process: self.settings.name.clone(),
                view,
                seen,
                wrong,
                behind_ns: judged.behind_ns,
            });
        }
    }

    fn judged(&self, seen: &Seen) -> Judged {
        let (version, at_ns) = *self.own[seen.row as usize].lock();
        let own = if at_ns < seen.start_ns { version } else { 0 };
        judge(seen, own, &self.history.changes(seen.row).expect("the history can be read"))
    }

    fn write_down(&self, violation: &Violation) {
        let mut written_down = self.written_down.lock();
        *written_down += 1;
        if *written_down <= WRITTEN_DOWN {
            let path = self.settings.folder.join(VIOLATIONS);
            let mut file = OpenOptions::new().append(true).create(true).open(path).expect("it can be opened");
            let line = serde_json::to_string(violation).expect("it is plain data");
            file.write_all(format!("{line}\n").as_bytes()).expect("it can be written");
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
                    let mut rows: Vec<u64> = (0..count).map(|_| self.row(&mut rng)).collect();
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
                    self.acknowledged(*row, change, is_applied).expect("the history can be written");
                    self.tally.lock().count_change(is_applied);
                }
                // By a request of before, whose answer did not come.
                Patched::Overtaken if !is_known => self.tally.lock().unsure += 1,
                Patched::Overtaken | Patched::Wrong | Patched::Unknown => {
                    let end_ns = now_ns();
                    let promise = Promise::Strict;
                    let seen = Seen { row: *row, version: version + 1, nonce, promise, start_ns, end_ns };
                    self.tally.lock().lost += 1;
                    let (process, wrong) = (self.settings.name.clone(), Wrong::Lost);
                    self.write_down(&Violation { process, view: View::Kept, seen, wrong, behind_ns: 0 });
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
    async fn compare(&self) -> Vec<String> {
        let mut differs = Vec::new();
        if !self.subject.caught_up(CATCH_UP_LIMIT).await {
            differs.push(format!("{}: it has not caught up within {CATCH_UP_LIMIT:?}", self.settings.name));
        }
        let truth = match self.subject.truth().await {
            Ok(truth) => truth,
            Err(error) => {
                return vec![format!("{}: the database does not answer: {error}", self.settings.name)];
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
        differs.extend(join_all(rows).await.into_iter().flatten());
        match self.subject.waiting().await {
            Some(0) => {}
            Some(waiting) => {
                differs.push(format!("{}: {waiting} changes wait in the outbox", self.settings.name))
            }
            None => differs.push(format!("{}: it does not say how many changes wait", self.settings.name)),
        }
        differs
    }

    async fn compare_row(&self, row: u64, (version, nonce): (u64, u64)) -> Vec<String> {
        let mut differs = Vec::new();
        let name = &self.settings.name;
        for view in [self.subject.local_views(), self.subject.strict_views()].into_iter().flatten() {
            match self.subject.read(*view, row).await {
                Ok(answer) if (answer.value.version, answer.value.nonce) == (version, nonce) => {}
                Ok(answer) => differs.push(format!(
                    "{name}: {view:?} of row {row} is version {} instead of {version}",
                    answer.value.version
                )),
                Err(Failed) => differs.push(format!("{name}: {view:?} of row {row} cannot be read")),
            }
        }
        differs
    }
}
