//! What can be seen of a cache from outside: its counters, and who waits for whom.

use std::pin::pin;

use larder::{CacheService, Counts};
use testkit::gate::Gate;

/// The counters of one group; all zero for a group in which nothing happened.
pub(crate) fn group(cache: &CacheService, name: &str) -> Counts {
    cache.stats().by_prefix.get(name).copied().unwrap_or_default()
}

/// Ends once so many callers wait for somebody else's load.
pub(crate) async fn followers(cache: &CacheService, callers: u64) {
    while cache.stats().local.following < callers {
        tokio::task::yield_now().await; // the limit of the test ends this
    }
}

/// Runs a call that comes while a load waits at the gate, and opens the gate only once the call waits for that load, or has
/// its answer without it. Nobody else may begin or cease to follow meanwhile.
pub(crate) async fn joins<J>(cache: &CacheService, gate: &Gate, call: impl Future<Output = J>) -> J {
    let before = cache.stats().local.following;
    let mut call = pin!(call);
    let answer = tokio::select! { biased;
        answer = &mut call => Some(answer),
        () = followers(cache, before + 1) => None,
    };
    gate.open();
    match answer {
        Some(answer) => answer,
        None => call.await,
    }
}
