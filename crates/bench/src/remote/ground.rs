//! Where it is measured: a server of its own, one thread for the client, and rounds in which all sides take turns.

use std::future::Future;
use std::time::Duration;

use larder::{CacheService, Redis, Ttl};
use redis::aio::MultiplexedConnection;
use testkit::redis::RedisServer;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::record::{Case, Sample};
use crate::stage::now;
use crate::{Failure, tell};

/// The units of what one measurement brings; those that are not measured are left out.
pub(crate) const CPU: &str = "ns of client CPU";
pub(crate) const P50: &str = "ns, p50";
pub(crate) const P99: &str = "ns, p99";
pub(crate) const RATE: &str = "a second";
/// What the server says it spent on the commands themselves, without reading them and writing its answers.
pub(crate) const SERVER: &str = "ns of server, in commands";
/// Of the thread that executes commands, with all that it does.
pub(crate) const SERVER_CPU: &str = "ns of server CPU";

/// For all entries: longer than any run.
pub(crate) const LIFETIME: Ttl = Ttl::secs(24 * 60 * 60);

/// What one measurement brings.
pub(crate) type Numbers = Vec<(&'static str, f64)>;

/// The server, and the thread on which everything is measured.
pub(crate) struct Ground {
    pub(crate) runtime: Runtime,
    pub(crate) server: RedisServer,
    pub(crate) bare: MultiplexedConnection,
    pub(crate) rounds: usize,
    workers: usize,
    only: Option<String>,
}

/// One thing to measure, and how to do it once.
pub(crate) struct Entrant<'a> {
    pub(crate) group: &'static str,
    pub(crate) set: String,
    pub(crate) side: &'static str,
    pub(crate) entries: usize,
    pub(crate) once: Box<dyn Fn() -> Result<Numbers, Failure> + 'a>,
}

impl Ground {
    /// Without workers all of the client runs on the thread that measures.
    pub(crate) fn new(rounds: usize, workers: usize, only: Option<String>) -> Result<Ground, Failure> {
        let runtime = match workers {
            0 => tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            workers => {
                tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?
            }
        };
        let (server, bare) = runtime.block_on(async {
            // Nothing is to be evicted.
            let server = RedisServer::builder().set("maxmemory", "0").start().await;
            let bare = redis::Client::open(server.url())?.get_multiplexed_async_connection().await?;
            Ok::<_, Failure>((server, bare))
        })?;
        Ok(Ground { runtime, server, bare, rounds: rounds.max(1), workers, only })
    }

    /// A cache over this server, with these spaces, ready to be used.
    pub(crate) fn cache(
        &self,
        spaces: impl FnOnce(larder::Builder) -> larder::Builder,
    ) -> Result<CacheService, Failure> {
        self.runtime.block_on(async {
            let redis = Redis::at(self.server.url()).local_tier(false); // each read is to be one of Redis
            let builder = spaces(CacheService::builder().redis(redis).default_ttl(LIFETIME));
            let cache = builder.build()?;
            tokio::time::timeout(Duration::from_secs(10), cache.ready()).await?;
            Ok(cache)
        })
    }

    /// On how many threads the client runs, in the words of the tables.
    pub(crate) fn client(&self) -> String {
        match self.workers {
            0 => "client of 1 thread".to_owned(),
            workers => format!("client of {workers} threads"),
        }
    }

    /// Whether this is to be measured.
    fn wants(&self, words: &str) -> bool {
        self.only.as_deref().is_none_or(|only| words.contains(only))
    }

