//! One connection as a stream of commands and of answers, in the order of the commands.
//!
//! Any number of callers share it. One task writes what they send, reads what comes, and hands out the answers; what the server tells
//! unasked it acts on at its place between them. Written here and not taken from the client library, whose parser is made for any
//! kind of stream: that was a quarter of what a read cost under load (`docs/decisions/0019-a-connection-of-our-own.md`).

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use redis::{Cmd, Pipeline};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, WriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::reply::{Reply, Stop, parse};
use super::trouble::Trouble;

/// 64 KiB: how much is read at a time, at least.
const READ_BYTES: usize = 64 << 10;

/// 1 MiB: how much more room is made at once for an answer that says how long it is. What it said need not be true.
const MOST_ROOM: usize = 1 << 20;

/// What a connection goes over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// What a connection is told besides answers.
#[derive(Debug)]
pub(crate) enum Told {
    /// By the server.
    Push(Vec<Reply>),
    /// The connection has ended.
    Over,
}

/// Hears what a connection is told, in the task that reads it.
pub(crate) type Hear = Box<dyn Fn(Told) + Send + Sync>;

/// A connection. It ends with the last clone, or when the server ends it, or says what no server says.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    requests: mpsc::UnboundedSender<Request>,
    /// What writes and reads.
    _task: Arc<JoinSet<()>>,
}

/// What a caller sends, and how many answers there are to it. It may hold a password.
struct Request {
    bytes: Vec<u8>,
    wanted: usize,
    answer: oneshot::Sender<Result<Vec<Reply>, Trouble>>,
}

/// A request that was sent, with the answers that have come.
#[derive(Debug)]
struct UnderWay {
    replies: Vec<Reply>,
    wanted: usize,
    answer: oneshot::Sender<Result<Vec<Reply>, Trouble>>,
}

impl Wire {
    /// To be called within a runtime, which runs its task.
    pub(crate) fn over(stream: Box<dyn Stream>, hear: Hear) -> Wire {
        let (requests, mut received) = mpsc::unbounded_channel();
        let mut task = JoinSet::new();
        let over = Over(hear); // also if it is never run
        task.spawn(async move {
            let mut reading = Reading::default();
            let trouble = serve(stream, &mut received, &mut reading, &over.0).await;
            drop(over); // before anybody is told
            for UnderWay { answer, .. } in reading.under_way {
                answer.send(Err(trouble.clone())).ok(); // whoever asked may have gone
            }
        });
        Wire { requests, _task: Arc::new(task) }
    }

    /// Sends commands in one go, and answers what the server said to each, errors among it: as many as there are commands.
    ///
    /// # Cancel safety
    /// Dropped, the commands may be executed or not.
    pub(crate) async fn send(&self, commands: &Pipeline) -> Result<Vec<Reply>, Trouble> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let (answer, answered) = oneshot::channel();
        let request = Request { bytes: commands.get_packed_pipeline(), wanted: commands.len(), answer };
        self.requests.send(request).map_err(|_ended| ended())?;
        answered.await.unwrap_or_else(|_ended| Err(ended()))
    }

    /// Sends one command, and answers what the server said, an error too.
    ///
    /// # Cancel safety
    /// Dropped, it may be executed or not.
    pub(crate) async fn ask(&self, command: Cmd) -> Result<Reply, Trouble> {
        let mut commands = Pipeline::with_capacity(1);
        commands.add_command(command);
        self.send(&commands).await?.pop().ok_or(Trouble::Garbled)
    }
}

fn ended() -> Trouble {
    Trouble::Lost("it has ended".to_owned())
}

/// Says that a connection is over, also where its task is dropped with its runtime.
struct Over(Hear);

impl Drop for Over {
    fn drop(&mut self) {
        (self.0)(Told::Over);
    }
}

