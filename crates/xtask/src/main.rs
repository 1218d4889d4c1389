//! The tasks of this workspace: `cargo xtask setup | lint | test | ci | bench | freshness`.

mod checks;
mod needs;
mod step;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The tasks of this workspace.
///
/// Start with `cargo xtask test`: it looks for what the tests need, installs what is missing where it may, and
/// runs every test of every crate. Before you send a change, run `cargo xtask ci`.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Look for what the tests need, and install what is missing.
    ///
    /// On Debian and its relatives, as root, missing packages are installed with apt-get. Anywhere else this
    /// changes nothing: it says what is missing, why it is needed and how to get it, and fails.
    Setup,
    /// Check formatting, lints and documentation; a warning fails.
    ///
    /// Runs `cargo fmt --check`, `cargo clippy` over all targets and features, and `cargo doc`, and
    /// `cargo deny` where it is installed. The rules on module floors, habits and licences are tests:
    /// `cargo xtask test -p xtask` runs them alone.
    Lint,
    /// Set up, then run every test of every crate.
    ///
    /// The same as `cargo xtask setup` and then `cargo test --workspace --all-features`; then once more those of the cache over Redis,
    /// with copies in the process (`LARDER_TEST_LOCAL_TIER=1`), and those of the application on PostgreSQL (`CRM_TEST_DATABASE=postgres`).
    /// What follows is handed to `cargo test`, once.
    #[command(
        after_help = "Examples:\n  cargo xtask test\n  cargo xtask test deals\n  cargo xtask test -p larder -- --nocapture"
    )]
    Test {
        /// Handed to `cargo test` as they are; `-p CRATE` runs one crate's tests.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Everything that must pass before a change lands: `lint`, then `test`.
    Ci,
    /// Measure, in a release build, and write the figures to bench/runs/.
    ///
    /// The same as `cargo run --release -p bench --`, with what follows; without a suite, `local`.
    #[command(
        after_help = "Examples:\n  cargo xtask bench\n  cargo xtask bench all --peers\n  cargo xtask bench remote\n  cargo xtask bench local --hits\n  cargo xtask bench remote --help"
    )]
    Bench {
        /// The suite and its options, handed to `bench` as they are; `remote --help` lists those of that suite.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Check the promise: processes read and write while things go wrong, and every read is judged.
    ///
    /// The same as `cargo run --release -p freshness --`, with what follows; without a task, `run`. Prints one closing line, writes a page with plots to
    /// bench/runs/, and fails if a read was wrong. docs/freshness.md says how it judges.
    #[command(
        after_help = "Examples:\n  cargo xtask freshness\n  cargo xtask freshness --minutes 10 --faults killed,half-open --seed 7\n  cargo xtask freshness --subject naive\n  cargo xtask freshness ablations\n  cargo xtask freshness run --help"
    )]
    Freshness {
        /// The task and its options, handed to `freshness` as they are; `run --help` lists those of a run.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

/// What a program is asked for: options alone are those of its first task.
fn named<'a>(first_task: &'a str, arguments: &'a [String]) -> Vec<&'a str> {
    let names_one = arguments.first().is_some_and(|first| !first.starts_with('-'));
    let first_task = (!names_one).then_some(first_task);
    first_task.into_iter().chain(arguments.iter().map(String::as_str)).collect()
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Setup => needs::set_up(),
        Task::Lint => checks::lint(),
        Task::Test { arguments } => checks::test(&arguments),
        Task::Ci => checks::lint().and_then(|()| checks::test(&[])),
        Task::Bench { arguments } => {
            let bench = ["run", "--release", "--package", "bench", "--"];
            step::run(step::cargo(&bench).args(named("local", &arguments)))
        }
        Task::Freshness { arguments } => {
            let freshness = ["run", "--release", "--package", "freshness", "--"];
            step::run(step::cargo(&freshness).args(named("run", &arguments)))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // If standard error is closed there is nobody left to tell; the exit code still says it.
            writeln!(io::stderr().lock(), "\nxtask: {failure}").ok();
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn options_without_a_task_are_those_of_the_first_one() {
        for (given, handed) in [
            ("", "local"),
            ("--hits", "local --hits"),
            ("local --hits", "local --hits"),
            ("remote --rounds 5", "remote --rounds 5"),
        ] {
            let given: Vec<String> = given.split_whitespace().map(str::to_owned).collect();
            assert_eq!(named("local", &given).join(" "), handed);
        }
    }
}
