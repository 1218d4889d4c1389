//! What an import found in the files: rows that it refused, rows that it repaired, and where each of them is.
//!
//! A file is either imported whole or not at all. Every finding names its file and its line, so that whoever wrote the
//! file can go there, and all findings of all files are collected before the import gives up, so that one round of
//! corrections is enough.

use std::collections::BTreeMap;
use std::fmt;

/// The longest piece of a file that a message repeats, in characters: enough to recognise it, short enough for a line.
const QUOTED_CHARS: usize = 60;

/// Why a row or a file is refused. Each of them refuses the import as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cause {
    /// The file is not there, or cannot be read.
    Unreadable,
    /// The file is larger than an import accepts.
    TooLarge,
    /// The file is not UTF-8 text.
    WrongEncoding,
    /// The file ends in the middle of a line.
    CutOff,
    /// A quote that never closes, or stands where none can stand.
    BrokenQuotes,
    /// The header lacks a column.
    MissingColumn,
    /// The header has a column that would be lost.
    UnknownColumn,
    /// The file has a header and nothing else, or not even that.
    NoRows,
    /// A row with more or fewer fields than the header.
    WrongFieldCount,
    /// A field that must say something is empty.
    EmptyField,
    /// A text that does not fit into a line of the CRM.
    BadText,
    /// Not a date of the calendar, written as YYYY-MM-DD.
    BadDate,
    /// Not a number, or more digits than the field has room for.
    BadNumber,
    /// A number below zero.
    NegativeValue,
    /// A stage that the pipeline does not have.
    UnknownStage,
    /// An agent that sales_teams.csv does not list.
    UnknownAgent,
    /// A product that products.csv does not list.
    UnknownProduct,
    /// An account that accounts.csv does not list.
    UnknownAccount,
    /// A country that the CRM's list of countries does not have.
    UnknownCountry,
    /// A name or an id that an earlier row has already.
    Duplicate,
    /// Dates that contradict the stage or each other.
    ImpossibleDates,
    /// A value that contradicts the stage.
    ImpossibleValue,
}

impl Cause {
    /// The words for it, the same in reports and in JSON.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable file",
            Self::TooLarge => "file too large",
            Self::WrongEncoding => "wrong encoding",
            Self::CutOff => "cut off",
            Self::BrokenQuotes => "broken quotes",
            Self::MissingColumn => "missing column",
            Self::UnknownColumn => "unknown column",
            Self::NoRows => "no rows",
            Self::WrongFieldCount => "wrong number of fields",
            Self::EmptyField => "empty field",
            Self::BadText => "bad text",
            Self::BadDate => "bad date",
            Self::BadNumber => "bad number",
            Self::NegativeValue => "negative value",
            Self::UnknownStage => "unknown stage",
            Self::UnknownAgent => "unknown agent",
            Self::UnknownProduct => "unknown product",
            Self::UnknownAccount => "unknown account",
            Self::UnknownCountry => "unknown country",
            Self::Duplicate => "duplicate",
            Self::ImpossibleDates => "impossible dates",
            Self::ImpossibleValue => "impossible value",
        }
    }
}

/// Where in the files: `sales_pipeline.csv:4512`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The name of the file, without its directory.
    pub(crate) file: &'static str,
    /// The line, counted from 1; `None` where the file as a whole is meant.
    pub(crate) line: Option<u64>,
}

impl Place {
    /// A line of a file.
    pub(crate) const fn line(file: &'static str, line: u64) -> Self {
        Self { file, line: Some(line) }
    }

    /// A file as a whole.
    pub(crate) const fn file(file: &'static str) -> Self {
        Self { file, line: None }
    }

    /// A row of this file is refused for `cause`; `message` says what is there and what to do.
    pub(crate) fn refuse(self, cause: Cause, message: impl Into<String>) -> Refusal {
        Refusal { place: self, cause, message: message.into() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file)?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

/// One row or file that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Where.
    pub(crate) place: Place,
    /// Of which kind.
    pub(crate) cause: Cause,
    /// What is there, and what to do about it.
    pub(crate) message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.cause.as_str(), self.message)
    }
}

/// One field that was corrected on its way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Repair {
    /// Where.
    pub(crate) place: Place,
    /// The column.
    pub(crate) column: &'static str,
    /// What the file says.
    pub(crate) from: &'static str,
    /// What it was read as.
    pub(crate) to: &'static str,
}

impl Repair {
    /// The words for it, the same in reports and in JSON: `GTXPro is GTX Pro`.
    pub(crate) fn cause(&self) -> String {
        format!("{} is {}", self.from, self.to)
    }
}

/// Everything that an import found, in the order in which it was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    /// What was refused. Anything here refuses the import.
    pub(crate) refused: Vec<Refusal>,
    /// What was repaired.
    pub(crate) repaired: Vec<Repair>,
}

impl Findings {
    /// Keeps what could be read of a row, or remembers why nothing could.
    pub(crate) fn keep<T>(&mut self, outcome: Result<T, Refusal>) -> Option<T> {
        outcome.map_err(|refusal| self.refused.push(refusal)).ok()
    }

    /// Whether anything was refused, and so the import.
    pub(crate) fn any_refused(&self) -> bool {
        !self.refused.is_empty()
    }

    /// Whether something in this file was refused.
    pub(crate) fn refused_in(&self, file: &str) -> bool {
        self.refused.iter().any(|refusal| refusal.place.file == file)
    }

    /// How many rows were repaired, by cause.
    pub(crate) fn repaired_by_cause(&self) -> BTreeMap<String, usize> {
        count(self.repaired.iter().map(Repair::cause))
    }

    /// How many rows or files were refused, by cause.
    pub(crate) fn refused_by_cause(&self) -> BTreeMap<&'static str, usize> {
        count(self.refused.iter().map(|refusal| refusal.cause.as_str()))
    }
}

/// A piece of a file as a message shows it: quoted, with control characters escaped, and cut when long.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

fn count<C: Ord>(causes: impl Iterator<Item = C>) -> BTreeMap<C, usize> {
    let mut counts = BTreeMap::new();
    for cause in causes {
        *counts.entry(cause).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_reads_as_place_kind_and_message() {
        let refusal = Place::line("deals.csv", 12).refuse(Cause::BadDate, "say when");
        assert_eq!(refusal.to_string(), "deals.csv:12: bad date: say when");
        assert_eq!(Place::file("deals.csv").to_string(), "deals.csv");
    }

    #[test]
    fn what_a_file_says_is_shown_harmless_and_short() {
        assert_eq!(quoted("a\u{1b}[2Jb"), r#""a\u{1b}[2Jb""#);
        assert_eq!(quoted(&"é".repeat(80)), format!("\"{}\"…", "é".repeat(60)));
        assert_eq!(quoted(&"é".repeat(60)), format!("\"{}\"", "é".repeat(60)));
    }
}
