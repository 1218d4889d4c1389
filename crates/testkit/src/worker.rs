//! Other processes of a test: the test binary itself, run once more, with one of its tests as its main.
//!
//! That test is the worker: it [`serve`]s if it was started as one, and otherwise returns at once, so that in an ordinary run
//! it passes as nothing. A worker answers lines; what stands in them is between it and its test.

use std::collections::HashMap;
use std::env;
use std::io::{self, Write};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use parking_lot::Mutex;
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::process::{Process, Stopped};

/// Set for a process that is a worker: its settings.
const WORKER: &str = "TESTKIT_WORKER";

/// With what an answer begins: libtest writes lines of its own.
const ANSWER: &str = "=> ";

/// The settings of this process, if it is a worker.
#[must_use]
pub fn settings() -> Option<String> {
    env::var(WORKER).ok()
}

/// The life of a worker: answers each line with a line, several at once, until nobody has more to ask.
///
/// # Panics
///
/// If an answer panics, so that whoever asked does not wait for it.
///
/// # Cancel safety
///
/// Dropped, it leaves orders unanswered.
pub async fn serve<F, A>(answer: F)
where
    F: Fn(String) -> A,
    A: Future<Output = String> + Send + 'static,
{
    let (sender, mut orders) = mpsc::unbounded_channel();
    thread::spawn(move || io::stdin().lines().map_while(Result::ok).try_for_each(|order| sender.send(order)));
    let mut answers = JoinSet::new();
    loop {
        tokio::select! {
            order = orders.recv() => {
                let Some(order) = order else { return };
                let (id, order) = order.split_once(' ').expect("an order has its number");
                let (id, answer) = (id.to_owned(), answer(order.to_owned()));
                answers.spawn(async move {
                    let line = format!("\n{ANSWER}{id} {}\n", answer.await);
                    // Directly, since what tests print is captured. Where nobody reads, the orders end too.
                    let mut out = io::stdout().lock();
                    out.write_all(line.as_bytes()).and_then(|()| out.flush()).ok();
                });
            }
            Some(answered) = answers.join_next() => answered.expect("an answer does not panic"),
        }
    }
}

/// A process that a test started. Dropped, it is killed; it ends by itself where the test's own process is killed.
#[derive(Debug)]
pub struct Worker {
    process: Process,
    orders: tokio::sync::Mutex<ChildStdin>,
    asked: Arc<Mutex<Asked>>,
    next: AtomicU64,
    _child: Child,
    /// Reads the answers.
    _reader: JoinSet<()>,
}

/// The orders without an answer; `None` once the worker has ended.
type Asked = Option<HashMap<String, oneshot::Sender<String>>>;

impl Worker {
    /// Starts this test binary with the test of this name (`module::function`) as its main.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    #[must_use]
    pub fn start(test: &str, settings: &str) -> Self {
        let mut command = Command::new(env::current_exe().expect("this process has a program"));
        command.args(["--exact", test, "--nocapture"]);
        Self::spawn(command, settings)
    }

    /// Starts a program that [`serve`]s, of whichever kind.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    #[must_use]
    pub fn spawn(command: impl Into<Command>, settings: &str) -> Self {
        let mut child = command
            .into()
            .env(WORKER, settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program of a worker can be started");
        let process = Process::of("worker", child.id().expect("nobody has waited for it"));
        let orders = child.stdin.take().expect("standard input is a pipe").into();
        let answers = child.stdout.take().expect("standard output is a pipe");
        let asked = Arc::new(Mutex::new(Some(HashMap::new())));
        let mut reader = JoinSet::new();
        reader.spawn(read(answers, Arc::clone(&asked)));
        Self { process, orders, asked, next: AtomicU64::new(0), _child: child, _reader: reader }
    }

    /// Asks; the answer is nothing if the worker ends without one.
    ///
    /// # Cancel safety
    ///
    /// The worker may do it or not; dropped in mid-send, the next order may not be understood.
    pub async fn try_ask(&self, order: &str) -> Option<String> {
        let id = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        let (sender, answer) = oneshot::channel();
        let line = format!("{id} {order}\n");
        self.asked.lock().as_mut()?.insert(id, sender);
        // If it has ended, the reader knows too.
        self.orders.lock().await.write_all(line.as_bytes()).await.ok();
        answer.await.ok()
    }

    /// Whether it has ended, by itself or otherwise.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.asked.lock().is_none()
    }

    /// Kills it with `SIGKILL`, and waits until it is gone.
    ///
    /// # Cancel safety
    ///
    /// It is killed, perhaps a moment later.
    pub async fn kill(&self) {
        self.process.signal(Signal::KILL);
        self.process.ended().await;
    }

    /// Stops it where it stands, with `SIGSTOP`.
    ///
    /// # Cancel safety
    ///
    /// It is paused, perhaps a moment later.
    pub async fn pause(&self) {
        self.process.signal(Signal::STOP);
        self.process.stopped(Stopped::Yes).await;
    }

    /// Lets it go on after [`pause`](Worker::pause).
    ///
    /// # Cancel safety
    ///
    /// It goes on, perhaps a moment later.
    pub async fn resume(&self) {
        self.process.signal(Signal::CONT);
        self.process.stopped(Stopped::No).await;
    }
}

async fn read(answers: ChildStdout, asked: Arc<Mutex<Asked>>) {
    let mut answers = BufReader::new(answers).lines();
    while let Ok(Some(line)) = answers.next_line().await {
        let answer = line.strip_prefix(ANSWER).and_then(|answer| answer.split_once(' '));
        if let Some((id, answer)) = answer
            && let Some(asks) = asked.lock().as_mut().and_then(|asked| asked.remove(id))
        {
            asks.send(answer.to_owned()).ok(); // whoever asked may be gone
        }
    }
    *asked.lock() = None;
}
