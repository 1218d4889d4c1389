//! A server as a process of its own, which says on its first line that it serves, and where.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::node::must_succeed;
use crate::{Failure, tell};

/// 30 s: as long as a server may take until it serves.
const LIMIT: Duration = Duration::from_secs(30);

/// The process of a subject. It ends when its standard input does, and is killed in any case.
pub(crate) struct Process {
    child: Child,
    _input: Option<ChildStdin>,
    _draining: JoinSet<()>,
    /// What it said first.
    first_line: String,
    shown: String,
    /// Where it keeps its files.
    pub(crate) folder: Option<tempfile::TempDir>,
}

impl Process {
    /// Starts it and waits for its first line.
    pub(crate) async fn start(command: &mut Command) -> Result<Self, Failure> {
        let shown = command.as_std().get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{shown} cannot be started: {error}"))?;
        let input = child.stdin.take();
        let mut lines = BufReader::new(child.stdout.take().ok_or("standard output is a pipe")?).lines();
        let Some(first_line) = timeout(LIMIT, lines.next_line()).await?? else {
            child.start_kill()?;
            let said = child.wait_with_output().await?.stderr;
            let said = String::from_utf8_lossy(&said).trim().to_owned();
            return Err(format!("{shown} ended before it served: {said}").into());
        };
        // What it says from now on is of no interest, but a full pipe would stop it.
        let errors = child.stderr.take().ok_or("standard error is a pipe")?;
        let mut draining = JoinSet::new();
        draining.spawn(drain(lines.into_inner()));
        draining.spawn(drain(errors));
        Ok(Self { child, _input: input, _draining: draining, first_line, shown, folder: None })
    }

    /// What stands before all paths, as its first line says: `http://127.0.0.1:PORT`.
    pub(crate) fn base(&self) -> Result<&str, Failure> {
        let base = self.first_line.split(' ').find(|word| word.starts_with("http://"));
        base.ok_or_else(|| format!("{} does not say where it serves: {}", self.shown, self.first_line).into())
    }

    /// Its id.
    pub(crate) fn pid(&self) -> Result<u32, Failure> {
        self.child.id().ok_or_else(|| format!("{} has ended", self.shown).into())
    }
}

/// Reads and forgets, until the other side is gone.
async fn drain(mut from: impl AsyncRead + Unpin) {
    // A pipe that breaks is one that has ended.
    tokio::io::copy(&mut from, &mut tokio::io::sink()).await.ok();
}

/// Builds the server of the CRM beside this program.
pub(crate) fn build_crm() -> Result<(), Failure> {
    tell("building the CRM …");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = std::process::Command::new(cargo);
    build.args(["build", "--release", "--package", "crm"]).current_dir(testkit::workspace_root());
    must_succeed(&mut build, "cargo")
}

/// The program that [`build_crm`] has built, to be run with arguments.
pub(crate) fn crm_program() -> Result<Command, Failure> {
    Ok(Command::new(std::env::current_exe()?.with_file_name("crm")))
}
