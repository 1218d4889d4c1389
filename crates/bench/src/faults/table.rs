//! The tables, in Markdown: one question each, a row for each fault, a column for each subject.

use std::fmt::Write;
use std::time::Duration;

use super::case::{CHANGED, Outcome, UNCHANGED};
use super::name_of;
use super::subject::Name;

/// Each question: its title, what a cell says, and the cell.
type Question = (&'static str, &'static str, fn(&Outcome) -> String);

const QUESTIONS: [Question; 7] = [
    (
        "Longest read and write",
        "In milliseconds, read / write, from the beginning of the fault until 2 s after its end.",
        |outcome| format!("{} / {}", millis(outcome.tally.longest_read), millis(outcome.tally.longest_write)),
    ),
    (
        "Stale afterwards",
        "Of 25 rows changed during the fault, how many are older in the end than what was acknowledged: until their TTL.",
        |outcome| bold(outcome.stale_rows as u64),
    ),
    (
        "Still there",
        "Of 25 rows that were cached before the fault and never changed, how many are found afterwards without a load.",
        |outcome| {
            outcome
                .lost
                .map_or_else(|| "-".to_owned(), |lost| (UNCHANGED as u64).saturating_sub(lost).to_string())
        },
    ),
    (
        "Stale reads",
        "Reads that began after a change was acknowledged and answered an older version, of all reads.",
        |outcome| format!("{} of {}", bold(outcome.tally.stale_reads), outcome.tally.reads),
    ),
    (
        "Requests that failed",
        "Reads / writes that were answered with an error, or not within 30 s.",
        |outcome| format!("{} / {}", bold(outcome.tally.failed_reads), bold(outcome.tally.failed_writes)),
    ),
    (
        "Caching again",
        "Milliseconds after the end of the fault until new values lie in Redis, seen every 100 ms; `no`: not within 15 s, or \
         rows are loaded each time they are read.",
        |outcome| outcome.resumed_after().map_or_else(|| "**no**".to_owned(), millis),
    ),
    (
        "What health says",
        "The subject's own word for its Redis during the fault, right after what is a moment → in the end. `-`: it has none.",
        |outcome| outcome.says.join(" → "),
    ),
];

/// All tables.
pub(crate) fn markdown(outcomes: &[Outcome]) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let subjects = distinct(outcomes.iter().map(|outcome| outcome.subject));
    for (title, words, cell) in QUESTIONS {
        write!(text, "### {title}\n\n{words}\n\n| |")?;
        for subject in &subjects {
            write!(text, " {} |", subject.as_str())?;
        }
        writeln!(text, "\n|---|{}", "---:|".repeat(subjects.len()))?;
        for fault in distinct(outcomes.iter().map(|outcome| outcome.fault)) {
            write!(text, "| {} |", name_of(fault))?;
            for subject in &subjects {
                let outcome =
                    outcomes.iter().find(|outcome| outcome.fault == fault && outcome.subject == *subject);
                write!(text, " {} |", outcome.map(cell).unwrap_or_default())?;
            }
            text.push('\n');
        }
        text.push('\n');
    }
    let failures = outcomes.iter().filter_map(|outcome| Some((outcome, outcome.tally.failure.as_ref()?)));
    let failures: Vec<_> = failures.collect();
    if !failures.is_empty() {
        text += "### The first failure of each\n\n";
        for (outcome, failure) in failures {
            let (subject, fault) = (outcome.subject.as_str(), name_of(outcome.fault));
            writeln!(text, "- {subject}, {fault}: {failure}")?;
        }
        text.push('\n');
    }
    Ok(text)
}

/// In the order in which they come first.
pub(crate) fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut found = Vec::new();
    for one in all {
        if !found.contains(&one) {
            found.push(one);
        }
    }
    found
}

pub(crate) fn millis(duration: Duration) -> String {
    format!("{:.0}", duration.as_secs_f64() * 1e3)
}

/// What should be 0 stands out where it is not.
fn bold(count: u64) -> String {
    if count == 0 { "0".to_owned() } else { format!("**{count}**") }
}

/// The subjects of a run, in the order of its tables, and how many rows it changes under each fault.
pub(crate) fn heading(subjects: &[Name]) -> String {
    let names: Vec<&str> = subjects.iter().map(|name| name.as_str()).collect();
    format!("{} under faults of Redis, {CHANGED} changes each", names.join(", "))
}

#[cfg(test)]
mod tests {
    use testkit::faults::Fault;

    use super::super::load::Tally;
    use super::*;

    fn outcome(subject: Name, fault: Option<Fault>, stale_rows: usize) -> Outcome {
        Outcome {
            subject,
            fault,
            tally: Tally {
                reads: 100,
                longest_read: Duration::from_micros(2_600),
                longest_write: Duration::from_millis(7),
                ..Tally::default()
            },
            unacknowledged: 0,
            stale_rows,
            unreadable_rows: 0,
            stores_after: Some(Duration::from_millis(120)),
            loaded_again: Some(0),
            lost: Some(2),
            says: ["connected".to_owned(), "-".to_owned()],
        }
    }

    #[test]
    fn a_row_for_each_fault_and_a_column_for_each_subject() {
        let outcomes = [
            outcome(Name::Larder, None, 0),
            outcome(Name::Bento, None, 0),
            outcome(Name::Larder, Some(Fault::Killed), 0),
            outcome(Name::Bento, Some(Fault::Killed), 3),
        ];
        let text = markdown(&outcomes).unwrap();
        for part in [
            "| | larder | bento |\n|---|---:|---:|\n| none | 3 / 7 | 3 / 7 |\n| killed | 3 / 7 | 3 / 7 |\n",
            "| killed | 0 | **3** |",
            "| killed | 120 | 120 |",
            "| killed | connected → - | connected → - |",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
        assert!(!text.contains("first failure"), "{text}");
    }

    #[test]
    fn values_that_are_stored_and_never_found_are_no_caching() {
        let again = Outcome { loaded_again: Some(1), ..outcome(Name::Bento, None, 0) };
        assert!(markdown(&[again]).unwrap().contains("| none | **no** |"));
    }
}
