//! What is noted in a Redis: of which record it has heard, and up to where.

use crate::cursor::Position;

/// Every change of this record that stands before the position has been executed there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Watermark {
    pub(crate) identity: String,
    pub(crate) position: Position,
}

/// What it begins with: another form would be another version.
const VERSION: &str = "1";

impl Watermark {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        format!("{VERSION} {} {}", self.identity, self.position).into_bytes()
    }

    pub(crate) fn parse(bytes: &[u8]) -> Option<Watermark> {
        let mut parts = str::from_utf8(bytes).ok()?.splitn(3, ' ');
        let (VERSION, identity, position) = (parts.next()?, parts.next()?, parts.next()?) else {
            return None;
        };
        Some(Watermark { identity: identity.to_owned(), position: position.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_read_back_and_nothing_else_is() {
        let mark = Watermark { identity: "ab12".to_owned(), position: 77 };
        assert_eq!(mark.to_bytes(), b"1 ab12 77");
        assert_eq!(Watermark::parse(b"1 ab12 77"), Some(mark));
        for wrong in [&b""[..], b"1 ab12", b"2 ab12 77", b"1 ab12 -1", b"1 ab12 77 8", b"\xff"] {
            assert_eq!(Watermark::parse(wrong), None);
        }
    }
}
