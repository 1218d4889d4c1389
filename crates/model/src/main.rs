//! `model`: searches the freshness protocol exhaustively.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use model::{Config, Found, Rule, search};

/// How much is searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Size {
    /// seconds: every subject of the protocol, some of them apart
    #[default]
    Small,
    /// minutes, and some gigabytes of memory: all of it at once
    Large,
}

/// Tries every order of steps of the freshness protocol, and shows the shortest way to a read that is wrong, if there is one.
#[derive(Debug, Parser)]
struct Arguments {
    /// How much is searched
    #[arg(long, value_enum, default_value_t)]
    size: Size,
    /// A rule to take out, to see what then goes wrong
    #[arg(long, value_enum, value_name = "RULE")]
    without: Option<Rule>,
}

fn main() -> ExitCode {
    let Arguments { size, without } = Arguments::parse();
    let configs = if size == Size::Small { Config::small() } else { Config::large() };
    let mut right = true;
    for config in configs {
        let config = Config { without, ..config };
        let Found { states, took, wrong } = search(config);
        let verdict = match &wrong {
            None => "right".to_owned(),
            Some(steps) => format!("WRONG\n  {}", steps.join("\n  ")),
        };
        right &= wrong.is_none();
        // If standard output is closed there is nobody left to tell.
        writeln!(io::stdout().lock(), "{config:?}\n  {states} states in {took:.1?}: {verdict}").ok();
    }
    if right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
