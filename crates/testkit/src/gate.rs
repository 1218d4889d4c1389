//! A rendezvous between a test and a task: the way to force a race.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// How long a task waits at a gate, or a test for a task to get there: 20 s.
///
/// Well under [`LIMIT`](crate::LIMIT), so that a test that forgot to open a gate, or a task that never came
/// to it, fails with the name of the gate and not only with the name of the test.
const WAIT: Duration = Duration::from_secs(20);

/// A named place where tasks wait until the test lets them go on.
///
/// The task calls [`pass`](Gate::pass) at the interesting moment, the test awaits [`reached`](Gate::reached),
/// does what should happen in the middle, and calls [`open`](Gate::open). A gate opens once and stays open;
/// clones are the same gate.
///
/// # Examples
///
/// A removal that happens while a load is under way:
///
/// ```
/// # use testkit::gate::Gate;
/// # testkit::run(async {
/// let loaded = Gate::new("the row is read, the value not yet stored");
/// let load = { let loaded = loaded.clone(); async move { loaded.pass().await; "old row" } };
/// let race = async {
///     loaded.reached().await;
///     // … remove the key here: the load has read its row, and cannot end before the next line
///     loaded.open();
/// };
/// let (row, ()) = tokio::join!(load, race);
/// assert_eq!(row, "old row");
/// # });
/// ```
#[derive(Clone)]
pub struct Gate {
    name: Arc<str>,
    state: Arc<watch::Sender<State>>,
}

#[derive(Clone, Copy, Default)]
struct State {
    arrived: usize,
    open: bool,
}

impl Gate {
    /// A closed gate. The name says what a task has done when it gets here; failures show it.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), state: Arc::new(watch::Sender::new(State::default())) }
    }

    /// Called by the task: counts as arrived, and waits until the gate is open.
    ///
    /// # Panics
    ///
    /// If nobody opens the gate for 20 s.
    ///
    /// # Cancel safety
    ///
    /// A task that is dropped while it waits still counts as arrived.
    pub async fn pass(&self) {
        self.state.send_modify(|state| state.arrived += 1);
        self.wait_until("was not opened", |state| state.open).await;
    }

    /// Called by the test: waits until a task has arrived. Returns at once if one came before.
    ///
    /// # Panics
    ///
    /// If no task arrives for 20 s.
    ///
    /// # Cancel safety
    ///
    /// Dropping it changes nothing.
    pub async fn reached(&self) {
        self.reached_by(1).await;
    }

    /// Waits until `tasks` arrivals in all have been counted.
    ///
    /// # Panics
    ///
    /// If they do not arrive within 20 s.
    ///
    /// # Cancel safety
    ///
    /// Dropping it changes nothing.
    pub async fn reached_by(&self, tasks: usize) {
        self.wait_until("was not reached", |state| state.arrived >= tasks).await;
    }

    /// Lets everyone through who waits, and everyone who comes later.
    pub fn open(&self) {
        self.state.send_modify(|state| state.open = true);
    }

    /// How many tasks have arrived so far, including those that have gone on.
    #[must_use]
    pub fn arrived(&self) -> usize {
        self.state.borrow().arrived
    }

    async fn wait_until(&self, otherwise: &str, holds: impl Fn(&State) -> bool) {
        let mut state = self.state.subscribe();
        match timeout(WAIT, state.wait_for(holds)).await {
            Ok(Ok(_)) => {}
            Ok(Err(_closed)) => unreachable!("a gate lives as long as those who wait at it"),
            Err(_elapsed) => panic!("gate `{}` {otherwise} within {WAIT:?}: {self:?}", self.name),
        }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let State { arrived, open } = *self.state.borrow();
        f.debug_struct("Gate")
            .field("name", &self.name)
            .field("arrived", &arrived)
            .field("open", &open)
            .finish()
    }
}
