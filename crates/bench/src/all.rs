//! What the README claims of speed, in one run: the suites one after the other, a folder each, and what they say of the bars.

use std::fmt::Write;
use std::path::Path;

use bench::machine::{self, Place};
use clap::Args;

use crate::node::Peers;
use crate::record::{Sample, Summary, save, summaries};
use crate::remote::{elementary, fills, front, ground, hits as remote_hits, patterns};
use crate::stage::Stage;
use crate::{
    Failure, growth, hits, must_be_release, outbox, parse_count, remote, removal, report, stampede, tell,
};

/// What `bench all` takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    peers: Peers,
    /// How many times each measurement is taken
    #[arg(long, default_value_t = 5, value_parser = parse_count)]
    rounds: usize,
    /// How many stampedes each has to stand
    #[arg(long, default_value_t = 100, value_parser = parse_count)]
    times: usize,
    #[command(flatten)]
    place: Place,
}

/// 4 seconds of changes in each round: four thousand.
const SECONDS: u64 = 4;

/// A claim with a limit, and what was measured of it.
struct Bar {
    claim: &'static str,
    bar: &'static str,
    measured: String,
    holds: bool,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    must_be_release("all")?;
    let Options { peers, rounds, times, place } = options;
    let folder = place.folder("");
    // Before anything is measured: what is missing is said at once.
    peers.all()?;
    if machine::version_of("redis-server").is_none() || testkit::postgres::programs().is_none() {
        return Err("redis-server or PostgreSQL is not there: `cargo xtask setup` installs them".into());
    }
    let mut samples = crate::measure_local(&Stage::new(*rounds)?)?;
    report::write(&samples, *rounds, &folder.join("local"))?;
    let remote = remote::measure(&[], *rounds, None, peers)?;
    remote::report::write(&remote, *rounds, &folder.join("remote"))?;
    samples.extend(remote);
    write(&samples, options, &folder)?; // what there is, if the rest fails
    samples.extend(stampede::measure(*times, peers, &folder.join("stampede"))?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    samples.extend(runtime.block_on(outbox::measure(*rounds, SECONDS, &folder.join("outbox")))?);
    write(&samples, options, &folder)?;
    tell(&format!("wrote {}", machine::shown(&folder)));
    Ok(())
}

fn write(samples: &[Sample], options: &Options, folder: &Path) -> Result<(), Failure> {
    save(folder, samples)?;
    let others = machine::REMOTE.into_iter().filter(|name| !machine::LOCAL.contains(name));
    let versions: Vec<&str> = machine::LOCAL.into_iter().chain(others).collect();
    let mut text = String::from("# What the README claims of speed, measured\n\n");
    writeln!(
        text,
        "Made by `{}`. Every measurement is in [raw.csv](raw.csv); what was measured how, all tables and the plots stand in \
         [local](local/README.md), [remote](remote/README.md), [outbox](outbox/README.md) and [stampede](stampede/README.md).\n\n{}\n- {}, profile \
         `release` (thin LTO)\n- {}; {}\n",
        machine::command(),
        machine::line(),
        machine::rustc(),
        machine::version_of("redis-server").unwrap_or_default(),
        machine::versions(&versions),
    )?;
    if let (true, Some(node)) = (options.peers.peers, machine::version_of("node")) {
        writeln!(text, "- Node {node}, with what bench/peers/package-lock.json names\n")?;
    }
    writeln!(text, "## The bars\n\n| | bar | measured | |\n|---|---|---|---|")?;
    for Bar { claim, bar, measured, holds } in bars(samples, options.times) {
        let word = if holds { "holds" } else { "**missed**" };
        writeln!(text, "| {claim} | {bar} | {measured} | {word} |")?;
    }
    text += &operations(samples)?;
    Ok(std::fs::write(folder.join("README.md"), text)?)
}

/// Least and most of some ratios, against a bar.
fn within(claim: &'static str, bar: &'static str, limit: f64, ratios: &[f64]) -> Bar {
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let most = ratios.iter().copied().fold(0.0, f64::max);
    let over = ratios.iter().filter(|ratio| **ratio > limit).count();
    let measured = format!("{least:.2} to {most:.2}, {over} of {} above it", ratios.len());
    Bar { claim, bar, measured, holds: !ratios.is_empty() && over == 0 }
}

/// What is claimed with a limit.
fn bars(samples: &[Sample], times: usize) -> Vec<Bar> {
    let mut bars = vec![
        within(
            "a hit in the process",
            "1.5 times a bare `quick_cache` with a deadline",
            1.5,
            &ratios(samples, hits::GROUP, hits::BASELINE, |summary| is_larder_local(summary.case.side)),
        ),
        within(
            "a hit in the process, in front of Redis",
            "1.2 times the same without Redis",
            1.2,
            &ratios(samples, front::GROUP, front::BASELINE, |summary| summary.case.side == front::IN_FRONT),
        ),
    ];
    for (claim, client, tasks, unit) in [
        ("a hit in Redis: latency, one task", "", "1 task", ground::P50),
        ("a hit in Redis: client CPU, two workers, 64 tasks", "2 threads", "64 tasks", ground::CPU),
        ("a hit in Redis: client CPU, two workers, 256 tasks", "2 threads", "256 tasks", ground::CPU),
        ("a hit in Redis: client CPU, one thread, 64 tasks", "1 thread", "64 tasks", ground::CPU),
        ("a hit in Redis: client CPU, one thread, 256 tasks", "1 thread", "256 tasks", ground::CPU),
    ] {
        let is_asked = |summary: &Summary| {
            let set = &summary.case.set;
            let is_of_larder = ["get", "get_or_set"].contains(&summary.case.side);
            is_of_larder
                && summary.case.unit == unit
                && set.contains(&format!("; {tasks};"))
                && set.ends_with(client)
        };
        let of = |group| ratios(samples, group, remote_hits::BASELINE, is_asked);
        let all = [of(remote_hits::BYTES), of(remote_hits::TYPED)].concat();
        bars.push(within(claim, "1.2 times a bare `GET`", 1.2, &all));
    }
    bars.push(within(
        "a miss with its fill, beside the load",
        "3 round trips",
        3.0,
        &ratios(samples, fills::GROUP, fills::BASELINE, |summary| {
            summary.case.unit == ground::P50 && summary.case.side.starts_with("get_or_set")
        }),
    ));
    bars.extend(removals(samples));
    bars.extend(stampedes(samples, times));
    bars
}

fn removals(samples: &[Sample]) -> Vec<Bar> {
    let mut bars = Vec::new();
    for (claim, group, scope, scan, unit) in [
        (
            "removal of a scope of 1,000,000 entries in the process",
            removal::GROUP,
            removal::SCOPE,
            removal::BASELINE,
            "ns",
        ),
        (
            "removal of a scope among 1,000,000 keys in Redis",
            patterns::GROUP,
            patterns::BASELINE,
            patterns::SCAN,
            ground::P50,
        ),
    ] {
        let of_million = |side| {
            let is_it = |summary: &Summary| {
                summary.case.entries == 1_000_000 && summary.case.side == side && summary.case.unit == unit
            };
            summaries(samples, group).into_iter().find(is_it)
        };
        if let Some((scope, scan)) = of_million(scope).zip(of_million(scan)) {
            let times = scan.ratio_to(&scope);
            let measured = format!("{times:.0} times as fast");
            bars.push(Bar { claim, bar: "1,000 times as fast as a scan", measured, holds: times >= 1_000.0 });
        }
    }
    bars
}

fn stampedes(samples: &[Sample], times: usize) -> Vec<Bar> {
    let mut bars = Vec::new();
    for (claim, processes) in [
        ("a stampede of 1,000 callers in one process", 1),
        ("a stampede of 1,000 callers in four processes", 4),
    ] {
        let ones = stampede::ones(samples, &stampede::in_words(processes), stampede::LARDER);
        let measured = format!("one load {ones} times of {times}");
        bars.push(Bar { claim, bar: "one load, each time", measured, holds: ones == times });
    }
    bars
}

/// What some sides of a group are to the baseline of their set, by the same unit.
fn ratios(samples: &[Sample], group: &str, baseline: &str, is_asked: impl Fn(&Summary) -> bool) -> Vec<f64> {
    let all = summaries(samples, group);
    let ratio = |summary: &Summary| {
        let is_base = |base: &&Summary| {
            base.case.side == baseline
                && base.case.set == summary.case.set
                && base.case.unit == summary.case.unit
        };
        all.iter().find(is_base).map(|base| summary.ratio_to(base))
    };
    all.iter().filter(|summary| is_asked(summary)).filter_map(ratio).collect()
}

/// Whether a side of the suite of the in-process tier is larder's: the others are named by what they are.
fn is_larder_local(side: &str) -> bool {
    side.starts_with("get") || side.starts_with("larder")
}

/// Each elementary operation beside every peer that has it.
fn operations(samples: &[Sample]) -> Result<String, Failure> {
    let mut text = String::new();
    for (title, group, baseline, unit) in [
        ("In the process: a hit", hits::GROUP, hits::BASELINE, "ns"),
        ("In the process: writes", crate::writes::GROUP, hits::BASELINE, "ns"),
        ("In the process, as it grows", growth::GROUP, hits::BASELINE, "ns"),
        ("Over Redis, latency", elementary::GROUP, elementary::BASELINE, ground::P50),
        ("Over Redis, calls", elementary::GROUP, elementary::BASELINE, ground::RATE),
        ("Over Redis, client CPU", elementary::GROUP, elementary::BASELINE, ground::CPU),
    ] {
        let all: Vec<Summary> =
            summaries(samples, group).into_iter().filter(|summary| summary.case.unit == unit).collect();
        let (mut sets, mut sides): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
        for Summary { case, .. } in &all {
            if !sets.contains(&&*case.set) {
                sets.push(&case.set);
            }
            if !sides.contains(&case.side) {
                sides.push(case.side);
            }
        }
        let better = if unit == ground::RATE { " (more is better)" } else { "" };
        writeln!(
            text,
            "\n## {title}\n\nIn {unit}{better}; in brackets, how many times that of `{baseline}`.\n"
        )?;
        sets.sort_unstable();
        writeln!(text, "| | {} |\n|---|{}", sets.join(" | "), "---:|".repeat(sets.len()))?;
        sides.sort_by_key(|side| (*side != baseline, *side));
        for side in sides {
            write!(text, "| {side} |")?;
            for set in &sets {
                let find = |side: &str| all.iter().find(|of| of.case.set == *set && of.case.side == side);
                match find(side).zip(find(baseline)) {
                    Some((of, base)) => write!(text, " {:.0} ({:.2}) |", of.median, of.ratio_to(base))?,
                    None => write!(text, " |")?,
                }
            }
            text.push('\n');
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Case;

    #[test]
    fn numbers_stand_under_their_names() {
        let sample = |set: &str, value| {
            let case = Case {
                group: hits::GROUP,
                set: set.to_owned(),
                side: hits::BASELINE,
                entries: 1,
                unit: "ns",
            };
            Sample { case, round: 1, value }
        };
        let text = operations(&[sample("b", 2.0), sample("a", 1.0)]).unwrap_or_default();
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).take(3).collect();
        assert_eq!(lines[0], "| | a | b |");
        assert_eq!(lines[2], format!("| {} | 1 (1.00) | 2 (1.00) |", hits::BASELINE));
    }
}
