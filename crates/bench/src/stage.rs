//! Where measurements are taken: the runtime, the rounds, the clock.

use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::time::Instant;

use larder::Value;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::Failure;
use crate::data::Item;
use crate::record::{Case, Sample};
use crate::sides::Side;

/// The machine's clock, which no test moves.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
#[inline]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// How long the calling thread has had a processor, in nanoseconds. What else runs on the machine takes no part in it.
#[cfg(target_os = "linux")]
pub(crate) fn processor_ns() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Where the system is not known to tell it, real time has to do.
#[cfg(not(target_os = "linux"))]
pub(crate) fn processor_ns() -> f64 {
    use std::sync::OnceLock;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(now).elapsed().as_nanos() as f64
}

/// Worker threads, and the most callers at once.
pub(crate) const WORKERS: usize = 2;

/// Where all measurements of a run are taken.
pub(crate) struct Stage {
    pub(crate) runtime: Runtime,
    pub(crate) rounds: usize,
}

/// One thing to measure, and how to do it once.
pub(crate) struct Entrant<'a> {
    pub(crate) case: Case,
    pub(crate) once: Box<Once<'a>>,
}

/// Answers nanoseconds, or whatever the unit of the case is.
pub(crate) type Once<'a> = dyn Fn(&Stage) -> Result<f64, Failure> + 'a;

impl Stage {
    pub(crate) fn new(rounds: usize) -> Result<Stage, Failure> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
        Ok(Stage { runtime, rounds: rounds.max(1) })
    }

    /// Measures all in turn in every round, each round beginning with another. The first round warms up and is not kept.
    pub(crate) fn interleave(&self, what: &str, entrants: &[Entrant<'_>]) -> Result<Vec<Sample>, Failure> {
        let mut samples = Vec::new();
        for round in 0..=self.rounds {
            crate::tell(&format!("{what}: round {round} of {}", self.rounds));
            for at in 0..entrants.len() {
                let entrant = &entrants[(at + round) % entrants.len()];
                let value = (entrant.once)(self)?;
                if round > 0 {
                    samples.push(Sample { case: entrant.case.clone(), round, value });
                }
            }
        }
        Ok(samples)
    }

    /// Asks for the items in these orders, each order on a worker thread of its own, all at once. Answers nanoseconds of a
    /// processor for each call.
    pub(crate) fn hits<V: Value, S: Side<V>>(
        &self,
        side: &Arc<S>,
        items: &Arc<[Item]>,
        orders: &[Arc<[u32]>],
    ) -> Result<f64, Failure> {
        let together = Arc::new(Barrier::new(orders.len()));
        let mut tasks = JoinSet::new();
        for order in orders {
            let (side, items, order) = (Arc::clone(side), Arc::clone(items), Arc::clone(order));
            let together = Arc::clone(&together);
            let pass = async move {
                together.wait(); // there are as many workers as orders
                let began = processor_ns();
                let mut found = 0;
                for at in order.iter() {
                    if let Some(value) = side.hit(&items[*at as usize]).await {
                        black_box(&*value);
                        found += 1;
                    }
                }
                (processor_ns() - began, found, order.len())
            };
            tasks.spawn_on(pass, self.runtime.handle());
        }
        let (mut spent, mut calls) = (0.0, 0);
        for (elapsed, found, asked) in self.runtime.block_on(tasks.join_all()) {
            if found != asked {
                return Err(format!("{found} of {asked} reads were hits; all should be").into());
            }
            spent += elapsed;
            calls += asked;
        }
        Ok(spent / calls as f64)
    }

    /// Stores all items.
    pub(crate) fn fill<V: Value, S: Side<V>>(
        &self,
        side: &Arc<S>,
        items: &Arc<[Item]>,
        make: fn() -> V,
    ) -> Result<(), Failure> {
        let (side, items) = (Arc::clone(side), Arc::clone(items));
        self.work(async move {
            for item in items.iter() {
                side.set(item, make()).await;
            }
        })
    }

    /// Runs one task on a worker thread.
    pub(crate) fn work<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Failure> {
        Ok(self.runtime.block_on(self.runtime.spawn(task))?)
    }
}
