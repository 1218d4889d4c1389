//! Named locks with a deadline, for one process: a token, compare-and-delete, a bounded wait.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// The locks that are held, and by which token.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    held: Mutex<HashMap<String, Held>>,
    next_token: AtomicU64,
}

#[derive(Debug)]
struct Held {
    token: u64,
    until_ms: u64,
    /// Tells those who wait for this name.
    released: Arc<Notify>,
}

/// An attempt to take a lock.
pub(crate) enum Attempt {
    Taken {
        token: u64,
    },
    /// Somebody else has it, at most until then, and may release it before.
    Held {
        until_ms: u64,
        released: OwnedNotified,
    },
}

impl Locks {
    /// Takes the lock if it is free, or if its holder has had it for longer than it asked for.
    pub(crate) fn attempt(&self, name: &str, now_ms: u64, ttl_ms: u64) -> Attempt {
        let mut held = self.held.lock();
        let mut released = Arc::default();
        if let Some(other) = held.get(name) {
            released = Arc::clone(&other.released);
            if other.until_ms > now_ms {
                // From here on it is told of a release, also before it is polled.
                return Attempt::Held { until_ms: other.until_ms, released: released.notified_owned() };
            }
        }
        let token = self.next_token.fetch_add(1, Ordering::Relaxed);
        held.insert(name.to_owned(), Held { token, until_ms: now_ms.saturating_add(ttl_ms), released });
        Attempt::Taken { token }
    }

    /// Compare-and-delete: gives the lock back if this token still holds it.
    pub(crate) fn release(&self, name: &str, token: u64, now_ms: u64) -> bool {
        let mut held = self.held.lock();
        if held.get(name).is_none_or(|lock| lock.token != token) {
            return false;
        }
        let Some(lock) = held.remove(name) else { return false };
        drop(held);
        lock.released.notify_waiters();
        lock.until_ms > now_ms
    }

    /// Forgets the locks whose time is over.
    pub(crate) fn forget_expired(&self, now_ms: u64) {
        self.held.lock().retain(|_, lock| lock.until_ms > now_ms);
    }
}
