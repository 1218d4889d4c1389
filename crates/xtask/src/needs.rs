//! What the tests need besides Rust: a table, and how to get what is missing.

use std::env;
use std::ffi::OsStr;
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::step::{Failure, run, tell};

/// Something that the build or the tests need and cargo cannot fetch.
#[derive(Debug)]
struct Need {
    what: &'static str,
    why: &'static str,
    /// Any one of these programs will do.
    programs: &'static [&'static str],
    /// A folder in which a program may lie too: `VERSION/bin` below it.
    versions: Option<&'static str>,
    /// An environment variable that may name another program to use.
    variable: Option<&'static str>,
    /// What the first of the programs must be able to run, where it may lack a part.
    probe: &'static [&'static str],
    /// What to install on Debian and its relatives.
    packages: &'static [&'static str],
}

/// Everything that is needed.
const NEEDS: &[Need] = &[
    Need {
        what: "a C compiler",
        why: "SQLite, and the decompressors of the recorded traces, are compiled from their C sources, so that \
              nothing else has to be installed to run them",
        programs: &["cc", "gcc", "clang"],
        versions: None,
        variable: Some("CC"),
        probe: &[],
        packages: &["gcc", "libc6-dev"],
    },
    Need {
        what: "bash",
        why: "a test runs the README's commands as they are printed",
        programs: &["bash"],
        versions: None,
        variable: None,
        probe: &[],
        packages: &["bash"],
    },
    Need {
        what: "curl",
        why: "the README's requests are made with it, and a test makes them as they are printed",
        programs: &["curl"],
        versions: None,
        variable: None,
        probe: &[],
        packages: &["curl"],
    },
    Need {
        what: "kill",
        why: "tests stop a real server with a real signal",
        programs: &["kill"],
        versions: None,
        variable: None,
        probe: &[],
        packages: &["procps"],
    },
    Need {
        what: "redis-server",
        why: "tests start real servers, kill them and bring them back",
        programs: &["redis-server"],
        versions: None,
        variable: None,
        probe: &[],
        // On a machine with systemd the package also starts a server of the system, on port 6379 of this machine only.
        // No test comes near it; whoever does not want it: `systemctl disable --now redis-server`.
        packages: &["redis-server"],
    },
    Need {
        what: "redis-cli",
        why: "tests look at a server with a client that is not ours",
        programs: &["redis-cli"],
        versions: None,
        variable: None,
        probe: &[],
        packages: &["redis-tools"],
    },
    Need {
        what: "PostgreSQL",
        why: "tests start a real server, with a database of its own for each of them",
        programs: &["postgres"],
        // Debian has its client on the PATH, and the server where several versions find room.
        versions: Some("/usr/lib/postgresql"),
        variable: None,
        probe: &[],
        // On a machine with systemd the package also starts a server of the system, on port 5432 of this machine only.
        packages: &["postgresql"],
    },
    Need {
        what: "Python with venv",
        why: "schemathesis, which holds the server against the description of its API, is written in it",
        programs: &["python3"],
        versions: None,
        variable: None,
        probe: &["-c", "import venv, ensurepip"],
        packages: &["python3", "python3-venv"],
    },
    Need {
        what: "Chromium",
        why: "tests click through the pages as people do, and look whether they can be read",
        programs: &["chromium", "chromium-browser", "google-chrome"],
        versions: None,
        variable: None,
        probe: &[],
        packages: &["chromium"],
    },
    Need {
        what: "chromedriver",
        why: "tests tell a browser by it what to do",
        programs: &["chromedriver"],
        versions: None,
        variable: None,
        probe: &[],
        packages: &["chromium-driver"],
    },
];

/// Where `schemathesis` is installed, below the root folder, and what is installed there.
const TOOLS: &str = "target/tools/schemathesis";
const TOOLS_LIST: &str = "crates/crm/tests/tools/schemathesis.txt";

/// Looks for each need, and installs what is missing where that may be done.
pub(crate) fn set_up() -> Result<(), Failure> {
    install_packages()?;
    install_tools()
}

/// Installs the tools in Python into the target folder, unless just these are there.
fn install_tools() -> Result<(), Failure> {
    let (folder, list) = (testkit::workspace_root().join(TOOLS), testkit::workspace_root().join(TOOLS_LIST));
    let (asked, installed) = (std::fs::read(list), std::fs::read(folder.join("installed.txt")));
    let asked = asked.map_err(|error| Failure(format!("{TOOLS_LIST} cannot be read: {error}")))?;
    if installed.is_ok_and(|installed| installed == asked) {
        return Ok(());
    }
    run(Command::new("python3").args(["-m", "venv", "--clear", TOOLS]))?;
    let pip = format!("{TOOLS}/bin/pip");
    run(Command::new(pip).args(["install", "--quiet", "--requirement", TOOLS_LIST]))?;
    let noted = std::fs::write(folder.join("installed.txt"), asked);
    noted.map_err(|error| Failure(format!("{TOOLS} cannot be written to: {error}")))
}

