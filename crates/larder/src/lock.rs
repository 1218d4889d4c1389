//! Named locks with a deadline, for one process: a token, compare-and-delete, a bounded wait.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The locks that are held, and by which token.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    held: Mutex<HashMap<String, Held>>,
    released: Notify,
    next_token: std::sync::atomic::AtomicU64,
}

#[derive(Debug)]
struct Held {
    token: u64,
    until_ms: u64,
}

/// An attempt to take a lock.
pub(crate) enum Attempt {
    Taken {
        token: u64,
    },
    /// Somebody else has it, at most until then.
    HeldUntil {
        ms: u64,
    },
}

impl Locks {
    /// Takes the lock if it is free, or if its holder has had it for longer than it asked for.
    pub(crate) fn attempt(&self, name: &str, now_ms: u64, ttl_ms: u64) -> Attempt {
        let mut held = self.held.lock();
        match held.get(name) {
            Some(other) if other.until_ms > now_ms => Attempt::HeldUntil { ms: other.until_ms },
            _ => {
                let token = self.next_token.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                held.insert(name.to_owned(), Held { token, until_ms: now_ms.saturating_add(ttl_ms) });
                Attempt::Taken { token }
            }
        }
    }

    /// Compare-and-delete: gives the lock back if this token still holds it.
    pub(crate) fn release(&self, name: &str, token: u64, now_ms: u64) -> bool {
        let mut held = self.held.lock();
        let Some(lock) = held.get(name).filter(|lock| lock.token == token) else { return false };
        let in_time = lock.until_ms > now_ms;
        held.remove(name);
        drop(held);
        self.released.notify_waiters();
        in_time
    }

    /// Resolves when some lock is released after this call.
    pub(crate) fn released(&self) -> tokio::sync::futures::Notified<'_> {
        self.released.notified()
    }

    /// Forgets the locks whose time is over.
    pub(crate) fn forget_expired(&self, now_ms: u64) {
        self.held.lock().retain(|_, lock| lock.until_ms > now_ms);
    }
}
