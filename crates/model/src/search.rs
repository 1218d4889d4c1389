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

/// Tries every order of steps. Depth first and with two threads, which takes the least memory; where a rule is out the shortest ones come first, so that the way
/// that is shown is the shortest. The two readers of one process may change their numbers on it.
///
/// # Panics
/// If it ends early without having found something.
pub fn search(config: Config) -> Found {
    #[expect(clippy::disallowed_methods, reason = "how long a search takes is no matter of a cache's clock")]
    let begun = Instant::now();
    let builder = Protocol(config).checker();
    let (states, wrong) = match config.without {
        None => seen(&builder.threads(2).spawn_dfs().join()),
        Some(_) => seen(&builder.threads(1).spawn_bfs().join()),
    };
    Found { states, took: begun.elapsed(), wrong }
}

/// How many states a search has seen, and the steps to what is wrong.
fn seen(checker: &impl Checker<Protocol>) -> (usize, Option<Vec<String>>) {
    let wrong = checker.discoveries().into_values().next().map(|path| {
        let last = path.last_state().wrong.unwrap_or_default();
        let steps = path.into_actions().into_iter().map(|action| format!("{action:?}"));
        steps.chain([last.to_owned()]).collect()
    });
    assert!(wrong.is_some() || checker.is_done(), "every state was looked at");
    (checker.unique_state_count(), wrong)
}
