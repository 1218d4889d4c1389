//! What do readers and writers notice when Redis fails? Each subject under each fault, over plain HTTP.

mod case;
mod crm;
mod load;
mod report;
mod subject;
mod table;

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use bench::machine::Place;
use clap::Args;
use testkit::faults::Fault;

use crate::{Failure, must_be_release, node, process, tell};
use subject::Name;
pub(crate) use table::distinct;

/// How long any request may take: 30 s. Whoever waits longer has gone.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// What `--faults` calls the control, in which nothing goes wrong.
const NONE: &str = "none";

/// What `bench faults` takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Faults {
    /// Who is measured; by default all
    #[arg(long, value_delimiter = ',', value_enum)]
    subjects: Vec<Name>,
    /// What goes wrong, by the names in the table; `none` is the control; by default all and the control
    #[arg(long, value_delimiter = ',', value_parser = parse_fault)]
    faults: Vec<Wrong>,
    /// How long a fault lasts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    #[command(flatten)]
    place: Place,
    /// The specified service, a file of JavaScript; by default ../shared/peers/seedcache.mjs beside the repository
    #[arg(long, value_name = "FILE", env = "SEED_CACHE")]
    seed_cache: Option<PathBuf>,
}

/// A fault, or none for the control.
type Wrong = Option<Fault>;

fn parse_fault(name: &str) -> Result<Wrong, String> {
    if name == NONE {
        return Ok(None);
    }
    let names = || Fault::ALL.map(Fault::name).join(", ");
    let found = Fault::ALL.into_iter().find(|fault| fault.name() == name);
    found.map(Some).ok_or_else(|| format!("write any of {NONE}, {}", names()))
}

/// What the tables call a fault.
fn name_of(fault: Wrong) -> &'static str {
    fault.map_or(NONE, Fault::name)
}

pub(crate) fn run(options: &Faults) -> Result<(), Failure> {
    must_be_release("faults")?;
    let or_all = |chosen: &[Name]| if chosen.is_empty() { Name::ALL.to_vec() } else { chosen.to_vec() };
    let subjects = or_all(&options.subjects);
    let faults = if options.faults.is_empty() {
        [None].into_iter().chain(Fault::ALL.map(Some)).collect()
    } else {
        options.faults.clone()
    };
    prepare(&subjects)?;

    let hold = Duration::from_secs(options.seconds);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut outcomes = Vec::new();
    for (at, fault) in faults.iter().copied().enumerate() {
        for name in subjects.iter().copied() {
            let case = case::run(name, fault, hold, options.seed_cache.as_deref());
            let outcome = runtime
                .block_on(case)
                .map_err(|error| format!("{} under the fault {}: {error}", name.as_str(), name_of(fault)))?;
            tell(&format!("{} of {}: {}", at + 1, faults.len(), report::line(&outcome)));
            outcomes.push(outcome);
        }
    }
    let table = table::markdown(&outcomes)?;
    io::stdout().lock().write_all(table.as_bytes())?;
    let folder = report::write(&outcomes, &table, hold, &options.place)?;
    tell(&format!("wrote {folder}"));
    Ok(())
}

/// Sees to it that everything is there that the subjects need, or says what is missing.
fn prepare(subjects: &[Name]) -> Result<(), Failure> {
    if subjects.contains(&Name::Crm) {
        process::build_crm()?;
    }
    if !subjects.iter().any(|name| name.is_of_node()) {
        return Ok(());
    }
    node::prepare("Measure the others alone with `--subjects larder,larder-outbox,crm`.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_tables_call_a_fault_is_what_chooses_it() {
        for fault in [None].into_iter().chain(Fault::ALL.map(Some)) {
            assert_eq!(parse_fault(name_of(fault)), Ok(fault));
        }
        let message = parse_fault("broken").unwrap_err();
        assert!(message.contains("none, killed, paused"), "{message}");
    }
}