fn install_packages() -> Result<(), Failure> {
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !is_there(need)).collect();
    match plan(&missing, Machine::this()) {
        Plan::Nothing => {
            let found: Vec<&str> = NEEDS.iter().map(|need| need.what).collect();
            tell(&format!("set-up: found {}", found.join(", ")));
            Ok(())
        }
        Plan::Install(packages) => {
            run(apt_get().arg("update"))?;
            run(apt_get().args(["install", "--yes", "--no-install-recommends"]).args(packages))?;
            match missing.iter().find(|need| !is_there(need)) {
                None => Ok(()),
                Some(need) => Err(Failure(format!("{} is still missing after its installation", need.what))),
            }
        }
        Plan::Ask(message) => Err(Failure(message)),
    }
}

/// What may be done on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Machine {
    /// Debian or a relative, and we are root.
    DebianAsRoot,
    /// Debian or a relative, as an ordinary user.
    Debian,
    /// Anything else: we do not know its packages.
    Other,
}

impl Machine {
    fn this() -> Self {
        if !Path::new("/etc/debian_version").exists() || !on_path(OsStr::new("apt-get")) {
            Self::Other
        } else if is_root() {
            Self::DebianAsRoot
        } else {
            Self::Debian
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Plan {
    Nothing,
    Install(Vec<&'static str>),
    Ask(String),
}

/// What to do about what is missing. Pure, so that each kind of machine can be tested on any other.
fn plan(missing: &[&Need], machine: Machine) -> Plan {
    if missing.is_empty() {
        return Plan::Nothing;
    }
    let packages: Vec<&'static str> = missing.iter().flat_map(|need| need.packages).copied().collect();
    if machine == Machine::DebianAsRoot {
        return Plan::Install(packages);
    }
    let mut message = String::from("something that the tests need is missing:\n");
    for need in missing {
        let any = need.programs.join("`, `");
        // Writing to a String cannot fail.
        writeln!(message, "  {}: none of `{any}` is on the PATH.\n    Why: {}.", need.what, need.why).ok();
    }
    message += &match machine {
        Machine::Debian => format!("Install it with:\n  sudo apt-get install {}", packages.join(" ")),
        _ => format!("Install it; on Debian the packages are called: {}", packages.join(" ")),
    };
    Plan::Ask(message)
}

fn is_there(need: &Need) -> bool {
    let named = need.variable.and_then(env::var_os).filter(|program| !program.is_empty());
    match named {
        // A variable wins over the programs, as it does for the build that reads it; it may carry arguments.
        Some(line) => line
            .to_string_lossy()
            .split_whitespace()
            .next()
            .is_some_and(|program| on_path(OsStr::new(program))),
        None if !need.probe.is_empty() => {
            let probed = Command::new(need.programs[0]).args(need.probe).stderr(Stdio::null()).status();
            probed.is_ok_and(|status| status.success())
        }
        None => need.programs.iter().any(|program| {
            on_path(OsStr::new(program))
                || need.versions.is_some_and(|folder| is_in_a_version(folder, program))
        }),
    }
}

/// Whether a program lies in the `bin` of a version in this folder.
fn is_in_a_version(folder: &str, program: &str) -> bool {
    let versions = std::fs::read_dir(folder).into_iter().flatten().flatten();
    versions.into_iter().any(|version| version.path().join("bin").join(program).is_file())
}

/// Whether `program` can be found the way a shell finds it.
pub(crate) fn on_path(program: &OsStr) -> bool {
    if Path::new(program).components().count() > 1 {
        return Path::new(program).is_file();
    }
    env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").stderr(Stdio::null()).output();
    id.is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}

/// `apt-get` that never stops to ask.
fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").arg("--quiet");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_need_says_what_why_and_how() {
        for need in NEEDS {
            assert!(!need.what.is_empty() && !need.why.is_empty(), "{need:?}");
            assert!(!need.programs.is_empty() && !need.packages.is_empty(), "{need:?}");
        }
    }

    #[test]
    fn nothing_missing_means_nothing_to_do() {
        for machine in [Machine::DebianAsRoot, Machine::Debian, Machine::Other] {
            assert_eq!(plan(&[], machine), Plan::Nothing);
        }
    }

    #[test]
    fn root_on_debian_installs() {
        assert_eq!(plan(&[&NEEDS[0]], Machine::DebianAsRoot), Plan::Install(vec!["gcc", "libc6-dev"]));
    }

    #[test]
    fn everyone_else_is_told_what_why_and_how() {
        for (machine, how) in
            [(Machine::Debian, "sudo apt-get install gcc libc6-dev"), (Machine::Other, "gcc libc6-dev")]
        {
            let Plan::Ask(message) = plan(&[&NEEDS[0]], machine) else { panic!("{machine:?} must ask") };
            for part in ["a C compiler", "`cc`, `gcc`, `clang`", "SQLite", how] {
                assert!(message.contains(part), "{machine:?}: {part:?} is not in {message}");
            }
        }
    }
}
