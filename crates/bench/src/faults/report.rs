//! The folder of a run under faults: the tables, every number, the two plots.

use std::fmt::Write;
use std::time::Duration;

use super::case::{CHANGED, Outcome, ROWS};
use super::name_of;
use super::table::{distinct, heading, millis};
use crate::bars::Bars;
use crate::record::{Case, Sample, save};
use bench::machine::{self, Place};

use crate::Failure;

/// A case in one line, for whoever watches.
pub(crate) fn line(outcome: &Outcome) -> String {
    let Outcome { subject, fault, tally, unacknowledged, stale_rows, unreadable_rows, says, .. } = outcome;
    format!(
        "{}, {}: longest read {} ms, write {} ms; {} of {} reads stale, {} failed; {} of {} writes failed, \
         {unacknowledged} of them changes; {stale_rows} of {CHANGED} rows stale, {unreadable_rows} unreadable; caching again \
         after {} ms; health: {}",
        subject.as_str(),
        name_of(*fault),
        millis(tally.longest_read),
        millis(tally.longest_write),
        tally.stale_reads,
        tally.reads,
        tally.failed_reads,
        tally.failed_writes,
        tally.writes,
        outcome.resumed_after().map_or_else(|| "-".to_owned(), millis),
        says.join(" → "),
    )
}

/// Writes the folder and answers where it is.
pub(crate) fn write(
    outcomes: &[Outcome],
    table: &str,
    hold: Duration,
    place: &Place,
) -> Result<String, Failure> {
    let place = place.folder("-faults");
    std::fs::create_dir_all(&place)?;
    let samples: Vec<Sample> = outcomes.iter().flat_map(samples).collect();
    save(&place, &samples)?;
    for (file, title, value) in PLOTS {
        std::fs::write(place.join(file), draw(title, outcomes, value)?)?;
    }
    std::fs::write(place.join("README.md"), readme(outcomes, table, hold)?)?;
    Ok(machine::shown(&place))
}

/// A plot: its file, its title, and what it shows.
type Plot = (&'static str, &'static str, fn(&Outcome) -> Duration);

const PLOTS: [Plot; 2] = [
    ("reads.svg", "Longest read, in milliseconds", |outcome| outcome.tally.longest_read),
    ("writes.svg", "Longest write, in milliseconds", |outcome| outcome.tally.longest_write),
];

/// The bottom of their scale, in milliseconds: no request over HTTP is faster by much.
const LOWEST_MS: f64 = 1.0;

fn draw(title: &str, outcomes: &[Outcome], value: fn(&Outcome) -> Duration) -> Result<String, Failure> {
    let faults = distinct(outcomes.iter().map(|outcome| outcome.fault));
    let subjects = distinct(outcomes.iter().map(|outcome| outcome.subject));
    let groups: Vec<&str> = faults.iter().copied().map(name_of).collect();
    let names: Vec<&str> = subjects.iter().map(|subject| subject.as_str()).collect();
    let bars = Bars { title, groups: &groups, subjects: &names, lowest: LOWEST_MS };
    bars.draw(|fault, subject| {
        let is_it =
            |outcome: &&Outcome| outcome.fault == faults[fault] && outcome.subject == subjects[subject];
        outcomes.iter().find(is_it).map(|outcome| value(outcome).as_secs_f64() * 1e3)
    })
}

/// Every number of a case. What did not come about is left out.
fn samples(outcome: &Outcome) -> Vec<Sample> {
    let tally = &outcome.tally;
    let duration = |duration: Duration| Some(duration.as_secs_f64() * 1e3);
    let count = |count: u64| Some(count as f64);
    let numbers = [
        ("longest read", "ms", duration(tally.longest_read)),
        ("longest write", "ms", duration(tally.longest_write)),
        ("reads", "", count(tally.reads)),
        ("writes", "", count(tally.writes)),
        ("failed reads", "", count(tally.failed_reads)),
        ("failed writes", "", count(tally.failed_writes)),
        ("stale reads", "", count(tally.stale_reads)),
        ("stale rows in the end", "", count(outcome.stale_rows as u64)),
        ("unreadable rows in the end", "", count(outcome.unreadable_rows as u64)),
        ("unacknowledged changes", "", count(outcome.unacknowledged as u64)),
        ("loads of the second reads in the end", "", outcome.loaded_again.and_then(count)),
        ("stores again after", "ms", outcome.stores_after.and_then(duration)),
    ];
    let sample = |(group, unit, value): (&'static str, &'static str, Option<f64>)| {
        let set = name_of(outcome.fault).to_owned();
        let case = Case { group, set, side: outcome.subject.as_str(), entries: ROWS, unit };
        value.map(|value| Sample { case, round: 1, value })
    };
    numbers.into_iter().filter_map(sample).collect()
}

fn readme(outcomes: &[Outcome], table: &str, hold: Duration) -> Result<String, Failure> {
    let subjects = distinct(outcomes.iter().map(|outcome| outcome.subject));
    let mut text = format!("# {}\n\n", heading(&subjects));
    writeln!(
        text,
        "Made by `{}`. Every number is in [raw.csv](raw.csv); what they mean stands in \
         docs/faults.md.\n",
        machine::command()
    )?;
    writeln!(text, "{}", machine::line())?;
    writeln!(text, "- {}, profile `release` (thin LTO)", machine::rustc())?;
    let unknown = || "not there".to_owned();
    writeln!(text, "- {}", machine::version_of("redis-server").unwrap_or_else(unknown))?;
    if subjects.iter().any(|name| name.is_of_node()) {
        let node = machine::version_of("node").unwrap_or_else(unknown);
        writeln!(text, "- Node.js {node}, {}", peers()?)?;
    }
    writeln!(
        text,
        "- a fault lasts {} s; one case after the other, each with a new redis-server (with its log of writes, \
         `appendfsync always`), a new proxy in front of it and a new process of the subject",
        hold.as_secs()
    )?;
    text += "\n![Longest read](reads.svg)\n\n![Longest write](writes.svg)\n\n";
    Ok(text + table)
}

/// The versions of what runs on Node, from the lock file.
fn peers() -> Result<String, Failure> {
    let lock = std::fs::read_to_string(crate::node::peers().join("package-lock.json"))?;
    let lock: serde_json::Value = serde_json::from_str(&lock)?;
    let version = |name: &str| {
        let version = lock["packages"][format!("node_modules/{name}")]["version"].as_str();
        format!("{name} {}", version.unwrap_or("unknown"))
    };
    Ok(["ioredis", "bentocache"].map(version).join(", "))
}
