//! What is noted in a Redis: of which record it has heard, and up to where.

use crate::cursor::Position;

/// Every change of this record that stands before the position has been executed there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Watermark {
    pub(crate) identity: String,
    /// Where the database had recovered from its last crash: after another one, positions are given once more.
    pub(crate) recovered: String,
    pub(crate) position: Position,
}

/// What it begins with: another form would be another version.
const VERSION: &str = "1";

impl Watermark {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        format!("{VERSION} {} {} {}", self.identity, self.recovered, self.position).into_bytes()
    }

    pub(crate) fn parse(bytes: &[u8]) -> Option<Watermark> {
        let parts: Vec<&str> = str::from_utf8(bytes).ok()?.split(' ').collect();
        let [VERSION, identity, recovered, position] = parts[..] else { return None };
        let position = position.parse().ok()?;
        Some(Watermark { identity: identity.to_owned(), recovered: recovered.to_owned(), position })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_read_back_and_nothing_else_is() {
        let mark = Watermark { identity: "ab12".to_owned(), recovered: "0/15D5A48".to_owned(), position: 77 };
        assert_eq!(mark.to_bytes(), b"1 ab12 0/15D5A48 77");
        assert_eq!(Watermark::parse(b"1 ab12 0/15D5A48 77"), Some(mark));
        for wrong in [&b""[..], b"1 ab12 -", b"2 ab12 - 77", b"1 ab12 - -1", b"1 ab12 - 77 8", b"\xff"] {
            assert_eq!(Watermark::parse(wrong), None);
        }
    }
}
