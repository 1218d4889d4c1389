//! Reads: one after the other, each by one of the ways that there are, and each judged.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use tokio::time::sleep;

use super::Works;
use crate::clock::now_ns;
use crate::judge::{Promise, Wrong};
use crate::loader::Failed;
use crate::subject::Kind;
use crate::view::View;

/// 20: reads one after the other of what may be in the process end when so many have missed.
const BURST_MISSES: usize = 20;

/// 4: reads one after the other of what is in Redis alone.
const STRICT_BURST: usize = 4;

/// 200: after so many reads others have their turn, as in an application whose requests do more than read.
const YIELD_EVERY: usize = 200;

/// 2 to 6 ms: how long a reader rests after each of its turns.
const REST_MS: std::ops::Range<u64> = 2..6;

/// 20 seconds: how long a read of larder may take at most, whatever fails and whoever dies meanwhile. Its process may have stood still for five of
/// them, a load of one that is gone is waited for two, and a call to Redis takes half of one; the rest is for machines that do other things.
const HANGS_NS: u64 = 20_000_000_000;

impl Works {
    /// Reads that have not ended for too long, each once: what died while somebody waited for it leaves nobody waiting. Of larder alone; others
    /// may take as long as they say.
    pub(super) fn look_for_hanging(&self) {
        let now_ns = now_ns();
        for since in self.waits_since_ns.iter().filter(|_| self.settings.kind == Kind::Larder) {
            let start_ns = since.load(Ordering::Acquire);
            if start_ns != 0 && now_ns.saturating_sub(start_ns) > HANGS_NS {
                since.store(0, Ordering::Release);
                self.accuse(Wrong::Hanging, u64::MAX, 0, start_ns);
            }
        }
    }

    /// Reads until it is to rest.
    pub(super) async fn read(&self, reader: usize, mut rng: StdRng) {
        let reader = &self.waits_since_ns[reader];
        while !self.rests.load(Ordering::Acquire) {
            self.turn(reader, &mut rng).await;
            sleep(Duration::from_millis(rng.random_range(REST_MS))).await;
        }
    }

    /// Reads until it is to rest, on a thread of its own, what answers without waiting. It goes on where that which hears of changes has not had its
    /// turn yet, as after the process stood still: from then on it is the clock alone that ends copies.
    pub(super) fn glance(&self, mut rng: StdRng) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("the operating system gives it a thread and an event queue").block_on(async {
            while !self.rests.load(Ordering::Acquire) {
                for _ in 0..YIELD_EVERY {
                    let (row, start_ns) = (self.row(&mut rng), now_ns());
                    let Some(Some(answer)) = self.subject.look(row).now_or_never() else { break };
                    self.judge(View::Kept, row, start_ns, &answer);
                }
                sleep(Duration::from_millis(rng.random_range(REST_MS))).await;
            }
        });
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
                for _ in 0..STRICT_BURST {
                    let view = *subject.strict_views().choose(rng).expect("there are views");
                    self.read_one(reader, view, self.row(rng), None).await;
                }
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
}

/// Waits for an answer, and shows since when.
async fn waited<T>(reader: &AtomicU64, answer: impl Future<Output = T>) -> T {
    reader.store(now_ns(), Ordering::Release);
    let answer = answer.await;
    reader.store(0, Ordering::Release);
    answer
}
