//! The folder of a run.

use std::fmt::Write;
use std::path::Path;

use super::cost;
use super::lag::{Lag, RATE};
use crate::faults::distinct;
use crate::record::{Sample, save, summaries};
use bench::machine;

use crate::Failure;

/// Writes the folder of so many rounds, and so many seconds of changes.
pub(crate) fn write(
    costs: &[Sample],
    lags: &[Lag],
    settings: (usize, u64),
    place: &Path,
) -> Result<(), Failure> {
    std::fs::create_dir_all(place)?;
    save(place, costs)?;
    std::fs::write(place.join("README.md"), readme(costs, lags, settings)?)?;
    Ok(())
}

fn readme(costs: &[Sample], lags: &[Lag], (rounds, seconds): (usize, u64)) -> Result<String, Failure> {
    let mut text = String::from("# What an outbox costs, and how soon others hear of a change\n\n");
    writeln!(
        text,
        "Made by `{}`. Every measurement of the cost is in [raw.csv](raw.csv).\n",
        machine::command()
    )?;
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
    text += &tables(costs)?;
    writeln!(
        text,
        "\n## How soon do others hear of a change?\n\n{RATE} changes a second for {} seconds, each in a transaction of its own by a \
         writer that announces nothing. From the answer to the commit until a look each millisecond finds the value gone. In one process \
         the relay looks every 25 ms; over Redis it leaves a change to its own process for 50 to 75 ms before it removes it \
         in its place. A process that announces its changes itself does so at once.\n",
        seconds
    )?;
    writeln!(text, "| | | changes | p50, ms | p99, ms | longest, ms |\n|---|---|---:|---:|---:|---:|")?;
    for Lag { kind, who, changes, p50, p99, max } in lags {
        let ms = |duration: &std::time::Duration| duration.as_secs_f64() * 1e3;
        writeln!(
            text,
            "| {} | {who} | {changes} | {:.0} | {:.0} | {:.0} |",
            kind.name(),
            ms(p50),
            ms(p99),
            ms(max)
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
