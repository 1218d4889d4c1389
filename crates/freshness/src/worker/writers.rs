//! Changes, from their begin to their acknowledgement.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use larder::Acknowledged;
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use tokio::time::sleep;

use super::{Settings, WRITERS, Works};
use crate::clock::now_ns;
use crate::crm::{Crm, Patched};
use crate::database;
use crate::history::Change;
use crate::judge::Wrong;

/// 130 ms on average: how long a writer waits before its next change. One in five comes within 6 ms of the one before, on the same row.
const WRITER_RESTS_MS: std::ops::Range<u64> = 10..250;
const AGAIN_WITHIN_MS: u64 = 6;

/// 50 ms: after which a change is asked for again that was not answered.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// Every fourth row is changed by a fortieth as often as others, every half a minute or so: what its removal has missed, no later one makes good
/// soon.
const COLD: u64 = 4;
const COLD_IS_CHANGED: u32 = 40;

impl Works {
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
    pub(super) async fn write(&self, mut rng: StdRng) {
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
    pub(super) async fn patch(&self, crm: &Crm, writer: u64, mut rng: StdRng) {
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
}

/// Whether a row that was drawn is changed: a cold one is so only now and then.
fn is_due(row: u64, rng: &mut StdRng) -> bool {
    !row.is_multiple_of(COLD) || rng.random_ratio(1, COLD_IS_CHANGED)
}
