//! One load for each key: the first caller leads, the others follow, and a leader that vanishes is succeeded.
//!
//! Who may take what a flight brought is rule 1 of the protocol, *vouching*: a follower takes a value only if something that
//! happened after it joined vouched for it (an accepted install; a flight is closed to joiners in the same step), or if the
//! load began after it arrived. An error is held to the same: "there is no such row" is news of the data, too.
//! [`Landed::vouches_for`] is that rule.

mod chain;

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

pub(crate) use chain::{is_loading, while_loading};

use crate::codec::Payload;
use crate::key::{Tag, Tags};

/// How many parts the table has, so that loads of different keys seldom wait for each other.
const SHARDS: usize = 64;

/// The loads that are under way.
#[derive(Debug)]
pub(crate) struct Flights {
    shards: Box<[Mutex<Shard>]>,
    /// Orders arrivals and beginnings.
    moments: AtomicU64,
    /// Callers that wait for somebody else's load.
    following: AtomicUsize,
}

type Shard = HashMap<Arc<str>, Arc<Flight>>;

/// A point in the order of arrivals and beginnings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    /// Before every arrival: nobody came before it.
    pub(crate) const NEVER: Moment = Moment(0);

    /// The landing itself: all who are aboard came before it.
    pub(crate) const LANDING: Moment = Moment(u64::MAX);

    /// When a landing was checked.
    pub(crate) fn of_check(held: bool) -> Moment {
        if held { Moment::LANDING } else { Moment::NEVER }
    }
}

#[derive(Debug)]
struct Flight {
    name: Arc<str>,
    hash: u64,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    stage: Stage,
    /// Callers that lead or follow; the last one out clears a flight that nobody leads.
    aboard: usize,
}

#[derive(Debug)]
enum Stage {
    Led,
    /// Its leader waits for the load of another process.
    Waits,
    /// A load of this process has taken the place of the one that was waited for: all aboard start again, and follow that.
    Dissolved,
    /// Its leader vanished: the next follower to look leads.
    Vacant,
    Landed(Landed),
}

/// What a flight brought.
#[derive(Clone)]
pub(crate) struct Landed {
    pub(crate) result: Result<Payload, SharedError>,
    /// The load began after this moment.
    pub(crate) began: Moment,
    /// What was brought was checked after this moment: nothing that it depends on was removed or set before the check.
    pub(crate) checked: Moment,
    /// The tags that the load captured: of no others does it know whether they were invalidated.
    pub(crate) tags: Tags,
    pub(crate) stored: bool,
}

/// An error of the loader, whose type only the callers know.
pub(crate) type SharedError = Arc<dyn Any + Send + Sync>;

impl std::fmt::Debug for Landed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Landed")
            .field("ok", &self.result.is_ok())
            .field("checked", &self.checked)
            .finish_non_exhaustive()
    }
}

impl Landed {
    /// Whether a caller that arrived at this moment, and declares these tags, may take what the flight brought.
    pub(crate) fn vouches_for(&self, arrived: Moment, declared: &[Tag]) -> bool {
        arrived < self.began || (arrived < self.checked && declared.iter().all(|tag| self.tags.contains(tag)))
    }
}

/// How a caller came aboard.
#[derive(Debug)]
pub(crate) enum Joined<H> {
    /// It did not have to: the key had been installed in the meantime.
    Hit(H),
    Leads(Leader),
    Follows(Follower),
}

impl Flights {
    pub(crate) fn new() -> Self {
        Flights {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            moments: AtomicU64::new(0),
            following: AtomicUsize::new(0),
        }
    }

    /// The next moment: later than all that were drawn before.
    pub(crate) fn moment(&self) -> Moment {
        Moment(self.moments.fetch_add(1, Ordering::AcqRel))
    }

