//! A server that has no memory left, or hardly any.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::sleep;

use super::connection::Connection;
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

/// How much more than it uses a squeezed server may take: 2 MB. Room for the buffers of some dozens of clients, so that
/// it evicts and does not come to refuse.
const ROOM_BYTES: u64 = 2 * 1024 * 1024;

/// One piece that is thrown into a squeezed server: 256 KB. Eight fill its room, and each one costs a piece that was
/// thrown in before it, and whatever else is chosen until one of those is.
const THROWN_BYTES: u64 = 256 * 1024;

/// Between two pieces that are thrown in: 10 ms. Among some dozens of small keys hardly one lasts for a tenth of a second.
const THROW_EVERY: Duration = Duration::from_millis(10);

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
        self.limit_memory(HEADROOM_BYTES, "noeviction").await;
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

    /// Leaves it 2 MB more than it uses, and lets it evict the least recently used of all keys when that is not enough,
    /// until [`free_memory`](RedisServer::free_memory) or a restart. By itself this evicts nothing: something has to
    /// be written.
    ///
    /// # Cancel safety
    ///
    /// It may be squeezed; call it again.
    pub async fn squeeze_memory(&self) {
        self.limit_memory(ROOM_BYTES, "allkeys-lru").await;
    }

    /// Allows it so much more than it uses now, and remembers what held before.
    async fn limit_memory(&self, more_bytes: u64, policy: &str) {
        let limits = Limits {
            maxmemory: self.config("maxmemory").await,
            policy: self.config("maxmemory-policy").await,
        };
        self.limits.lock().get_or_insert(limits);
        let used = number(&self.must(&["INFO", "memory"]).await.text(), "used_memory");
        self.set_config("maxmemory-policy", policy).await;
        self.set_config("maxmemory", &(used + more_bytes).to_string()).await;
    }

    /// Gives it its memory back: the ballast goes, and the limit and the policy are what they were. Nothing
    /// happens if it was neither filled nor squeezed.
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

/// Throws ballast into a squeezed server, without an end: whatever else it holds is evicted, again and again. What is
/// left of the ballast goes when the memory is freed.
///
/// # Errors
///
/// If the connection breaks.
pub(crate) async fn throw_ballast(server: SocketAddr) -> io::Result<()> {
    let mut connection = Connection::to(server).await?;
    let last_byte = (THROWN_BYTES - 1).to_string();
    for piece in (0..PIECES).cycle() {
        let key = format!("{BALLAST}{piece}");
        connection.command(&["DEL", &key]).await?;
        // It may be answered OOM, when nothing is left that could be evicted; the next one is another try.
        connection.command(&["SETRANGE", &key, &last_byte, "x"]).await?;
        sleep(THROW_EVERY).await;
    }
    Ok(())
}
