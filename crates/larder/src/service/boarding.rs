//! What a caller does that found nothing: it joins a load, of this process or of another, or becomes the one who loads.
//!
//! In Redis a hit takes no flight. Callers of one process follow one of them as soon as one has to load, or has to wait for the
//! load of another process; that one then asks Redis for all of them.

use std::sync::Arc;
use std::time::Duration;

use super::loading::{Grant, Hold, Lease, Loading};
use super::waiting::Waiting;
use super::{Inner, Plan, Read, Refusal, Source};
use crate::ablation::Ablation;
use crate::codec::{Value, decode, typed};
use crate::entry::{Dependencies, Word};
use crate::flight::{Followed, Follower, Joined, Landed, Leader, Moment, is_loading};
use crate::key::{Tag, Tags, Typed};
use crate::local::NameRef;
use crate::remote::{Ask, Capture, Found, Intent, Remote, Seen, Trouble};
use crate::stats::Count;

/// How often a caller looks again at once, when what it saw has changed meanwhile. Then it loads and stores nothing: somebody else
/// writes under the name all the time.
const LOOKS: usize = 3;

/// How a caller that found nothing goes on.
pub(super) enum Boarded<T, E> {
    /// It was there after all, or another caller's load brought it.
    Found(Read<T>),
    /// Another caller's load ended with this error.
    Failed(E),
    /// It loads for itself and for whoever follows its flight.
    Loads(Loading),
}

/// What is asked for, as boarding needs to know it.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) name: NameRef<'a>,
    pub(super) plan: &'a Plan,
    /// The tags that the caller declares.
    pub(super) declared: &'a [Tag],
    /// Tags that the value may depend on besides.
    pub(super) guess: &'a [Tag],
}

/// Where a caller stands that looked once.
pub(super) enum Approach<T> {
    Found(Read<T>),
    Loads(Loading),
    /// Another caller of this process asks or loads.
    Follows(Follower),
    /// Another process loads, and this caller waits for all in this process.
    Waits(Waiting),
}

/// What a caller saw that looked before it boards; `None` where it did not ask.
pub(super) type Glanced = Option<Result<Seen, Trouble>>;

/// What Redis said to a caller who loads.
pub(super) enum Told<T> {
    /// A value, and what it depends on.
    Found(Read<T>, Dependencies),
    Granted(Box<Lease>),
    Busy(Word, Arc<Capture>),
    /// It changed while it was looked at.
    Again,
    /// It cannot be asked.
    Nothing(Refusal),
}

impl<'a> Wanted<'a> {
    /// What a load captures before it begins: what the value depends on, and what it may depend on.
    pub(super) fn captures(&self) -> Tags {
        let mut tags = self.plan.tags.clone();
        tags.extend(self.guess.iter().filter(|tag| !self.plan.tags.contains(tag)).copied());
        tags
    }

    fn ask(&self) -> Ask<'a> {
        Ask {
            name: self.name.name,
            intent: Intent::Load,
            format: self.plan.format,
            needs: &self.plan.tags,
            guess: self.guess,
            copies: self.plan.copies,
        }
    }
}

