//! Where the time of a server goes, by `perf`, where that is installed: for whoever asks why a bar is missed.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bench::machine;

use super::load::{self, Plan, Target};
use crate::Failure;
use crate::node::must_succeed;

/// How long a server is watched.
const LENGTH: Duration = Duration::from_secs(5);

/// How often a second: often enough for tenths of a per cent, and no round number, so that no timer goes with it.
const FREQUENCY_HZ: &str = "997";

/// Functions that are named, of the many.
const NAMED: usize = 25;

/// What was seen of one server.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Profile {
    /// Per cent of its time by part, the largest first.
    pub(super) parts: Vec<(String, f64)>,
    /// The same by function, without what it calls.
    pub(super) functions: Vec<(String, f64)>,
}

/// Whether there is a `perf` to watch with.
pub(super) fn is_possible() -> bool {
    machine::version_of("perf").is_some()
}

/// Watches a warm server while it answers a mix with this part of changes.
pub(super) fn of(pid: u32, target: &Arc<Target>, writes: f64) -> Result<Profile, Failure> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("perf.data");
    let loading = {
        let target = Arc::clone(target);
        let plan = Plan::Mix { seed: 1, writes, length: LENGTH + Duration::from_secs(1) };
        thread::spawn(move || load::run(&target, &plan))
    };
    let mut record = Command::new("perf");
    record.args(["record", "--quiet", "--freq", FREQUENCY_HZ, "--pid", &pid.to_string(), "--output"]);
    record.arg(&data).args(["--", "sleep", &LENGTH.as_secs().to_string()]);
    let recorded = must_succeed(&mut record, "perf record");
    loading.join().map_err(|_panic| "the load panicked")??;
    recorded?;
    let mut report = Command::new("perf");
    report.args([
        "report",
        "--stdio",
        "--quiet",
        "--no-children",
        "--percent-limit",
        "0",
        "--sort",
        "dso,symbol",
    ]);
    report.args(["--field-separator", "|", "--input"]).arg(&data).stderr(Stdio::null());
    Ok(parse(&String::from_utf8_lossy(&report.output()?.stdout)))
}

/// Adds up the lines of a report: `per cent|object|[k or .] function`.
fn parse(report: &str) -> Profile {
    let (mut parts, mut functions) = (BTreeMap::<String, f64>::new(), BTreeMap::<String, f64>::new());
    for line in report.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.splitn(3, '|').map(str::trim);
        let (Some(share), Some(object), Some(symbol)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let Ok(share) = share.trim_end_matches('%').parse::<f64>() else { continue };
        let symbol = symbol.trim_start_matches("[k] ").trim_start_matches("[.] ");
        let function = symbol.split("  ").next().unwrap_or_default(); // what follows stands in columns
        *parts.entry(part(object, function)).or_default() += share;
        *functions.entry(function.to_owned()).or_default() += share;
    }
    let largest_first = |shares: BTreeMap<String, f64>| {
        let mut shares: Vec<(String, f64)> = shares.into_iter().collect();
        shares.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        shares
    };
    let (parts, mut functions) = (largest_first(parts), largest_first(functions));
    functions.truncate(NAMED);
    Profile { parts, functions }
}

/// Which part of a server a function belongs to: the kernel, the C library, or the crate that its name begins with. What is inlined
/// counts where it has been taken in.
fn part(object: &str, function: &str) -> String {
    if object.starts_with("[kernel") || object.starts_with("[unknown") {
        return "the kernel".to_owned();
    }
    if object.contains(".so") {
        let is_memory = ["alloc", "free", "arena", "mem"].iter().any(|word| function.contains(word));
        return if is_memory { "memory, of the C library" } else { "the C library, else" }.to_owned();
    }
    let name = function
        .trim_start_matches(['<', '&', '(', '*'])
        .trim_start_matches("mut ")
        .trim_start_matches("dyn ");
    // Of a type that is a parameter its trait says more.
    let name = name.split_once(" as ").filter(|(of, _)| !of.contains("::")).map_or(name, |(_, of)| of);
    match name.split("::").next() {
        Some(first) if name.contains("::") => first.to_owned(),
        _ => "else".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_added_up_by_part() {
        let report = "# a comment\n    30.00%|[kernel.kallsyms]|[k] tcp_sendmsg\n    20.50%|crm|[.] larder::service::read\n\
                      10.00%|crm|[.] <larder::key::Key as core::fmt::Display>::fmt\n  5.00%|libc.so.6|[.] malloc      -      -\nnonsense\n\
                      1.00%|crm|[.] <T as tower::util::CloneService<R>>::clone_box\n";
        let profile = parse(report);
        let parts: Vec<(&str, f64)> =
            profile.parts.iter().map(|(name, share)| (name.as_str(), *share)).collect();
        assert_eq!(
            parts,
            [("larder", 30.5), ("the kernel", 30.0), ("memory, of the C library", 5.0), ("tower", 1.0)]
        );
        assert_eq!(profile.functions[0], ("tcp_sendmsg".to_owned(), 30.0));
        assert_eq!(profile.functions[3], ("malloc".to_owned(), 5.0));
    }
}
