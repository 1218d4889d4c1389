//! What a server answers, in RESP2 and RESP3 (<https://redis.io/docs/latest/develop/reference/protocol-spec/>).

/// 512 MiB: the longest string that Redis keeps. What says that it is longer is no answer of a server.
const MAX_STRING: usize = 512 << 20;

/// 64 KiB: the longest line. What may be longer is a string, which says how long it is.
const MAX_LINE: usize = 64 << 10;

/// 1,048,576: how many answers stand in one at most. Nothing that is asked for here has as many.
const MAX_REPLIES: usize = 1 << 20;

/// How many answers room is made for at once, whatever number is announced.
const ROOM: usize = 128;

/// How deep answers may lie in answers. None that is asked for here has more than three levels.
const MAX_DEPTH: usize = 16;

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Nil,
    /// `+OK`
    Okay,
    Int(i64),
    Bytes(Vec<u8>),
    /// What is meant to be read: any other simple string, a verbatim one, a number that is no integer.
    Text(String),
    Error(Refusal),
    /// An array, a set, or a map with its keys and values in turn.
    Array(Vec<Reply>),
    /// What the server tells without having been asked.
    Push(Vec<Reply>),
}

/// Why a server did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The first word, as `WRONGTYPE`.
    pub(crate) code: String,
    /// All others.
    pub(crate) words: String,
}

impl Refusal {
    fn parse(line: &[u8]) -> Refusal {
        let line = String::from_utf8_lossy(line);
        let (code, words) = line.split_once(' ').unwrap_or((&line, ""));
        Refusal { code: code.to_owned(), words: words.to_owned() }
    }
}

/// Why there is no answer in some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// There may be one when there are so many bytes, or more.
    Until(usize),
    /// They are of no server.
    Garbled,
}

