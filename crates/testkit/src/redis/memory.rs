//! A server that has no memory left.

use super::statistics::number;
use super::{RedisServer, Reply};

/// How much more than it uses the server may take before it is filled: 256 KB. Little enough for one piece
/// of ballast to be too much.
const HEADROOM_BYTES: u64 = 256 * 1024;

/// One piece of ballast: 4 MB. What is over the limit in the end is nearly as much, more than the buffers of
/// connections that close could free.
const BALLAST_BYTES: u64 = 4 * 1024 * 1024;

/// How many pieces are tried: 16. One or two are enough.
const PIECES: usize = 16;

/// What ballast is called.
const BALLAST: &str = "testkit:ballast:";

/// The settings that are put back when the memory is free again.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    maxmemory: String,
    policy: String,
}

impl RedisServer {
    /// Takes its memory: every write that needs some is answered `OOM` from now on, until
    /// [`free_memory`](RedisServer::free_memory) or a restart. Reads and removals work. The ballast is a few keys
    /// that start with `testkit:ballast:`.
    ///
    /// # Panics
    ///
    /// If writes still work in the end.
    ///
    /// # Cancel safety
    ///
    /// It may be half full; call it again.
    pub async fn fill_memory(&self) {
        let limits = Limits {
            maxmemory: self.config("maxmemory").await,
            policy: self.config("maxmemory-policy").await,
        };
        self.limits.lock().get_or_insert(limits);
        let used = number(&self.must(&["INFO", "memory"]).await.text(), "used_memory");
        self.set_config("maxmemory-policy", "noeviction").await;
        self.set_config("maxmemory", &(used + HEADROOM_BYTES).to_string()).await;

        let last_byte = (BALLAST_BYTES - 1).to_string();
        for piece in 0..PIECES {
            // It grows over there: nothing that a client sent is in the way of the measure.
            match self.command(&["SETRANGE", &format!("{BALLAST}{piece}"), &last_byte, "x"]).await {
                reply if reply.is_error("OOM") => return,
                Reply::Int(_) => {}
                other => panic!("ballast was answered {other:?}"),
            }
        }
        panic!("redis-server {} takes {PIECES} pieces of ballast and still writes", self.pid());
    }

    /// Gives it its memory back: the ballast goes, and the limit and the policy are what they were. Nothing
    /// happens if it was not filled.
    ///
    /// # Cancel safety
    ///
    /// It may be half free; only a restart frees it altogether then.
    pub async fn free_memory(&self) {
        let Some(Limits { maxmemory, policy }) = self.limits.lock().take() else { return };
        let ballast: Vec<String> = (0..PIECES).map(|piece| format!("{BALLAST}{piece}")).collect();
        let words: Vec<&str> = ["DEL"].into_iter().chain(ballast.iter().map(String::as_str)).collect();
        self.must(&words).await;
        self.set_config("maxmemory", &maxmemory).await;
        self.set_config("maxmemory-policy", &policy).await;
    }

    /// The value of a directive.
    async fn config(&self, directive: &str) -> String {
        match self.must(&["CONFIG", "GET", directive]).await {
            Reply::Array(pair) if pair.len() == 2 => pair[1].text(),
            other => panic!("CONFIG GET {directive} was answered {other:?}"),
        }
    }
}
