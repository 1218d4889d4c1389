//! `bench local`: elementary operations of larder's in-process tier, beside a bare map with a deadline, another cache and a
//! bare concurrent map, in one run; what it measured goes to `bench/runs/DATE-HOST/`.

mod data;
mod growth;
mod hits;
mod machine;
mod memory;
mod plot;
mod record;
mod removal;
mod report;
mod sides;
mod stage;
mod writes;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Measures larder beside the parts it is made of and the caches a user would take instead.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    suite: Suite,
}

#[derive(Debug, Subcommand)]
enum Suite {
    /// The in-process tier: hits, fills, sets, removals, growth, memory. Takes a few minutes.
    ///
    /// Everything that is compared runs in turn in the same rounds, in rotating order, so that a machine that is busy with
    /// other things slows all of it alike. Build with `--release`.
    Local(Local),
    /// How much memory one cache takes; `local` starts this in a process of its own.
    #[command(hide = true)]
    Memory(memory::Memory),
}

#[derive(Args, Clone, Debug)]
struct Local {
    /// How many times each measurement is taken
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// A neutral name for the machine; by default its number of cores, as in `2core`
    #[arg(long)]
    host: Option<String>,
    /// Measure hits alone, print their table and write nothing: for work on the hot path
    #[arg(long)]
    hits: bool,
}

/// What went wrong, in words for whoever ran it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let done = match Arguments::parse().suite {
        Suite::Local(options) => local(&options),
        Suite::Memory(options) => memory::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tell(&format!("bench: {failure}"));
            ExitCode::FAILURE
        }
    }
}

fn local(options: &Local) -> Result<(), Failure> {
    if cfg!(debug_assertions) {
        return Err(
            "this is a build for debugging; measure with `cargo run --release -p bench -- local`".into()
        );
    }
    let stage = stage::Stage::new(options.rounds)?;
    let mut samples = hits::measure(&stage)?;
    if options.hits {
        return Ok(io::stdout().lock().write_all(report::table(&samples, hits::GROUP).as_bytes())?);
    }
    samples.extend(writes::measure(&stage)?);
    samples.extend(growth::measure(&stage)?);
    samples.extend(removal::measure(&stage)?);
    samples.extend(memory::measure(&stage)?);
    let folder = report::write(&samples, &stage, options.host.as_deref())?;
    tell(&format!("wrote {folder}"));
    Ok(())
}

/// Tells whoever watches how far it is.
fn tell(line: &str) {
    // If standard error is closed, there is nobody left to tell.
    writeln!(io::stderr().lock(), "{line}").ok();
}
