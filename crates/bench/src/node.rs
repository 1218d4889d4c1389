//! The caches of the Node world: what they need, and one of them as a process that is asked for measurements.

use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bench::machine;
use clap::Args;
use parking_lot::Mutex;
use serde_json::Value;

use crate::{Failure, tell};

/// Whether the caches of the Node world are measured too.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Peers {
    /// Measure the specified service on ioredis and BentoCache too: needs node (20.6 or newer) and npm
    #[arg(long)]
    pub(crate) peers: bool,
    /// The specified service, a file of JavaScript; by default ../shared/peers/seedcache.mjs beside the repository
    #[arg(long, value_name = "FILE", env = "SEED_CACHE")]
    pub(crate) seed_cache: Option<PathBuf>,
}

impl Peers {
    /// By the names in tables, and those by which they are started; none unless they are asked for.
    pub(crate) fn all(&self) -> Result<&'static [(&'static str, &'static str)], Failure> {
        if !self.peers {
            return Ok(&[]);
        }
        prepare("Leave `--peers` away to measure without them.")?;
        let beside = || testkit::workspace_root().join("../shared/peers/seedcache.mjs");
        let file = self.seed_cache.clone().unwrap_or_else(beside);
        if !file.is_file() {
            let name = file.display();
            return Err(format!(
                "the specified service is not there: no file {name}; name its seedcache.mjs with --seed-cache"
            )
            .into());
        }
        Ok(&[
            ("ioredis service (Node)", "ioredis"),
            ("ioredis service, `getWithLock` (Node)", "ioredis-lock"),
            ("BentoCache (Node)", "bento"),
        ])
    }
}

/// Where the adapters for Node and their lock file lie.
pub(crate) fn peers() -> PathBuf {
    testkit::workspace_root().join("bench").join("peers")
}

/// Sees to it that Node and the caches are there, or says what is missing.
pub(crate) fn prepare(others: &str) -> Result<(), Failure> {
    for program in ["node", "npm"] {
        if machine::version_of(program).is_none() {
            return Err(format!(
                "{program} is not on the PATH: the caches of the Node world need Node.js 20.6 or newer with npm (on Debian: apt-get \
                 install nodejs npm). {others}"
            )
            .into());
        }
    }
    if !peers().join("node_modules").is_dir() {
        tell("installing the caches of the Node world, at the versions of bench/peers/package-lock.json …");
        let mut install = Command::new("npm");
        install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(peers());
        must_succeed(&mut install, "npm ci")?;
    }
    Ok(())
}

/// An adapter of `bench/peers`, with the cache of this name over the Redis at this URL.
pub(crate) fn adapter(file: &str, subject: &str, redis: &str, seed_cache: Option<&Path>) -> Command {
    let mut command = Command::new("node");
    command.arg(peers().join(file)).args(["--subject", subject, "--redis", redis]);
    if let Some(file) = seed_cache {
        command.arg("--seed-cache").arg(file);
    }
    command
}

/// Runs a command whose output goes to standard error: standard output is for the table.
pub(crate) fn must_succeed(command: &mut Command, name: &str) -> Result<(), Failure> {
    let status = command.stdout(io::stderr()).status();
    let status = status.map_err(|error| format!("{name} cannot be started: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{name} failed: {status}").into()) }
}

/// A process of `bench/peers/operations.mjs`, which says what it can be asked. It ends when this is dropped.
pub(crate) struct Node {
    child: Child,
    line: Mutex<(ChildStdin, mpsc::Receiver<String>)>,
}

/// 2 minutes: as long as one order may take.
const LIMIT: Duration = Duration::from_secs(120);

impl Node {
    /// Of the cache of this name, over the Redis at this URL.
    pub(crate) fn start(subject: &str, redis: &str, seed_cache: Option<&Path>) -> Result<Self, Failure> {
        let mut command = adapter("operations.mjs", subject, redis, seed_cache);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let orders = child.stdin.take().ok_or("standard input is a pipe")?;
        let lines = BufReader::new(child.stdout.take().ok_or("standard output is a pipe")?).lines();
        let (sender, answers) = mpsc::channel();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Ok(Node { child, line: Mutex::new((orders, answers)) })
    }

    /// Asks, and waits for the answer.
    pub(crate) fn ask(&self, order: &Value) -> Result<Value, Failure> {
        let mut line = self.line.lock();
        let (orders, answers) = &mut *line;
        orders.write_all(format!("{order}\n").as_bytes())?;
        let ended =
            |_| format!("a cache of the Node world has ended, or not answered {order} within {LIMIT:?}");
        Ok(serde_json::from_str(&answers.recv_timeout(LIMIT).map_err(ended)?)?)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.child.kill().ok(); // it may have ended already
        self.child.wait().ok();
    }
}
