//! The process of a server, and the one that sees to it that it does not outlive the test.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::process::Process;

/// What the supervisor does. `$1` is the folder of the server, `$2` the signal that ends it, and what follows its command.
///
/// A line on its standard input starts the server, once more if it has ended, and is answered with the process id.
/// The end of its input, which comes when the [`Supervisor`] is dropped and also when the test process is gone for
/// whatever reason, ends the server and removes the folder. A server that has ended keeps its process id until then or
/// until the next start, so a signal never meets a stranger.
///
/// `HUP` is what the system sends to a group of processes with a stopped one in it, such as a paused server, when the
/// process that started the group is gone: just when there is something to clean up. `XFSZ` is what a server gets whose files may
/// not grow; ignored, which it inherits, it gets an error instead, as from a disk that is full.
const SUPERVISE: &str = r#"
trap '' HUP XFSZ
home=$1
ends=$2
shift 2
server=
while read -r start; do
    [ -z "$server" ] || wait "$server"
    "$@" </dev/null >>"$home/output" 2>&1 &
    server=$!
    echo "$server"
done
[ -z "$server" ] || kill -"$ends" "$server"
wait
rm -rf "$home"
"#;

/// A shell that starts the server, and kills it when this is dropped or this process is gone.
#[derive(Debug)]
pub(crate) struct Supervisor {
    what: &'static str,
    shell: Child,
    /// None only while it is dropped.
    orders: Option<ChildStdin>,
    pids: BufReader<ChildStdout>,
}

impl Supervisor {
    /// For a server that this command starts, and this signal ends. `home` is removed in the end.
    pub(crate) fn new(what: &'static str, home: &Path, ends: &str, command: &[OsString]) -> Self {
        let mut shell = Command::new("sh")
            .args(["-c", SUPERVISE, &format!("supervise {what}")])
            .arg(home)
            .arg(ends)
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null()) // "Killed" and the like
            .process_group(0) // signals to the group of the test, from a terminal or a CI, do not end who cleans up
            .spawn()
            .expect("a shell can be started");
        let orders = shell.stdin.take();
        let pids = BufReader::new(shell.stdout.take().expect("standard output is a pipe"));
        Self { what, shell, orders, pids }
    }

    /// Starts the server. It must not be running.
    pub(crate) fn start(&mut self) -> Process {
        let mut orders = self.orders.as_ref().expect("taken only by the drop");
        let mut pid = String::new();
        // The shell answers as soon as it has forked: blocking is shorter than handing it to another thread.
        let started = orders.write_all(b"start\n").and_then(|()| self.pids.read_line(&mut pid));
        let pid = started.ok().and_then(|_| pid.trim().parse().ok());
        // It exists until the supervisor waits for it.
        Process::of(self.what, pid.expect("the supervisor answers with a process id"))
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        drop(self.orders.take());
        // It fails only if somebody else has waited for the shell; then it is gone.
        self.shell.wait().ok();
    }
}
