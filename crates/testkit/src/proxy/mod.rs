//! A TCP proxy that misbehaves on demand: what a network does to a client, at the moment that the test chooses.

mod fault;
mod pump;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

pub use fault::Direction;

use crate::port::Port;
use fault::{Faults, Flow};

/// Orders that wait for the listening task: 8. A test gives one at a time, and waits until it is obeyed.
const ORDERS: usize = 8;

/// A proxy on 127.0.0.1 in front of a server. Its faults are switched while it runs; dropping it closes everything.
///
/// Faults of the flow ([`delay`](FaultProxy::delay), [`half_open`](FaultProxy::half_open),
/// [`one_way`](FaultProxy::one_way), [`garble`](FaultProxy::garble)) hold at once for the connections that are there
/// and for those that come: what is sent after such a call has returned is subject to it. They can be combined,
/// except that a direction is either swallowed, garbled or neither, as last said. [`heal`](FaultProxy::heal)
/// ends them all.
///
/// # Panics
///
/// Its methods panic if its listening task is gone, which means that the runtime is.
///
/// # Examples
///
/// ```
/// # use testkit::{proxy::FaultProxy, redis::{Connection, shared}};
/// # testkit::run(async {
/// let proxy = FaultProxy::to(shared().await.address()).await;
/// let mut client = Connection::to(proxy.address()).await.unwrap();
/// assert_eq!(client.command(&["PING"]).await.unwrap().text(), "PONG");
/// proxy.cut().await;
/// assert!(client.command(&["PING"]).await.is_err());
/// # });
/// ```
#[derive(Debug)]
pub struct FaultProxy {
    port: Port,
    state: Arc<State>,
    orders: mpsc::Sender<(Order, oneshot::Sender<()>)>,
    /// The listening task, which owns those of the connections: they end with it.
    _listening: JoinSet<()>,
}

/// What the tasks of a proxy share.
#[derive(Debug)]
struct State {
    server: Mutex<SocketAddr>,
    faults: watch::Sender<Faults>,
    /// The numbers of the connections that are there.
    open: watch::Sender<BTreeSet<u64>>,
    accepted: AtomicU64,
}

/// What only the listening task can do.
#[derive(Clone, Copy, Debug)]
enum Order {
    Refuse,
    Accept,
    Cut,
}

impl FaultProxy {
    /// A proxy that behaves, in front of the server at `server`. It connects to it once for each connection of a
    /// client, so the server may come and go.
    ///
    /// # Panics
    ///
    /// If no port is free.
    ///
    /// # Cancel safety
    ///
    /// Dropping it leaves nothing.
    pub async fn to(server: SocketAddr) -> Self {
        let port = Port::claim();
        let listener = listen(&port).await;
        let state = Arc::new(State {
            server: Mutex::new(server),
            faults: watch::Sender::default(),
            open: watch::Sender::default(),
            accepted: AtomicU64::new(0),
        });
        let (orders, ordered) = mpsc::channel(ORDERS);
        let mut listening = JoinSet::new();
        listening.spawn(serve(listener, port.address(), Arc::clone(&state), ordered));
        Self { port, state, orders, _listening: listening }
    }

    /// Leads whoever connects from now on to another server, and [cuts](FaultProxy::cut) those that are there: a name that moves.
    ///
    /// # Cancel safety
    ///
    /// Those that are there may be cut a moment later.
    pub async fn lead_to(&self, server: SocketAddr) {
        *self.state.server.lock() = server;
        self.cut().await;
    }

