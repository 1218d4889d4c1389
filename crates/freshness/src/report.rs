//! What came of a run: a line for who ran it, a page with plots, and every number.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::path::Path;

use bench::machine;
use bench::terminal::tell;

use crate::options::Options;
use crate::plot;
use crate::run::{Outcome, Window};
use crate::tally::{Distribution, Tally};

/// Says how it went, and writes it down; answers whether nothing was wrong.
pub(crate) fn close(options: &Options, outcome: &Outcome) -> Result<bool, Box<dyn Error + Send + Sync>> {
    for violation in &outcome.violations {
        tell(&format!("violation: {}", serde_json::to_string(violation)?));
    }
    for differs in &outcome.differs {
        tell(&format!("in the end: {differs}"));
    }
    for idle in &outcome.idle {
        tell(&format!("it proves nothing: {idle}"));
    }
    if outcome.wrong() > 0 {
        tell(&format!("the same faults in the same order: {}", command(options)));
    }
    let folder = options.place.folder(&suffix(options));
    write(&folder, options, outcome)?;
    tell(&format!("wrote {}", machine::shown(&folder)));
    let mut out = std::io::stdout().lock();
    std::io::Write::write_all(&mut out, format!("{}\n", line(options, outcome)).as_bytes())?;
    Ok(outcome.wrong() == 0)
}

/// How the folder of such a run ends.
fn suffix(options: &Options) -> String {
    let defaults = <Options as Default>::default();
    let subject = (options.kind != defaults.kind).then(|| name(&options.kind));
    let database = (options.database != defaults.database).then(|| name(&options.database));
    [Some("freshness".to_owned()), subject, database]
        .into_iter()
        .flatten()
        .fold(String::new(), |all, word| all + "-" + &word)
}

/// The closing line.
fn line(options: &Options, outcome: &Outcome) -> String {
    let tally = &outcome.tally;
    let differs = match outcome.differs.len() {
        0 if !outcome.is_over => "ended by the first, nothing was compared".to_owned(),
        0 => "all tiers equal the database".to_owned(),
        differs => format!("{differs} differences in the end"),
    };
    format!(
        "freshness: {} violations in {} reads ({} strict, of which {} lay in Redis; {} at risk) and {} changes, {:.1} min, {} faults, seed {}; \
         local staleness p50 {:.2} ms, p99 {:.1} ms, longest {:.0} ms of {} ms allowed; longest read {} ms; \
         {} loads a miss; {differs}",
        outcome.violations(),
        tally.reads(),
        tally.strict,
        tally.found,
        tally.at_risk(),
        tally.writes(),
        outcome.seconds / 60.0,
        outcome.windows.len(),
        options.seed,
        tally.behind_us.quantile_ms(0.5),
        tally.behind_us.quantile_ms(0.99),
        tally.behind_us.max_ms(),
        crate::judge::H_NS / 1_000_000,
        tally.longest_read_us / 1_000,
        loads_a_miss(tally),
    )
}

/// Only larder says how often it missed.
fn loads_a_miss(tally: &Tally) -> String {
    match tally.misses {
        0 => "?".to_owned(),
        misses => format!("{:.2}", tally.loads as f64 / misses as f64),
    }
}

/// What to type for the same run.
fn command(options: &Options) -> String {
    let mut command = format!(
        "cargo xtask freshness --minutes {} --faults {} --seed {}",
        options.minutes, options.faults, options.seed
    );
    let defaults = <Options as Default>::default();
    let names = [
        (options.database != defaults.database, "--database postgres".to_owned()),
        (options.processes != defaults.processes, format!("--processes {}", options.processes)),
        (options.rows != defaults.rows, format!("--rows {}", options.rows)),
        (options.kind != defaults.kind, format!("--subject {}", name(&options.kind))),
    ];
    let rules = options.without.iter().map(|rule| format!("--without {}", name(rule)));
    let given = names.into_iter().filter_map(|(is_given, name)| is_given.then_some(name));
    for name in given.chain(rules) {
        command.push(' ');
        command.push_str(&name);
    }
    command
}