/// Writes and reads until the connection ends, and tells why. While it waits to write it goes on reading, so that a server that
/// waits for its answers to be read is not waited for.
async fn serve(
    stream: Box<dyn Stream>,
    requests: &mut mpsc::UnboundedReceiver<Request>,
    reading: &mut Reading,
    hear: &Hear,
) -> Trouble {
    let lost = |error: io::Error| Trouble::Lost(error.to_string());
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut writing = Writing { output: BytesMut::new(), is_over: true };
    loop {
        tokio::select! {
            biased; // so that all that is sent now leaves together
            request = requests.recv() => {
                let Some(request) = request else { return ended() };
                writing.add(&request.bytes);
                reading.expect(request);
            }
            step = writing.step(&mut writer), if !writing.is_over => if let Err(error) = step { return lost(error) },
            read = reader.read_buf(&mut reading.input) => match read {
                Ok(0) => return Trouble::Lost("the server closed it".to_owned()),
                Ok(_) => if let Err(trouble) = reading.hand_out(hear) { return trouble },
                Err(error) => return lost(error),
            },
        }
    }
}

/// What is still to be written.
struct Writing {
    output: BytesMut,
    is_over: bool,
}

impl Writing {
    fn add(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
        self.is_over = false;
    }

    /// Takes one step. The last is to ask for what TLS has kept back.
    ///
    /// # Cancel safety
    /// What was not written is still there.
    async fn step(&mut self, writer: &mut WriteHalf<Box<dyn Stream>>) -> io::Result<()> {
        if !self.output.is_empty() {
            match writer.write(&self.output).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => self.output.advance(written), // its room is taken again by what is added
            }
            return Ok(());
        }
        writer.flush().await?;
        self.is_over = true;
        if self.output.capacity() > MOST_ROOM {
            self.output = BytesMut::new(); // what one large request took is not kept
        }
        Ok(())
    }
}

/// What was read and not yet handed out, and who waits for it.
#[derive(Default)]
struct Reading {
    input: BytesMut,
    /// How many bytes there have to be for another answer.
    needed: usize,
    under_way: VecDeque<UnderWay>,
}

impl Reading {
    /// Notes who waits for what is about to be sent.
    fn expect(&mut self, Request { wanted, answer, .. }: Request) {
        self.under_way.push_back(UnderWay { replies: Vec::with_capacity(wanted), wanted, answer });
    }

    /// Hands out all answers that are there in whole, and makes room for more.
    fn hand_out(&mut self, hear: &Hear) -> Result<(), Trouble> {
        while self.input.len() >= self.needed {
            match parse(&self.input) {
                Ok((reply, bytes)) => {
                    self.input.advance(bytes);
                    self.needed = 1;
                    self.take(reply, hear)?;
                }
                Err(Stop::Until(needed)) => self.needed = needed,
                Err(Stop::Garbled) => return Err(Trouble::Garbled),
            }
        }
        if self.input.is_empty() && self.input.capacity() > MOST_ROOM {
            self.input = BytesMut::new(); // what one large answer took is not kept
        }
        self.input.reserve((self.needed - self.input.len()).clamp(READ_BYTES, MOST_ROOM));
        Ok(())
    }

