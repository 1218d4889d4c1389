//! One process with a cache over Redis, told what to do by lines on its standard input.
//!
//! A line is a number, a verb and its arguments; the answer is a line with [`MARK`], the number and the result. Each is done in a task
//! of its own.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::{BufRead, Write};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder::testing::Ablation;
use larder::{CacheService, Policy, Tag};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// The variable that makes a process a worker: the URL of its Redis.
pub(crate) const REDIS: &str = "LARDER_TEST_WORKER_REDIS";

/// The variable that names the rules that are out in a worker.
const WITHOUT: &str = "LARDER_TEST_WORKER_WITHOUT";

/// What answers begin with: the test harness writes to the same stream.
const MARK: &str = "@@";

/// How many large values one worker fills in at once: few enough that none takes longer than its limit.
const LARGE_AT_ONCE: usize = 8;

/// A worker, as a test holds it; it dies with it.
pub(crate) struct Worker {
    child: Child,
    input: tokio::sync::Mutex<ChildStdin>,
    next: AtomicU64,
    waiting: Arc<Mutex<HashMap<String, oneshot::Sender<String>>>>,
    _reads: JoinSet<()>,
}

impl Worker {
    /// Starts a worker, and waits until its cache is connected.
    pub(crate) async fn start(redis: &str, without: &[Ablation]) -> Worker {
        let this = std::env::current_exe().expect("a test knows its binary");
        let rules: Vec<String> = without.iter().map(|rule| format!("{rule:?}")).collect();
        let mut command = Command::new(this);
        command.args(["worker", "--exact", "--nocapture", "--test-threads=1"]);
        command.env(REDIS, redis).env(WITHOUT, rules.join(","));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the binary starts");
        let input = child.stdin.take().expect("it was piped");
        let mut output = BufReader::new(child.stdout.take().expect("it was piped")).lines();
        let waiting: Arc<Mutex<HashMap<String, oneshot::Sender<String>>>> = Arc::default();
        let mut reads = JoinSet::new();
        let answers = Arc::clone(&waiting);
        reads.spawn(async move {
            while let Ok(Some(line)) = output.next_line().await {
                let Some((_harness, answer)) = line.split_once(MARK) else { continue };
                let (id, result) = answer.trim().split_once(' ').unwrap_or((answer.trim(), ""));
                let waiting = answers.lock().remove(id);
                waiting.map(|waiting| waiting.send(result.to_owned()));
            }
            answers.lock().clear(); // whoever waits for a process that is gone waits no longer
        });
        let input = tokio::sync::Mutex::new(input);
        let worker = Worker { child, input, next: AtomicU64::new(0), waiting, _reads: reads };
        worker.tell("ready").await;
        worker
    }

    /// Tells it to do something, and waits for the result.
    pub(crate) async fn tell(&self, what: &str) -> String {
        let answer = self.begin(what).await;
        answer.await.unwrap_or_else(|_| panic!("the worker ended before it answered to {what}"))
    }

    /// Tells it to do something; the result comes when it comes, or an error if the worker ends.
    pub(crate) async fn begin(&self, what: &str) -> oneshot::Receiver<String> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.waiting.lock().insert(id.to_string(), sender);
        let line = format!("{id} {what}\n");
        self.input.lock().await.write_all(line.as_bytes()).await.expect("the worker listens");
        answer
    }

    /// Begins a load that is held: the value, once it was let go, and the news that the load is under way.
    pub(crate) async fn begin_held(
        &self,
        key: &str,
        value: &str,
    ) -> (oneshot::Receiver<String>, oneshot::Receiver<String>) {
        let (sender, loading) = oneshot::channel();
        let id = self.next.load(Ordering::Relaxed); // nobody else tells this worker anything meanwhile
        self.waiting.lock().insert(format!("{id}.holds"), sender);
        (self.begin(&format!("hold {key} {value}")).await, loading)
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        kill_process(pid.expect("it is alive"), signal).expect("it is our own process");
    }
}

/// Serves until the input ends.
pub(crate) fn serve(redis: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("the operating system gives a process its runtime");
    let rules = std::env::var(WITHOUT).unwrap_or_default();
    let rules = [Ablation::TicketCheck, Ablation::Vouching, Ablation::FreshLease, Ablation::OwnStaging]
        .into_iter()
        .filter(|rule| rules.split(',').any(|out| out == format!("{rule:?}")));
    let builder = rules.fold(CacheService::builder().redis(redis), larder::Builder::without);
    let cache = runtime.block_on(async { builder.build() }).expect("the settings fit together");
    let held = Arc::new(Notify::new());
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { return };
        let (cache, held) = (cache.clone(), Arc::clone(&held));
        runtime.spawn(async move {
            let mut words = line.split(' ');
            let id = words.next().unwrap_or_default().to_owned();
            let words: Vec<&str> = words.collect();
            let result = obey(&cache, &held, &id, &words).await;
            answer(&id, &result);
        });
    }
}

