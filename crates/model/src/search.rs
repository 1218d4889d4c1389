//! The search.

use std::time::{Duration, Instant};

use stateright::{Checker, Model};

use crate::config::Config;
use crate::protocol::Protocol;

/// What a search has found.
#[derive(Clone, Debug)]
pub struct Found {
    /// How many different states there are, or were seen until something was wrong.
    pub states: usize,
    /// How long it took.
    pub took: Duration,
    /// The steps to a read that is wrong, and what is wrong with it; `None` if every order of steps is right.
    pub wrong: Option<Vec<String>>,
}

/// Tries every order of steps, with two threads; the shortest way to a wrong read comes first.
///
/// # Panics
/// If it ends early without having found something.
pub fn search(config: Config) -> Found {
    #[expect(clippy::disallowed_methods, reason = "how long a search takes is no matter of a cache's clock")]
    let begun = Instant::now();
    let checker = Protocol(config).checker().threads(2).spawn_bfs().join();
    let wrong = checker.discoveries().into_values().next().map(|path| {
        let last = path.last_state().wrong.unwrap_or_default();
        let steps = path.into_actions().into_iter().map(|action| format!("{action:?}"));
        steps.chain([last.to_owned()]).collect()
    });
    assert!(wrong.is_some() || checker.is_done(), "every state was looked at");
    Found { states: checker.unique_state_count(), took: begun.elapsed(), wrong }
}
