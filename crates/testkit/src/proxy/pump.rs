//! One connection: bytes from the client to the server, and answers back.

use std::future::pending;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::State;
use super::fault::{Direction, Faults, Flow};

/// How much is read at once: 16 KB, what a socket usually has.
const CHUNK_BYTES: usize = 16 * 1024;

/// How many pieces may be under way in one direction: 1024, up to 16 MB. Beyond it a delay also narrows the way;
/// no test sends that much within a delay.
const UNDER_WAY: usize = 1024;

/// How long the server may take to accept: 5 s. On one machine it does so at once, or refuses.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A piece of the flow, and when it is to arrive.
type Piece = (Instant, Vec<u8>);

/// Runs a connection until both sides have closed it, one of them broke, or it is cut.
pub(crate) async fn run(client: TcpStream, state: &State, number: u64) {
    let mut faults = state.faults.subscribe();
    tokio::select! {
        _ended = connect(client, state) => {} // how a connection broke concerns its two sides only
        _cut = faults.wait_for(|faults| number < faults.cut_below) => {}
    }
}

async fn connect(client: TcpStream, state: &State) -> io::Result<()> {
    if state.faults.borrow().is_silent() {
        return swallow_for_ever(client).await;
    }
    let server = *state.server.lock();
    let server = timeout(CONNECT_LIMIT, TcpStream::connect(server)).await??;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::try_join!(
        flow(Direction::ToServer, from_client, to_server, state.faults.subscribe()),
        flow(Direction::ToClient, from_server, to_client, state.faults.subscribe()),
    )?;
    Ok(())
}

/// A connection that exists for the client only.
async fn swallow_for_ever(mut client: TcpStream) -> io::Result<()> {
    let mut lost = [0; CHUNK_BYTES];
    while client.read(&mut lost).await? > 0 {}
    Ok(()) // the client has closed it
}

/// One direction, until its source is closed and all that it sent has arrived.
async fn flow(
    direction: Direction,
    source: OwnedReadHalf,
    sink: OwnedWriteHalf,
    faults: watch::Receiver<Faults>,
) -> io::Result<()> {
    let (pieces, arriving) = mpsc::channel(UNDER_WAY);
    tokio::try_join!(take(direction, source, pieces, faults), deliver(arriving, sink))?;
    Ok(())
}

/// Reads from the source, and does to it what is wrong at the moment.
async fn take(
    direction: Direction,
    mut source: OwnedReadHalf,
    pieces: mpsc::Sender<Piece>,
    mut faults: watch::Receiver<Faults>,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut lost = false;
    loop {
        let read = source.read(&mut chunk).await;
        let now = *faults.borrow();
        let flow = now.flow(direction);
        let length = match read {
            Ok(length) if length > 0 => length,
            // Closed, or broken, which the other side must not learn while all is swallowed.
            closed => {
                if faults.wait_for(|faults| faults.flow(direction) != Flow::Swallow).await.is_err() {
                    return pending().await; // the proxy is going
                }
                return closed.map(drop);
            }
        };
        lost |= flow == Flow::Swallow;
        if lost {
            continue;
        }
        let mut piece = chunk[..length].to_vec();
        if flow == Flow::Garble {
            piece.iter_mut().for_each(|byte| *byte = !*byte);
        }
        let mut at = Instant::now() + now.delay(direction);
        let (bytes, pause) = now.crumbs(direction);
        while !piece.is_empty() {
            let rest = piece.split_off(piece.len().min(bytes));
            if pieces.send((at, std::mem::replace(&mut piece, rest))).await.is_err() {
                return Ok(()); // it is broken, and the delivery says so
            }
            at += pause;
        }
    }
}

/// Writes pieces to the sink when their time has come, in their order, and then closes it.
async fn deliver(mut arriving: mpsc::Receiver<Piece>, mut sink: OwnedWriteHalf) -> io::Result<()> {
    while let Some((at, piece)) = arriving.recv().await {
        sleep_until(at).await;
        sink.write_all(&piece).await?;
    }
    sink.shutdown().await
}
