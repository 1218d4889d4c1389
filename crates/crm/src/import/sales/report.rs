//! What an import reports at its end, and how programs get to read it: as one JSON object.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::plan::{CURRENCY, Totals};
use crate::import::findings::{Findings, Refusal};

/// How an import ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    /// The database holds what the files say, and some of it is new.
    Imported,
    /// The database held it all before.
    Unchanged,
    /// A file was refused, and the database is as it was.
    Refused,
}

/// A company that the import wrote or found.
#[derive(Clone, Debug, Serialize)]
pub(super) struct CompanyLine {
    pub(super) id: String,
    pub(super) name: String,
}

/// How many rows of the database the import created, changed or left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Tally {
    pub(super) created: usize,
    pub(super) changed: usize,
    pub(super) unchanged: usize,
}

/// The whole report.
#[derive(Clone, Debug)]
pub(super) struct Report {
    pub(super) outcome: Outcome,
    pub(super) companies: Vec<CompanyLine>,
    pub(super) totals: Totals,
    pub(super) rows: Tally,
    pub(super) accepted: BTreeMap<&'static str, usize>,
    pub(super) findings: Findings,
}

impl Report {
    /// The report of an import that was refused: nothing is in the database because of it.
    pub(super) fn refused(findings: Findings) -> Self {
        Self {
            outcome: Outcome::Refused,
            companies: Vec::new(),
            totals: Totals::default(),
            rows: Tally::default(),
            accepted: BTreeMap::new(),
            findings,
        }
    }

    /// Everything, for programs: counts by cause, and the place of every row that was repaired or refused.
    pub(super) fn json(&self) -> Value {
        let Totals { managers, agents, contacts, products, deals, won, lost, engaging, prospecting, .. } =
            self.totals;
        json!({
            "outcome": self.outcome,
            "companies": self.companies,
            "users": agents + managers,
            "agents": agents,
            "managers": managers,
            "contacts": contacts,
            "products": products,
            "deals": {
                "total": deals, "won": won, "lost": lost, "engaging": engaging, "prospecting": prospecting,
            },
            "won_value_cents": self.totals.won_value_cents,
            "currency": CURRENCY,
            "rows": self.rows,
            "accepted": self.accepted,
            "repaired": self.findings.repaired_by_cause(),
            "repaired_rows": Vec::from_iter(self.repair_groups().iter().map(RepairGroup::json)),
            "refused": self.findings.refused_by_cause(),
            "refused_rows": Vec::from_iter(self.findings.refused.iter().map(refusal_json)),
        })
    }

    /// The repairs, those of one kind in one file together, the most frequent first.
    pub(super) fn repair_groups(&self) -> Vec<RepairGroup> {
        let mut lines: BTreeMap<(&str, &str, String), Vec<u64>> = BTreeMap::new();
        for repair in &self.findings.repaired {
            let group = (repair.place.file, repair.column, repair.cause());
            lines.entry(group).or_default().extend(repair.place.line);
        }
        let group = |((file, column, cause), lines)| RepairGroup { cause, file, column, lines };
        let mut groups = Vec::from_iter(lines.into_iter().map(group));
        groups.sort_by_key(|group| std::cmp::Reverse(group.lines.len()));
        groups
    }
}

/// The repairs of one kind in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RepairGroup {
    pub(super) cause: String,
    pub(super) file: &'static str,
    pub(super) column: &'static str,
    pub(super) lines: Vec<u64>,
}

impl RepairGroup {
    fn json(&self) -> Value {
        json!({ "cause": self.cause, "file": self.file, "column": self.column, "lines": self.lines })
    }
}

fn refusal_json(refusal: &Refusal) -> Value {
    let Refusal { place, cause, message } = refusal;
    json!({ "cause": cause.as_str(), "file": place.file, "line": place.line, "message": message })
}
