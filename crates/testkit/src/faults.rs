//! What befalls a Redis: twelve faults by their names, each of which begins and ends when a test says so.

use std::fmt;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::proxy::FaultProxy;
use crate::redis::{RedisServer, Snapshot, throw_ballast};

/// How much later every answer comes from a slow server: 200 ms, and so much more for each round trip. Commands
/// arrive at once.
pub const SLOW: Duration = Duration::from_millis(200);

/// One thing that goes wrong with a Redis.
///
/// Most last from [`begin`](Fault::begin) to [`end`](Fault::end); [some](Fault::is_moment) are over when `begin`
/// returns, and their `end` does nothing. While a server is down its port refuses connections, as that of any machine on
/// which no server runs.
///
/// # Examples
///
/// ```
/// # use testkit::faults::{Fault, Faulty};
/// # use testkit::redis::Connection;
/// # testkit::run(async {
/// let faulty = Faulty::start().await;
/// for fault in [Fault::Refusing, Fault::Killed] {
///     fault.begin(&faulty).await;
///     assert!(Connection::to(faulty.proxy().address()).await.is_err());
///     fault.end(&faulty).await;
///     assert!(Connection::to(faulty.proxy().address()).await.is_ok());
/// }
/// # });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Killed with `SIGKILL`; in the end it is started with its log of writes, in which every acknowledged write is.
    Killed,
    /// Stopped where it stands with `SIGSTOP`: connections are accepted, nothing is answered; in the end `SIGCONT`.
    Paused,
    /// Its port refuses connections and those that are there are closed: a firewall, or a service that moved.
    Refusing,
    /// `maxmemory` is reached and the policy is `noeviction`: writes are answered `OOM`, reads and removals work.
    Full,
    /// `maxmemory` is reached, the policy is `allkeys-lru`, and something else writes so much that hardly a key lasts
    /// for a tenth of a second.
    Evicting,
    /// Its disk is full, so that its log of writes fails: writes are answered `MISCONF`, reads work. It writes its log every second
    /// meanwhile.
    DiskFull,
    /// Every answer arrives with all its bits inverted. In the end answers are as they should be, on the connections
    /// that are there too: nobody but the client closes them.
    Garbage,
    /// `FLUSHALL`. A moment.
    Flushed,
    /// Killed and started again without its data. A moment.
    RestartedEmpty,
    /// Ended with `SIGTERM` and started again with its log of writes: an upgrade. A moment.
    RestartedWithAof,
    /// Killed and started again with the [remembered](Faulty::remember) snapshot, and so without what was written
    /// since and with what was removed since: a backup, or a replica that was behind and took over. A moment.
    RestartedWithOldRdb,
    /// Every answer comes [200 ms](SLOW) later.
    Slow,
}

impl Fault {
    /// All of them, in the order in which tables show them.
    pub const ALL: [Self; 12] = [
        Self::Killed,
        Self::Paused,
        Self::Refusing,
        Self::Full,
        Self::Evicting,
        Self::DiskFull,
        Self::Garbage,
        Self::Flushed,
        Self::RestartedEmpty,
        Self::RestartedWithAof,
        Self::RestartedWithOldRdb,
        Self::Slow,
    ];