/// Takes the first answer out of these bytes, and tells how many it took.
pub(crate) fn parse(bytes: &[u8]) -> Result<(Reply, usize), Stop> {
    let mut cursor = Cursor { bytes, at: 0 };
    let reply = cursor.reply(0)?;
    Ok((reply, cursor.at))
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn reply(&mut self, depth: usize) -> Result<Reply, Stop> {
        if depth > MAX_DEPTH {
            return Err(Stop::Garbled);
        }
        let line = self.line()?;
        let (kind, line) = line.split_first().ok_or(Stop::Garbled)?;
        Ok(match kind {
            b'$' => match length(line)? {
                Some(length) => Reply::Bytes(self.string(length)?.to_vec()),
                None => Reply::Nil,
            },
            b':' => Reply::Int(integer(line)?),
            b'+' if line == b"OK" => Reply::Okay,
            b'+' | b',' | b'(' => Reply::Text(text(line)),
            b'-' => Reply::Error(Refusal::parse(line)),
            b'*' | b'~' => match length(line)? {
                Some(length) => Reply::Array(self.replies(length, depth)?),
                None => Reply::Nil,
            },
            b'%' => Reply::Array(self.replies(of_pairs(line)?, depth)?),
            b'>' if depth == 0 => Reply::Push(self.replies(length(line)?.ok_or(Stop::Garbled)?, depth)?),
            b'_' => Reply::Nil,
            b'#' => Reply::Int(i64::from(line == b"t")),
            b'=' => {
                // Three letters say what kind of text it is, and a colon ends them.
                let string = self.string(length(line)?.ok_or(Stop::Garbled)?)?;
                Reply::Text(text(string.get(4..).ok_or(Stop::Garbled)?))
            }
            b'!' => Reply::Error(Refusal::parse(self.string(length(line)?.ok_or(Stop::Garbled)?)?)),
            // Words about the answer that follows them.
            b'|' => {
                self.replies(of_pairs(line)?, depth)?;
                self.reply(depth + 1)?
            }
            _ => return Err(Stop::Garbled),
        })
    }

    /// Up to the end of a line, without it.
    fn line(&mut self) -> Result<&'a [u8], Stop> {
        let rest = &self.bytes[self.at..];
        let is_none = rest.first().is_some_and(|kind| !b"$:+-*~%>_#,(=!|".contains(kind));
        if is_none {
            return Err(Stop::Garbled);
        }
        let length = match rest.iter().take(MAX_LINE).position(|byte| *byte == b'\n') {
            Some(length) => length,
            None if rest.len() < MAX_LINE => return Err(Stop::Until(self.bytes.len() + 1)),
            None => return Err(Stop::Garbled),
        };
        self.at += length + 1;
        rest[..length].strip_suffix(b"\r").ok_or(Stop::Garbled)
    }

    /// So many bytes, and the end of the line behind them.
    fn string(&mut self, length: usize) -> Result<&'a [u8], Stop> {
        if length > MAX_STRING {
            return Err(Stop::Garbled);
        }
        let end = self.at + length + 2;
        let string = self.bytes.get(self.at..end).ok_or(Stop::Until(end))?;
        self.at = end;
        string.strip_suffix(b"\r\n").ok_or(Stop::Garbled)
    }

    fn replies(&mut self, count: usize, depth: usize) -> Result<Vec<Reply>, Stop> {
        if count > MAX_REPLIES {
            return Err(Stop::Garbled);
        }
        let mut replies = Vec::with_capacity(count.min(ROOM));
        for _ in 0..count {
            replies.push(self.reply(depth + 1)?);
        }
        Ok(replies)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A length; `None` is that of nothing at all.
fn length(line: &[u8]) -> Result<Option<usize>, Stop> {
    match integer(line)? {
        -1 => Ok(None),
        length => usize::try_from(length).map(Some).map_err(|_negative| Stop::Garbled),
    }
}

/// How many answers stand in so many pairs.
fn of_pairs(line: &[u8]) -> Result<usize, Stop> {
    length(line)?.and_then(|pairs| pairs.checked_mul(2)).ok_or(Stop::Garbled)
}

fn integer(line: &[u8]) -> Result<i64, Stop> {
    let (is_negative, digits) = match line {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return Err(Stop::Garbled);
    }
    let mut number = 0_i64;
    for digit in digits {
        let digit = i64::from(digit.wrapping_sub(b'0'));
        if digit > 9 {
            return Err(Stop::Garbled);
        }
        let digit = if is_negative { -digit } else { digit };
        number = number.checked_mul(10).and_then(|number| number.checked_add(digit)).ok_or(Stop::Garbled)?;
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Reply {
        Reply::Bytes(text.as_bytes().to_vec())
    }

    fn words(text: &str) -> Reply {
        Reply::Text(text.to_owned())
    }

    /// Each kind of answer, as the specification of the protocol writes it.
    fn examples() -> Vec<(&'static [u8], Reply)> {
        let refusal = |code: &str, words: &str| {
            Reply::Error(Refusal { code: code.to_owned(), words: words.to_owned() })
        };
        vec![
            (b"+OK\r\n", Reply::Okay),
            (b"+PONG\r\n", words("PONG")),
            (b"-ERR unknown command 'asdf'\r\n", refusal("ERR", "unknown command 'asdf'")),
            (b"-LOADING\r\n", refusal("LOADING", "")),
            (b"!21\r\nSYNTAX invalid syntax\r\n", refusal("SYNTAX", "invalid syntax")),
            (b":0\r\n", Reply::Int(0)),
            (b":+1000\r\n", Reply::Int(1000)),
            (b":-9223372036854775808\r\n", Reply::Int(i64::MIN)),
            (b":9223372036854775807\r\n", Reply::Int(i64::MAX)),
            (b"$5\r\nhello\r\n", bytes("hello")),
            (b"$0\r\n\r\n", bytes("")),
            (b"$4\r\n\r\n\r\n\r\n", bytes("\r\n\r\n")),
            (b"$-1\r\n", Reply::Nil),
            (b"*-1\r\n", Reply::Nil),
            (b"_\r\n", Reply::Nil),
            (b"#t\r\n", Reply::Int(1)),
            (b"#f\r\n", Reply::Int(0)),
            (b",1.23\r\n", words("1.23")),
            (
                b"(3492890328409238509324850943850943825024385\r\n",
                words("3492890328409238509324850943850943825024385"),
            ),
            (b"=15\r\ntxt:Some string\r\n", words("Some string")),
            (b"*0\r\n", Reply::Array(vec![])),
            (
                b"*3\r\n:1\r\n$-1\r\n*1\r\n+OK\r\n",
                Reply::Array(vec![Reply::Int(1), Reply::Nil, Reply::Array(vec![Reply::Okay])]),
            ),
            (b"~2\r\n$1\r\na\r\n:2\r\n", Reply::Array(vec![bytes("a"), Reply::Int(2)])),
            (b"%1\r\n$5\r\nproto\r\n:3\r\n", Reply::Array(vec![bytes("proto"), Reply::Int(3)])),
            (b"|1\r\n+ttl\r\n:3600\r\n$1\r\na\r\n", bytes("a")),
            (
                b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n",
                Reply::Push(vec![bytes("invalidate"), Reply::Array(vec![bytes("a")])]),
            ),
        ]
    }

    #[test]
    fn every_kind_is_understood_and_takes_its_bytes_and_no_more() {
        for (sent, expected) in examples() {
            let mut followed = sent.to_vec();
            followed.extend(b":17\r\n");
            for all in [sent, &followed] {
                assert_eq!(
                    parse(all),
                    Ok((expected.clone(), sent.len())),
                    "{:?}",
                    String::from_utf8_lossy(sent)
                );
            }
        }
    }

    #[test]
    fn what_is_cut_short_waits_for_the_rest_and_never_for_more_than_there_is() {
        for (sent, _) in examples() {
            for cut in 0..sent.len() {
                match parse(&sent[..cut]) {
                    Err(Stop::Until(least)) => {
                        assert!(cut < least && least <= sent.len(), "{sent:?} at {cut}: {least}")
                    }
                    other => panic!("{sent:?} at {cut}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn what_no_server_says_is_garbled() {
        let deep = [&b"*1\r\n".repeat(MAX_DEPTH + 1)[..], b":1\r\n"].concat();
        let garbled: &[&[u8]] = &[
            b"\r\n",
            b"\n",
            b"HTTP/1.1 4",
            b"*1048577\r\n",
            b"*1\r\n>1\r\n$1\r\na\r\n",
            b":\r\n",
            b":-\r\n",
            b":1x\r\n",
            b":1\n",
            b":9223372036854775808\r\n",
            b"$-2\r\n",
            b"$3\r\nabcd\r\n",
            b"$536870913\r\n",
            b"*-2\r\n",
            b"%-1\r\n",
            b">-1\r\n",
            b"=3\r\ntxt\r\n",
            b"!-1\r\n",
            &deep,
        ];
        for bytes in garbled {
            assert_eq!(parse(bytes), Err(Stop::Garbled), "{:?}", String::from_utf8_lossy(bytes));
        }
        // No room is made for what is only announced.
        assert_eq!(parse(b"*1048576\r\n"), Err(Stop::Until(11)));
        let long = [b"+", &b"x".repeat(MAX_LINE)[..]].concat();
        assert_eq!(parse(&long[..MAX_LINE - 1]), Err(Stop::Until(MAX_LINE)));
        assert_eq!(parse(&long), Err(Stop::Garbled));
    }
}
