//! The folder of a run: the table, the bars, the plots, and where the time goes.

use std::fmt::Write;
use std::path::Path;

use bench::machine;

use super::bars::{self, Bar, MIXES, READS};
use super::data::DEALS;
use super::load::CONNECTIONS;
use super::mix::Kind;
use super::subject::Who;
use super::{POSTGRES, Run};
use crate::Failure;
use crate::bars::Bars;
use crate::record::{Sample, Summary, save};

/// The subjects in the order of the tables.
const ORDER: [Who; 7] = [
    Who::Bare,
    Who::InProcess,
    Who::BothTiers,
    Who::Redis,
    Who::Off,
    Who::ReferenceCached,
    Who::ReferenceUncached,
];

/// The plots: their files, their titles, their units, and the bottoms of their scales.
const PLOTS: [(&str, &str, &str, f64); 3] = [
    ("requests.svg", "Requests per second", bars::RATE, 100.0),
    ("latency.svg", "Latency, p99 in milliseconds", bars::P99, 1.0),
    ("processor.svg", "Time of the server's processor, in microseconds a request", bars::SERVER, 1.0),
];

/// Parts and functions below this many per cent are not shown.
const SHOWN_FROM: f64 = 0.8;

pub(super) fn write(run: &Run, settings: (usize, u64), folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)?;
    save(folder, &run.samples)?;
    for (file, title, unit, lowest) in PLOTS {
        std::fs::write(folder.join(file), plot(&run.samples, title, unit, lowest)?)?;
    }
    Ok(std::fs::write(folder.join("README.md"), readme(run, settings)?)?)
}

/// Those of whom something was measured.
fn measured(samples: &[Sample]) -> Vec<Who> {
    let is_there = |who: &Who| samples.iter().any(|sample| sample.case.side == who.name());
    ORDER.into_iter().filter(is_there).collect()
}

fn plot(samples: &[Sample], title: &str, unit: &'static str, lowest: f64) -> Result<String, Failure> {
    let subjects = measured(samples);
    let names: Vec<&str> = subjects.iter().map(|who| who.name()).collect();
    let groups = MIXES.map(|(mix, _)| mix);
    let bars = Bars { title, groups: &groups, subjects: &names, lowest };
    bars.draw(|mix, who| Some(bars::summary(samples, groups[mix], subjects[who], unit)?.median))
}

fn readme(run: &Run, (rounds, seconds): (usize, u64)) -> Result<String, Failure> {
    let mut text = String::from("# The CRM over HTTP, signed in, with its data in PostgreSQL\n\n");
    writeln!(text, "Made by `{}`. Every measurement is in [raw.csv](raw.csv).\n", machine::command())?;
    text += &settings(run, rounds, seconds)?;
    writeln!(
        text,
        "\n## The bars\n\nWarm. A ratio is the median, over the rounds, of a rate divided by the other's in the same round.\n"
    )?;
    text += &table_of_bars(&bars::bars(&run.samples))?;
    for (mix, _) in MIXES {
        writeln!(text, "\n## {}\n", if mix == READS { "Reads only" } else { "With 2 % changes" })?;
        text += &table(&run.samples, mix)?;
    }
    text += WORDS;
    for (file, title, ..) in PLOTS {
        writeln!(text, "\n![{title}]({file})")?;
    }
    text += &sizes(run)?;
    if !run.failures.is_empty() {
        writeln!(text, "\n## The first failure of each\n")?;
        for (who, failure) in &run.failures {
            writeln!(text, "- {}: {failure}", who.name())?;
        }
    }
    text += &profiles(run)?;
    Ok(text)
}

const WORDS: &str = "
Wrong is an answer that is another row's or another company's, or that shows a deal as it was before a change whose acknowledgement had \
arrived when the request was sent. While something changes, every answer with one deal is read and one page of eight; else one answer of 64. \
The CRM is held to the versions of its rows; the reference service, whose rows have none, to the time at which the row was last changed. A \
copy in front of Redis may be a second out of date, as is documented: those are counted apart, as late.
";

fn settings(run: &Run, rounds: usize, seconds: u64) -> Result<String, Failure> {
    let mut text = String::new();
    writeln!(text, "{}", machine::line())?;
    writeln!(
        text,
        "- {}, profile `release` (thin LTO); {}",
        machine::rustc(),
        machine::versions(&["axum", "hyper", "tokio", "sqlx", "redis"])
    )?;
    let postgres = testkit::postgres::programs()
        .and_then(|programs| machine::version_of(&programs.join("postgres").display().to_string()));
    writeln!(
        text,
        "- {}, with fsync, {}",
        postgres.unwrap_or_default(),
        POSTGRES.map(|line| format!("`{line}`")).join(", ")
    )?;
    writeln!(
        text,
        "- {}, one for each subject that has one",
        machine::version_of("redis-server").unwrap_or_default()
    )?;
    if let Some(reference) = &run.reference {
        writeln!(
            text,
            "- the reference service as it is, on {reference}; cached, it is the specified service on ioredis"
        )?;
    }
    writeln!(
        text,
        "- 200 companies, 2,000 users, 20,000 contacts, 100,000 deals, 200,000 activities, by a seed; each server of the CRM has a copy of its \
         own, and the reference service its own tables of the same sizes"
    )?;
    writeln!(
        text,
        "- the mix is that of the reference service: 40 % a deal (of {DEALS}, by the cube of a uniform number), 25 % a page of 20 deals, 15 % a \
         company (by the square), 12 % its pipeline, 8 % its months; each request by one of the ten users of the company that it is about, with \
         a bearer token (the reference service: a header with the user's number)"
    )?;
    writeln!(
        text,
        "- {rounds} rounds of {seconds} s a measurement, interleaved: all subjects in turn in each round, each round beginning with another; \
         before each, everything in the mix has been asked for once, and then the mix for a second"
    )?;
    writeln!(
        text,
        "- {CONNECTIONS} connections that are kept, each with one request at a time, by one client for all, on two threads: **client, server, \
         PostgreSQL and Redis share the cores**, so that a rate says what all of them cost together. What the server alone costs is \
         the time of its processor, which is also the steadier number"
    )?;
    writeln!(
        text,
        "- the CRM: `crm serve` with limits off, `show_queries` on and `analytics_job` off, else as it comes; all servers run all the time, and \
         those that are not asked do next to nothing (each looks for changes of others forty times a second)"
    )?;
    Ok(text)
}

