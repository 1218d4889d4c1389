//! On what it was measured. No name of a machine, no path.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

/// The versions that matter, of what is compared and of what stands under it.
pub const LOCAL: [&str; 7] =
    ["quick_cache", "moka", "papaya", "amalgam-cache", "foldhash", "parking_lot", "tokio"];

/// Those of the tier in Redis.
pub const REMOTE: [&str; 6] =
    ["redis", "tokio", "serde_json", "rmp-serde", "amalgam-cache", "multi-tier-cache"];

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The model of the processor, as the system gives it.
fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split(':').nth(1));
    model.map_or_else(|| "unknown".to_owned(), |model| model.trim().to_owned())
}

/// How many tasks wanted a core in the last minute: whether the machine was busy with other things.
fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("unknown").to_owned()
}

/// The lines of a run's README that say on what it was measured, how busy that was, and what.
pub fn line() -> String {
    format!(
        "- processor: {}, {} cores; Linux load in the last minute of the run: {}\n- commit {}",
        processor(),
        cores(),
        load(),
        commit().unwrap_or_else(|| "unknown".to_owned())
    )
}

/// The commit of the repository, and whether the code is another one by now.
fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output =
            Command::new("git").current_dir(testkit::workspace_root()).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=10", "HEAD"])?;
    let code = ["crates", "bench/peers", "Cargo.toml", "Cargo.lock"];
    let changed = git(&[&["status", "--porcelain", "--untracked-files=no", "--"], &code[..]].concat())?;
    Some(if changed.is_empty() { commit } else { format!("{commit}, with changes") })
}

/// Where a run is written to.
#[derive(Args, Clone, Debug, Default)]
pub struct Place {
    /// A neutral name for the machine; by default its number of cores, as in `2core`
    #[arg(long)]
    host: Option<String>,
    /// Another folder to write to than that below bench/runs/ which date and machine name
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

impl Place {
    /// The folder that was named, otherwise `bench/runs/DATE-HOST` and then `suffix`.
    pub fn folder(&self, suffix: &str) -> PathBuf {
        if let Some(folder) = &self.folder {
            return folder.clone();
        }
        let host = self.host.clone().unwrap_or_else(|| format!("{}core", cores()));
        let date = jiff::Timestamp::now().strftime("%Y-%m-%d");
        testkit::workspace_root().join(format!("bench/runs/{date}-{host}{suffix}"))
    }
}

/// How the measurements of this process are made again, as `cargo xtask bench all --peers`.
pub fn command() -> String {
    shown_command(std::env::args().skip(1))
}

/// Without the folders and files that are of this machine.
fn shown_command(mut arguments: impl Iterator<Item = String>) -> String {
    let mut shown = "cargo xtask bench".to_owned();
    while let Some(argument) = arguments.next() {
        let (name, value) =
            argument.split_once('=').map_or((&*argument, None), |(name, value)| (name, Some(value)));
        if !["--folder", "--seed-cache", "--reference"].contains(&name) {
            shown = format!("{shown} {argument}");
        } else if value.is_none() {
            arguments.next(); // its value
        }
    }
    shown
}

/// The folder of a run as it is shown: from the root of the repository, if it lies there.
pub fn shown(folder: &Path) -> String {
    folder.strip_prefix(testkit::workspace_root()).unwrap_or(folder).display().to_string()
}

/// The compiler's version.
pub fn rustc() -> String {
    version_of("rustc").unwrap_or_else(|| "unknown".to_owned())
}

/// What a program says to `--version`; none if it is not there.
pub fn version_of(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// `name version, …`, from the lock file.
pub fn versions(of: &[&str]) -> String {
    let lock = std::fs::read_to_string(testkit::workspace_root().join("Cargo.lock")).unwrap_or_default();
    let version = |name: &&str| {
        let (_, after) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
        Some(format!("{name} {}", after.split('"').next()?))
    };
    of.iter().filter_map(version).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_without_what_is_of_this_machine() {
        for (given, shown) in [
            ("", "cargo xtask bench"),
            ("all --peers --folder /somewhere", "cargo xtask bench all --peers"),
            ("crm --seed-cache=/a/b.mjs --reference /c --rounds=5", "cargo xtask bench crm --rounds=5"),
        ] {
            assert_eq!(shown_command(given.split_whitespace().map(str::to_owned)), shown);
        }
    }
}
