//! Waiting for a condition that nobody announces: bounded, and named when it does not come.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long a condition may take to come about: 20 s, as at a [gate](crate::gate::Gate).
///
/// Most come about within milliseconds; on two busy cores it can be a second or two. Well under
/// [`LIMIT`](crate::LIMIT), so that what did not happen is named, and not only the test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How long a server may take to start, and a process to end: 2 minutes. One that is killed while it writes ends when the disk has taken that,
/// and a machine that builds may keep its disk busy for longer than [`PATIENCE`].
const PATIENCE_WITH_PROCESSES: Duration = Duration::from_secs(120);

/// Between two looks: 2 ms. Shorter than what is waited for, and long enough to leave the cores to it.
const PAUSE: Duration = Duration::from_millis(2);

/// Waits until `look` says `true`, looking every 2 ms: for what happens in another process, where no task
/// can be awaited. Inside the process wait at a [`Gate`](crate::gate::Gate).
///
/// `what` completes the sentence "… did not happen within 20 s".
///
/// # Panics
///
/// If it does not say so within 20 s.
///
/// # Cancel safety
///
/// Dropping it stops the looking, and drops the look that is under way.
///
/// # Examples
///
/// ```
/// # testkit::run(async {
/// let mut looks = 0;
/// testkit::until("the third look", || { looks += 1; std::future::ready(looks == 3) }).await;
/// # });
/// ```
pub async fn until<F, L>(what: &str, mut look: F)
where
    F: FnMut() -> L,
    L: Future<Output = bool>,
{
    let patience = Patience::new();
    while !look().await {
        patience.pause(|| what.to_owned()).await;
    }
}

/// What is left of the time that a condition may take.
#[derive(Debug)]
pub(crate) struct Patience {
    limit: Duration,
    ends: Instant,
}

impl Patience {
    pub(crate) fn new() -> Self {
        Self::of(PATIENCE)
    }

    pub(crate) fn with_a_process() -> Self {
        Self::of(PATIENCE_WITH_PROCESSES)
    }

    fn of(limit: Duration) -> Self {
        Self { limit, ends: Instant::now() + limit }
    }

    /// Comes between two looks; panics with `what` when the time is over.
    pub(crate) async fn pause(&self, what: impl FnOnce() -> String) {
        assert!(Instant::now() < self.ends, "{} did not happen within {:?}", what(), self.limit);
        sleep(PAUSE).await;
    }
}
