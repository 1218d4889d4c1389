//! What does the tier in Redis cost beside the bare client, on the same server in the same rounds?

mod batches;
mod fills;
mod front;
mod ground;
mod hits;
mod patterns;
mod peers;
mod report;
mod scripts;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::record::Sample;
use crate::stage::WORKERS;
use crate::{Failure, must_be_release, tell};
use ground::Ground;

/// What `bench remote` takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// How many times each measurement is taken
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// What is measured; by default all
    #[arg(long, value_delimiter = ',', value_enum)]
    parts: Vec<Part>,
    /// A neutral name for the machine; by default its number of cores, as in `2core`
    #[arg(long)]
    host: Option<String>,
    /// Another folder to write to than bench/runs/DATE-HOST-remote
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Print the tables and write nothing: for work on one path
    #[arg(long)]
    print: bool,
    /// Only what contains this in `set; side`, as `1 KiB; no tags` or `64 tasks; get`
    #[arg(long, value_name = "WORDS", requires = "print")]
    only: Option<String>,
}

/// What can be measured alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Hits,
    Typed,
    Fills,
    Batches,
    Front,
    Patterns,
    Scripts,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    must_be_release("remote")?;
    let ground = Ground::new(options.rounds, 0, options.only.clone())?;
    let threads = Ground::new(options.rounds, WORKERS, options.only.clone())?;
    let parts = if options.parts.is_empty() { Part::value_variants() } else { &options.parts };
    let mut samples: Vec<Sample> = Vec::new();
    for part in parts {
        samples.extend(match part {
            Part::Hits => [hits::measure_bytes(&ground)?, hits::measure_bytes(&threads)?].concat(),
            Part::Typed => [hits::measure_typed(&ground)?, hits::measure_typed(&threads)?].concat(),
            Part::Fills => fills::measure(&ground)?,
            Part::Batches => batches::measure(&ground)?,
            Part::Front => front::measure(&ground, options.rounds)?,
            // On a server of its own, where nothing else lies.
            Part::Patterns => patterns::measure(&Ground::new(options.rounds, 0, options.only.clone())?)?,
            Part::Scripts => scripts::measure(&ground)?,
        });
    }
    if options.print {
        return Ok(io::stdout().lock().write_all(report::tables(&samples)?.as_bytes())?);
    }
    let folder = report::write(&samples, ground.rounds, options)?;
    tell(&format!("wrote {folder}"));
    Ok(())
}
