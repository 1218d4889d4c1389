//! A load under way: what was captured before it began, and what becomes of what it brought.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::boarding::Wanted;
use super::{Inner, Plan, Refusal, Stored};
use crate::clock::Clock;
use crate::codec::{Payload, Value, encode};
use crate::entry::Word;
use crate::error::Error;
use crate::flight::{FlightId, Landed, Leader, Moment, SharedError};
use crate::key::{Tag, Tags, Typed};
use crate::local::{Installed, NameRef};
use crate::remote::{Capture, Fresh, Remote, Settled, Trouble};
use crate::stats::Count;
use crate::{local, stats};

/// Leave to load, for this caller and for whoever follows its flight. Dropped, it hands the load to one of them.
#[derive(Debug)]
pub(super) struct Loading {
    /// `None` where it loads for itself alone: its loader runs within the load of the same key.
    leader: Option<Leader>,
    /// The load begins after this moment.
    began: Moment,
    began_ms: u64,
    since: Instant,
    grant: Grant,
}

/// What a value is compared with when it is stored.
#[derive(Debug)]
pub(super) enum Grant {
    /// With tickets and tokens of this process.
    Local(local::Grant),
    /// With what is in Redis.
    Remote(Box<Lease>),
    /// With nothing: the space is raw, in Redis.
    Raw,
    /// Nothing can be stored, for this reason.
    None(Refusal),
}

/// The word that a loader saw in Redis, with what was in force then. Dropped before the value was filled in, it is given back.
#[derive(Debug)]
pub(super) struct Lease {
    remote: Remote,
    name: String,
    word: Word,
    capture: Arc<Capture>,
    /// What the value depends on; all of it is captured.
    tags: Tags,
    hold: Hold,
}

/// What a caller who loads has in Redis, and gives back when it fills nothing in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// Its own lease.
    Lease,
    /// The claim to the load of another, whose lease it is.
    Claim,
    Nothing,
}

/// A value as it goes to Redis.
pub(super) struct Encoded {
    encoding: crate::policy::Encoding,
    pub(super) bytes: Vec<u8>,
    pub(super) version: Option<u64>,
    pub(super) weight: u64,
}

impl Loading {
    /// The flights that a load is for.
    pub(super) fn flights(&self) -> Vec<FlightId> {
        self.leader.iter().map(Leader::id).collect()
    }

    /// Ends it without a value: whoever asks next finds the way free. Dropped instead, it is given back a moment later.
    pub(super) async fn give_back(mut self) {
        if let Grant::Remote(lease) = &mut self.grant {
            lease.give_back().await.ok(); // nothing is filled in; where this fails, a task tries once more
        }
    }

    /// Cuts what was captured down to these tags; `false` if one of them was not captured.
    pub(super) fn narrow_to(&mut self, tags: &[Tag]) -> bool {
        match &mut self.grant {
            Grant::Local(grant) => grant.narrow_to(tags),
            Grant::Remote(lease) => lease.narrow_to(tags),
            Grant::Raw => tags.is_empty(), // there is no room for them
            Grant::None(_) => true,
        }
    }
}

impl Lease {
    pub(super) fn new(
        remote: &Remote,
        wanted: Wanted<'_>,
        (word, capture): (Word, Arc<Capture>),
        hold: Hold,
    ) -> Box<Lease> {
        let (name, tags) = (wanted.name.name.to_owned(), wanted.captures());
        Box::new(Lease { remote: remote.clone(), name, word, capture, tags, hold })
    }

    /// Puts the lease in the place of what has this word. Answers whether it is there now.
    pub(super) async fn put_over(&mut self, old: Word) -> Result<bool, Trouble> {
        match self.remote.lease_over(&self.name, old, self.seen(), &self.tags).await? {
            Some(capture) => self.capture = capture,
            None => self.hold = Hold::Nothing,
        }
        Ok(self.hold != Hold::Nothing)
    }

    /// Makes it ready to be loaded for: the token of a tag that had one lately may be gone, and is put anew.
    pub(super) async fn complete(mut self: Box<Self>) -> Result<Box<Self>, Trouble> {
        if !self.capture.has(&self.tags) {
            self.capture = self.remote.capture_again(&self.capture, &self.tags).await?;
        }
        Ok(self)
    }

    fn narrow_to(&mut self, tags: &[Tag]) -> bool {
        self.tags = tags.into();
        self.capture.has(tags)
    }

    fn seen(&self) -> (Word, &Capture) {
        (self.word, &self.capture)
    }

    /// Fills the value in.
    async fn fill(&mut self, fresh: Fresh<'_>) -> Result<Settled, Trouble> {
        let settled = self.remote.fill(&self.name, self.seen(), &self.tags, fresh).await?;
        if settled.done {
            self.hold = Hold::Nothing;
        } // else the lease may still be there: what had been put aside may have been evicted
        Ok(settled)
    }

