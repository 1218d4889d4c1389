//! One command that a task runs: shown before it runs, and named when it fails.

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, Write};
use std::process::Command;

/// Why a task did not end well, in words for whoever ran it.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Runs `command` in the root folder of the workspace, with its output going to the terminal.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let shown = show(command);
    tell(&format!("$ {shown}"));
    let status = command.current_dir(testkit::workspace_root()).status().map_err(|error| {
        Failure(format!("`{shown}` cannot be started: {error}. Is the program installed?"))
    })?;
    if status.success() { Ok(()) } else { Err(Failure(format!("`{shown}` failed ({status})"))) }
}

/// `cargo`, the one that runs this task, with these arguments.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}

/// Writes one line for whoever watches.
pub(crate) fn tell(line: &str) {
    // A closed standard output is no reason to stop the task.
    writeln!(io::stdout().lock(), "{line}").ok();
}

/// The command as one would type it.
fn show(command: &Command) -> String {
    let program = command.get_program();
    let program = if is_cargo(program) { "cargo".into() } else { program.to_string_lossy() };
    let words = command.get_args().map(|word| word.to_string_lossy());
    let set = command.get_envs().filter_map(|(name, value)| {
        value.map(|value| format!("{}='{}'", name.to_string_lossy(), value.to_string_lossy()))
    });
    let set: Vec<String> = set.collect();
    set.into_iter().chain([program.into_owned()]).chain(words.map(String::from)).collect::<Vec<_>>().join(" ")
}

fn is_cargo(program: &OsStr) -> bool {
    std::env::var_os("CARGO").is_some_and(|cargo| cargo == program)
}
