//! A process of a run: readers and writers over one cache.

mod end;
mod readers;
mod writers;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::clock::{now_ns, patiently};
use crate::database;
use crate::history::{Change, History};
use crate::judge::{Judged, Known, Origin, Promise, Seen, Wrong, judge};
use crate::loader::Value;
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

/// 16 readers and 3 writers in each process; where larder is checked, one more reader never waits.
const READERS: u64 = 16;
const WRITERS: u64 = 3;

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
    if works.settings.kind == Kind::Larder {
        let (works, rng) = (Arc::clone(&works), StdRng::seed_from_u64(seed ^ (READERS + WRITERS) << 32));
        reading.lock().spawn_blocking(move || works.glance(rng));
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

    /// Notes what is wrong without a read that has answered so.
    fn accuse(&self, wrong: Wrong, row: u64, version: u64, start_ns: u64) {
        let (promise, origin) = (Promise::Strict, Origin::Loaded);
        let seen = Seen { row, version, nonce: 0, promise, origin, start_ns, end_ns: now_ns() };
        self.tally.lock().count_wrong(wrong, promise);
        self.write_down(View::Kept, seen, wrong, 0);
    }

    fn row(&self, rng: &mut StdRng) -> u64 {
        rng.random_range(0..self.settings.rows)
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
}
