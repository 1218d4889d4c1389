//! What can be chosen.

use bench::machine::Place;
use clap::{Args, ValueEnum};

use crate::rule::Rule;
use crate::subject::Kind;

/// Where the truth is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Database {
    #[default]
    Sqlite,
    Postgres,
}

/// What a run takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// How long processes read and write, in minutes; parts are fine, as in 0.5
    #[arg(long, default_value_t = 1.0)]
    pub(crate) minutes: f64,
    /// What goes wrong: `all`, `none`, or names with commas, as in `killed,half-open,failover`; a wrong name lists them
    #[arg(long, default_value = "all")]
    pub(crate) faults: String,
    /// Draws the same faults in the same order again
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Where the rows are that are cached
    #[arg(long, value_enum, default_value_t)]
    pub(crate) database: Database,
    /// How many processes read and write
    #[arg(long, default_value_t = 3, value_parser = parse_processes)]
    pub(crate) processes: usize,
    /// How many rows there are, 16 to 1,000; the fewer, the more often a read meets a change of its row
    #[arg(long, default_value_t = 48, value_parser = clap::value_parser!(u64).range(16..=1_000))]
    pub(crate) rows: u64,
    /// Whom to check
    #[arg(long = "subject", value_enum, default_value_t)]
    pub(crate) kind: Kind,
    /// A rule of the protocol to take out, to see it found; may be given more than once
    #[arg(long, value_enum, value_name = "RULE")]
    pub(crate) without: Vec<Rule>,
    /// End with the first violation
    #[arg(long)]
    pub(crate) stop_at_first: bool,
    #[command(flatten)]
    pub(crate) place: Place,
}

fn parse_processes(number: &str) -> Result<usize, String> {
    let number = number.parse().ok().filter(|number| (1..=16).contains(number));
    number.ok_or_else(|| "it takes 1 to 16".to_owned())
}

impl Default for Options {
    fn default() -> Self {
        #[derive(clap::Parser)]
        struct Alone {
            #[command(flatten)]
            options: Options,
        }
        <Alone as clap::Parser>::parse_from(["freshness"]).options
    }
}
