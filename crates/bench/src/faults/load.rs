//! Readers and writers, and what they saw.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use reqwest::{Client, RequestBuilder};
use serde_json::Value;

use super::subject::Running;
use crate::stage::now;

/// What the tasks of one case share.
pub(crate) struct Scene {
    pub(crate) running: Running,
    pub(crate) http: Client,
    /// The highest version of each row that a write has acknowledged.
    acknowledged: Vec<AtomicU64>,
    /// Whether what happens now is counted.
    pub(crate) measuring: AtomicBool,
    /// Whether readers and writers go on.
    pub(crate) going: AtomicBool,
}

/// What one task saw, or several together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) reads: u64,
    pub(crate) writes: u64,
    pub(crate) longest_read: Duration,
    pub(crate) longest_write: Duration,
    pub(crate) failed_reads: u64,
    pub(crate) failed_writes: u64,
    pub(crate) stale_reads: u64,
    /// What the first failure said.
    pub(crate) failure: Option<String>,
}

impl Tally {
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            reads: self.reads + other.reads,
            writes: self.writes + other.writes,
            longest_read: self.longest_read.max(other.longest_read),
            longest_write: self.longest_write.max(other.longest_write),
            failed_reads: self.failed_reads + other.failed_reads,
            failed_writes: self.failed_writes + other.failed_writes,
            stale_reads: self.stale_reads + other.stale_reads,
            failure: self.failure.or(other.failure),
        }
    }
}

/// What came of one read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Current,
    /// An older version than one that was acknowledged before the read began.
    Stale,
    Failed,
}

impl Scene {
    pub(crate) fn new(running: Running, http: Client, rows: usize) -> Self {
        Self {
            running,
            http,
            acknowledged: (0..rows).map(|_| AtomicU64::new(0)).collect(),
            measuring: AtomicBool::new(false),
            going: AtomicBool::new(true),
        }
    }

    /// Reads a row and counts it if it began or ended while the case was measured.
    pub(crate) async fn read(&self, row: usize, tally: &mut Tally) -> Read {
        let expected = self.acknowledged[row].load(Ordering::SeqCst);
        let measured = self.measuring.load(Ordering::SeqCst);
        let (took, answer) = ask(self.running.subject.read(&self.http, row)).await;
        let read = match &answer {
            Ok(version) if *version < expected => Read::Stale,
            Ok(_) => Read::Current,
            Err(_) => Read::Failed,
        };
        if measured || self.measuring.load(Ordering::SeqCst) {
            tally.reads += 1;
            tally.longest_read = tally.longest_read.max(took);
            tally.stale_reads += u64::from(read == Read::Stale);
            tally.failed_reads += u64::from(read == Read::Failed);
            note(tally, answer.err(), "read");
        }
        read
    }

    /// Changes a row; answers whether that was acknowledged.
    pub(crate) async fn write(&self, row: usize, tally: &mut Tally) -> bool {
        let measured = self.measuring.load(Ordering::SeqCst);
        let (took, answer) = ask(self.running.subject.write(&self.http, row)).await;
        if let Ok(version) = answer {
            self.acknowledged[row].fetch_max(version, Ordering::SeqCst);
        }
        let acknowledged = answer.is_ok();
        if measured || self.measuring.load(Ordering::SeqCst) {
            tally.writes += 1;
            tally.longest_write = tally.longest_write.max(took);
            tally.failed_writes += u64::from(!acknowledged);
            note(tally, answer.err(), "write");
        }
        acknowledged
    }

    /// Reads rows below `rows`, one after the other, until nobody goes on.
    pub(crate) async fn keep_reading(self: Arc<Self>, rows: usize, seed: u64) -> Tally {
        let (mut tally, mut random) = (Tally::default(), crate::data::Random(seed));
        while self.going.load(Ordering::SeqCst) {
            let drawn = random.next();
            self.read(drawn as usize % rows, &mut tally).await;
            // 1 to 3 ms, as the readers of the other checks think.
            tokio::time::sleep(Duration::from_micros(1000 + (drawn >> 32) % 2000)).await;
        }
        tally
    }

    /// Changes these rows in turn, until nobody goes on.
    pub(crate) async fn keep_writing(
        self: Arc<Self>,
        rows: std::ops::Range<usize>,
        pause: Duration,
    ) -> Tally {
        let mut tally = Tally::default();
        for row in rows.cycle() {
            tokio::time::sleep(pause).await;
            if !self.going.load(Ordering::SeqCst) {
                break;
            }
            self.write(row, &mut tally).await;
        }
        tally
    }
}

fn note(tally: &mut Tally, failure: Option<String>, verb: &str) {
    if let (None, Some(failure)) = (&tally.failure, failure) {
        tally.failure = Some(format!("{verb}: {failure}"));
    }
}

/// Sends a request; answers how long it took and the version in the answer, or why there is none.
async fn ask(request: RequestBuilder) -> (Duration, Result<u64, String>) {
    let began = now();
    let answer = version(request).await;
    (began.elapsed(), answer)
}

async fn version(request: RequestBuilder) -> Result<u64, String> {
    let told = |error: reqwest::Error| {
        if error.is_timeout() { "no answer in time".to_owned() } else { error.without_url().to_string() }
    };
    let response = request.send().await.map_err(told)?;
    let status = response.status();
    let body: Value = response.json().await.map_err(told)?;
    match body["version"].as_u64() {
        Some(version) if status.is_success() => Ok(version),
        _ => Err(format!(
            "{} {}",
            status.as_u16(),
            body["error"].as_str().or(body["title"].as_str()).unwrap_or("")
        )),
    }
}
