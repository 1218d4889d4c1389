//! A server that cannot write to its disk any more.

use rustix::process::{Resource, Rlimit, getrlimit, prlimit};

use super::RedisServer;
use crate::wait::until;

impl RedisServer {
    /// Takes its disk: no file of it can grow, as on one that is full. Its log of writes is written every second from now on, as it is
    /// deployed, and once that has failed, every write is answered `MISCONF`, until [`free_disk`](RedisServer::free_disk) or a
    /// restart.
    ///
    /// # Panics
    ///
    /// If it keeps no log of its writes ([`aof`](super::Builder::aof)), so that writes still work in the end.
    ///
    /// # Cancel safety
    ///
    /// It may be full or not; call it again.
    pub async fn fill_disk(&self) {
        // With `always` it would end itself.
        self.set_config("appendfsync", "everysec").await;
        self.limit_files(Some(0));
        until("the log of writes fails", async || {
            self.command(&["SET", "testkit:disk", ""]).await.is_error("MISCONF")
        })
        .await;
    }

    /// Gives it back; returns when writes are taken again.
    ///
    /// # Cancel safety
    ///
    /// It may be full or not; call it again.
    pub async fn free_disk(&self) {
        self.limit_files(getrlimit(Resource::Fsize).maximum);
        until("the log of writes works", async || self.command(&["SET", "testkit:disk", ""]).await.is_ok())
            .await;
        self.must(&["DEL", "testkit:disk"]).await;
        self.set_config("appendfsync", "always").await;
    }

    /// Limits how long its files may grow, in bytes. What is beyond fails with EFBIG: the signal is ignored by whoever started it.
    fn limit_files(&self, bytes: Option<u64>) {
        let limit = Rlimit { current: bytes, maximum: getrlimit(Resource::Fsize).maximum };
        let set = prlimit(Some(self.process().id()), Resource::Fsize, limit);
        set.expect("the limits of a process of one's own can be set");
    }
}
