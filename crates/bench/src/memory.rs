//! How much memory does an entry take? Each cache is filled in a process of its own, so that the process tells.

use std::process::Command;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use crate::Failure;
use crate::data::{self, Item};
use crate::growth::{NUMBER, number};
use crate::hits::BASELINE;
use crate::record::{Case, Sample};
use crate::remote::peers::Amalgam;
use crate::sides::{ByKey, ByName, Get, Map, Moka, Quick, Side, Tags};
use crate::stage::{Entrant, Stage};

pub(crate) const GROUP: &str = "memory";

/// Fewer entries drown in what the process itself takes.
const SIZES: [usize; 3] = [10_000, 100_000, 1_000_000];

/// Fill one cache and print by how many bytes the resident memory has grown.
#[derive(Args, Clone, Debug)]
pub(crate) struct Memory {
    #[arg(long)]
    side: Which,
    #[arg(long)]
    entries: usize,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Which {
    Quick,
    Moka,
    Amalgam,
    Map,
    Name,
    Tagged,
}

impl Which {
    const ALL: [Which; 6] =
        [Which::Quick, Which::Moka, Which::Amalgam, Which::Map, Which::Name, Which::Tagged];

    fn side(self) -> &'static str {
        match self {
            Which::Quick => BASELINE,
            Which::Moka => "moka",
            Which::Amalgam => "amalgam-cache",
            Which::Map => "papaya, no deadline",
            Which::Name => "larder, name",
            Which::Tagged => "larder, key, 2 tags",
        }
    }
}

/// Starts the processes.
pub(crate) fn measure(stage: &Stage) -> Result<Vec<Sample>, Failure> {
    let mut all = Vec::new();
    for entries in SIZES {
        for which in Which::ALL {
            let set = format!("{entries} entries");
            all.push(Entrant {
                case: Case { group: GROUP, set, side: which.side(), entries, unit: "bytes an entry" },
                once: Box::new(move |_| Ok(grown(which, entries)? / entries as f64)),
            });
        }
    }
    stage.interleave(GROUP, &all)
}

fn grown(which: Which, entries: usize) -> Result<f64, Failure> {
    let which = which.to_possible_value().ok_or("every side has a name")?;
    let mut process = Command::new(std::env::current_exe()?);
    let output =
        process.args(["memory", "--side", which.get_name(), "--entries", &entries.to_string()]).output()?;
    if !output.status.success() {
        return Err(format!("filling a cache failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// What such a process does.
pub(crate) fn run(options: &Memory) -> Result<(), Failure> {
    let stage = Stage::new(1)?;
    let _inside = stage.runtime.enter();
    let items = data::items(options.entries, 7);
    let bytes = match options.side {
        Which::Quick => fill(&stage, &items, Quick::new)?,
        Which::Moka => fill(&stage, &items, Moka::new)?,
        Which::Amalgam => {
            let side = Amalgam::alone()?;
            fill(&stage, &items, || side)?
        }
        Which::Map => fill(&stage, &items, Map::new)?,
        Which::Name => {
            let side = Get::<_, ByName>::new(&NUMBER, Tags::None)?;
            fill(&stage, &items, || side)?
        }
        Which::Tagged => {
            let side = Get::<_, ByKey>::new(&NUMBER, Tags::Two)?;
            fill(&stage, &items, || side)?
        }
    };
    use std::io::Write;
    Ok(writeln!(std::io::stdout().lock(), "{bytes}")?)
}

fn fill<S: Side<u64>>(stage: &Stage, items: &Arc<[Item]>, side: impl FnOnce() -> S) -> Result<u64, Failure> {
    let before = resident_bytes()?;
    let side = Arc::new(side());
    stage.fill(&side, items, number)?;
    let after = resident_bytes()?;
    drop(side);
    Ok(after.saturating_sub(before))
}

fn resident_bytes() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")
        .map_err(|error| format!("resident memory is measured on Linux only: {error}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    let kib: u64 = line.ok_or("no VmRSS in /proc/self/status")?.trim().parse()?;
    Ok(kib * 1_024)
}
