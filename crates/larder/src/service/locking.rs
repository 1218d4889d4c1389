//! A lock by name: one holder at a time, for at most as long as it said.

use std::fmt;
use std::time::Duration;

use rand::RngExt;
use tokio::time::Instant;

use super::pace::Pause;
use super::{CacheService, Inner};
use crate::error::{Error, ErrorKind};
use crate::lock::Attempt;
use crate::policy::Ttl;
use crate::remote::{Remote, Trouble};

/// A lock that is held. It is released by [`release`](Lock::release), by being dropped, or by its time.
#[derive(Debug)]
pub struct Lock {
    name: String,
    held: Held,
}

enum Held {
    /// In this process; the token is gone once it was given back.
    Here { cache: CacheService, token: Option<u64> },
    /// In Redis.
    There { remote: Remote, token: Option<[u8; 16]> },
}

// Without its token, which is all that it takes to release it.
impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Held::Here { .. } => "Here",
            Held::There { .. } => "There",
        })
    }
}

impl CacheService {
    /// Takes the lock of this name, in all processes that share the cache, for at most `ttl`, waiting for it for at most `wait` (zero: not at all). `None` if it
    /// could not be had in that time, or if `ttl` is zero or Redis cannot be used, which are errors that are counted and logged.
    ///
    /// Locks have names of their own: a lock and an entry of the same name do not meet. They are never evicted. Several who
    /// wait are served in no particular order. A holder that outlives its `ttl` loses the lock without noticing before
    /// [`release`](Lock::release); what must not happen twice needs a fence of its own in the database. One that is for
    /// [ever](Ttl::FOREVER) nobody gets any more when its holder dies.
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
        match &self.inner.remote {
            None => tokio::time::timeout(wait, self.wait_for_lock(name, ttl_ms)).await.ok(),
            Some(remote) => {
                Box::pin(self.inner.wait_for_lock_there(remote, name, Ttl::millis(ttl_ms), wait)).await
            }
        }
    }

    async fn wait_for_lock(&self, name: &str, ttl_ms: u64) -> Lock {
        let inner = &*self.inner;
        loop {
            let now_ms = inner.now_ms();
            match inner.locks.attempt(name, now_ms, ttl_ms) {
                Attempt::Taken { token } => {
                    let held = Held::Here { cache: self.clone(), token: Some(token) };
                    return Lock { name: name.to_owned(), held };
                }
                Attempt::Held { until_ms, released } => {
                    let until_expiry = Duration::from_millis(until_ms.saturating_sub(now_ms));
                    tokio::time::timeout(until_expiry, released).await.ok();
                }
            }
        }
    }
}

impl Inner {
    /// Asks for a lock in Redis until it is had, or the time is over.
    async fn wait_for_lock_there(
        &self,
        remote: &Remote,
        name: &str,
        ttl: Ttl,
        wait: Duration,
    ) -> Option<Lock> {
        let (since, mut pause) = (Instant::now(), Pause::default());
        loop {
            let (asks, lock) = (remote.clone(), name.to_owned());
            // It runs to its end: whoever has gone away by then drops the lock, which gives it back. So it is where no answer
            // says whether it was taken.
            let attempt = async move {
                let token: [u8; 16] = rand::rng().random();
                let attempt = asks.lock(&lock, &token, ttl).await;
                let taken = attempt.as_ref().is_ok_and(|taken| *taken);
                let may_be_taken = taken || attempt.as_ref().is_err_and(Trouble::leaves_open);
                let held = Held::There { remote: asks, token: may_be_taken.then_some(token) };
                let lock = Lock { name: lock, held };
                attempt.map(|_| taken.then_some(lock))
            };
            let attempt = remote.to_the_end(attempt).await;
            let left = wait.saturating_sub(since.elapsed());
            match attempt {
                Ok(Some(lock)) => return Some(lock),
                Ok(None) if left.is_zero() => return None,
                Ok(None) => {}
                Err(trouble) if left.is_zero() => {
                    self.report("lock", name, &trouble.into());
                    return None;
                }
                Err(_may_pass) => {}
            }
            tokio::time::timeout(left, pause.wait()).await.ok();
        }
    }
}

impl Lock {
    /// The name of the lock.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives the lock back, if it is still held by this holder: compare-and-delete by its token. `false` says that its time
    /// was over, so that another may have held it meanwhile, or that Redis cannot be asked.
    ///
    /// # Cancel safety
    /// It is released all the same.
    pub async fn release(mut self) -> bool {
        if let Held::There { remote, token } = &mut self.held {
            let Some(token) = token.take() else { return false };
            let (unlocks, name) = (remote.clone(), self.name.clone());
            let unlock = async move { unlocks.unlock(&name, &token).await };
            let unlocked = remote.to_the_end(unlock).await;
            return matches!(unlocked, Ok(true));
        }
        self.give_back()
    }

    fn give_back(&mut self) -> bool {
        match &mut self.held {
            Held::Here { cache, token } => {
                let Some(token) = token.take() else { return false };
                cache.inner.locks.release(&self.name, token, cache.inner.now_ms())
            }
            Held::There { remote, token } => {
                let Some(token) = token.take() else { return false };
                let (unlocks, name) = (remote.clone(), self.name.clone());
                remote.errands().run(async move {
                    if unlocks.unlock(&name, &token).await.is_err() && unlocks.ready_soon().await {
                        unlocks.unlock(&name, &token).await.ok(); // it ends with its time all the same
                    }
                });
                true
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.give_back();
    }
}