    /// Where clients connect, instead of to the server.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Where clients connect, as the URL of a plain Redis. For one with users or TLS:
    /// [`RedisServer::url_at`](crate::redis::RedisServer::url_at).
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}/", self.address())
    }

    /// How many connections of clients are open, silent ones included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.state.open.borrow().len()
    }

    /// How many connections were accepted so far: what an impatient client makes of a fault.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.state.accepted.load(Ordering::SeqCst)
    }

    /// Closes all connections, on both sides, and returns when they are closed: those that a client has just made
    /// too. New ones are not affected.
    ///
    /// # Cancel safety
    ///
    /// They are closed, perhaps a moment later.
    pub async fn cut(&self) {
        self.order(Order::Cut).await;
        let below = self.state.faults.borrow().cut_below;
        let mut open = self.state.open.subscribe();
        // The sender lives as long as the proxy: there is nothing to fail.
        drop(open.wait_for(|open| open.first().is_none_or(|oldest| *oldest >= below)).await);
    }

    /// Refuses new connections, as a machine does on which no server runs. Those that are there live on.
    ///
    /// # Cancel safety
    ///
    /// It may refuse already, or only in a moment.
    pub async fn refuse(&self) {
        self.order(Order::Refuse).await;
    }

    /// Accepts connections again after [`refuse`](FaultProxy::refuse).
    ///
    /// # Cancel safety
    ///
    /// It may accept already, or only in a moment.
    pub async fn accept(&self) {
        self.order(Order::Accept).await;
    }

    /// Lets every piece of an answer arrive `delay` later than the server sent it: a long way, not a narrow one.
    /// Pieces keep their order and do not wait for each other, so a pipeline takes one delay and not one for each
    /// answer. What is under way already keeps its own delay.
    pub fn delay(&self, delay: Duration) {
        self.state.faults.send_modify(|faults| faults.delay = delay);
    }

    /// Lets what a client sends at once arrive in pieces of so many bytes, each so long after the one before, as over a network
    /// that is narrow: the server serves others between two commands of a pipeline.
    pub fn crumble(&self, bytes: usize, pause: Duration) {
        self.state.faults.send_modify(|faults| faults.crumbs = Some((bytes, pause)));
    }

    /// Swallows everything in both directions, and says nothing: no `FIN`, no `RST`, also when one side closes. New
    /// connections are accepted, and get the same silence; the server does not see them. As when a machine loses its
    /// network, or a firewall forgets a connection.
    pub fn half_open(&self) {
        self.state.faults.send_modify(|faults| {
            faults.to_server = Flow::Swallow;
            faults.to_client = Flow::Swallow;
        });
    }

    /// Swallows what goes in one direction, as [`half_open`](FaultProxy::half_open) does in both: the server
    /// executes commands whose answers nobody gets, or the client waits for answers to what never arrived.
    pub fn one_way(&self, swallowed: Direction) {
        self.state.faults.send_modify(|faults| *faults.flow_mut(swallowed) = Flow::Swallow);
    }

    /// Turns answers into garbage: every bit of them is inverted, which is no answer of Redis from its first byte on.
    pub fn garble(&self) {
        self.state.faults.send_modify(|faults| *faults.flow_mut(Direction::ToClient) = Flow::Garble);
    }

    /// Ends all faults, [`refuse`](FaultProxy::refuse) too: new connections are as they should be.
    ///
    /// A connection that was there lives on if nothing of it was lost. One of which something was swallowed stays
    /// silent in that direction, until a side closes it or it is [cut](FaultProxy::cut): the bytes that would come
    /// next make no sense without those that are lost. A new connection that met silence stays silent.
    ///
    /// # Cancel safety
    ///
    /// The faults of the flow have ended; it may still refuse.
    pub async fn heal(&self) {
        self.state
            .faults
            .send_modify(|faults| *faults = Faults { cut_below: faults.cut_below, ..Faults::default() });
        self.accept().await;
    }

    async fn order(&self, order: Order) {
        let (obeyed, done) = oneshot::channel();
        let sent = self.orders.send((order, obeyed)).await.is_ok();
        assert!(sent && done.await.is_ok(), "the proxy's listening task is gone: {order:?}");
    }
}

/// Listens on a port that is claimed.
async fn listen(port: &Port) -> TcpListener {
    TcpListener::bind(port.address()).await.expect("a claimed port can be listened on")
}

/// The listening task: accepts connections, runs them, and obeys.
async fn serve(
    listener: TcpListener,
    address: SocketAddr,
    state: Arc<State>,
    mut orders: mpsc::Receiver<(Order, oneshot::Sender<()>)>,
) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = accept(listener.as_ref()) => {
                let number = state.accepted.fetch_add(1, Ordering::SeqCst);
                state.open.send_modify(|open| { open.insert(number); });
                let open = Open { number, state: Arc::clone(&state) };
                connections.spawn(async move { pump::run(accepted, &open.state, number).await; drop(open); });
            }
            Some(_ended) = connections.join_next() => {}
            Some((order, obeyed)) = orders.recv() => {
                match order {
                    Order::Refuse => listener = None,
                    Order::Accept if listener.is_some() => {}
                    Order::Accept => {
                        let again = TcpListener::bind(address).await;
                        listener = Some(again.expect("a claimed port can be listened on"));
                    }
                    Order::Cut => {
                        close_waiting(listener.as_ref());
                        let below = state.accepted.load(Ordering::SeqCst);
                        state.faults.send_modify(|faults| faults.cut_below = below);
                    }
                }
                obeyed.send(()).ok(); // whoever gave it may have been dropped
            }
            else => return,
        }
    }
}

/// The next connection; none ever while nobody listens.
async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    let Some(listener) = listener else { return std::future::pending().await };
    loop {
        match listener.accept().await {
            Ok((stream, _address)) => return stream,
            // The client was gone before we looked.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => panic!("the proxy cannot accept connections: {error}"),
        }
    }
}

/// Closes the connections that the system has accepted and we have not yet: the client believes in them.
fn close_waiting(listener: Option<&TcpListener>) {
    let Some(listener) = listener else { return };
    let same = listener.as_fd().try_clone_to_owned().expect("one more handle");
    let same = std::net::TcpListener::from(same); // it does not block, as the one it was cloned from
    while same.accept().is_ok() {}
}

/// A connection as long as it is counted.
struct Open {
    number: u64,
    state: Arc<State>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.state.open.send_modify(|open| {
            open.remove(&self.number);
        });
    }
}
