//! The report of an import as a page for people: counts first, then what was repaired, accepted or refused, grouped by
//! cause, with examples and their places.

use std::fmt::{self, Display, Formatter};

use indicatif::HumanCount;

use super::plan::CURRENCY;
use super::report::{Outcome, RepairGroup, Report};
use crate::import::findings::{Cause, Refusal};

/// How many places of one cause are shown: enough to see the pattern; `--json` has them all.
const EXAMPLES: usize = 3;
/// How many refusals of one cause are shown, each on a line of its own: a page full, and time to look at the file.
const REFUSALS: usize = 10;

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.is_refused() {
            return self.refusals(f);
        }
        self.counts(f)?;
        self.repairs(f)?;
        self.accepted(f)
    }
}

impl Report {
    fn counts(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Report { totals, rows, companies, .. } = self;
        let names = Vec::from_iter(companies.iter().map(|company| company.name.as_str())).join(", ");
        counted(f, companies.len(), "companies", &names)?;
        let roles = format!("{} agents, {} managers", totals.agents, totals.managers);
        counted(f, totals.agents + totals.managers, "users", &roles)?;
        counted(f, totals.contacts, "contacts", "")?;
        counted(f, totals.products, "products", "")?;
        let stages = format!(
            "{} won, {} lost, {} engaging, {} prospecting; {} {CURRENCY} won",
            number(totals.won),
            number(totals.lost),
            number(totals.engaging),
            number(totals.prospecting),
            dollars(totals.won_value_cents),
        );
        counted(f, totals.deals, "deals", &stages)?;
        match self.outcome {
            Outcome::Unchanged => {
                writeln!(f, "\nEverything was in the database already; nothing was changed.")
            }
            _ => writeln!(
                f,
                "\n{} rows created, {} changed, {} as they were.",
                number(rows.created),
                number(rows.changed),
                number(rows.unchanged)
            ),
        }
    }

    fn repairs(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let groups = self.repair_groups();
        heading(f, "Repaired", groups.is_empty())?;
        for RepairGroup { cause, file, lines, .. } in groups {
            let examples = Vec::from_iter(lines.iter().take(EXAMPLES).map(ToString::to_string)).join(", ");
            let more = match lines.len().saturating_sub(EXAMPLES) {
                0 => String::new(),
                more => format!(" and {} more (--json lists them all)", number(more)),
            };
            let line = if lines.len() == 1 { "line" } else { "lines" };
            counted(f, lines.len(), &cause, &format!("{file}, {line} {examples}{more}"))?;
        }
        Ok(())
    }

    fn accepted(&self, f: &mut Formatter<'_>) -> fmt::Result {
        heading(f, "Accepted", self.accepted.is_empty())?;
        self.accepted.iter().try_for_each(|(what, count)| counted(f, *count, what, ""))
    }

    fn refusals(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "The import was refused; the database is as it was.")?;
        for (cause, count) in self.findings.refused_by_cause() {
            writeln!(f, "\n{cause}: {}", number(count))?;
            let of_cause = |refusal: &&Refusal| Cause::as_str(refusal.cause) == cause;
            for refusal in self.findings.refused.iter().filter(of_cause).take(REFUSALS) {
                writeln!(f, "  {}: {}", refusal.place, refusal.message)?;
            }
            if count > REFUSALS {
                writeln!(f, "  and {} more: --json lists them all", number(count - REFUSALS))?;
            }
        }
        Ok(())
    }
}

fn heading(f: &mut Formatter<'_>, text: &str, empty: bool) -> fmt::Result {
    if empty { Ok(()) } else { writeln!(f, "\n{text}") }
}

fn counted(f: &mut Formatter<'_>, count: usize, what: &str, detail: &str) -> fmt::Result {
    let line = format!("{:>9}  {what:<29}{detail}", number(count).to_string());
    writeln!(f, "{}", line.trim_end())
}

fn number(count: usize) -> HumanCount {
    HumanCount(count as u64)
}

/// An amount with its cents only where it has some.
fn dollars(cents: i64) -> String {
    let whole = HumanCount((cents / 100).unsigned_abs());
    match cents % 100 {
        0 => whole.to_string(),
        cents => format!("{whole}.{cents:02}"),
    }
}