    /// Joins the flight of this key or opens one. `recheck` looks once more whether the key is there, under the lock under
    /// which flights land, so that a caller never opens a flight for what has just been installed.
    pub(crate) fn join<H>(
        self: &Arc<Self>,
        name: &str,
        hash: u64,
        recheck: impl FnOnce() -> Option<H>,
    ) -> Joined<H> {
        let mut shard = self.shard(hash);
        if let Some(follower) = self.follow_in(&shard, name) {
            return Joined::Follows(follower);
        }
        if let Some(hit) = recheck() {
            return Joined::Hit(hit);
        }
        Joined::Leads(self.open(&mut shard, name, hash))
    }

    /// Follows the flight of this key, if there is one.
    pub(crate) fn follow(self: &Arc<Self>, name: &str, hash: u64) -> Option<Follower> {
        self.follow_in(&self.shard(hash), name)
    }

    fn follow_in(self: &Arc<Self>, shard: &Shard, name: &str) -> Option<Follower> {
        let flight = shard.get(name)?;
        flight.state.lock().aboard += 1;
        self.following.fetch_add(1, Ordering::Relaxed);
        Some(Follower { flights: Arc::clone(self), flight: Some(Arc::clone(flight)) })
    }

    /// Whether there is a flight of this key.
    pub(crate) fn is_open(&self, name: &str, hash: u64) -> bool {
        self.shard(hash).contains_key(name)
    }

    /// Opens a flight of this key in place of one that there may be. Whoever follows that one is served when it lands; where it
    /// only waits, they start again.
    pub(crate) fn lead(self: &Arc<Self>, name: &str, hash: u64) -> Leader {
        let mut shard = self.shard(hash);
        if let Some(waiting) = shard.get(name) {
            let mut state = waiting.state.lock();
            if matches!(state.stage, Stage::Waits) {
                state.stage = Stage::Dissolved;
                waiting.changed.notify_waiters();
            }
        }
        self.open(&mut shard, name, hash)
    }

    fn open(self: &Arc<Self>, shard: &mut Shard, name: &str, hash: u64) -> Leader {
        let name: Arc<str> = name.into();
        let state = Mutex::new(State { stage: Stage::Led, aboard: 1 });
        let flight = Arc::new(Flight { name: Arc::clone(&name), hash, state, changed: Notify::new() });
        shard.insert(name, Arc::clone(&flight));
        Leader { flights: Arc::clone(self), flight: Some(flight) }
    }

    /// How many loads are under way.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// How many callers wait for somebody else's load.
    pub(crate) fn following(&self) -> usize {
        self.following.load(Ordering::Relaxed)
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        self.shards[(hash >> 40) as usize % SHARDS].lock()
    }
}

/// Takes a flight off the table, unless its place has been taken by another.
fn clear(shard: &mut Shard, flight: &Arc<Flight>) {
    if shard.get(&flight.name).is_some_and(|there| Arc::ptr_eq(there, flight)) {
        shard.remove(&flight.name);
    }
}

/// Who runs the load. Dropping it before it landed leaves the flight to a follower.
#[derive(Debug)]
pub(crate) struct Leader {
    flights: Arc<Flights>,
    flight: Option<Arc<Flight>>,
}

impl Leader {
    /// Lands: closes the flight to joiners, settles its outcome (that is, installs the value) and tells the followers, in one
    /// step under the lock of the table.
    pub(crate) fn land(mut self, settle: impl FnOnce() -> Landed) -> Landed {
        let Some(flight) = self.flight.clone() else { return settle() };
        let mut shard = self.flights.shard(flight.hash);
        let landed = settle(); // should it panic (it drops values), this leader still has its flight to hand over
        self.flight = None;
        clear(&mut shard, &flight);
        flight.state.lock().stage = Stage::Landed(landed.clone());
        drop(shard);
        flight.changed.notify_waiters();
        landed
    }

    /// Says that this leader waits for the load of another process.
    pub(crate) fn waits(&self) {
        self.pass(|stage| *stage = Stage::Waits);
    }