/// What a choice is called on the command line.
pub(crate) fn name(choice: &impl clap::ValueEnum) -> String {
    choice.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

fn write(folder: &Path, options: &Options, outcome: &Outcome) -> Result<(), Box<dyn Error + Send + Sync>> {
    std::fs::create_dir_all(folder)?;
    let staleness = plot::staleness(&outcome.tally.behind_us)?;
    let course = plot::course(outcome)?;
    std::fs::write(folder.join("staleness.svg"), staleness)?;
    std::fs::write(folder.join("course.svg"), course)?;
    let readme = readme(options, outcome);
    std::fs::write(folder.join("README.md"), &readme)?;
    std::fs::write(folder.join("index.html"), page(options, outcome))?;
    let mut raw = String::from("seconds,reads,hits,behind_ms\n");
    for sample in &outcome.samples {
        writeln!(raw, "{:.2},{},{},{:.3}", sample.at, sample.reads, sample.hits, sample.behind_ms)?;
    }
    std::fs::write(folder.join("raw.csv"), raw)?;
    let lines = outcome.violations.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
    let violations = folder.join("violations.jsonl");
    if !lines.is_empty() {
        std::fs::write(violations, lines.join("\n") + "\n")?;
    } else if violations.exists() {
        std::fs::remove_file(violations)?; // of an earlier run
    }
    Ok(())
}

/// What was counted, by what it is called.
fn rows(outcome: &Outcome) -> Vec<(&'static str, String)> {
    let tally = &outcome.tally;
    let milliseconds = |times: &Distribution| {
        let (p50, p99, max) = (times.quantile_ms(0.5), times.quantile_ms(0.99), times.max_ms());
        format!("{p50:.2} / {p99:.1} / {max:.0} ms, of {}", times.count())
    };
    let mut rows = vec![
        ("reads", tally.reads().to_string()),
        ("of these strict: Redis or the database answered, or `sync` went before", tally.strict.to_string()),
        ("of the strict ones: answered by what lay in Redis", tally.found.to_string()),
        ("of these from the process", tally.local.to_string()),
        ("of these labelled as stale", tally.labelled.to_string()),
        ("strict reads within 100 ms of a removal", tally.strict_at_risk.to_string()),
        ("of these: answered by what lay in Redis", tally.found_at_risk.to_string()),
        ("reads from the process within 100 ms of a removal", tally.local_at_risk.to_string()),
        ("**strict reads that were stale**", tally.stale_strict.to_string()),
        ("**reads from the process stale by more than a second**", tally.stale_local.to_string()),
        ("**reads that missed what was committed ten seconds before**", tally.overdue.to_string()),
        (
            "**reads that found less in Redis than an earlier one of their process**",
            tally.backwards.to_string(),
        ),
        ("**reads that did not end within twenty seconds**", tally.hanging.to_string()),
        ("**values that were never committed, or of another row**", tally.never_committed.to_string()),
        ("**changes that were lost, or answered wrongly** (rows with one writer)", tally.lost.to_string()),
        ("**differences from the database in the end**", outcome.differs.len().to_string()),
        (
            "reads from the process that were behind at all, p50 / p99 / longest",
            milliseconds(&tally.behind_us),
        ),
        (
            "reads, but for labelled ones, behind a change that was acknowledged as durable only, p50 / p99 / longest",
            milliseconds(&tally.behind_durable_us),
        ),
        ("changes acknowledged as applied", tally.applied.to_string()),
        ("changes acknowledged as durable", tally.durable.to_string()),
        ("changes whose commit was not answered", tally.unsure.to_string()),
        ("changes rolled back", tally.rolled_back.to_string()),
        ("reads that failed: nobody answered", tally.failed.to_string()),
        ("longest read", format!("{} ms", tally.longest_read_us / 1_000)),
        (
            "answers compared with the database in the end that were there already",
            outcome.found_in_the_end.to_string(),
        ),
    ];
    // The CRM tells neither when it has committed nor how often it missed.
    if tally.announced_us.count() > 0 {
        let announced = milliseconds(&tally.announced_us);
        rows.push(("from the commit to the acknowledgement, p50 / p99 / longest", announced));
    }
    if tally.misses > 0 {
        rows.push(("misses", tally.misses.to_string()));
        rows.push(("loads a miss", loads_a_miss(tally)));
    }
    rows
}

/// How often each fault came, and for how long in all.
fn faults(windows: &[Window]) -> BTreeMap<&'static str, (usize, f64)> {
    let mut faults = BTreeMap::new();
    for window in windows {
        let (count, seconds) = faults.entry(window.name).or_insert((0, 0.0));
        *count += 1;
        *seconds += window.ends - window.begins;
    }
    faults
}

fn readme(options: &Options, outcome: &Outcome) -> String {
    let mut text = format!(
        "# Freshness: {} over {}, {} processes, {} rows\n\nMade by `{}`. What is judged, and how, stands in docs/freshness.md.\n\n{}\n- {}, profile `release` (thin LTO), with the rules that tests can take out (`ablations`)\n- {}\n\n",
        name(&options.kind),
        name(&options.database),
        options.processes,
        options.rows,
        command(options),
        machine::line(),
        machine::rustc(),
        machine::version_of("redis-server").unwrap_or_else(|| "redis-server: unknown".to_owned()),
    );
    text.push_str("| | |\n|---|---:|\n");
    for (what, figure) in rows(outcome) {
        text.push_str(&format!("| {what} | {figure} |\n"));
    }
    text.push_str("\n## What went wrong\n\n| fault | times | seconds in all |\n|---|---:|---:|\n");
    for (fault, (count, seconds)) in faults(&outcome.windows) {
        text.push_str(&format!("| {fault} | {count} | {seconds:.1} |\n"));
    }
    text.push_str(
        "\n![How far hits in a process were behind](staleness.svg)\n\n![The course of the run](course.svg)\n",
    );
    text
}

/// The same as a page, with the plots that lie beside it.
fn page(options: &Options, outcome: &Outcome) -> String {
    let cells = |(what, figure): &(&str, String)| {
        format!("<tr><td>{}</td><td>{figure}</td></tr>", what.replace("**", ""))
    };
    let counted: String = rows(outcome).iter().map(cells).collect();
    let faults = faults(&outcome.windows).into_iter();
    let struck: String = faults
        .map(|(fault, (count, seconds))| {
            format!("<tr><td>{fault}</td><td>{count}</td><td>{seconds:.1} s</td></tr>")
        })
        .collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>Freshness</title>\n<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}\
         td{{padding:.15rem 1rem .15rem 0;border-bottom:1px solid #ddd}}td+td{{text-align:right;font-variant-numeric:tabular-nums}}\
         img{{max-width:100%;height:auto}}</style>\n<h1>Freshness</h1>\n<p>{}</p>\n<p><code>{}</code></p>\n<table>{counted}</table>\n\
         <h2>How far hits in a process were behind</h2>\n<img src=\"staleness.svg\" alt=\"What part of the hits was behind by more than so many milliseconds\">\n<h2>The course of the run</h2>\n<img src=\"course.svg\" alt=\"Faults, reads a second and the longest staleness over time\">\n<h2>What went wrong</h2>\n<table>{struck}</table>\n</html>\n",
        line(options, outcome),
        command(options),
    )
}
