//! What Redis answers, in RESP2, the protocol in which every Redis and Valkey answers unless asked otherwise.
//! The format: <https://redis.io/docs/latest/develop/reference/protocol-spec/>.

use std::io;

/// One answer of Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// There is no such thing.
    Nil,
    /// A number.
    Int(i64),
    /// A word such as `OK` or `PONG`.
    Status(String),
    /// An error: its code and its sentence, as in `OOM command not allowed …`.
    Error(String),
    /// Bytes.
    Bulk(Vec<u8>),
    /// Several answers in one.
    Array(Vec<Reply>),
}

impl Reply {
    /// Whether it is `OK`.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Status(word) if word == "OK")
    }

    /// Whether there is no such thing.
    #[must_use]
    pub fn is_nil(&self) -> bool {
        *self == Self::Nil
    }

    /// The error, if it is one that starts with `code`: `OOM`, `NOPERM`, `WRONGPASS`.
    #[must_use]
    pub fn is_error(&self, code: &str) -> bool {
        matches!(self, Self::Error(text) if text.split(' ').next() == Some(code))
    }

    /// The number.
    ///
    /// # Panics
    ///
    /// If it is anything else.
    #[must_use]
    pub fn int(&self) -> i64 {
        match self {
            Self::Int(number) => *number,
            other => panic!("not a number: {other:?}"),
        }
    }

    /// The bytes, or the word, as text; bytes that are not UTF-8 are shown as `�`.
    ///
    /// # Panics
    ///
    /// If it is anything else.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Self::Status(word) => word.clone(),
            other => panic!("not text: {other:?}"),
        }
    }

    /// The bytes.
    ///
    /// # Panics
    ///
    /// If it is anything else.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Bulk(bytes) => bytes,
            other => panic!("not bytes: {other:?}"),
        }
    }

    /// The answers in it.
    ///
    /// # Panics
    ///
    /// If it is anything else.
    #[must_use]
    pub fn array(&self) -> &[Reply] {
        match self {
            Self::Array(replies) => replies,
            other => panic!("not an array: {other:?}"),
        }
    }

    /// Reads one answer from the start of `bytes`: the answer and its length, or nothing if more has to come.
    ///
    /// # Errors
    ///
    /// If that is not RESP2.
    pub(crate) fn parse(bytes: &[u8]) -> io::Result<Option<(Self, usize)>> {
        let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else {
            return match bytes.first() {
                Some(b'+' | b'-' | b':' | b'$' | b'*') | None => Ok(None),
                Some(_) => Err(invalid(bytes)),
            };
        };
        let line = std::str::from_utf8(&bytes[..end]).map_err(|_not_utf8| invalid(bytes))?;
        let (kind, rest) = line.split_at_checked(1).ok_or_else(|| invalid(bytes))?;
        let start = end + 2;
        let number = || rest.parse::<i64>().map_err(|_not_a_number| invalid(bytes));
        Ok(match kind {
            "+" => Some((Self::Status(rest.to_owned()), start)),
            "-" => Some((Self::Error(rest.to_owned()), start)),
            ":" => Some((Self::Int(number()?), start)),
            "$" | "*" if rest == "-1" => Some((Self::Nil, start)),
            "$" => {
                let end = start + usize::try_from(number()?).map_err(|_negative| invalid(bytes))?;
                let body = bytes.get(start..end).filter(|_| bytes.len() >= end + 2);
                body.map(|body| (Self::Bulk(body.to_vec()), end + 2))
            }
            "*" => {
                let mut at = start;
                let mut replies = Vec::new();
                for _ in 0..number()? {
                    let Some((reply, length)) = Self::parse(&bytes[at..])? else { return Ok(None) };
                    replies.push(reply);
                    at += length;
                }
                Some((Self::Array(replies), at))
            }
            _ => return Err(invalid(bytes)),
        })
    }
}

/// How much of what is not RESP2 an error shows: 40 bytes, enough to recognise it.
const SHOWN_BYTES: usize = 40;

fn invalid(bytes: &[u8]) -> io::Error {
    let shown = bytes[..bytes.len().min(SHOWN_BYTES)].escape_ascii();
    io::Error::new(io::ErrorKind::InvalidData, format!("not an answer of Redis: {shown}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_answer_is_read() {
        let bulk = |text: &str| Reply::Bulk(text.into());
        for (bytes, reply) in [
            ("+OK\r\n", Reply::Status("OK".to_owned())),
            ("-OOM no\r\n", Reply::Error("OOM no".to_owned())),
            (":-7\r\n", Reply::Int(-7)),
            ("$-1\r\n", Reply::Nil),
            ("*-1\r\n", Reply::Nil),
            ("$0\r\n\r\n", bulk("")),
            ("$4\r\na\r\nb\r\n", bulk("a\r\nb")),
            ("*0\r\n", Reply::Array(vec![])),
            (
                "*2\r\n$1\r\na\r\n*1\r\n:1\r\n",
                Reply::Array(vec![bulk("a"), Reply::Array(vec![Reply::Int(1)])]),
            ),
        ] {
            let more = [bytes.as_bytes(), b"+NEXT\r\n"].concat();
            assert_eq!(Reply::parse(&more).unwrap(), Some((reply, bytes.len())), "{bytes:?}");
            for cut in 0..bytes.len() {
                assert_eq!(Reply::parse(&bytes.as_bytes()[..cut]).unwrap(), None, "{:?}", &bytes[..cut]);
            }
        }
    }

    #[test]
    fn what_is_not_an_answer_is_an_error_at_its_first_byte() {
        for bytes in [&b"\xd4"[..], b"HTTP/1.1 400\r\n", b"\r\n", b":one\r\n", b"$-2\r\n", b"$x\r\n"] {
            let error = Reply::parse(bytes).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{}", bytes.escape_ascii());
        }
    }
}