    /// Says that this leader has leave to load now; `false` if another caller of this process has had it before.
    pub(crate) fn loads(&self) -> bool {
        self.pass(|stage| {
            let dissolved = matches!(stage, Stage::Dissolved);
            if !dissolved {
                *stage = Stage::Led;
            }
            !dissolved
        })
    }

    /// Whether a load of this process has taken the place of the one that this leader waits for.
    pub(crate) fn is_dissolved(&self) -> bool {
        self.pass(|stage| matches!(stage, Stage::Dissolved))
    }

    fn pass<T: Default>(&self, look: impl FnOnce(&mut Stage) -> T) -> T {
        self.flight.as_ref().map(|flight| look(&mut flight.state.lock().stage)).unwrap_or_default()
    }

    /// Closes the flight to joiners: who comes from here on asks for itself. For a landing that takes time, during which nobody
    /// may join who would not be vouched for.
    pub(crate) fn close(&self) {
        if let Some(flight) = &self.flight {
            clear(&mut self.flights.shard(flight.hash), flight);
        }
    }

    /// What identifies the flight within a chain of loads.
    pub(crate) fn id(&self) -> FlightId {
        FlightId(self.flight.clone())
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        let Some(flight) = self.flight.take() else { return };
        let mut shard = self.flights.shard(flight.hash);
        let mut state = flight.state.lock();
        if !matches!(state.stage, Stage::Dissolved) {
            state.stage = Stage::Vacant;
        }
        state.aboard -= 1;
        if state.aboard == 0 {
            clear(&mut shard, &flight);
        }
        drop(state);
        drop(shard);
        flight.changed.notify_one();
    }
}

/// Who waits for somebody else's load.
#[derive(Debug)]
pub(crate) struct Follower {
    flights: Arc<Flights>,
    flight: Option<Arc<Flight>>,
}

/// What became of waiting.
#[derive(Debug)]
pub(crate) enum Followed {
    Landed(Landed),
    /// The leader vanished and this caller leads now.
    Leads(Leader),
    /// There is another flight to follow.
    Dissolved,
}

impl Follower {
    pub(crate) fn id(&self) -> FlightId {
        FlightId(self.flight.clone())
    }

    /// Waits until the flight lands or has to be led.
    ///
    /// Cancel safe: a follower that is dropped passes a call to lead on to the next.
    pub(crate) async fn wait(mut self) -> Followed {
        loop {
            let Some(flight) = self.flight.clone() else {
                unreachable!("a follower keeps its flight until it is consumed")
            };
            let changed = flight.changed.notified();
            {
                let mut state = flight.state.lock();
                match &state.stage {
                    Stage::Landed(landed) => return Followed::Landed(landed.clone()),
                    Stage::Vacant => {
                        state.stage = Stage::Led;
                        self.flight = None; // its place aboard goes over to the leader
                        drop(state);
                        return Followed::Leads(Leader {
                            flights: Arc::clone(&self.flights),
                            flight: Some(Arc::clone(&flight)),
                        });
                    }
                    Stage::Dissolved => return Followed::Dissolved,
                    Stage::Led | Stage::Waits => {}
                }
            }
            changed.await;
        }
    }
}

impl Flights {
    /// Gives a flight up that takes too long, so that the next caller opens another. Its leader goes on; whoever still
    /// follows it is served when it lands.
    pub(crate) fn give_up(&self, id: &FlightId) {
        if let Some(flight) = &id.0 {
            clear(&mut self.shard(flight.hash), flight);
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.flights.following.fetch_sub(1, Ordering::Relaxed);
        let Some(flight) = self.flight.take() else { return };
        let mut shard = self.flights.shard(flight.hash);
        let mut state = flight.state.lock();
        state.aboard -= 1;
        if state.aboard == 0 && matches!(state.stage, Stage::Vacant) {
            clear(&mut shard, &flight);
        }
    }
}

/// Which flight it is.
#[derive(Clone, Debug)]
pub(crate) struct FlightId(Option<Arc<Flight>>);

impl PartialEq for FlightId {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}
