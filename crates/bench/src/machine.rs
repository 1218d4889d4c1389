//! On what it was measured. No name of a machine, no path.

use std::process::Command;

/// The versions that matter, of what is compared and of what stands under it.
pub(crate) const LOCAL: [&str; 6] = ["quick_cache", "moka", "papaya", "foldhash", "parking_lot", "tokio"];

/// Those of the tier in Redis.
pub(crate) const REMOTE: [&str; 6] =
    ["redis", "tokio", "serde_json", "rmp-serde", "amalgam-cache", "multi-tier-cache"];

pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The model of the processor, as the system gives it.
pub(crate) fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split(':').nth(1));
    model.map_or_else(|| "unknown".to_owned(), |model| model.trim().to_owned())
}

/// How many tasks wanted a core in the last minute: whether the machine was busy with other things.
pub(crate) fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("unknown").to_owned()
}

pub(crate) fn rustc() -> String {
    version_of("rustc").unwrap_or_else(|| "unknown".to_owned())
}

/// What a program says to `--version`; none if it is not there.
pub(crate) fn version_of(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// `name version, …`, from the lock file.
pub(crate) fn versions(of: &[&str]) -> String {
    let lock = std::fs::read_to_string(testkit::workspace_root().join("Cargo.lock")).unwrap_or_default();
    let version = |name: &&str| {
        let (_, after) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
        Some(format!("{name} {}", after.split('"').next()?))
    };
    of.iter().filter_map(version).collect::<Vec<_>>().join(", ")
}
