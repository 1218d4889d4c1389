//! The folder of a run: every measurement, and what they say, in words that stand by themselves.

use std::fmt::Write;
use std::path::Path;

use crate::record::{Sample, Summary, save, summaries};
use crate::stage::WORKERS;
use bench::machine;

use crate::{Failure, growth, hits, memory, plot, removal, writes};

/// The groups in the order of the report: title, question, what to know, and with whom all are compared.
const GROUPS: [(&str, &str, &str, &str); 5] = [
    (
        hits::GROUP,
        "What does a hit cost?",
        "100,000 entries, asked for by Zipf's law (0.99), 200,000 calls a measurement on each thread. `name` is a string \
         that is there already; `key` is made of an id in each call by a `Space`, as `name made` is by `format!`; \
         `2 tags` are declared by the entry and, in `get_or_set`, by each call. Typed values are structs of ten fields, \
         bytes are `Blob`s of 1 KiB. The bar: at most 1.5 times `quick_cache` with a deadline.",
        hits::BASELINE,
    ),
    (
        writes::GROUP,
        "What does it cost to fill, set and delete?",
        "On a cache of 100,000 entries, 20,000 calls a measurement, one thread. The time includes making the value; for \
         larder also one flight for each load, and counting the encoded size, for the limit in bytes that the others do \
         not have.",
        hits::BASELINE,
    ),
    (
        growth::GROUP,
        "What does a hit cost as the cache grows?",
        "Integers as values, 100,000 calls a measurement by Zipf's law (0.99), one thread. In a small cache, whose entries \
         stay in the processor's own caches, making the name is the larger part of a hit: compare `key` with `name made`.",
        hits::BASELINE,
    ),
    (
        memory::GROUP,
        "How much memory does an entry take?",
        "Growth of the resident memory of a process that fills one cache with integers under names of 41 bytes, names \
         included.",
        hits::BASELINE,
    ),
    (
        removal::GROUP,
        "What does it cost to remove many entries at once?",
        "All entries match. The scan removes them then and there; the others are one step at any size, and leave \
         them to the sweep and to eviction.",
        removal::BASELINE,
    ),
];

/// Writes the folder.
pub(crate) fn write(samples: &[Sample], rounds: usize, place: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(place)?;
    save(place, samples)?;
    for (file, title, group) in [
        ("growth.svg", "One hit, in nanoseconds", growth::GROUP),
        ("removal.svg", "Removal of all entries, in nanoseconds", removal::GROUP),
    ] {
        std::fs::write(
            place.join(file),
            plot::over_entries(title, ("entries", 1e3..1e6), "nanoseconds", &summaries(samples, group))?,
        )?;
    }
    Ok(std::fs::write(place.join("README.md"), readme(samples, rounds)?)?)
}

fn readme(samples: &[Sample], rounds: usize) -> Result<String, Failure> {
    let mut text = String::from("# larder's in-process tier beside the bare parts\n\n");
    writeln!(text, "Made by `{}`. Every measurement is in [raw.csv](raw.csv).\n", machine::command())?;
    writeln!(text, "{}", machine::line())?;
    writeln!(text, "- {}, profile `release` (thin LTO)", machine::rustc())?;
    writeln!(text, "- {}", machine::versions(&machine::LOCAL))?;
    writeln!(
        text,
        "- {} rounds after one to warm up; all sides in turn in each round, in rotating order, called in the \
         same way: awaited in a Tokio runtime with {WORKERS} workers; all maps but amalgam-cache's hash with foldhash, in the variant that is \
         quick_cache's default",
        rounds
    )?;
    writeln!(
        text,
        "- times are those for which the calling thread had a processor, a call; of removals, real time"
    )?;
    writeln!(
        text,
        "\nA machine that does other things at the same time makes times longer and less steady, for all sides alike: read the \
         ratios first. A ratio is the median, over the rounds, of a side's time divided by the baseline's in the same round.\n"
    )?;
    for (group, title, words, baseline) in GROUPS {
        write!(text, "## {title}\n\n{words}\n")?;
        if group == growth::GROUP || group == removal::GROUP {
            writeln!(text, "\n![{title}]({group}.svg)")?;
        }
        text += &tables(&summaries(samples, group), baseline)?;
    }
    Ok(text)
}

/// The table of one group, by itself.
pub(crate) fn table(samples: &[Sample], group: &str) -> String {
    let baseline = GROUPS.iter().find(|(name, ..)| *name == group).map_or("", |(.., baseline)| baseline);
    tables(&summaries(samples, group), baseline).unwrap_or_default()
}

/// A table for each set of sides that are compared with each other.
fn tables(summaries: &[Summary], baseline: &str) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let mut sets: Vec<&str> = Vec::new();
    for summary in summaries {
        if !sets.contains(&&*summary.case.set) {
            sets.push(&summary.case.set);
        }
    }
    for set in sets {
        let of_set: Vec<&Summary> = summaries.iter().filter(|summary| summary.case.set == set).collect();
        let Some(base) = of_set.iter().find(|summary| summary.case.side == baseline) else { continue };
        let unit = base.case.unit;
        writeln!(text, "\n### {set}\n")?;
        writeln!(text, "| | median, {unit} | min | max | ratio |\n|---|---:|---:|---:|---:|")?;
        for summary in &of_set {
            let Summary { case, median, min, max, .. } = summary;
            writeln!(
                text,
                "| {} | {median:.0} | {min:.0} | {max:.0} | {} |",
                case.side,
                ratio(summary.ratio_to(base))
            )?;
        }
    }
    text.push('\n');
    Ok(text)
}

fn ratio(ratio: f64) -> String {
    if ratio < 0.01 { format!("{ratio:.6}") } else { format!("{ratio:.2}") }
}
