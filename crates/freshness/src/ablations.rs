//! A checker that never found anything proves nothing: after how many reads does it find each rule of the protocol that is taken out?

use std::error::Error;

use bench::machine::{self, Place};
use bench::terminal::tell;
use clap::{Args, ValueEnum};

use crate::options::{Database, Options};
use crate::report::name;
use crate::rule::Rule;
use crate::run::{self, Outcome};
use crate::subject::Kind;

/// What it takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Ablations {
    /// How long each is looked for at most, in minutes
    #[arg(long, default_value_t = 3.0)]
    minutes: f64,
    /// What goes wrong: `all`, or names with commas; a wrong name lists them. By default what shows each rule soonest
    #[arg(long)]
    faults: Option<String>,
    /// Draws the same faults in the same order again, for each
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the rows are that are cached
    #[arg(long, value_enum, default_value_t)]
    database: Database,
    /// Only these rules; by default all, and the naive cache
    #[arg(long, value_enum, value_name = "RULE")]
    rule: Vec<Rule>,
    #[command(flatten)]
    place: Place,
}

/// Looks for each; answers whether all were found.
pub(crate) async fn run(ablations: &Ablations) -> Result<bool, Box<dyn Error + Send + Sync>> {
    let rules = if ablations.rule.is_empty() { Rule::value_variants() } else { &ablations.rule };
    let mut cases: Vec<(Kind, Vec<Rule>)> = rules.iter().map(|rule| (Kind::Larder, vec![*rule])).collect();
    if ablations.rule.is_empty() {
        cases.push((Kind::Naive, Vec::new()));
        cases.push((Kind::Larder, Vec::new())); // nothing is to be found where nothing is taken out
    }
    let mut table = String::from(
        "| without | faults | found after | of these strict | what was wrong |\n|---|---|---:|---:|---|\n",
    );
    let mut all_found = true;
    for (kind, without) in cases {
        let what = match (without.first(), kind) {
            (Some(rule), _) => name(rule),
            (None, Kind::Larder) => "nothing".to_owned(),
            (None, _) => format!("any ({})", name(&kind)),
        };
        let is_to_be_found = what != "nothing";
        tell(&format!("without {what}"));
        let shown_by = without.first().map_or("all", |rule| rule.shown_by());
        let faults = ablations.faults.as_deref().unwrap_or(shown_by);
        let options = Options {
            minutes: ablations.minutes,
            faults: faults.to_owned(),
            seed: ablations.seed,
            database: ablations.database,
            kind,
            without,
            stop_at_first: true,
            ..Options::default()
        };
        let outcome = run::run(&options).await?;
        all_found &= (outcome.wrong() > 0) == is_to_be_found;
        table.push_str(&row(&what, faults, &outcome));
    }
    let folder = ablations.place.folder("-ablations");
    std::fs::create_dir_all(&folder)?;
    let text = format!(
        "# After how many reads is a rule missed that was taken out?\n\nMade by `cargo xtask freshness ablations --minutes {} --seed {}`, over {}. \
         What is judged, and how, stands in docs/freshness.md.\n\n{}\n- {}\n\n{table}",
        ablations.minutes,
        ablations.seed,
        name(&ablations.database),
        machine::line(),
        machine::rustc(),
    );
    std::fs::write(folder.join("README.md"), text)?;
    tell(&format!("wrote {}", machine::shown(&folder)));
    std::io::Write::write_all(&mut std::io::stdout().lock(), table.as_bytes())?;
    Ok(all_found)
}

fn row(what: &str, faults: &str, outcome: &Outcome) -> String {
    let tally = &outcome.tally;
    let first = outcome.violations.first();
    let wrong = first.map_or_else(
        || "**nothing was found**".to_owned(),
        |first| {
            let behind_ms = first.behind_ns as f64 / 1e6;
            format!("{:?}: {:?}, {:?}, {behind_ms:.1} ms behind", first.wrong, first.view, first.seen.promise)
        },
    );
    let reads = outcome.found_after.map_or_else(|| format!("> {}", tally.reads()), |reads| reads.to_string());
    let faults = faults.replace(',', ", ");
    format!("| {what} | {faults} | {reads} reads, {:.0} s | {} | {wrong} |\n", outcome.seconds, tally.strict)
}
