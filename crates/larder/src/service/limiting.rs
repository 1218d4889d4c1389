//! How often something may be done, over all processes that share the cache.

use std::fmt::Display;

use parking_lot::Mutex;

use super::CacheService;
use crate::limit::{Decision, Limit, State};

/// Says that asking for a share is over, also where nobody waits for the answer any more.
struct Asking<'a> {
    state: &'a Mutex<State>,
    for_a_share: bool,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if self.for_a_share {
            self.state.lock().asked();
        }
    }
}

impl CacheService {
    /// Asks whether something may be done once more, and counts it if so. Over Redis the limit is that of all processes that share
    /// it, exactly unless it has [shares](Limit::share), in one round trip or none: what is taken as a share and what is denied for certain is
    /// not asked again. Without Redis, and while it cannot be asked, each process decides by what it knows itself, so that a limit holds
    /// for each of them and roughly for all.
    ///
    /// Its trouble never denies anything and is counted as other trouble is. Whoever is limited is kept by a digest of the id, some 65,000 of
    /// them in a process. An eviction or a restart of Redis forgets what was done.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use larder::{CacheService, Limit};
    /// const SIGN_IN: Limit = Limit::new("sign-in", 2, Duration::from_secs(60));
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), larder::Error> {
    /// # let cache = CacheService::builder().build()?;
    /// assert!(cache.limit(&SIGN_IN, "ann@example.com").await.allowed);
    /// assert!(cache.limit(&SIGN_IN, "ann@example.com").await.allowed);
    /// let denied = cache.limit(&SIGN_IN, "ann@example.com").await;
    /// assert!(!denied.allowed && denied.retry_after > Duration::from_secs(29));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Dropped early, it may have been counted or not, and a whole share with it.
    pub async fn limit(&self, limit: &Limit, id: impl Display) -> Decision {
        let inner = &*self.inner;
        let digest = limit.digest_of(id);
        let state = inner.limits.of(digest);
        let now_us = || inner.now_ms().saturating_mul(1_000);
        let Some(remote) = inner.remote.as_ref().filter(|_| !inner.settings.bypass) else {
            return state.lock().decide(limit, now_us());
        };
        let (asked_us, wanted) = {
            let (now_us, mut state) = (now_us(), state.lock());
            if let Some(known) = state.known(limit, now_us) {
                return known;
            }
            (now_us, state.wanted(limit))
        };
        let mut asking = Asking { state: &state, for_a_share: wanted > 1 };
        let asked = remote.spend(digest, limit.interval_us(), limit.window_us(), wanted).await;
        let mut state = state.lock();
        if std::mem::take(&mut asking.for_a_share) {
            state.asked();
        }
        match asked {
            Ok(spent) => state.heard(limit, asked_us, spent.granted, spent.owed_us),
            Err(trouble) => {
                inner.report("limit", limit.name(), &trouble.into());
                state.decide(limit, now_us())
            }
        }
    }
}
