//! `bench all`: `local`, `remote`, `stampede` and `outbox` in one run, with the bars that it should hold; that goes to `bench/runs/DATE-HOST/`.
//!
//! `bench local`: elementary operations of larder's in-process tier, beside a bare map with a deadline, other caches and a
//! bare concurrent map, in one run; what it measured goes to `bench/runs/DATE-HOST-local/`.
//!
//! `bench stampede`: a thousand callers of one cold key, in one process and in four; that goes to `bench/runs/DATE-HOST-stampede/`.
//!
//! `bench remote`: larder over Redis beside the bare client, in one run; that goes to `bench/runs/DATE-HOST-remote/`.
//!
//! `bench faults`: larder, the CRM and the caches of the Node world while their Redis is killed, paused, full, …; that goes to
//! `bench/runs/DATE-HOST-faults/`.
//!
//! `bench crm`: the CRM over HTTP, signed in, beside a reference service and a bare handler; that goes to `bench/runs/DATE-HOST-crm/`.
//!
//! `bench soak`: the CRM under load for half an hour, while what is behind it fails; that goes to `bench/runs/DATE-HOST-soak/`.
//!
//! `bench outbox`: what it costs to record changes with the data, and how soon others hear of them; that goes to
//! `bench/runs/DATE-HOST-outbox/`.

mod all;
mod bars;
mod data;
mod faults;
mod growth;
mod hits;
mod memory;
mod node;
mod outbox;
mod plot;
mod process;
mod record;
mod remote;
mod removal;
mod report;
mod serve;
mod sides;
mod stage;
mod stampede;
mod traffic;
mod writes;

use std::io::{self, Write};
use std::process::ExitCode;

use bench::machine::{self, Place};
use bench::terminal::tell;
use clap::{Args, Parser, Subcommand};

/// Measures larder beside the parts it is made of and the caches a user would take instead.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    suite: Suite,
}

#[derive(Debug, Subcommand)]
enum Suite {
    /// `local`, `remote`, `stampede` and `outbox`, one after the other, and what they say of the bars. Takes about a quarter of an hour.
    ///
    /// What is asked over HTTP (`crm`, `soak`, `faults`) has runs of its own. Needs what the suites need; with `--peers` also node and npm. Build with `--release`.
    All(all::Options),
    /// The in-process tier: hits, fills, sets, removals, growth, memory. Takes a few minutes.
    ///
    /// Everything that is compared runs in turn in the same rounds, in rotating order, so that a machine that is busy with
    /// other things slows all of it alike. Build with `--release`.
    Local(Local),
    /// The tier in Redis beside the bare client: hits, fills, batches, removals, scripts. Takes some minutes.
    ///
    /// Needs redis-server, of which it starts one of its own. Build with `--release`.
    Remote(remote::Options),
    /// What it costs to record invalidations with the data, in SQLite and PostgreSQL, and how soon others hear of them. Takes some minutes.
    ///
    /// Needs redis-server and PostgreSQL, of which it starts one of its own each. Build with `--release`.
    Outbox(outbox::Options),
    /// A thousand callers of one cold key, in one process and in four, a hundred times. Takes a minute or two.
    ///
    /// Needs redis-server, of which it starts one of its own. Build with `--release`.
    Stampede(stampede::Options),
    /// Reads and writes over HTTP while Redis fails in twelve ways, of larder, of the CRM and of caches on Node.
    ///
    /// Needs redis-server; the subjects on Node also need node (20.6 or newer) and npm, which installs them from
    /// bench/peers/package-lock.json. Writes its table to standard output, and all of it to bench/runs/. Takes about a
    /// quarter of an hour. docs/faults.md says what the columns mean.
    Faults(faults::Faults),
    /// Requests per second and latency of the CRM, signed in, on PostgreSQL: cache off, in-process, over Redis, both tiers. Takes about a
    /// quarter of an hour.
    ///
    /// Beside it a bare axum handler with bodies of the same lengths, and with `--peers` the reference service on ioredis, interleaved.
    /// Needs redis-server and PostgreSQL, of which it starts its own; `--peers` also needs node and npm. Where a bar is missed and perf is
    /// there, it says where the time goes. Build with `--release`.
    Crm(traffic::Options),
    /// Half an hour of reads and changes over two servers of the CRM at a tenth of what they can do, while Redis and PostgreSQL fail.
    ///
    /// Every answer must be right, or 503 with `Retry-After`; memory, connections and tasks must not grow. Needs redis-server and
    /// PostgreSQL, of which it starts its own. Build with `--release`.
    Soak(traffic::Soak),
    /// Answers with constant bodies for `crm`, which starts this in a process of its own.
    #[command(hide = true)]
    ServeBare(traffic::Bare),
    /// Serves larder for `faults`, which starts this in a process of its own.
    #[command(hide = true)]
    ServeSubject(serve::Serve),
    /// The callers of a process; `stampede` starts this.
    #[command(hide = true)]
    StampedeCallers(stampede::OfCallers),
    /// How much memory one cache takes; `local` starts this in a process of its own.
    #[command(hide = true)]
    Memory(memory::Memory),
}

