//! A real `redis-server` for one test, or for all tests of a process.
//!
//! It runs with `deploy/redis.conf`, so what is deployed is what is tested, in a folder of its own and on a port of its
//! own, and never outlives the test: not when it panics, nor when its process is killed.

mod builder;
mod connection;
mod disk;
mod home;
mod life;
mod memory;
mod reply;
mod statistics;
mod tls;
mod users;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::time::timeout;

pub use builder::Builder;
pub use connection::Connection;
pub use life::Snapshot;
pub(crate) use memory::throw_ballast;
pub use reply::Reply;
pub use statistics::{Calls, Traffic};
pub use tls::Tls;
pub use users::{PASSWORD, USER};

use crate::port::Port;
use crate::process::Process;
use crate::supervisor::Supervisor;
use crate::wait::{PATIENCE, Patience};
use home::Home;
use memory::Limits;
use users::Login;

/// A running `redis-server`; dropping it kills it and removes its folder.
///
/// What is asked of it through this type goes over a socket in its folder and never over its port: it works when
/// the server speaks TLS, wants passwords or sits behind a proxy. It shows in the server's statistics all the same.
///
/// # Panics
///
/// Its methods panic, with what the server said, where a test could not go on: it does not start, or end, within
/// two minutes, does not answer within 20 s, or answers with an error to what must not fail.
///
/// # Examples
///
/// ```
/// # use testkit::redis::RedisServer;
/// # testkit::run(async {
/// let redis = RedisServer::builder().aof().start().await;
/// assert!(redis.command(&["SET", "deal:42", "won"]).await.is_ok());
/// redis.kill().await;
/// redis.restart_with_data().await;
/// assert_eq!(redis.command(&["GET", "deal:42"]).await.text(), "won");
/// # });
/// ```
#[derive(Debug)]
pub struct RedisServer {
    /// Dropped first: it kills the server, and then removes the folder.
    supervisor: Mutex<Supervisor>,
    process: Mutex<Option<Arc<Process>>>,
    home: Home,
    port: Port,
    aof: bool,
    tls: Option<Tls>,
    /// Who the clients of its URL are.
    clients: Option<Login>,
    /// Who the testkit is.
    testkit: Option<Login>,
    /// What held before the memory was filled.
    limits: Mutex<Option<Limits>>,
}

/// A server for all tests of this process that need no more than keys of their own. Never stop, fill or flush it,
/// and count nothing on it.
///
/// # Panics
///
/// If it does not start.
///
/// # Cancel safety
///
/// If the first caller is dropped, the next one starts the server.
pub async fn shared() -> &'static RedisServer {
    static SHARED: OnceCell<RedisServer> = OnceCell::const_new();
    SHARED.get_or_init(RedisServer::start).await
}

/// Starting it.
impl RedisServer {
    /// Starts a server that keeps nothing on disk, and returns when it answers.
    ///
    /// # Panics
    ///
    /// If it does not start, with what it said; `cargo xtask setup` installs `redis-server`.
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends the server.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// A server with settings of its own.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Starts the process and waits until it answers; if it ends instead, returns what it said.
    async fn run(&self) -> Result<(), String> {
        let said_before = self.home.log().len();
        let process = Arc::new(self.supervisor.lock().start());
        *self.process.lock() = Some(Arc::clone(&process));
        let patience = Patience::with_a_process();
        loop {
            // Over its own socket: no other server can be mistaken for it.
            if let Ok(mut connection) = self.connect().await
                && let Ok(Reply::Status(_pong)) = connection.command(&["PING"]).await
            {
                return Ok(());
            }
            if !process.is_running() {
                return Err(self.home.log().split_off(said_before));
            }
            patience.pause(|| format!("redis-server answers; it said:\n{}", self.home.log())).await;
        }
    }

    fn process(&self) -> Arc<Process> {
        self.process.lock().clone().expect("started before anybody else has it")
    }
}

