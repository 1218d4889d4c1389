//! What an import reports at its end, and how programs get to read it: as one JSON object.

use std::collections::BTreeMap;

use serde::Serialize;

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

/// What came of an import. Displayed, it is a page for people.
#[derive(Clone, Debug)]
pub struct Report {
    pub(super) outcome: Outcome,
    pub(super) companies: Vec<CompanyLine>,
    pub(super) totals: Totals,
    pub(super) rows: Tally,
    pub(super) accepted: BTreeMap<&'static str, usize>,
    pub(super) findings: Findings,
}

/// The repairs of one kind in one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct RepairGroup {
    pub(super) cause: String,
    pub(super) file: &'static str,
    pub(super) column: &'static str,
    pub(super) lines: Vec<u64>,
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

    /// Whether the files were refused, and the database is as it was.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.outcome == Outcome::Refused
    }

    /// Everything, for programs: counts by cause, and the place of every row that was repaired or refused.
    #[must_use]
    pub fn json(&self) -> impl Serialize {
        let Self { outcome, companies, totals, rows, accepted, findings } = self;
        Json {
            outcome: *outcome,
            companies,
            users: totals.agents + totals.managers,
            agents: totals.agents,
            managers: totals.managers,
            contacts: totals.contacts,
            products: totals.products,
            deals: JsonDeals {
                total: totals.deals,
                won: totals.won,
                lost: totals.lost,
                engaging: totals.engaging,
                prospecting: totals.prospecting,
            },
            won_value_cents: totals.won_value_cents,
            currency: CURRENCY,
            rows: *rows,
            accepted,
            repaired: findings.repaired_by_cause(),
            refused: findings.refused_by_cause(),
            repaired_rows: self.repair_groups(),
            refused_rows: findings.refused.iter().map(JsonRefusal::of).collect(),
        }
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

/// The object that programs read; its fields are promises.
#[derive(Serialize)]
struct Json<'r> {
    outcome: Outcome,
    companies: &'r [CompanyLine],
    users: usize,
    agents: usize,
    managers: usize,
    contacts: usize,
    products: usize,
    deals: JsonDeals,
    won_value_cents: i64,
    currency: &'static str,
    rows: Tally,
    accepted: &'r BTreeMap<&'static str, usize>,
    repaired: BTreeMap<String, usize>,
    refused: BTreeMap<&'static str, usize>,
    repaired_rows: Vec<RepairGroup>,
    refused_rows: Vec<JsonRefusal<'r>>,
}

#[derive(Serialize)]
struct JsonDeals {
    total: usize,
    won: usize,
    lost: usize,
    engaging: usize,
    prospecting: usize,
}

#[derive(Serialize)]
struct JsonRefusal<'r> {
    cause: &'static str,
    file: &'static str,
    line: Option<u64>,
    message: &'r str,
}

impl<'r> JsonRefusal<'r> {
    fn of(Refusal { place, cause, message }: &'r Refusal) -> Self {
        Self { cause: cause.as_str(), file: place.file, line: place.line, message }
    }
}