fn answer(id: &str, result: &str) {
    let mut out = std::io::stdout().lock();
    // A test that is gone reads no answers.
    writeln!(out, "{MARK} {id} {result}").and_then(|()| out.flush()).ok();
}

async fn obey(cache: &CacheService, held: &Notify, id: &str, words: &[&str]) -> String {
    let loads = |value: &str| {
        let value = value.to_owned();
        move || async move { Ok::<_, Infallible>(value) }
    };
    match *words {
        ["ready"] => cache.ready().await,
        ["read", key, value] => return read(cache, key, loads(value)).await,
        ["look", key] => {
            return cache
                .get::<String>(key)
                .await
                .map_or_else(|| "(none)".to_owned(), |value| (*value).clone());
        }
        // Loads a value, holding on in the load until it is let go.
        ["hold", key, value] => {
            let load = || async {
                let let_go = held.notified();
                answer(&format!("{id}.holds"), ""); // for whoever waits until it is loading
                let_go.await;
                Ok::<_, Infallible>(value.to_owned())
            };
            return read(cache, key, load).await;
        }
        ["let-go"] => held.notify_waiters(),
        ["delete", key] => return cache.delete(key).await.acknowledged.to_string(),
        ["pattern", glob] => return cache.delete_pattern(glob).await.acknowledged.to_string(),
        ["tag", name] => return cache.invalidate_tag(Tag::named(name)).await.acknowledged.to_string(),
        ["set", key, value] => {
            return cache.set(key, value.to_owned(), Policy::new()).await.is_stored().to_string();
        }
        // Many callers of one key at once, and a load that takes its time. Answers loads, different values, longest wait.
        ["stampede", key, value, callers, load_ms] => {
            let load_ms = Duration::from_millis(load_ms.parse().expect("a number"));
            return stampede(cache, key, value, callers.parse().expect("a number"), load_ms).await;
        }
        // Fills large values in under names of its own, and reads each back. Answers how many were another's, or not stored.
        ["large", prefix, count] => return large(cache, prefix, count.parse().expect("a number")).await,
        _ => panic!("no such verb: {words:?}"),
    }
    "done".to_owned()
}

async fn read<Fut: Future<Output = Result<String, Infallible>>>(
    cache: &CacheService,
    key: &str,
    load: impl FnOnce() -> Fut,
) -> String {
    match cache.get_or_set(key, Policy::new(), load).await {
        Ok(value) => (*value).clone(),
        Err(error) => match error {},
    }
}

async fn stampede(cache: &CacheService, key: &str, value: &str, callers: usize, takes: Duration) -> String {
    let loads = Arc::new(AtomicU64::new(0));
    let since = Instant::now();
    let mut calls = JoinSet::new();
    for _ in 0..callers {
        let (cache, loads, key, value) =
            (cache.clone(), Arc::clone(&loads), key.to_owned(), value.to_owned());
        calls.spawn(async move {
            let load = || async {
                loads.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(takes).await; // the load
                Ok::<_, Infallible>(value)
            };
            read(&cache, &key, load).await
        });
    }
    let mut values = calls.join_all().await;
    let longest_ms = since.elapsed().as_millis();
    values.sort_unstable();
    values.dedup();
    format!("{} {longest_ms} {}", loads.load(Ordering::Relaxed), values.join(","))
}

async fn large(cache: &CacheService, prefix: &str, count: usize) -> String {
    let wrong = Arc::new(AtomicU64::new(0));
    let mut calls = JoinSet::new();
    for caller in 0..LARGE_AT_ONCE {
        let (cache, prefix, wrong) = (cache.clone(), prefix.to_owned(), Arc::clone(&wrong));
        calls.spawn(async move {
            for n in (caller..count).step_by(LARGE_AT_ONCE) {
                let name = format!("{prefix}:{n}");
                let own = name.repeat(100_000 / name.len());
                let load = || async { Ok::<_, Infallible>(own.clone()) };
                let stored =
                    cache.read_through(&name, Policy::new(), load).await.is_ok_and(|read| read.stored);
                let right = stored && cache.get::<String>(&name).await.is_some_and(|value| *value == own);
                wrong.fetch_add(u64::from(!right), Ordering::Relaxed);
            }
        });
    }
    calls.join_all().await;
    wrong.load(Ordering::Relaxed).to_string()
}
