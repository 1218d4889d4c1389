//! One subject under one fault, from a new server to the verdict.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::Value;
use testkit::faults::{Fault, Faulty};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::LIMIT;
use super::load::{Read, Scene, Tally};
use super::subject::{self, Health, Name};
use crate::Failure;
use crate::stage::now;

/// Rows that are read all the time: 50.
pub(crate) const ROWS: usize = 50;

/// Of those, the first 25 are changed once each while the fault lasts, and by nobody else.
pub(crate) const CHANGED: usize = 25;

/// Rows behind those that are read before the fault and by nobody while it lasts, and never changed: 25.
pub(crate) const UNCHANGED: usize = 25;

/// Rows that nobody has read before, for seeing whether values are stored again: 150, one each 100 ms.
pub(crate) const PROBES: usize = 150;

/// Between two of those.
const PROBE_EVERY: Duration = Duration::from_millis(100);

/// How long a subject may take until it stores again: 15 s.
const RESUME_LIMIT: Duration = Duration::from_secs(15);

/// Readers at the same time: 16.
const READERS: u64 = 16;

/// Rows of one writer, of those that are not among the changed: 5, so that there are 5 writers.
const ROWS_OF_WRITER: usize = 5;

/// Between two changes by a writer.
const WRITER_PAUSE: Duration = Duration::from_millis(200);

/// How long all run before the fault begins.
const BEFORE: Duration = Duration::from_millis(500);

/// How long reads and writes are counted after the end of the fault.
const AFTER: Duration = Duration::from_secs(2);

/// How long an answer about health is waited for.
const HEALTH_LIMIT: Duration = Duration::from_secs(5);

/// What one case came to.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) subject: Name,
    /// None for the control, where nothing goes wrong.
    pub(crate) fault: Option<Fault>,
    /// What readers and writers saw, from the beginning of the fault until 2 s after its end.
    pub(crate) tally: Tally,
    /// How many of the changes were not acknowledged.
    pub(crate) unacknowledged: usize,
    /// How many of the changed rows are older in the end than what was acknowledged.
    pub(crate) stale_rows: usize,
    /// How many of the changed rows cannot be read in the end.
    pub(crate) unreadable_rows: usize,
    /// How long after the end of the fault a value was seen in Redis that nobody had asked for before.
    pub(crate) stores_after: Option<Duration>,
    /// How many of the changed rows were loaded once more when they were read a second time in the end.
    pub(crate) loaded_again: Option<u64>,
    /// How many of the rows that were never changed had to be loaded again after the fault.
    pub(crate) lost: Option<u64>,
    /// What the subject said of its Redis during the fault, and after it.
    pub(crate) says: [String; 2],
}

impl Outcome {
    /// How long after the end of the fault it cached again: values are stored, and what is stored is found.
    pub(crate) fn resumed_after(&self) -> Option<Duration> {
        self.stores_after.filter(|_| self.loaded_again == Some(0))
    }
}

/// Runs it. `hold` is how long the changes take, and how long the fault lasts unless it is a moment.
pub(crate) async fn run(
    name: Name,
    fault: Option<Fault>,
    hold: Duration,
    seed_cache: Option<&Path>,
) -> Result<Outcome, Failure> {
    let http = Client::builder().timeout(LIMIT).no_proxy().build()?;
    let faulty = Faulty::start().await;
    let running = subject::start(name, &faulty.url(), seed_cache, &http).await?;
    let scene = Arc::new(Scene::new(running, http, ROWS + UNCHANGED + PROBES));
    warm(&scene).await;
    faulty.remember().await;

    let mut load = JoinSet::new();
    for seed in 0..READERS {
        load.spawn(Arc::clone(&scene).keep_reading(ROWS, seed));
    }
    for first in (CHANGED..ROWS).step_by(ROWS_OF_WRITER) {
        load.spawn(Arc::clone(&scene).keep_writing(first..first + ROWS_OF_WRITER, WRITER_PAUSE));
    }
    sleep(BEFORE).await;

    scene.measuring.store(true, Ordering::SeqCst);
    let mut changes = JoinSet::new();
    for row in 0..CHANGED {
        changes.spawn(change(Arc::clone(&scene), row, hold * (2 * row as u32 + 1) / (2 * CHANGED as u32)));
    }
    let during = befall(fault, &faulty, &scene, hold).await;
    let end_of_counting = async {
        sleep(AFTER).await;
        scene.measuring.store(false, Ordering::SeqCst);
    };
    let (stores_after, ()) = tokio::join!(store_again(&scene, &faulty, now()), end_of_counting);
    scene.going.store(false, Ordering::SeqCst);

    let mut tally = load.join_all().await.into_iter().fold(Tally::default(), Tally::and);
    let mut unacknowledged = 0;
    for (acknowledged, of_change) in changes.join_all().await {
        unacknowledged += usize::from(!acknowledged);
        tally = tally.and(of_change);
    }
    let after = health(&scene).await;
    let lost = load_unchanged(&scene).await;
    let (verdicts, loaded_again) = look_twice(&scene).await;
    let count = |wanted| verdicts.iter().filter(|verdict| **verdict == wanted).count();
    Ok(Outcome {
        subject: name,
        fault,
        tally,
        unacknowledged,
        stale_rows: count(Read::Stale),
        unreadable_rows: count(Read::Failed),
        stores_after,
        loaded_again,
        lost,
        says: [during, after].map(|health| health.says.unwrap_or_else(|| "-".to_owned())),
    })
}