    /// Gives back what it holds. Without a lease of its own, nothing vouches for what was loaded.
    async fn give_back(&mut self) -> Result<Settled, Trouble> {
        let settled = give_back(&self.remote, &self.name, self.seen(), &self.tags, self.hold).await?;
        self.hold = Hold::Nothing;
        Ok(settled)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.hold != Hold::Nothing {
            let (remote, name, hold) = (self.remote.clone(), std::mem::take(&mut self.name), self.hold);
            let (word, capture) = (self.word, Arc::clone(&self.capture));
            self.remote.errands().run(async move {
                let give_back = async || give_back(&remote, &name, (word, &capture), &[], hold).await;
                if give_back().await.is_err() && remote.ready_soon().await {
                    // Where this fails too, it ends with its time, a lease also with a claim.
                    give_back().await.ok();
                }
            });
        }
    }
}

async fn give_back(
    remote: &Remote,
    name: &str,
    seen: (Word, &Capture),
    tags: &[Tag],
    hold: Hold,
) -> Result<Settled, Trouble> {
    match hold {
        Hold::Lease => return remote.release(name, seen, tags).await,
        Hold::Claim => remote.unclaim(name, seen.0).await?,
        Hold::Nothing => {}
    }
    Ok(Settled { done: false, current: false })
}

impl Inner {
    /// The leave to load of this leader, with what it was granted.
    pub(super) fn loading(&self, leader: Option<Leader>, grant: Grant) -> Loading {
        let (began, began_ms) = (self.flights.moment(), self.now_ms());
        Loading { leader, began, began_ms, since: Instant::now(), grant }
    }

    /// Captures what a load in this process is compared with.
    pub(super) fn loading_here(
        &self,
        name: NameRef<'_>,
        leader: Option<Leader>,
        tags: impl IntoIterator<Item = Tag>,
    ) -> Loading {
        self.loading(leader, Grant::Local(self.local.begin(name, tags)))
    }

    /// Captures other tags for a load that begins anew.
    pub(super) async fn begin_again(&self, name: NameRef<'_>, loading: Loading, tags: &[Tag]) -> Loading {
        let Loading { leader, grant, .. } = loading;
        let grant = match grant {
            Grant::Local(_) => return self.loading_here(name, leader, tags.iter().copied()),
            Grant::Remote(mut lease) => match lease.remote.capture_again(&lease.capture, tags).await {
                Ok(capture) => {
                    lease.capture = capture;
                    lease.tags = tags.into();
                    Grant::Remote(lease)
                }
                Err(trouble) => {
                    self.report("get_or_set", name.name, &trouble.into());
                    Grant::None(Refusal::Unavailable)
                }
            },
            grant => grant,
        };
        self.loading(leader, grant)
    }

