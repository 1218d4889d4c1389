//! What came of an import of contacts.

use std::fmt;

use serde::Serialize;

use super::columns::Columns;

/// So many rows of each kind are told of one by one; the others are counted.
const TOLD: usize = 20;

/// What came of it. Displayed, it is a page for people.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    outcome: Outcome,
    /// How many contacts are new, or would be.
    pub imported: u64,
    /// How many rows were contacts already, or stood earlier in the file.
    pub duplicates: u64,
    /// How many rows were refused.
    pub refused: u64,
    fields: String,
    left_out: Vec<String>,
    first_duplicates: Vec<Duplicate>,
    first_refused: Vec<Refused>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    Imported,
    Unchanged,
    DryRun,
    Refused,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Duplicate {
    line: u64,
    /// Where it stands earlier in the file; `None` where it was in the company before.
    of_line: Option<u64>,
}

#[derive(Clone, Debug, Serialize)]
struct Refused {
    line: u64,
    why: String,
}

impl Report {
    pub(super) fn new(columns: &Columns) -> Self {
        Self {
            outcome: Outcome::Unchanged,
            imported: 0,
            duplicates: 0,
            refused: 0,
            fields: columns.to_string(),
            left_out: columns.left_out.clone(),
            first_duplicates: Vec::new(),
            first_refused: Vec::new(),
        }
    }

    pub(super) fn repeat(&mut self, line: u64, of_line: Option<u64>) {
        self.duplicates += 1;
        if self.first_duplicates.len() < TOLD {
            self.first_duplicates.push(Duplicate { line, of_line });
        }
    }

    pub(super) fn refuse(&mut self, line: u64, why: String) {
        self.refused += 1;
        if self.first_refused.len() < TOLD {
            self.first_refused.push(Refused { line, why });
        }
    }

    pub(super) const fn any_refused(&self) -> bool {
        self.refused > 0
    }

    pub(super) fn conclude(&mut self, dry_run: bool, is_refused: bool) {
        self.outcome = match (is_refused, dry_run, self.imported) {
            (true, ..) => Outcome::Refused,
            (_, true, _) => Outcome::DryRun,
            (_, _, 0) => Outcome::Unchanged,
            _ => Outcome::Imported,
        };
    }

    /// Whether rows were refused, and the database is as it was.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.outcome == Outcome::Refused
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { imported, duplicates, refused, .. } = self;
        match self.outcome {
            Outcome::Refused => writeln!(
                f,
                "Nothing was imported: {refused} rows are refused. Correct them, or leave them out with --skip-refused."
            )?,
            Outcome::DryRun => writeln!(f, "Nothing was written. {imported} contacts would be new.")?,
            Outcome::Unchanged => writeln!(f, "Nothing is new.")?,
            Outcome::Imported => writeln!(f, "{imported} contacts are new.")?,
        }
        writeln!(f, "Read from the file: {}.", self.fields)?;
        if !self.left_out.is_empty() {
            writeln!(f, "Left out: {}.", self.left_out.join(", "))?;
        }
        if *duplicates > 0 {
            writeln!(f, "{duplicates} rows are contacts already:")?;
            for Duplicate { line, of_line } in &self.first_duplicates {
                match of_line {
                    Some(of_line) => writeln!(f, "  line {line}: the same as line {of_line}")?,
                    None => writeln!(f, "  line {line}: in the company before")?,
                }
            }
            more(f, *duplicates, self.first_duplicates.len())?;
        }
        if *refused > 0 {
            writeln!(f, "{refused} rows are refused:")?;
            for Refused { line, why } in &self.first_refused {
                writeln!(f, "  line {line}: {why}")?;
            }
            more(f, *refused, self.first_refused.len())?;
        }
        Ok(())
    }
}

fn more(f: &mut fmt::Formatter<'_>, all: u64, told: usize) -> fmt::Result {
    match all.saturating_sub(told as u64) {
        0 => Ok(()),
        more => writeln!(f, "  and {more} more"),
    }
}