/// Reads every row until all are in the cache, as far as three rounds bring them there.
async fn warm(scene: &Scene) {
    for _ in 0..3 {
        for row in 0..ROWS + UNCHANGED {
            scene.read(row, &mut Tally::default()).await;
        }
    }
}

async fn change(scene: Arc<Scene>, row: usize, after: Duration) -> (bool, Tally) {
    sleep(after).await;
    let mut tally = Tally::default();
    let acknowledged = scene.write(row, &mut tally).await;
    (acknowledged, tally)
}

/// Lets the fault happen, and returns when it is over with what the subject said of itself meanwhile. What is a moment
/// comes when half of the changes have been made: a server that forgets must not bring back what they removed.
async fn befall(fault: Option<Fault>, faulty: &Faulty, scene: &Scene, hold: Duration) -> Health {
    let began = now();
    let lasting = fault.filter(|fault| !fault.is_moment());
    if let Some(fault) = lasting {
        fault.begin(faulty).await;
    }
    sleep((hold / 2).saturating_sub(began.elapsed())).await;
    if let Some(fault) = fault.filter(|fault| fault.is_moment()) {
        fault.begin(faulty).await;
    }
    let rest = async { sleep(hold.saturating_sub(began.elapsed())).await };
    let ending = async {
        rest.await;
        if let Some(fault) = fault {
            fault.end(faulty).await;
        }
    };
    // Whoever does not answer while the fault lasts must not make it last longer.
    tokio::join!(health(scene), ending).0
}

async fn health(scene: &Scene) -> Health {
    let ask = async {
        let response = scene.running.subject.health(&scene.http).send().await.ok()?;
        let body: Value = response.json().await.ok()?;
        Some(scene.running.subject.understand(&body))
    };
    let silent = || Health { loads: None, says: Some("no answer".to_owned()) };
    timeout(HEALTH_LIMIT, ask).await.ok().flatten().unwrap_or_else(silent)
}

/// Asks for rows that nobody has asked for, until one of them is found in Redis; answers how long that took.
async fn store_again(scene: &Scene, faulty: &Faulty, since: Instant) -> Option<Duration> {
    let probing = async {
        for row in ROWS + UNCHANGED..ROWS + UNCHANGED + PROBES {
            // Not counted: probes are no readers. They have a longest, too: that of a reader beside them.
            let read = scene.running.subject.read(&scene.http, row).send();
            if timeout(PROBE_EVERY * 10, read).await.is_ok() && is_stored(scene, faulty, row).await {
                return Some(since.elapsed());
            }
            sleep(PROBE_EVERY).await;
        }
        None
    };
    timeout(RESUME_LIMIT, probing).await.ok().flatten()
}

/// Whether Redis has the row. It may get it a moment after the reader.
async fn is_stored(scene: &Scene, faulty: &Faulty, row: usize) -> bool {
    sleep(PROBE_EVERY / 10).await;
    let pattern = format!("*{}", scene.running.subject.key(row));
    let keys = faulty.server().command(&["KEYS", &pattern]).await;
    !keys.array().is_empty()
}

/// Reads the rows that were never changed, and answers how many of them had to be loaded.
async fn load_unchanged(scene: &Scene) -> Option<u64> {
    let before = health(scene).await.loads?;
    for row in ROWS..ROWS + UNCHANGED {
        scene.read(row, &mut Tally::default()).await;
    }
    Some(health(scene).await.loads? - before)
}

/// Reads the changed rows twice: what the second read says of each, and how many loads that took.
async fn look_twice(scene: &Scene) -> (Vec<Read>, Option<u64>) {
    for row in 0..CHANGED {
        scene.read(row, &mut Tally::default()).await;
    }
    let before = health(scene).await.loads;
    let mut verdicts = Vec::new();
    for row in 0..CHANGED {
        verdicts.push(scene.read(row, &mut Tally::default()).await);
    }
    let after = health(scene).await.loads;
    (verdicts, before.zip(after).map(|(before, after)| after - before))
}
