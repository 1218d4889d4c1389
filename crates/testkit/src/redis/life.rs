//! A server's death, and its lives after it.

use rustix::process::Signal;

use super::RedisServer;
use crate::process::Stopped;
use crate::wait::until;

/// What a server held at some moment: [`RedisServer::snapshot`].
#[derive(Clone, Debug)]
pub struct Snapshot {
    rdb: Vec<u8>,
}

/// Stopping it, and starting it again.
impl RedisServer {
    /// Kills it with `SIGKILL`, and waits until it is gone. Nothing happens if it is gone.
    ///
    /// # Cancel safety
    ///
    /// It is killed, perhaps a moment later.
    pub async fn kill(&self) {
        let process = self.process();
        process.signal(Signal::KILL);
        process.ended().await;
    }

    /// Ends it with `SIGTERM`, as an operator would, and waits until it is gone. Nothing happens if it is gone.
    ///
    /// # Cancel safety
    ///
    /// It ends, perhaps a moment later.
    pub async fn stop(&self) {
        let process = self.process();
        process.signal(Signal::TERM);
        process.signal(Signal::CONT); // if it is paused
        process.ended().await;
    }

    /// Stops it where it stands, with `SIGSTOP`: it keeps its connections and answers nothing. The system goes on
    /// accepting connections for it.
    ///
    /// # Cancel safety
    ///
    /// It is paused, perhaps a moment later.
    pub async fn pause(&self) {
        let process = self.process();
        process.signal(Signal::STOP);
        process.stopped(Stopped::Yes).await;
    }

    /// Lets it go on after [`pause`](RedisServer::pause): it answers what came meanwhile.
    ///
    /// # Cancel safety
    ///
    /// It goes on, perhaps a moment later.
    pub async fn resume(&self) {
        let process = self.process();
        process.signal(Signal::CONT);
        process.stopped(Stopped::No).await;
    }

    /// Whether the process is there, paused or not.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.process().is_running()
    }

    /// Starts it again with what is on its disk, on the same port; first [stops](RedisServer::stop) it if it runs.
    ///
    /// # Panics
    ///
    /// If there is nothing on its disk: it needs [`aof`](super::Builder::aof), `save`, or a
    /// [`snapshot`](RedisServer::snapshot) taken before.
    ///
    /// # Cancel safety
    ///
    /// It may be stopped, or running.
    pub async fn restart_with_data(&self) {
        self.stop().await;
        assert!(
            self.home.has_data(),
            "nothing to start with: use `.aof()`, `.set(\"save\", …)` or `snapshot()`"
        );
        self.run_again().await;
    }

    /// Starts it again without any data, on the same port; first kills it if it runs.
    ///
    /// # Cancel safety
    ///
    /// It may be killed, with or without its data, or running.
    pub async fn restart_empty(&self) {
        self.kill().await;
        self.home.clear();
        self.run_again().await;
    }

    /// What it holds now, to come back with later. It writes its `dump.rdb` for that (`SAVE`).
    ///
    /// # Cancel safety
    ///
    /// The file may have been written.
    pub async fn snapshot(&self) -> Snapshot {
        // While it saves for a replica it saves for nobody else.
        until("`SAVE`", async || !self.command(&["SAVE"]).await.is_error("ERR")).await;
        Snapshot { rdb: self.home.rdb() }
    }

    /// Starts it again with what it held at an earlier moment, on the same port; first kills it if it runs. As an
    /// operator would who puts back a backup, or a replica that was behind and takes over.
    ///
    /// # Cancel safety
    ///
    /// It may be killed, with its data or that of the snapshot, or running.
    pub async fn restart_with_snapshot(&self, snapshot: &Snapshot) {
        self.kill().await;
        self.home.restore(&snapshot.rdb, self.aof);
        self.run_again().await;
    }

    async fn run_again(&self) {
        *self.limits.lock() = None;
        if let Err(said) = self.run().await {
            panic!("redis-server did not start again; it said:\n{said}");
        }
    }
}