    /// Measures all in turn in every round, each round beginning with another. The first round warms up and is not kept.
    pub(crate) fn interleave(
        &self,
        what: &str,
        mut entrants: Vec<Entrant<'_>>,
    ) -> Result<Vec<Sample>, Failure> {
        entrants.retain(|Entrant { set, side, .. }| self.wants(&format!("{set}; {side}")));
        let mut samples = Vec::new();
        if entrants.is_empty() {
            return Ok(samples);
        }
        for round in 0..=self.rounds {
            tell(&format!("{what}: round {round} of {}", self.rounds));
            for at in 0..entrants.len() {
                let Entrant { group, set, side, entries, once } = &entrants[(at + round) % entrants.len()];
                let numbers = once().map_err(|error| format!("{what}, {set}, {side}: {error}"))?;
                let sample = |(unit, value)| {
                    let case = Case { group, set: set.clone(), side, entries: *entries, unit };
                    Sample { case, round, value }
                };
                if round > 0 {
                    samples.extend(numbers.into_iter().map(sample));
                }
            }
        }
        Ok(samples)
    }

    /// A side whose calls, so many in all, are made by so many tasks at once. A call gets a clone of the state, and its number.
    pub(crate) fn side<'a, S, F, Fut>(
        &'a self,
        (group, set, side, entries): (&'static str, &str, &'static str, usize),
        (tasks, calls): (usize, usize),
        state: S,
        call: F,
    ) -> Entrant<'a>
    where
        S: Clone + Send + Sync + 'static,
        F: Fn(S, usize) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Failure>> + Send,
    {
        let once = move || self.calls(tasks, calls, state.clone(), call.clone());
        Entrant { group, set: set.to_owned(), side, entries, once: Box::new(once) }
    }

    /// Makes such calls once. One that fails fails the measurement.
    pub(crate) fn calls<S, F, Fut>(
        &self,
        tasks: usize,
        calls: usize,
        state: S,
        call: F,
    ) -> Result<Numbers, Failure>
    where
        S: Clone + Send + Sync + 'static,
        F: Fn(S, usize) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Failure>> + Send,
    {
        let of_each = calls / tasks;
        let one = move |task: usize| {
            let (state, call) = (state.clone(), call.clone());
            async move {
                let mut took = Vec::with_capacity(of_each);
                for at in 0..of_each {
                    let since = now();
                    call(state.clone(), task + at * tasks).await?;
                    took.push(since.elapsed().as_nanos() as f64);
                }
                Ok::<_, Failure>(took)
            }
        };
        self.runtime.block_on(async {
            let (began, cpu) = (now(), process_ns());
            let mut all: JoinSet<_> = (0..tasks).map(one).collect();
            let mut took = Vec::with_capacity(calls);
            while let Some(of_one) = all.join_next().await {
                took.extend(of_one??);
            }
            let (cpu, elapsed) = (process_ns() - cpu, began.elapsed());
            took.sort_unstable_by(f64::total_cmp);
            let count = took.len() as f64;
            Ok(vec![
                (CPU, cpu / count),
                (P50, took[took.len() / 2]),
                (P99, took[took.len() * 99 / 100]),
                (RATE, count / elapsed.as_secs_f64()),
            ])
        })
    }

    /// What the server has spent so far: on these commands by its own count, and its thread in all. In nanoseconds.
    pub(crate) async fn spent(&self, commands: &[&str]) -> (f64, f64) {
        let calls = self.server.calls().await;
        let in_commands: u64 =
            commands.iter().filter_map(|command| calls.get(*command)).map(|calls| calls.time_us).sum();
        let info = self.server.command(&["INFO", "cpu"]).await.text();
        let seconds = |field: &str| -> f64 {
            let value = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
            value.and_then(|value| value.trim().parse().ok()).unwrap_or(f64::NAN)
        };
        let thread = seconds("used_cpu_user_main_thread") + seconds("used_cpu_sys_main_thread");
        (in_commands as f64 * 1e3, thread * 1e9)
    }
}

/// How long this process has had processors, in nanoseconds: in its own code and in the system's, for its sockets.
#[cfg(target_os = "linux")]
pub(crate) fn process_ns() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Where the system is not known to tell it, real time has to do.
#[cfg(not(target_os = "linux"))]
pub(crate) fn process_ns() -> f64 {
    crate::stage::processor_ns()
}