/// Where it is.
impl RedisServer {
    /// Its address as clients of the library take it: scheme, user and password included.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_at(self.address())
    }

    /// Its [`url`](RedisServer::url) by way of another address: that of a proxy.
    #[must_use]
    pub fn url_at(&self, address: SocketAddr) -> String {
        let scheme = if self.tls.is_some() { "rediss" } else { "redis" };
        match &self.clients {
            None => format!("{scheme}://{address}/"),
            Some(Login { user, password }) => format!("{scheme}://{user}:{password}@{address}/"),
        }
    }

    /// Its address on 127.0.0.1. It stays the same over restarts, and nobody else gets it meanwhile.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The Unix socket on which it listens as well, for who needs no password.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.home.socket()
    }

    /// Where it keeps its data.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.home.data()
    }

    /// The process id of its latest run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process().pid()
    }

    /// What it wrote to its log, in all its runs.
    #[must_use]
    pub fn log(&self) -> String {
        self.home.log()
    }

    /// The certificates.
    ///
    /// # Panics
    ///
    /// If it was not built with [`tls`](Builder::tls).
    #[must_use]
    pub fn tls(&self) -> &Tls {
        self.tls.as_ref().expect("a server that was built with `.tls()`")
    }
}

/// Asking it.
impl RedisServer {
    /// Sends it a command, on a connection of its own, and returns the answer. An error of Redis is an answer.
    ///
    /// # Panics
    ///
    /// If it does not answer within 20 s.
    ///
    /// # Cancel safety
    ///
    /// The command may have been executed.
    pub async fn command<W: AsRef<[u8]> + Sync>(&self, words: &[W]) -> Reply {
        let answer = async { self.connect().await?.command(words).await };
        answer.await.unwrap_or_else(|error| {
            let name =
                words.first().map_or_else(String::new, |word| word.as_ref().escape_ascii().to_string());
            panic!(
                "redis-server {} does not answer {name}: {error}; it said:\n{}",
                self.pid(),
                self.home.log()
            )
        })
    }

    /// [`command`](RedisServer::command), with an answer that is not an error.
    async fn must<W: AsRef<[u8]> + Sync>(&self, words: &[W]) -> Reply {
        match self.command(words).await {
            Reply::Error(error) => {
                let words: Vec<String> =
                    words.iter().map(|word| word.as_ref().escape_ascii().to_string()).collect();
                panic!("redis-server {} refuses {}: {error}", self.pid(), words.join(" "))
            }
            reply => reply,
        }
    }

    async fn connect(&self) -> std::io::Result<Connection> {
        let mut connection = Connection::to_socket(&self.home.socket()).await?;
        if let Some(Login { user, password }) = &self.testkit {
            connection.command(&["AUTH", user, password]).await?;
        }
        Ok(connection)
    }

    /// Sets a directive of redis.conf while it runs.
    ///
    /// # Panics
    ///
    /// If it does not know the directive, or not the value.
    ///
    /// # Cancel safety
    ///
    /// The directive may have been set.
    pub async fn set_config(&self, directive: &str, value: &str) {
        self.must(&["CONFIG", "SET", directive, value]).await;
    }

    /// What the real `redis-cli` writes to its standard output for these arguments.
    ///
    /// # Panics
    ///
    /// If it fails, or does not end within 20 s.
    ///
    /// # Cancel safety
    ///
    /// `redis-cli` is killed; the command may have been executed.
    pub async fn cli(&self, arguments: &[&str]) -> String {
        let mut cli = Command::new("redis-cli");
        cli.arg("-s").arg(self.home.socket()).stdin(Stdio::null()).kill_on_drop(true);
        if let Some(Login { user, password }) = &self.testkit {
            cli.args(["--no-auth-warning", "--user", user, "--pass", password]);
        }
        let output = timeout(PATIENCE, cli.args(arguments).output()).await;
        let output = output.expect("redis-cli ends in time").expect("redis-cli can be started");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "redis-cli {arguments:?}: {}: {said}", output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}
