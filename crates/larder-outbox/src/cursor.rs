//! Up to where the record was read.

use std::str::FromStr;

use crate::dialect::Dialect;

/// Where a row stands in the history of commits: its number in SQLite, its transaction in PostgreSQL.
pub(crate) type Position = u64;

/// What was seen: all rows below a number, or all that a snapshot sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cursor {
    /// The first number that was not seen.
    Number(u64),
    /// Transactions below `min` have ended. From `max` on none had begun; between them, `running` had not ended.
    Snapshot { min: u64, max: u64, running: Vec<u64> },
}

impl Cursor {
    /// Reads what a database says; `None` if it is no cursor of its kind.
    pub(crate) fn parse(dialect: &Dialect, text: &str) -> Option<Cursor> {
        if dialect.counts {
            return text.parse().ok().map(Cursor::Number);
        }
        let mut parts = text.split(':');
        let (min, max, running) = (parts.next()?, parts.next()?, parts.next()?);
        let running = running.split(',').filter(|xid| !xid.is_empty()).map(u64::from_str);
        let (min, max) = (min.parse().ok()?, max.parse().ok()?);
        Some(Cursor::Snapshot { min, max, running: running.collect::<Result<_, _>>().ok()? })
    }

    /// All rows at lower positions were seen, and none that is committed later stands at one.
    pub(crate) fn horizon(&self) -> Position {
        match self {
            Cursor::Number(next) => *next,
            Cursor::Snapshot { min, .. } => *min,
        }
    }

    /// No row that was seen stands there or beyond.
    pub(crate) fn end(&self) -> Position {
        match self {
            Cursor::Number(next) => *next,
            Cursor::Snapshot { max, .. } => *max,
        }
    }

    /// The arguments of [`Dialect::tail`].
    pub(crate) fn tail_arguments(&self, dialect: &Dialect) -> Vec<String> {
        match self {
            Cursor::Number(next) => vec![next.to_string()],
            Cursor::Snapshot { max, running, .. } => {
                vec![max.to_string(), dialect.list(running.iter().copied())]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{POSTGRES, SQLITE};

    #[test]
    fn a_snapshot_is_read_as_postgresql_writes_it() {
        let cursor = Cursor::parse(&POSTGRES, "10:20:10,14,15").unwrap();
        assert_eq!(cursor, Cursor::Snapshot { min: 10, max: 20, running: vec![10, 14, 15] });
        assert_eq!((cursor.horizon(), cursor.end()), (10, 20));
        assert_eq!(cursor.tail_arguments(&POSTGRES), ["20", "{10,14,15}"]);
        let quiet = Cursor::parse(&POSTGRES, "20:20:").unwrap();
        assert_eq!(quiet.tail_arguments(&POSTGRES), ["20", "{}"]);
        for wrong in ["", "10", "10:20", "a:b:", "10:20:x"] {
            assert_eq!(Cursor::parse(&POSTGRES, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_number_is_all_that_sqlite_needs() {
        let cursor = Cursor::parse(&SQLITE, "7").unwrap();
        assert_eq!((cursor.horizon(), cursor.end()), (7, 7));
        assert_eq!(cursor.tail_arguments(&SQLITE), ["7"]);
        assert_eq!(Cursor::parse(&SQLITE, "7:8:"), None);
    }
}