impl Inner {
    /// Joins the load of a key that was not there, or becomes the one who loads.
    ///
    /// Waiting is bounded by the follow limit for each flight. One that takes longer is given up, and the first caller to
    /// notice loads in its place.
    pub(super) async fn board<T: Value, E: Clone + 'static>(
        &self,
        wanted: Wanted<'_>,
        glanced: Glanced,
    ) -> Boarded<T, E> {
        let mut glanced = glanced;
        let arrived = self.flights.moment();
        let group = wanted.plan.group;
        loop {
            let follower = match self.approach_seen(wanted, glanced.take()).await {
                Approach::Found(read) => return Boarded::Found(read),
                Approach::Loads(loading) => {
                    self.counters.count(group, Count::Miss);
                    return Boarded::Loads(loading);
                }
                Approach::Waits(waiting) => match Box::pin(self.wait(wanted, waiting)).await {
                    Some(boarded) => return boarded,
                    None => continue,
                },
                Approach::Follows(follower) => follower,
            };
            let flight = follower.id();
            match tokio::time::timeout(self.settings.follow_limit, follower.wait()).await {
                Ok(Followed::Leads(leader)) => {
                    if let Some(boarded) = self.succeed(wanted, leader).await {
                        return boarded;
                    }
                }
                Ok(Followed::Dissolved) => {}
                Ok(Followed::Landed(landed)) => {
                    if let Some(boarded) = self.take(landed, arrived, wanted.declared) {
                        self.counters.count(group, Count::Miss);
                        self.counters.count(group, Count::Joined);
                        return boarded;
                    }
                }
                Err(_elapsed) => self.flights.give_up(&flight),
            }
        }
    }

    /// Leads a flight whose leader vanished; `None` if there is another one to follow.
    async fn succeed<T: Value, E>(&self, wanted: Wanted<'_>, leader: Leader) -> Option<Boarded<T, E>> {
        if self.remote.is_some() {
            // What the one before was granted is given back, or will be.
            return Box::pin(self.wait(wanted, self.wait_behind(wanted, leader))).await;
        }
        self.counters.count(wanted.plan.group, Count::Miss);
        Some(Boarded::Loads(self.loading_here(wanted.name, Some(leader), wanted.captures())))
    }

    /// Looks once, and joins or opens a flight where that is called for.
    async fn approach<T: Value>(&self, wanted: Wanted<'_>) -> Approach<T> {
        let Some(remote) = &self.remote else { return self.approach_here(wanted) };
        for _ in 0..LOOKS {
            if let Some(follower) = self.flights.follow(wanted.name.name, wanted.name.hash) {
                return self.follow(follower);
            }
            let told = self.ask(remote, wanted).await;
            if let Some(approach) = self.stand(wanted, told) {
                return approach;
            }
        }
        self.stand_alone(wanted, Grant::None(Refusal::Superseded))
    }

    /// The same, of a caller that may have looked already.
    pub(super) fn approach_seen<'a, T: Value>(
        &'a self,
        wanted: Wanted<'a>,
        glanced: Glanced,
    ) -> impl Future<Output = Approach<T>> + Send + 'a {
        // From here on what was granted is given back, also if this is never polled.
        let seen = self.remote.as_ref().zip(glanced);
        let understood = seen.map(|(remote, seen)| (remote, self.understand(remote, wanted, seen)));
        async move {
            if let Some((remote, understood)) = understood {
                let told = self.told_when_understood(remote, wanted, understood).await;
                if let Some(approach) = self.stand(wanted, told) {
                    return approach;
                }
            }
            self.approach(wanted).await
        }
    }

    /// Where a caller stands after what it was told; `None` if it has to look again.
    fn stand<T: Value>(&self, wanted: Wanted<'_>, told: Told<T>) -> Option<Approach<T>> {
        let name = wanted.name;
        Some(match told {
            Told::Found(read, _) => {
                self.counters.count(wanted.plan.group, Count::Hit);
                Approach::Found(read)
            }
            Told::Granted(lease) => {
                // A flight that there may be is of an interval that has ended.
                let leader = self.flights.lead(name.name, name.hash);
                Approach::Loads(self.loading(Some(leader), Grant::Remote(lease)))
            }
            Told::Busy(word, _capture) => match self.flights.join(name.name, name.hash, || None::<()>) {
                Joined::Leads(leader) => Approach::Waits(Waiting::of(leader, word, self.watch(wanted))),
                Joined::Follows(follower) => self.follow(follower),
                Joined::Hit(()) => return None,
            },
            Told::Nothing(refusal) => {
                let is_away = refusal == Refusal::Unavailable;
                let find_stale = || self.find_stale(wanted.name, wanted.plan, wanted.declared);
                match is_away.then(find_stale).flatten() {
                    Some(read) => Approach::Found(read),
                    None => self.stand_alone(wanted, wanted.plan.grant_of(refusal)),
                }
            }
            Told::Again => return None,
        })
    }

    /// Where a caller stands whom Redis does not help: at most one of this process loads at a time.
    fn stand_alone<T>(&self, wanted: Wanted<'_>, grant: Grant) -> Approach<T> {
        match self.flights.join(wanted.name.name, wanted.name.hash, || None::<()>) {
            Joined::Follows(follower) => self.follow(follower),
            Joined::Leads(leader) => Approach::Loads(self.loading(Some(leader), grant)),
            Joined::Hit(()) => Approach::Loads(self.loading(None, grant)),
        }
    }

    fn approach_here<T: Value>(&self, wanted: Wanted<'_>) -> Approach<T> {
        let name = wanted.name;
        let look_again = || self.find_again::<T>(name, wanted.declared);
        match self.flights.join(name.name, name.hash, look_again) {
            Joined::Hit(read) => Approach::Found(read),
            Joined::Leads(leader) => {
                Approach::Loads(self.loading_here(name, Some(leader), wanted.captures()))
            }
            Joined::Follows(follower) if is_loading(&follower.id()) => {
                Approach::Loads(self.loading_here(name, None, wanted.captures()))
            }
            Joined::Follows(follower) => Approach::Follows(follower),
        }
    }

    /// Follows, unless this caller is itself within the load that it would wait for: then it loads, and the load around it
    /// stores.
    fn follow<T>(&self, follower: Follower) -> Approach<T> {
        if is_loading(&follower.id()) {
            Approach::Loads(self.loading(None, Grant::None(Refusal::Superseded)))
        } else {
            Approach::Follows(follower)
        }
    }

    /// The value that was seen, and what it depends on; else what was seen instead. What cannot be read is told, and is as good as
    /// stale.
    fn hit<T: Value>(
        &self,
        wanted: Wanted<'_>,
        typed: Option<&Typed<T>>,
        seen: Seen,
    ) -> Result<(Read<T>, Dependencies), Box<Seen>> {
        let Seen { found, capture, at_ms, healed, copying } = seen;
        if healed {
            self.counters.count(wanted.plan.group, Count::Foreign);
        }
        let found = match found {
            Found::Hit { word, header, payload } => {
                let bytes = payload.len();
                match decode(payload, header.encoding) {
                    Ok(value) => {
                        let age = Duration::from_millis(at_ms.saturating_sub(header.stored_at_ms));
                        let read = Read::of_remote(value, age);
                        if let Some(copying) = copying.filter(|_| typed.is_some() || !wanted.plan.weighs) {
                            self.copy(wanted.name, *copying, &header, (&read, typed, bytes));
                        }
                        return Ok((read, header.depends_on));
                    }
                    Err(error) => {
                        self.report("get", wanted.name.name, &error);
                        Found::Stale(word)
                    }
                }
            }
            found => found,
        };
        Err(Box::new(Seen { found, capture, at_ms, healed: false, copying: None }))
    }

    /// A hit in Redis, ahead of all that a load needs, which is large; else what was seen, for [`board`](Self::board) to go on
    /// with. It does not ask where there is a flight to follow.
    pub(super) async fn glance<T: Value>(
        &self,
        wanted: Wanted<'_>,
        typed: Option<&Typed<T>>,
    ) -> Result<Read<T>, Glanced> {
        let Some(remote) = self.remote.as_ref().filter(|_| self.may_ask(wanted)) else { return Err(None) };
        let seen = match remote.read(wanted.ask()).await {
            Ok(seen) => seen,
            Err(trouble) => return Err(Some(Err(trouble))),
        };
        let (read, _) = self.hit(wanted, typed, seen).map_err(|seen| Some(Ok(*seen)))?;
        self.counters.count(wanted.plan.group, Count::Hit);
        Ok(read)
    }

    /// Whether Redis may be asked for this without more ado: it is no raw space's, and no flight of this process is to be followed.
    fn may_ask(&self, wanted: Wanted<'_>) -> bool {
        !wanted.plan.raw && !self.flights.is_open(wanted.name.name, wanted.name.hash)
    }

    /// Asks Redis, and takes what has to be loaded by all who wait for it in this process.
    pub(super) async fn ask<T: Value>(&self, remote: &Remote, wanted: Wanted<'_>) -> Told<T> {
        if wanted.plan.raw {
            return Box::pin(self.ask_raw(remote, wanted)).await;
        }
        let seen = Box::pin(remote.read(wanted.ask())).await;
        self.told(remote, wanted, seen).await
    }

    /// What a reader is told by what it has seen.
    async fn told<T: Value>(
        &self,
        remote: &Remote,
        wanted: Wanted<'_>,
        seen: Result<Seen, Trouble>,
    ) -> Told<T> {
        let understood = self.understand(remote, wanted, seen);
        self.told_when_understood(remote, wanted, understood).await
    }

    async fn told_when_understood<T: Value>(
        &self,
        remote: &Remote,
        wanted: Wanted<'_>,
        understood: Result<Told<T>, (Word, Arc<Capture>)>,
    ) -> Told<T> {
        match understood {
            Ok(Told::Granted(lease)) => match Box::pin(lease.complete()).await {
                Ok(lease) => Told::Granted(lease),
                Err(trouble) => self.told_nothing(wanted, trouble),
            },
            Ok(told) => told,
            Err(unusable) => Box::pin(self.take_over(remote, wanted, unusable)).await,
        }
    }

    /// Takes the place of what cannot be used, by a lease.
    async fn take_over<T>(
        &self,
        remote: &Remote,
        wanted: Wanted<'_>,
        (word, capture): (Word, Arc<Capture>),
    ) -> Told<T> {
        // Held before it is sent: whoever is dropped meanwhile gives it back.
        let lease = (remote.new_lease(wanted.name.name), capture);
        let mut lease = Lease::new(remote, wanted, lease, Hold::Lease);
        let granted = match lease.put_over(word).await {
            Ok(true) => lease.complete().await,
            Ok(false) => return Told::Again,
            Err(trouble) => Err(trouble),
        };
        granted.map_or_else(|trouble| self.told_nothing(wanted, trouble), Told::Granted)
    }

    fn told_nothing<T>(&self, wanted: Wanted<'_>, trouble: Trouble) -> Told<T> {
        self.report("get", wanted.name.name, &trouble.into());
        Told::Nothing(Refusal::Unavailable)
    }

    /// What Redis says to several readers who load, asked in one round trip. `None` for whoever is not asked for here: it has no
    /// place in Redis, or a flight of this process to follow.
    pub(super) async fn look_ahead<'w>(
        &self,
        wanted: impl Iterator<Item = Option<Wanted<'w>>>,
    ) -> Vec<Glanced> {
        let Some(remote) = &self.remote else { return wanted.map(|_| None).collect() };
        let asked = wanted.map(|wanted| wanted.filter(|wanted| self.may_ask(*wanted)));
        let wanted: Vec<Option<Wanted<'_>>> = asked.collect();
        let asks: Vec<Ask<'_>> = wanted.iter().flatten().map(Wanted::ask).collect();
        let mut seen = remote.read_many(&asks).await.into_iter();
        wanted.iter().map(|wanted| wanted.as_ref().and_then(|_| seen.next())).collect()
    }

    async fn ask_raw<T: Value>(&self, remote: &Remote, wanted: Wanted<'_>) -> Told<T> {
        // What is loaded takes the place of what cannot be read.
        match remote.read_raw(wanted.name.name).await {
            Ok(None) => Told::Nothing(Refusal::Absent),
            Ok(Some(bytes)) => match decode(bytes, wanted.plan.encoding) {
                Ok(value) => Told::Found(Read::of_remote(value, Duration::ZERO), Dependencies::new()),
                Err(error) => {
                    self.report("get", wanted.name.name, &error);
                    Told::Nothing(Refusal::Absent)
                }
            },
            Err(Trouble::WrongType) => {
                self.counters.count(wanted.plan.group, Count::Foreign);
                Told::Nothing(Refusal::Absent)
            }
            Err(trouble) => self.told_nothing(wanted, trouble),
        }
    }

    /// Understands what a reader who loads has seen; the error is what it cannot use, and has to take the place of.
    fn understand<T: Value>(
        &self,
        remote: &Remote,
        wanted: Wanted<'_>,
        seen: Result<Seen, Trouble>,
    ) -> Result<Told<T>, (Word, Arc<Capture>)> {
        let seen = match seen {
            Ok(seen) => seen,
            Err(trouble) => return Ok(self.told_nothing(wanted, trouble)),
        };
        let (found, capture) = match self.hit(wanted, None, seen) {
            Ok((read, depends_on)) => return Ok(Told::Found(read, depends_on)),
            Err(seen) => (seen.found, seen.capture),
        };
        Ok(match found {
            Found::Hit { word, .. } | Found::Stale(word) => return Err((word, capture)),
            Found::Granted(word) => Told::Granted(Lease::new(remote, wanted, (word, capture), Hold::Lease)),
            Found::Busy(word) => Told::Busy(word, capture),
            // It was healed, and something foreign came again.
            Found::Foreign | Found::Nothing => Told::Again,
        })
    }

    /// What a caller that arrived at this moment, and declares these tags, may take of a flight that landed; `None` if it has
    /// to start again: what was brought is too old for it, or of a type that it cannot read.
    pub(super) fn take<T: Value, E: Clone + 'static>(
        &self,
        landed: Landed,
        arrived: Moment,
        declared: &[Tag],
    ) -> Option<Boarded<T, E>> {
        if !landed.vouches_for(arrived, declared) && !self.settings.ablations.is_out(Ablation::Vouching) {
            return None;
        }
        let stored = landed.stored;
        match landed.result {
            Ok(payload) => {
                typed(payload).ok().map(|value| Boarded::Found(Read::of_load(value, Source::Joined, stored)))
            }
            Err(error) => error.downcast_ref::<E>().cloned().map(Boarded::Failed),
        }
    }
}

impl Plan {
    /// How a value is stored that nothing in Redis stands against.
    pub(super) fn grant_of(&self, refusal: Refusal) -> Grant {
        if self.raw && refusal == Refusal::Absent { Grant::Raw } else { Grant::None(refusal) }
    }
}
