//! What does the tier in Redis cost beside the bare client, on the same server in the same rounds?

mod batches;
pub(crate) mod elementary;
pub(crate) mod fills;
pub(crate) mod front;
pub(crate) mod ground;
pub(crate) mod hits;
pub(crate) mod patterns;
pub(crate) mod peers;
pub(crate) mod report;
mod scripts;

use std::io::{self, Write};

use bench::machine::{self, Place};
use clap::{Args, ValueEnum};

use crate::node::Peers;
use crate::record::Sample;
use crate::stage::WORKERS;
use crate::{Failure, must_be_release, tell};
use ground::Ground;

/// What `bench remote` takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    peers: Peers,
    /// How many times each measurement is taken
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// What is measured; by default all
    #[arg(long, value_delimiter = ',', value_enum)]
    parts: Vec<Part>,
    #[command(flatten)]
    place: Place,
    /// Print the tables and write nothing: for work on one path
    #[arg(long)]
    print: bool,
    /// Only what contains this in `set; side`, as `1 KiB; no tags` or `64 tasks; get`
    #[arg(long, value_name = "WORDS", requires = "print")]
    only: Option<String>,
}

/// What can be measured alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    Hits,
    Typed,
    Fills,
    Batches,
    Front,
    Elementary,
    Patterns,
    Scripts,
}

/// Measures these parts, or all.
pub(crate) fn measure(
    parts: &[Part],
    rounds: usize,
    only: Option<&str>,
    peers: &Peers,
) -> Result<Vec<Sample>, Failure> {
    let new = |workers| Ground::new(rounds, workers, only.map(str::to_owned));
    let (ground, threads) = (new(0)?, new(WORKERS)?);
    let parts = if parts.is_empty() { Part::value_variants() } else { parts };
    let mut samples: Vec<Sample> = Vec::new();
    for part in parts {
        samples.extend(match part {
            Part::Hits => [hits::measure_bytes(&ground)?, hits::measure_bytes(&threads)?].concat(),
            Part::Typed => [hits::measure_typed(&ground)?, hits::measure_typed(&threads)?].concat(),
            Part::Fills => fills::measure(&ground)?,
            Part::Batches => batches::measure(&ground)?,
            Part::Front => front::measure(&ground, rounds)?,
            Part::Elementary => elementary::measure(&threads, peers)?,
            // On a server of its own, where nothing else lies.
            Part::Patterns => patterns::measure(&new(0)?)?,
            Part::Scripts => scripts::measure(&ground)?,
        });
    }
    Ok(samples)
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    must_be_release("remote")?;
    let Options { peers, rounds, parts, place, print, only } = options;
    let samples = measure(parts, *rounds, only.as_deref(), peers)?;
    if *print {
        return Ok(io::stdout().lock().write_all(report::tables(&samples)?.as_bytes())?);
    }
    let folder = place.folder("-remote");
    report::write(&samples, *rounds, &folder)?;
    tell(&format!("wrote {}", machine::shown(&folder)));
    Ok(())
}
