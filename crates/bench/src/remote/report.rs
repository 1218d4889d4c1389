//! The folder of a run over Redis: the bars, the tables, the plots, every measurement.

use std::fmt::Write;
use std::ops::Range;
use std::path::Path;

use super::ground::{CPU, P50, P99, RATE, SERVER, SERVER_CPU};
use super::hits::in_words;
use super::{batches, elementary, fills, front, hits, patterns, scripts};
use crate::record::{Sample, Summary, save, summaries};
use bench::machine;

use crate::{Failure, plot};

/// The groups in the order of the report: title, what to know, and with whom all are compared.
const GROUPS: [(&str, &str, &str, &str); 9] = [
    (
        hits::BYTES,
        "What does a hit cost?",
        "1,000 entries of 100 B, 1 KiB and 10 KiB, read by 1, 64 and 256 tasks. The bare client reads the very bytes that larder \
         stored, header included. What larder reads besides, the root and the tokens of the tags, is in its figures. \
         `bare SET NX GET` is the command that a read sends that may load.",
        hits::BASELINE,
    ),
    (
        hits::TYPED,
        "What does a typed hit cost?",
        "Three deals of ten fields. The bare client decodes the same bytes with the same decoder.",
        hits::BASELINE,
    ),
    (
        fills::GROUP,
        "What does a miss cost, with its fill?",
        "One task, names that nobody asked for, a loader that answers at once. The ratios of the times count round trips. The \
         bar: at most 3 beside the load.",
        fills::BASELINE,
    ),
    (
        front::GROUP,
        "What does a hit in the process cost, in front of Redis?",
        "20,000 entries, asked for by Zipf's law (0.99), 200,000 calls a measurement on each thread of a Tokio runtime with two \
         workers. The others are set up as their documentation does it, with Redis and word of changes; each is called as an \
         `async fn`, and answers the value, shared where it can be. The bar: at most 1.2 times the same call without Redis. A \
         copy of larder is ended by the server's word and never older than a second; what bounds the others are their lifetimes.",
        front::BASELINE,
    ),
    (
        elementary::GROUP,
        "What do elementary operations cost, beside other caches?",
        "Values of 1 KiB, names that nobody has used before, two instances of each cache over one Redis: what one stores the other \
         reads for the first time. A runtime with two workers; those on Node have one thread, and measure themselves. larder, \
         amalgam-cache, multi-tier-cache and BentoCache keep copies in the process and hear of changes, set up as their documentation does it; \
         all read by the call that would load. amalgam-cache takes a lock in Redis before it looks there. The bare client sends `GET`, `GET` and \
         then `SET`, `SET`, `UNLINK`, and promises nothing.",
        elementary::BASELINE,
    ),
    (batches::HITS, "What does a batch of hits cost?", "100 keys a call, one task.", batches::MGET),
    (
        batches::MISSES,
        "What does a batch of misses cost?",
        "100 keys a call, one task, one call of a loader that answers at once.",
        batches::ASIDE,
    ),
    (
        patterns::GROUP,
        "What does a removal by tag, scope and pattern cost as Redis fills up?",
        "100 entries match; the other keys are in nobody's way but the scan's. A tag and a scope are one removal of one key; any \
         other glob looks at the name of every key. Real time.",
        patterns::BASELINE,
    ),
    (
        scripts::GROUP,
        "From which size on is a fill better put aside?",
        "The commands of a fill, sent by the bare client. `in commands` is what Redis counts for the commands themselves; the \
         server's processor time also has their reading and answering in it.",
        scripts::BASELINE,
    ),
];

const UNITS: [&str; 6] = [CPU, P50, P99, RATE, SERVER, SERVER_CPU];

/// A plot: its file, its title, its group, its axes.
type Plot = (&'static str, &'static str, &'static str, (&'static str, Range<f64>), &'static str);

const PLOTS: [Plot; 2] = [
    (
        "patterns.svg",
        "Removal of 100 entries by tag, scope and pattern, in nanoseconds",
        patterns::GROUP,
        ("other keys", 1e3..1e6),
        P50,
    ),
    (
        "scripts.svg",
        "Server time of a fill, in nanoseconds",
        scripts::GROUP,
        ("bytes", 1024.0..102_400.0),
        SERVER_CPU,
    ),
];

/// Writes the folder.
pub(crate) fn write(samples: &[Sample], rounds: usize, place: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(place)?;
    save(place, samples)?;
    let mut text = head(rounds)?;
    text += &bars(samples)?;
    for (file, title, group, axis, unit) in PLOTS {
        let of_unit: Vec<Summary> =
            summaries(samples, group).into_iter().filter(|summary| summary.case.unit == unit).collect();
        if !of_unit.is_empty() {
            std::fs::write(place.join(file), plot::over_entries(title, axis, "nanoseconds", &of_unit)?)?;
        }
    }
    text += &tables(samples)?;
    Ok(std::fs::write(place.join("README.md"), text)?)
}

