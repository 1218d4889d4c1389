//! A lock by name: one holder at a time, for at most as long as it said.

use std::time::Duration;

use super::CacheService;
use crate::error::{Error, ErrorKind};
use crate::lock::Attempt;
use crate::policy::Ttl;

/// A lock that is held. It is released by [`release`](Lock::release), by being dropped, or by its time.
#[derive(Debug)]
pub struct Lock {
    cache: CacheService,
    name: String,
    token: Option<u64>,
}

impl CacheService {
    /// Takes the lock of this name, for at most `ttl`, waiting for it for at most `wait` (zero: not at all). `None` if it
    /// could not be had in that time, or if `ttl` is zero, which is an error that is counted and logged.
    ///
    /// Locks have names of their own: a lock and an entry of the same name do not meet. They are never evicted. Several who
    /// wait are served in no particular order. A holder that outlives its `ttl` loses the lock without noticing before
    /// [`release`](Lock::release); what must not happen twice needs a fence of its own in the database.
    ///
    /// ```
    /// # use larder::{CacheService, Ttl};
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), larder::Error> {
    /// # let cache = CacheService::builder().build()?;
    /// let held = cache.lock("nightly-report", Ttl::secs(10), Duration::ZERO).await;
    /// assert!(cache.lock("nightly-report", Ttl::secs(10), Duration::ZERO).await.is_none());
    /// drop(held);
    /// assert!(cache.lock("nightly-report", Ttl::secs(10), Duration::ZERO).await.is_some());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Dropped while it waits, it holds nothing.
    pub async fn lock(&self, name: &str, ttl: impl Into<Ttl>, wait: Duration) -> Option<Lock> {
        let ttl_ms = ttl.into().as_millis();
        if ttl_ms == 0 {
            let message = "the lifetime of a lock is 0, so it would keep nobody out; say how long its work takes at most";
            self.inner.report("lock", name, &Error::new(ErrorKind::InvalidInput, message));
            return None;
        }
        tokio::time::timeout(wait, self.wait_for_lock(name, ttl_ms)).await.ok()
    }

    async fn wait_for_lock(&self, name: &str, ttl_ms: u64) -> Lock {
        let inner = &*self.inner;
        loop {
            let now_ms = inner.now_ms();
            match inner.locks.attempt(name, now_ms, ttl_ms) {
                Attempt::Taken { token } => {
                    return Lock { cache: self.clone(), name: name.to_owned(), token: Some(token) };
                }
                Attempt::Held { until_ms, released } => {
                    let until_expiry = Duration::from_millis(until_ms.saturating_sub(now_ms));
                    tokio::time::timeout(until_expiry, released).await.ok();
                }
            }
        }
    }
}

impl Lock {
    /// The name of the lock.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives the lock back, if it is still held by this holder: compare-and-delete by its token. `false` says that its time
    /// was over, so that another may have held it meanwhile.
    ///
    /// # Cancel safety
    /// It is released all the same.
    pub async fn release(mut self) -> bool {
        self.give_back()
    }

    fn give_back(&mut self) -> bool {
        let Some(token) = self.token.take() else { return false };
        self.cache.inner.locks.release(&self.name, token, self.cache.inner.now_ms())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.give_back();
    }
}
