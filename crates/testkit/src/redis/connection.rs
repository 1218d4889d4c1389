//! A connection to Redis that owes nothing to the library under test.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::reply::Reply;
use crate::wait::PATIENCE;

/// A plain connection that sends one command and reads its answer, as often as you like.
///
/// For what one connection must see: `AUTH`, `SELECT`, `MULTI`, `CLIENT ID`; or to look through a proxy.
/// [`RedisServer::command`](super::RedisServer::command) opens one for each command.
pub struct Connection {
    stream: Box<dyn Stream>,
    /// What was read and is not yet a whole answer.
    buffer: Vec<u8>,
}

/// A socket of either kind.
trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl Stream for TcpStream {}
impl Stream for UnixStream {}

impl Connection {
    /// Connects over TCP: to a server, or to a proxy in front of it.
    ///
    /// # Errors
    ///
    /// If nobody accepts, also not within 20 s.
    ///
    /// # Cancel safety
    ///
    /// Dropping it leaves no connection.
    pub async fn to(address: SocketAddr) -> io::Result<Self> {
        let stream = within(TcpStream::connect(address)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: Box::new(stream), buffer: Vec::new() })
    }

    /// Connects to a socket in the file system.
    pub(crate) async fn to_socket(path: &Path) -> io::Result<Self> {
        let stream = within(UnixStream::connect(path)).await?;
        Ok(Self { stream: Box::new(stream), buffer: Vec::new() })
    }

    /// Sends a command, each word of it as it is, and returns the answer. An error of Redis is an answer.
    ///
    /// # Errors
    ///
    /// If the connection breaks, what comes is not RESP2, or nothing comes for 20 s.
    ///
    /// # Cancel safety
    ///
    /// The command may have been executed, and its answer comes in place of the next one's: drop the connection too.
    pub async fn command<W: AsRef<[u8]> + Sync>(&mut self, words: &[W]) -> io::Result<Reply> {
        let request = encode(words);
        within(async {
            self.stream.write_all(&request).await?;
            self.read().await
        })
        .await
    }

    /// Reads an answer that nobody asked for just now, as after `SUBSCRIBE`, or after more than one
    /// command was [sent](Connection::send).
    ///
    /// # Errors
    ///
    /// If the connection breaks, what comes is not RESP2, or nothing comes for 20 s.
    ///
    /// # Cancel safety
    ///
    /// What has been read of the answer is kept for the next call.
    pub async fn receive(&mut self) -> io::Result<Reply> {
        within(self.read()).await
    }

    /// Sends a command and does not wait for its answer.
    ///
    /// # Errors
    ///
    /// If the connection breaks.
    ///
    /// # Cancel safety
    ///
    /// A part of the command may have been sent: drop the connection too.
    pub async fn send<W: AsRef<[u8]> + Sync>(&mut self, words: &[W]) -> io::Result<()> {
        let request = encode(words);
        within(self.stream.write_all(&request)).await
    }

    async fn read(&mut self) -> io::Result<Reply> {
        loop {
            if let Some((reply, length)) = Reply::parse(&self.buffer)? {
                self.buffer.drain(..length);
                return Ok(reply);
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "Redis closed the connection"));
            }
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("unread_bytes", &self.buffer.len()).finish_non_exhaustive()
    }
}

/// A command in the protocol's form: an array of bulk strings.
fn encode<W: AsRef<[u8]>>(words: &[W]) -> Vec<u8> {
    let mut request = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        let word = word.as_ref();
        request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        request.extend_from_slice(word);
        request.extend_from_slice(b"\r\n");
    }
    request
}

async fn within<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(elapsed) => Err(io::Error::new(io::ErrorKind::TimedOut, elapsed)),
    }
}