fn head(rounds: usize) -> Result<String, Failure> {
    let mut text = String::from("# larder over Redis beside the bare client\n\n");
    writeln!(text, "Made by `{}`. Every measurement is in [raw.csv](raw.csv).\n", machine::command())?;
    writeln!(
        text,
        "{}\n\
         - {}, profile `release` (thin LTO)\n\
         - {}\n\
         - {}\n\
         - {rounds} rounds after one to warm up; all sides of a question in turn in each round, in rotating order\n\
         - the server is a process of its own on the same machine, over TCP on 127.0.0.1, with `deploy/redis.conf` but without \
         persistence; the bare client is `redis`' MultiplexedConnection as it comes, larder holds one of the same version\n\
         - client CPU is the processor time of the client's process, the system's work for its sockets included; the client has \
         one thread, or a Tokio runtime with two workers where it says so",
        machine::line(),
        machine::rustc(),
        machine::version_of("redis-server")
            .unwrap_or_else(|| "redis-server of an unknown version".to_owned()),
        machine::versions(&machine::REMOTE),
    )?;
    writeln!(
        text,
        "\nA machine that does other things at the same time makes times longer and less steady, for all sides alike: read the \
         ratios first. A ratio is the median, over the rounds, of a side's number divided by the baseline's in the same round. \
         Behind a median stand the least and the most.\n"
    )?;
    Ok(text)
}

/// What a hit costs against its bars, in one table.
fn bars(samples: &[Sample]) -> Result<String, Failure> {
    let mut text = String::new();
    for group in [hits::BYTES, hits::TYPED] {
        let summaries = summaries(samples, group);
        if summaries.is_empty() {
            continue;
        }
        writeln!(
            text,
            "## The bars: {group}\n\nAt most 1.2 times the latency (p50) of the bare `GET` at 1 task, and 1.2 times its client CPU at \
             64 and 256.\n"
        )?;
        writeln!(
            text,
            "| | get, 1 | 64 | 256 | get_or_set, 1 | 64 | 256 |\n|---|---:|---:|---:|---:|---:|---:|"
        )?;
        let mut rows: Vec<(String, String)> = Vec::new();
        for summary in &summaries {
            // `1 KiB; no tags; 64 tasks; client of 1 thread`
            let Some((words, rest)) = summary.case.set.rsplit_once("; ") else { continue };
            let Some((words, _tasks)) = words.rsplit_once("; ") else { continue };
            let row = (words.to_owned(), rest.to_owned());
            if !rows.contains(&row) {
                rows.push(row);
            }
        }
        for (words, client) in rows {
            write!(text, "| {words}; {client} |")?;
            for side in ["get", "get_or_set"] {
                for tasks in hits::TASKS {
                    let unit = if tasks == 1 { P50 } else { CPU };
                    let set = format!("{words}; {}; {client}", in_words(tasks));
                    let find = |side: &str| {
                        let is_it = |summary: &&Summary| {
                            summary.case.set == set && summary.case.side == side && summary.case.unit == unit
                        };
                        summaries.iter().find(is_it)
                    };
                    match find(side).zip(find(hits::BASELINE)) {
                        Some((of, base)) => write!(text, " {:.2} |", of.ratio_to(base))?,
                        None => write!(text, " |")?,
                    }
                }
            }
            text.push('\n');
        }
        text.push('\n');
    }
    Ok(text)
}

/// All tables.
pub(crate) fn tables(samples: &[Sample]) -> Result<String, Failure> {
    let mut text = String::new();
    for (group, title, words, baseline) in GROUPS {
        let summaries = summaries(samples, group);
        if summaries.is_empty() {
            continue;
        }
        writeln!(text, "## {title}\n\n{words}")?;
        if let Some((file, title, ..)) = PLOTS.into_iter().find(|(_, _, of, ..)| *of == group) {
            writeln!(text, "\n![{title}]({file})")?;
        }
        let mut sets: Vec<&str> = Vec::new();
        for summary in &summaries {
            if !sets.contains(&&*summary.case.set) {
                sets.push(&summary.case.set);
            }
        }
        for set in sets {
            let of_set: Vec<&Summary> = summaries.iter().filter(|summary| summary.case.set == set).collect();
            table(&mut text, set, &of_set, baseline)?;
        }
        text.push('\n');
    }
    Ok(text)
}

/// What was measured of one set, a row for each side.
fn table(text: &mut String, set: &str, of_set: &[&Summary], baseline: &str) -> Result<(), Failure> {
    let is_measured = |unit: &&str| of_set.iter().any(|summary| summary.case.unit == *unit);
    let units: Vec<&str> = UNITS.into_iter().filter(is_measured).collect();
    writeln!(
        text,
        "\n### {set}\n\n| | {} |",
        units.iter().map(|unit| format!("{unit} | ratio")).collect::<Vec<_>>().join(" | ")
    )?;
    writeln!(text, "|---|{}", "---:|---:|".repeat(units.len()))?;
    let mut sides: Vec<&str> = of_set.iter().map(|summary| summary.case.side).collect();
    sides.sort_unstable();
    sides.dedup();
    sides.sort_by_key(|side| *side != baseline);
    for side in sides {
        write!(text, "| {side} |")?;
        for unit in &units {
            let find = |side: &str| {
                of_set.iter().find(|summary| summary.case.side == side && summary.case.unit == *unit)
            };
            match find(side).zip(find(baseline)) {
                Some((of, base)) => {
                    let Summary { median, min, max, .. } = of;
                    write!(text, " {median:.0} ({min:.0}–{max:.0}) | {:.2} |", of.ratio_to(base))?;
                }
                None => write!(text, " | |")?,
            }
        }
        text.push('\n');
    }
    Ok(())
}