    /// Lands a flight with the loader's error, of which everybody who may take it gets a clone.
    pub(super) async fn fail<E: Clone + Send + Sync + 'static>(
        &self,
        name: NameRef<'_>,
        loading: Loading,
        error: &E,
    ) {
        let Loading { leader, began, grant, .. } = loading;
        let error: SharedError = Arc::new(error.clone());
        let (held, tags) = match grant {
            Grant::Local(grant) => {
                if let Some(leader) = leader {
                    leader.land(|| {
                        let current = self.local.is_current(name, &grant) && self.vouches();
                        let checked = Moment::of_check(current);
                        Landed {
                            result: Err(error),
                            began,
                            checked,
                            tags: grant.tags().collect(),
                            stored: false,
                        }
                    });
                }
                return;
            }
            Grant::Remote(mut lease) => {
                leader.iter().for_each(Leader::close);
                // Nothing is filled in, so that its trouble is nobody's here: the lease ends all the same.
                let settled = Box::pin(lease.give_back()).await;
                (settled.is_ok_and(|settled| settled.current), std::mem::take(&mut lease.tags))
            }
            Grant::Raw | Grant::None(_) => (false, Tags::new()),
        };
        if let Some(leader) = leader {
            let checked = Moment::of_check(held);
            leader.land(|| Landed { result: Err(error), began, checked, tags, stored: false });
        }
    }

    /// Lands a flight with a value that is not stored.
    pub(super) fn land_unstored(&self, loading: Loading, value: Payload) {
        let Loading { leader, began, .. } = loading;
        if let Some(leader) = leader {
            let (result, tags) = (Ok(value), Tags::new());
            leader.land(|| Landed { result, began, checked: Moment::NEVER, tags, stored: false });
        }
    }

    /// Stores a loaded value and lands its flight.
    pub(super) async fn settle<T: Value>(
        &self,
        name: NameRef<'_>,
        typed: Option<&Typed<T>>,
        plan: &Plan,
        loading: Loading,
        value: Arc<T>,
    ) -> Stored {
        let Loading { leader, began, began_ms, since, grant } = loading;
        let took = since.elapsed();
        let (stored, held, tags) = match grant {
            Grant::Local(grant) => {
                return self.install(name, typed, plan, (leader, began, began_ms), grant, value);
            }
            Grant::Remote(mut lease) => {
                self.pace.note(plan.group, took);
                leader.iter().for_each(Leader::close);
                let encoded = self.encode(name.name, &*value, typed, plan);
                let (stored, held) = Box::pin(self.fill(&mut lease, encoded, plan, (began_ms, took))).await;
                (stored, held, std::mem::take(&mut lease.tags))
            }
            Grant::Raw => (Box::pin(self.put_raw(name.name, &*value, typed, plan)).await, false, Tags::new()),
            Grant::None(refusal) => (Stored::no(refusal), false, Tags::new()),
        };
        if let Some(leader) = leader {
            let (stored, checked) = (stored.is_stored(), Moment::of_check(held));
            leader.land(|| Landed { result: Ok(value), began, checked, tags, stored });
        }
        stored
    }

    /// Installs a loaded value in this process and lands its flight, in one step.
    fn install<T: Value>(
        &self,
        name: NameRef<'_>,
        typed: Option<&Typed<T>>,
        plan: &Plan,
        (leader, began, began_ms): (Option<Leader>, Moment, u64),
        grant: local::Grant,
        value: Arc<T>,
    ) -> Stored {
        let candidate = self.candidate(name.name, Arc::clone(&value), typed, plan, began_ms);
        let candidate = candidate.inspect_err(|error| self.report("set", name.name, error)).ok();
        let failed = candidate.is_none();
        let tags = grant.tags().collect();
        let install = || self.local.install(name, grant, candidate);
        let mut is_current = false;
        let installed = match leader {
            None => install(),
            Some(leader) => {
                let landed = leader.land(|| {
                    let Installed { current, stored } = install();
                    is_current = current;
                    let checked = Moment::of_check(current && self.vouches());
                    Landed { result: Ok(value), began, checked, tags, stored }
                });
                Installed { current: is_current, stored: landed.stored }
            }
        };
        self.answer_of_load(plan.group, installed.stored, installed.current, failed)
    }

    /// Whether an install that was accepted vouches for its value: not while nobody tells this process of what others change.
    fn vouches(&self) -> bool {
        self.lease.as_ref().is_none_or(|lease| lease.is_open(Clock::system().now_ms()))
    }

    /// Fills a value in that was loaded for Redis. Answers whether it is stored, and whether it is vouched for.
    async fn fill(
        &self,
        lease: &mut Lease,
        encoded: Result<Encoded, Error>,
        plan: &Plan,
        (began_ms, took): (u64, Duration),
    ) -> (Stored, bool) {
        let encoded = encoded.inspect_err(|error| self.report("set", &lease.name, error));
        let failed = encoded.is_err();
        let age_ms = self.now_ms().saturating_sub(began_ms);
        let is_own = lease.hold == Hold::Lease;
        let (fills, settled) = match &encoded {
            Ok(encoded) if encoded.weight <= self.settings.max_value_bytes => {
                let fresh = Fresh { age_ms, load_cost_us: micros(took), ..encoded.fresh(plan) };
                (true, lease.fill(fresh).await)
            }
            _ => (false, lease.give_back().await),
        };
        match settled {
            Ok(Settled { current, .. }) => {
                // What is too large was not compared with anything where the lease is another's.
                let is_current = current || (!fills && !is_own);
                (self.answer_of_load(plan.group, fills && current, is_current, failed), current)
            }
            Err(trouble) => {
                self.report("set", &lease.name, &trouble.into());
                (Stored::no(if failed { Refusal::Failed } else { Refusal::Unavailable }), false)
            }
        }
    }

    /// Counts what became of a loaded value, and says it.
    fn answer_of_load(&self, group: stats::Group, stored: bool, current: bool, failed: bool) -> Stored {
        let (stored, what) = match (stored, current) {
            (true, _) => (Stored::YES, Count::Set),
            _ if failed => return Stored::no(Refusal::Failed), // counted already
            (false, true) => (Stored::no(Refusal::TooLarge), Count::TooLarge),
            (false, false) => (Stored::no(Refusal::Superseded), Count::Superseded),
        };
        self.counters.count(group, what);
        stored
    }

    /// Makes a value ready to go to Redis.
    pub(super) fn encode<T: Value>(
        &self,
        name: &str,
        value: &T,
        typed: Option<&Typed<T>>,
        plan: &Plan,
    ) -> Result<Encoded, Error> {
        let (encoding, bytes) = encode(value, plan.encoding)?;
        let weight = self.weight_of(name, value, typed, || Ok(bytes.len() as u64))?;
        let version = typed.and_then(|typed| typed.version).map(|version| version(value));
        Ok(Encoded { encoding, bytes, version, weight })
    }
}

impl Encoded {
    /// For a value that is of now, and cost nothing to load.
    pub(super) fn fresh(&self, plan: &Plan) -> Fresh<'_> {
        Fresh {
            format: plan.format,
            encoding: self.encoding,
            version: self.version,
            load_cost_us: 0,
            age_ms: 0,
            ttl: plan.ttl,
            payload: &self.bytes,
        }
    }
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}