#[derive(Args, Clone, Debug)]
struct Local {
    /// How many times each measurement is taken
    #[arg(long, default_value_t = 9, value_parser = parse_count)]
    rounds: usize,
    #[command(flatten)]
    place: Place,
    /// Measure hits alone, print their table and write nothing: for work on the hot path
    #[arg(long)]
    hits: bool,
}

/// A number of rounds, or of times.
fn parse_count(number: &str) -> Result<usize, String> {
    number.parse().ok().filter(|count| *count > 0).ok_or_else(|| "it takes a number from 1".to_owned())
}

/// What went wrong, in words for whoever ran it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let done = match Arguments::parse().suite {
        Suite::All(options) => all::run(&options),
        Suite::Local(options) => local(&options),
        Suite::Stampede(options) => stampede::run(&options),
        Suite::StampedeCallers(options) => stampede::call(&options),
        Suite::Remote(options) => remote::run(&options),
        Suite::Memory(options) => memory::run(&options),
        Suite::Outbox(options) => outbox::run(&options),
        Suite::Faults(options) => faults::run(&options),
        Suite::Crm(options) => traffic::run(&options),
        Suite::Soak(options) => traffic::soak(&options),
        Suite::ServeBare(options) => traffic::serve_bare(&options),
        Suite::ServeSubject(options) => serve::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tell(&format!("bench: {failure}"));
            ExitCode::FAILURE
        }
    }
}

/// Refuses to measure what is built for debugging.
fn must_be_release(suite: &str) -> Result<(), Failure> {
    if cfg!(debug_assertions) {
        let wrong = "this is a build for debugging; measure with `cargo run --release -p bench -- ";
        return Err(format!("{wrong}{suite}`").into());
    }
    Ok(())
}

fn local(options: &Local) -> Result<(), Failure> {
    must_be_release("local")?;
    let stage = stage::Stage::new(options.rounds)?;
    if options.hits {
        let samples = hits::measure(&stage)?;
        return Ok(io::stdout().lock().write_all(report::table(&samples, hits::GROUP).as_bytes())?);
    }
    let samples = measure_local(&stage)?;
    let folder = options.place.folder("-local");
    report::write(&samples, options.rounds, &folder)?;
    tell(&format!("wrote {}", machine::shown(&folder)));
    Ok(())
}

/// All that the in-process tier is asked.
fn measure_local(stage: &stage::Stage) -> Result<Vec<record::Sample>, Failure> {
    let mut samples = hits::measure(stage)?;
    samples.extend(writes::measure(stage)?);
    samples.extend(growth::measure(stage)?);
    samples.extend(removal::measure(stage)?);
    samples.extend(memory::measure(stage)?);
    Ok(samples)
}
