//! The folder of a run.

use std::fmt::Write;
use std::path::Path;

use super::cost;
use super::lag::{self, RATE, UNITS};
use crate::faults::distinct;
use crate::record::{Sample, Summary, save, summaries};
use bench::machine;

use crate::Failure;

/// Writes the folder of so many rounds, and so many seconds of changes.
pub(crate) fn write(samples: &[Sample], settings: (usize, u64), place: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(place)?;
    save(place, samples)?;
    std::fs::write(place.join("README.md"), readme(samples, settings)?)?;
    Ok(())
}

fn readme(samples: &[Sample], (rounds, seconds): (usize, u64)) -> Result<String, Failure> {
    let mut text = String::from("# What an outbox costs, and how soon others hear of a change\n\n");
    writeln!(text, "Made by `{}`. Every measurement is in [raw.csv](raw.csv).\n", machine::command())?;
    writeln!(text, "{}", machine::line())?;
    writeln!(
        text,
        "- {}, profile `release` (thin LTO); {}",
        machine::rustc(),
        machine::versions(&["sqlx", "tokio", "redis"])
    )?;
    let postgres = testkit::postgres::programs()
        .and_then(|programs| machine::version_of(&programs.join("postgres").display().to_string()));
    writeln!(
        text,
        "- {}, as it is installed, with fsync; SQLite in WAL mode with `synchronous = NORMAL`, which forces nothing to the disk at a commit",
        postgres.unwrap_or_default()
    )?;
    writeln!(text, "- {}", machine::version_of("redis-server").unwrap_or_default())?;
    writeln!(
        text,
        "- {} rounds after one to warm up, each side with a database of its own, 4,000 changes a measurement; everything on one machine",
        rounds
    )?;
    writeln!(
        text,
        "\n## What does it cost to record a change?\n\nA change is a transaction that updates one row of 10,000 by its key. What it makes \
         untrue is a key and two tags. `Over Redis` includes the removal there and noting that it is done, a batch each 25 ms. \
         A ratio is the median, over the rounds, of a side's number divided by that of the change alone in the same round."
    )?;
    text += &tables(samples)?;
    writeln!(
        text,
        "\n## How soon do others hear of a change?\n\nIn each round {RATE} changes a second for {} seconds, each in a transaction of its own by a \
         writer that announces nothing. From the answer to the commit until a look each millisecond finds the value gone. In one process \
         the relay looks every 25 ms; over Redis it leaves a change to its own process for 50 to 75 ms before it removes it \
         in its place. A process that announces its changes itself does so at once.\n",
        seconds
    )?;
    text += &lags(samples)?;
    Ok(text)
}

/// The medians of the rounds, and the longest of all.
fn lags(samples: &[Sample]) -> Result<String, std::fmt::Error> {
    let all = summaries(samples, lag::GROUP);
    let mut text = String::from(
        "| | | changes a round | p50, ms | p99, ms | longest, ms |\n|---|---|---:|---:|---:|---:|\n",
    );
    let [(p50, _), (p99, _), (longest, _)] = UNITS;
    for of_p50 in all.iter().filter(|summary| summary.case.unit == p50) {
        let case = &of_p50.case;
        let find = |unit| {
            let same = |other: &&Summary| {
                (&other.case.set, other.case.side, other.case.unit) == (&case.set, case.side, unit)
            };
            all.iter().find(same)
        };
        let p99 = find(p99).map_or(f64::NAN, |summary| summary.median);
        let longest = find(longest).map_or(f64::NAN, |summary| summary.max);
        writeln!(
            text,
            "| {} | {} | {} | {:.0} | {p99:.0} | {longest:.0} |",
            case.set, case.side, case.entries, of_p50.median
        )?;
    }
    Ok(text)
}

fn tables(costs: &[Sample]) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    for unit in [cost::RATE, cost::BYTES] {
        let all = summaries(costs, cost::GROUP);
        let of_unit: Vec<_> = all.iter().filter(|summary| summary.case.unit == unit).collect();
        for set in distinct(of_unit.iter().map(|summary| summary.case.set.as_str())) {
            writeln!(text, "\n### {set}: {unit}\n\n| | median (least–most) | ratio |\n|---|---:|---:|")?;
            let of_set: Vec<_> = of_unit.iter().filter(|summary| summary.case.set == set).collect();
            let base = of_set.iter().find(|summary| summary.case.side == cost::BASELINE);
            for summary in &of_set {
                let ratio = base.map_or(f64::NAN, |base| summary.ratio_to(base));
                writeln!(
                    text,
                    "| {} | {:.0} ({:.0}–{:.0}) | {ratio:.2} |",
                    summary.case.side, summary.median, summary.min, summary.max
                )?;
            }
        }
    }
    Ok(text)
}