    fn take(&mut self, reply: Reply, hear: &Hear) -> Result<(), Trouble> {
        if let Reply::Push(told) = reply {
            hear(Told::Push(told));
            return Ok(());
        }
        let first = self.under_way.front_mut().ok_or(Trouble::Garbled)?;
        first.replies.push(reply);
        if first.replies.len() == first.wanted
            && let Some(UnderWay { replies, answer, .. }) = self.under_way.pop_front()
        {
            answer.send(Ok(replies)).ok(); // whoever asked may have gone
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use tokio::io::DuplexStream;

    use super::super::reply::Refusal;
    use super::*;

    /// A connection to this test, which is the server, and what was heard over it.
    fn wire(room: usize) -> (Wire, DuplexStream, Arc<Mutex<Vec<String>>>) {
        let (ours, theirs) = tokio::io::duplex(room);
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&heard);
        let wire = Wire::over(Box::new(ours), Box::new(move |told| hears.lock().push(format!("{told:?}"))));
        (wire, theirs, heard)
    }

    fn gets(keys: &[&str]) -> Pipeline {
        let mut commands = Pipeline::new();
        for key in keys {
            commands.cmd("GET").arg(*key);
        }
        commands
    }

    /// The commands that these keys are asked for with, as the server reads them.
    async fn read(server: &mut DuplexStream, keys: &[&str]) {
        let expected = gets(keys).get_packed_pipeline();
        let mut sent = vec![0; expected.len()];
        server.read_exact(&mut sent).await.expect("they come");
        assert_eq!(sent, expected);
    }

    fn bytes(text: &str) -> Reply {
        Reply::Bytes(text.as_bytes().to_vec())
    }

    #[test]
    fn answers_go_to_who_asked_in_the_order_of_the_questions_however_they_are_cut() {
        testkit::run(async {
            let (wire, mut server, heard) = wire(1 << 16);
            let (first, second) = (gets(&["a", "b"]), gets(&["c"]));
            let serving = async {
                read(&mut server, &["a", "b"]).await;
                read(&mut server, &["c"]).await;
                let said =
                    b"$1\r\n1\r\n>2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nc\r\n-WRONGTYPE of b\r\n$-1\r\n";
                for byte in said {
                    server.write_all(&[*byte]).await.expect("it is read");
                }
            };
            let (first, second, ()) = tokio::join!(wire.send(&first), wire.send(&second), serving);
            let refusal = Reply::Error(Refusal { code: "WRONGTYPE".to_owned(), words: "of b".to_owned() });
            assert_eq!((first, second), (Ok(vec![bytes("1"), refusal]), Ok(vec![Reply::Nil])));
            assert_eq!(heard.lock().len(), 1, "{heard:?}");
            assert_eq!(wire.send(&Pipeline::new()).await, Ok(vec![]), "nothing is asked");
        });
    }

    #[test]
    fn what_is_told_before_an_answer_is_acted_on_before_it_is_handed_out() {
        let (answer, answered) = oneshot::channel();
        let answered = Mutex::new(answered);
        let hear: Hear = Box::new(move |told| {
            let answer = answered.lock().try_recv();
            assert_eq!(answer.ok().is_some(), matches!(told, Told::Over), "{told:?}");
        });
        let mut reading = Reading::default();
        reading.expect(Request { bytes: Vec::new(), wanted: 1, answer });
        reading.input.extend_from_slice(b">1\r\n$1\r\na\r\n:1\r\n");
        reading.hand_out(&hear).expect("it is in order");
        hear(Told::Over);
    }

    #[test]
    fn an_answer_is_read_while_there_is_more_to_write_than_the_server_takes() {
        testkit::run(async {
            let (wire, mut server, _) = wire(64); // bytes that either side leaves unread
            let (long, value) = ("k".repeat(10_000), "v".repeat(100_000));
            let first = gets(&["a"]);
            let asking = async {
                let second = gets(&[&long]);
                tokio::join!(wire.send(&first), wire.send(&second))
            };
            let serving = async {
                read(&mut server, &["a"]).await;
                // It reads on only when its answer was taken, as a proxy might.
                server
                    .write_all(format!("${}\r\n{value}\r\n", value.len()).as_bytes())
                    .await
                    .expect("it is read");
                read(&mut server, &[&long]).await;
                server.write_all(b"_\r\n").await.expect("it is read");
            };
            let ((first, second), ()) = tokio::join!(asking, serving);
            assert_eq!((first, second), (Ok(vec![bytes(&value)]), Ok(vec![Reply::Nil])));
        });
    }

    #[test]
    fn what_was_written_takes_no_room_while_there_is_always_more() {
        testkit::run(async {
            let (ours, theirs) = tokio::io::duplex(1 << 20);
            let (_unread, mut writer) = tokio::io::split(Box::new(ours) as Box<dyn Stream>);
            let (mut unwritten, mut server) = tokio::io::split(theirs);
            let mut writing = Writing { output: BytesMut::new(), is_over: true };
            let request = vec![b'x'; 200 << 10];
            writing.add(&request);
            for _ in 0..100 {
                writing.add(&request);
                writing.step(&mut writer).await.expect("it is open");
                let mut read = vec![0; 200 << 10];
                unwritten.read_exact(&mut read).await.expect("it was written");
            }
            assert!(writing.output.capacity() <= 1 << 21, "{} bytes", writing.output.capacity());
            server.shutdown().await.expect("it is open");
        });
    }

    #[test]
    fn whoever_goes_away_leaves_the_answers_of_others_to_them() {
        testkit::run(async {
            let (wire, mut server, _) = wire(1 << 16);
            let (first, second) = (gets(&["a", "b"]), gets(&["c"]));
            let mut gone = Box::pin(wire.send(&first));
            assert!(futures_util::poll!(&mut gone).is_pending());
            drop(gone);
            let serving = async {
                read(&mut server, &["a", "b"]).await;
                read(&mut server, &["c"]).await;
                server.write_all(b":1\r\n:2\r\n:3\r\n").await.expect("it is read");
            };
            let (third, ()) = tokio::join!(wire.send(&second), serving);
            assert_eq!(third, Ok(vec![Reply::Int(3)]));
        });
    }

    /// Whoever waits is told that the connection ended, and so is whoever hears, and whoever comes later.
    #[test]
    fn a_connection_that_ends_is_over_for_everybody() {
        testkit::run(async {
            let ends: [(&[u8], bool); 4] = [
                (b"", false),
                (b":1\r\n", false),
                (b"HTTP/1.1 400 Bad Request\r\n", true),
                (b":1\r\n:2\r\n:3\r\n", true), // one more than was asked for
            ];
            for (said, is_garbled) in ends {
                let (wire, mut server, heard) = wire(1 << 16);
                let asked = gets(&["a", "b"]);
                let serving = async {
                    read(&mut server, &["a", "b"]).await;
                    server.write_all(said).await.expect("it is read");
                    if !is_garbled {
                        server.shutdown().await.expect("it is open");
                    }
                };
                let (answer, ()) = tokio::join!(wire.send(&asked), serving);
                let words = String::from_utf8_lossy(said);
                match answer {
                    Ok(answers) => {
                        assert!(said.ends_with(b":3\r\n") && answers.len() == 2, "{words}: {answers:?}")
                    }
                    Err(trouble) => {
                        assert_eq!(trouble == Trouble::Garbled, is_garbled, "{words}: {trouble:?}")
                    }
                }
                assert!(matches!(wire.send(&asked).await, Err(Trouble::Lost(_))), "{words}");
                assert_eq!(*heard.lock(), ["Over"], "{words}");
            }
        });
    }

    #[test]
    fn the_last_clone_ends_a_connection() {
        testkit::run(async {
            let (wire, mut server, _) = wire(1 << 16);
            let other = wire.clone();
            drop(wire);
            let asked = gets(&["a"]);
            let serving = async {
                read(&mut server, &["a"]).await;
                server.write_all(b"_\r\n").await.expect("it is read");
            };
            assert_eq!(tokio::join!(other.send(&asked), serving).0, Ok(vec![Reply::Nil]));
            drop(other);
            assert_eq!(server.read(&mut [0]).await.expect("it ends well"), 0);
        });
    }

    #[test]
    fn a_runtime_that_ends_ends_its_connections() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (wire, _server, heard) = runtime.block_on(async { wire(64) });
        drop(runtime);
        assert_eq!(*heard.lock(), ["Over"]);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        assert!(matches!(runtime.block_on(wire.send(&gets(&["a"]))), Err(Trouble::Lost(_))));
    }
}