    /// What it is called: words with hyphens, each different.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Paused => "paused",
            Self::Refusing => "refusing",
            Self::Full => "full",
            Self::Evicting => "evicting",
            Self::DiskFull => "disk-full",
            Self::Garbage => "garbage",
            Self::Flushed => "flushed",
            Self::RestartedEmpty => "restarted-empty",
            Self::RestartedWithAof => "restarted-with-aof",
            Self::RestartedWithOldRdb => "restarted-with-old-rdb",
            Self::Slow => "slow",
        }
    }

    /// Whether it is over when [`begin`](Fault::begin) returns.
    #[must_use]
    pub fn is_moment(self) -> bool {
        matches!(
            self,
            Self::Flushed | Self::RestartedEmpty | Self::RestartedWithAof | Self::RestartedWithOldRdb
        )
    }

    /// Lets it happen; when this returns, it holds, or, if it [is a moment](Fault::is_moment), is over.
    ///
    /// # Panics
    ///
    /// If [`RestartedWithOldRdb`](Fault::RestartedWithOldRdb) has nothing to go back to, or the server does not do its
    /// part, as its methods say.
    ///
    /// # Cancel safety
    ///
    /// It may hold in part. [`end`](Fault::end) ends that too, except that a server may be left down by what is a moment.
    pub async fn begin(self, faulty: &Faulty) {
        let Faulty { server, proxy, .. } = faulty;
        match self {
            Self::Killed => {
                proxy.refuse().await;
                server.kill().await;
            }
            Self::Paused => server.pause().await,
            Self::Refusing => {
                proxy.refuse().await;
                proxy.cut().await;
            }
            Self::Full => server.fill_memory().await,
            Self::Evicting => {
                server.squeeze_memory().await;
                faulty.throw_ballast();
            }
            Self::DiskFull => server.fill_disk().await,
            Self::Garbage => proxy.garble(),
            Self::Flushed => {
                let reply = server.command(&["FLUSHALL"]).await;
                assert!(reply.is_ok(), "FLUSHALL was answered {reply:?}");
            }
            Self::RestartedEmpty | Self::RestartedWithAof | Self::RestartedWithOldRdb => {
                proxy.refuse().await;
                match self {
                    Self::RestartedEmpty => server.restart_empty().await,
                    Self::RestartedWithAof => server.restart_with_data().await,
                    _ => server.restart_with_snapshot(&faulty.remembered()).await,
                }
                proxy.accept().await;
            }
            Self::Slow => proxy.delay(SLOW),
        }
    }

    /// Ends it: when this returns, the server works and can be reached. Nothing happens if it is over.
    ///
    /// # Cancel safety
    ///
    /// It may have ended in part; call it again.
    pub async fn end(self, faulty: &Faulty) {
        let Faulty { server, proxy, .. } = faulty;
        match self {
            Self::Killed => {
                if !server.is_running() {
                    server.restart_with_data().await;
                }
                proxy.heal().await;
            }
            Self::Paused => server.resume().await,
            Self::Full => server.free_memory().await,
            Self::DiskFull => server.free_disk().await,
            Self::Evicting => {
                faulty.stop_throwing().await;
                server.free_memory().await;
            }
            Self::Refusing | Self::Garbage | Self::Slow => proxy.heal().await,
            Self::Flushed | Self::RestartedEmpty | Self::RestartedWithAof | Self::RestartedWithOldRdb => {}
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A `redis-server` that keeps a log of its writes, and a proxy in front of it: what a [`Fault`] acts on.
///
/// Clients connect to [`url`](Faulty::url), through the proxy. What is asked of the [`server`](Faulty::server) goes past
/// it, and is answered whenever the server itself answers.
#[derive(Debug)]
pub struct Faulty {
    server: RedisServer,
    proxy: FaultProxy,
    /// What it held when it was last asked to remember.
    old: Mutex<Option<Snapshot>>,
    /// What throws ballast into the server, while it is to evict.
    throwing: Mutex<JoinSet<()>>,
}

impl Faulty {
    /// Starts both; the server is empty.
    ///
    /// # Panics
    ///
    /// If the server does not start, with what it said; `cargo xtask setup` installs `redis-server`.
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends the server.
    pub async fn start() -> Self {
        let server = RedisServer::builder().aof().start().await;
        let proxy = FaultProxy::to(server.address()).await;
        Self { server, proxy, old: Mutex::default(), throwing: Mutex::default() }
    }

    /// Where clients connect.
    #[must_use]
    pub fn url(&self) -> String {
        self.proxy.url()
    }

    /// The server behind the proxy.
    #[must_use]
    pub fn server(&self) -> &RedisServer {
        &self.server
    }

    /// The proxy in front of the server.
    #[must_use]
    pub fn proxy(&self) -> &FaultProxy {
        &self.proxy
    }

    /// Remembers what the server holds now, for [`Fault::RestartedWithOldRdb`] to go back to.
    ///
    /// # Cancel safety
    ///
    /// It remembers what it did before.
    pub async fn remember(&self) {
        let snapshot = self.server.snapshot().await;
        *self.old.lock() = Some(snapshot);
    }

    fn remembered(&self) -> Snapshot {
        self.old.lock().clone().expect("`remember()` was called before the server goes back to that moment")
    }

    fn throw_ballast(&self) {
        let server = self.server.address();
        self.throwing.lock().spawn(async move {
            // It ends with an error when the server goes, and there is nothing to evict then.
            throw_ballast(server).await.ok();
        });
    }

    async fn stop_throwing(&self) {
        let mut throwing = std::mem::take(&mut *self.throwing.lock());
        throwing.shutdown().await;
    }
}