fn table_of_bars(bars: &[Bar]) -> Result<String, std::fmt::Error> {
    let mut text = String::from("| | bar | | measured | |\n|---|---|---|---|---|\n");
    for Bar { mix, claim, who, measured, holds } in bars {
        let word = if *holds { "holds" } else { "**missed**" };
        writeln!(text, "| {mix} | {claim} | {} | {measured} | {word} |", who.name())?;
    }
    Ok(text)
}

fn table(samples: &[Sample], mix: &str) -> Result<String, std::fmt::Error> {
    let mut text = String::from(
        "| | requests/s (least–most) | to bare | to ioredis | p50 ms | p99 ms | longest ms | server µs | behind µs | client µs | queries | failed | \
         wrong | late | of read |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    let rate = |who| bars::summary(samples, mix, who, bars::RATE);
    for who in measured(samples) {
        let Some(own) = rate(who) else { continue };
        let ratio =
            |to: Who| rate(to).map_or_else(|| "-".to_owned(), |other| format!("{:.2}", own.ratio_to(&other)));
        write!(text, "| {} | {:.0} ({:.0}–{:.0}) |", who.name(), own.median, own.min, own.max)?;
        write!(text, " {} | {} |", ratio(Who::Bare), ratio(Who::ReferenceCached))?;
        let of = |unit| bars::summary(samples, mix, who, unit);
        let median = |unit| of(unit).map_or(f64::NAN, |summary: Summary| summary.median);
        let sum = |unit| {
            of(unit).map_or(0.0, |_| {
                samples
                    .iter()
                    .filter(|sample| sample.case == bars::case(mix, who, unit))
                    .map(|sample| sample.value)
                    .sum()
            })
        };
        let longest = of(bars::LONGEST).map_or(f64::NAN, |summary| summary.max);
        write!(text, " {:.2} | {:.2} | {longest:.0} |", median(bars::P50), median(bars::P99))?;
        write!(
            text,
            " {:.1} | {:.1} | {:.1} |",
            median(bars::SERVER),
            median(bars::BEHIND),
            median(bars::CLIENT)
        )?;
        write!(text, " {:.3} |", median(bars::QUERIES))?;
        let bold = |count: f64| if count > 0.0 { format!("**{count:.0}**") } else { "0".to_owned() };
        write!(text, " {} | {} | {:.0} |", bold(sum(bars::FAILED)), bold(sum(bars::WRONG)), sum(bars::LATE))?;
        writeln!(text, " {:.0} |", sum(bars::READ))?;
    }
    Ok(text)
}

fn sizes(run: &Run) -> Result<String, std::fmt::Error> {
    let mut text = String::from(
        "\n## How long the answers are\n\nThe mean of the bodies, in bytes. Those of bare axum are those of the CRM in-process.\n\n| |",
    );
    for kind in Kind::ALL {
        write!(text, " {} |", kind.name())?;
    }
    writeln!(text, "\n|---|{}", "---:|".repeat(Kind::ALL.len()))?;
    for (who, sizes) in &run.sizes {
        let sizes: Vec<String> = sizes.iter().map(u64::to_string).collect();
        writeln!(text, "| {} | {} |", who.name(), sizes.join(" | "))?;
    }
    Ok(text)
}

/// Where the time goes, in per cent and in microseconds a request.
fn profiles(run: &Run) -> Result<String, std::fmt::Error> {
    if run.profiles.is_empty() {
        return Ok(String::new());
    }
    let mut text = String::from(
        "\n## Where the time of the servers goes\n\nBy `perf`, after the rounds: in which part of the server its processor was, and in \
         which functions, without what they call. Microseconds are those parts of the median above. What is inlined counts where it has \
         been taken in.\n",
    );
    for (who, mix, profile) in &run.profiles {
        let us =
            bars::summary(&run.samples, mix, *who, bars::SERVER).map_or(f64::NAN, |summary| summary.median);
        writeln!(text, "\n### {}, {mix}\n\n| part | % | µs a request |\n|---|---:|---:|", who.name())?;
        for (name, share) in profile.parts.iter().filter(|(_, share)| *share >= SHOWN_FROM) {
            writeln!(text, "| {name} | {share:.1} | {:.2} |", share / 100.0 * us)?;
        }
        writeln!(text, "\n| function | % |\n|---|---:|")?;
        for (name, share) in profile.functions.iter().filter(|(_, share)| *share >= SHOWN_FROM) {
            writeln!(text, "| `{}` | {share:.1} |", name.replace('|', "\\|"))?;
        }
    }
    Ok(text)
}
