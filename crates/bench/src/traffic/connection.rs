//! One connection of HTTP/1.1 that is kept, with no more between the load and the server than it takes: the client shares the cores
//! with what it measures.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::Failure;

/// Headers that an answer may have: twice as many as any of the servers sends.
const MAX_HEADERS: usize = 32;

/// 64 KiB: room for the longest answer, so that it seldom grows.
const BUFFER_BYTES: usize = 64 << 10;

/// 30 s: as long as an answer may take.
const LIMIT: Duration = Duration::from_secs(30);

/// A connection to one server.
pub(super) struct Connection {
    stream: TcpStream,
    /// What has arrived: the answer, once it is whole.
    buffer: BytesMut,
    /// The length of the answer that was given out last.
    answered: usize,
}

/// The head of an answer, as far as it is of interest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Head {
    length: usize,
    body_length: usize,
    status: u16,
    queries: u64,
    is_copy: bool,
    is_pending: bool,
    says_when: bool,
}

/// An answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    /// How many SQL statements it took, where the server says so.
    pub(super) queries: u64,
    /// Whether it came from a copy in the process, where the server says so.
    pub(super) is_copy: bool,
    /// Whether it is a change that is certain, but that not every cache has heard of yet.
    pub(super) is_pending: bool,
    /// Whether it says when to ask again.
    pub(super) says_when: bool,
    pub(super) body: &'a [u8],
}

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: BytesMut::with_capacity(BUFFER_BYTES), answered: 0 })
    }

    /// Sends a request, and waits for its answer.
    pub(super) async fn ask(&mut self, request: &[u8]) -> Result<Answer<'_>, Failure> {
        self.buffer.advance(self.answered);
        self.answered = 0;
        let head = timeout(LIMIT, self.exchange(request)).await;
        let head = head.map_err(|_elapsed| format!("no answer within {LIMIT:?}"))??;
        let Head { length, body_length, status, queries, is_copy, is_pending, says_when } = head;
        self.answered = length + body_length;
        let body = &self.buffer[length..self.answered];
        Ok(Answer { status, queries, is_copy, is_pending, says_when, body })
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<Head, Failure> {
        self.stream.write_all(request).await?;
        let mut head = None;
        loop {
            self.buffer.reserve(BUFFER_BYTES / 4);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the server has closed the connection".into());
            }
            if head.is_none() {
                head = parse(&self.buffer)?;
            }
            if let Some(head) = head.filter(|head| self.buffer.len() >= head.length + head.body_length) {
                return Ok(head);
            }
        }
    }
}

/// The head of an answer; nothing while it is not whole.
fn parse(bytes: &[u8]) -> Result<Option<Head>, Failure> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(bytes)? else { return Ok(None) };
    let mut head = Head { length, status: response.code.unwrap_or_default(), ..Head::default() };
    let mut body_length = None;
    for header in response.headers {
        let number = || std::str::from_utf8(header.value).ok().and_then(|value| value.parse().ok());
        if header.name.eq_ignore_ascii_case("content-length") {
            body_length = number();
        } else if header.name.eq_ignore_ascii_case("x-db-queries") {
            head.queries = number().unwrap_or_default() as u64;
        } else if header.name.eq_ignore_ascii_case("x-cache") {
            head.is_copy = header.value == b"hit-local";
        } else if header.name.eq_ignore_ascii_case("x-acknowledged") {
            head.is_pending = header.value != b"applied";
        } else if header.name.eq_ignore_ascii_case("retry-after") {
            head.says_when = true;
        }
    }
    head.body_length = body_length.ok_or("an answer does not say how long it is")?;
    Ok(Some(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_how_long_the_answer_is_and_what_it_took() {
        let head =
            b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nx-db-queries: 3\r\nx-cache: hit-local\r\nx-acknowledged: durable\r\nretry-after: 1\r\n\r\n{}";
        let parsed = parse(head).expect("it is an answer").expect("it is whole");
        let expected = Head {
            length: head.len() - 2,
            body_length: 12,
            status: 200,
            queries: 3,
            is_copy: true,
            is_pending: true,
            says_when: true,
        };
        assert_eq!(parsed, expected);
        assert_eq!(parse(&head[..40]).expect("it is the beginning of one"), None);
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err() && parse(b"nonsense\r\n\r\n").is_err());
    }

    #[tokio::test]
    async fn answers_are_told_apart_however_they_arrive() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let server = async {
            let (mut stream, _) = listener.accept().await.expect("a client comes");
            let mut request = [0; 3];
            for parts in [
                ["HTTP/1.1 200 OK\r\ncontent-le", "ngth: 5\r\n\r\nhe", "llo"],
                ["HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "", ""],
            ] {
                stream.read_exact(&mut request).await.expect("a request comes");
                for part in parts {
                    stream.write_all(part.as_bytes()).await.expect("the client reads");
                    stream.flush().await.expect("the client reads");
                    tokio::task::yield_now().await;
                }
            }
        };
        let client = async {
            let mut connection = Connection::open(address).await.expect("the server listens");
            let answer = connection.ask(b"one").await.expect("it answers");
            assert_eq!((answer.status, answer.body), (200, &b"hello"[..]));
            let answer = connection.ask(b"two").await.expect("it answers");
            assert_eq!((answer.status, answer.body), (404, &b""[..]));
        };
        tokio::join!(server, client);
    }
}
