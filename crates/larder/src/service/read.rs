//! Reading: a hit, or one load for all who ask.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::{CacheService, Inner, Plan, Policy, Read, Refusal, Source, Stored};
use crate::ablation::Ablation;
use crate::codec::{Value, typed};
use crate::error::Error;
use crate::flight::{
    FlightId, Followed, Joined, Landed, Leader, Moment, SharedError, is_loading, while_loading,
};
use crate::key::{AsKey, Tag, Typed};
use crate::local::{Grant, Installed, NameRef};
use crate::stats::Count;

/// How a caller that found nothing goes on.
pub(super) enum Boarded<T, E> {
    /// It was there after all, or another caller's load brought it.
    Found(Read<T>),
    /// Another caller's load ended with this error.
    Failed(E),
    /// It loads for itself and for whoever follows the flight. Without a flight, it loads for itself alone: its loader runs
    /// within the load of the same key.
    Loads(Option<Leader>),
}

impl CacheService {
    /// The value of a key, if the cache has it.
    ///
    /// ```
    /// # use larder::{CacheService, Policy, Ttl};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), larder::Error> {
    /// # let cache = CacheService::builder().build()?;
    /// cache.set("user:123", "Ada".to_owned(), Policy::ttl(Ttl::secs(1800)).prefix("user")).await;
    /// let user = cache.get::<String>("user:123").await;
    /// assert_eq!(user.as_deref().map(String::as_str), Some("Ada"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Consistency
    /// A read that starts after a removal was acknowledged does not return what was removed.
    ///
    /// # Cancel safety
    /// It changes nothing but counters.
    pub async fn get<T: Value>(&self, key: impl AsKey<T>) -> Option<Arc<T>> {
        self.inner.look_up(&key).map(|read| read.value)
    }

    /// Like [`get`](Self::get), with the failure instead of "not there".
    ///
    /// # Errors
    /// [`Decode`](crate::ErrorKind::Decode) if the stored value is no `T`. It is counted.
    ///
    /// # Cancel safety
    /// It changes nothing but counters.
    pub async fn try_get<T: Value>(&self, key: impl AsKey<T>) -> Result<Option<Arc<T>>, Error> {
        let inner = &*self.inner;
        match inner.find(inner.local.name(key.name()), &[]) {
            Ok(Some(read)) => return Ok(Some(read.value)),
            Ok(None) => inner.count(key.name(), Count::Miss),
            Err(error) => {
                inner.count(key.name(), Count::Miss);
                inner.count(key.name(), Count::Error);
                return Err(error);
            }
        }
        Ok(None)
    }

    /// Like [`get`](Self::get), with where the value came from and how old it is.
    ///
    /// # Cancel safety
    /// It changes nothing but counters.
    pub async fn lookup<T: Value>(&self, key: impl AsKey<T>) -> Option<Read<T>> {
        self.inner.look_up(&key)
    }

    /// The value of a key; if the cache has none, the loader's, which is stored.
    ///
    /// However many callers ask for a key at once, one loader runs. It runs within this future: if the caller goes away, one
    /// of those who wait takes over with its own loader. A loader may ask the cache for other keys, and even for its own,
    /// which then is loaded within.
    ///
    /// ```
    /// # use larder::{CacheService, Policy, Ttl};
    /// # #[derive(Clone, Debug)] struct DbError;
    /// # async fn find_deals(company: &str) -> Result<Vec<String>, DbError> { Ok(vec![company.to_owned()]) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cache = CacheService::builder().build()?;
    /// let company = "abc123";
    /// let deals = cache
    ///     .get_or_set(format!("deals:company:{company}"), Policy::ttl(Ttl::MEDIUM).prefix("deals"), || find_deals(company))
    ///     .await;
    /// # assert_eq!(deals.map_err(|_| "the loader failed")?.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Consistency
    /// The value includes every change whose removal was acknowledged before this call, provided that the loader reads the
    /// source after it was called. A load during which its key, a tag or a scope is removed or set is returned and not stored.
    ///
    /// # Errors
    /// The loader's error, as it is; callers who shared the load get a clone (`Arc<E>` is one for errors that have none).
    /// Trouble of the cache is no error: the value is loaded.
    ///
    /// # Cancel safety
    /// A load that is dropped is taken over by a waiting caller, or given up. Nothing is stored by halves.
    pub async fn get_or_set<T, E, F, Fut>(
        &self,
        key: impl AsKey<T>,
        policy: impl Into<Policy>,
        load: F,
    ) -> Result<Arc<T>, E>
    where
        T: Value,
        E: Clone + Send + Sync + 'static,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let policy = policy.into();
        let name = self.inner.local.name(key.name());
        if let Ok(Some(read)) = self.inner.find_for(name, &policy) {
            return Ok(read.value);
        }
        Box::pin(self.inner.read_missing(key, policy, load)).await.map(|read| read.value)
    }

    /// Like [`get_or_set`](Self::get_or_set), with where the value came from, how old it is, and whether it is stored.
    ///
    /// # Errors
    /// The loader's.
    ///
    /// # Cancel safety
    /// As for [`get_or_set`](Self::get_or_set).
    pub async fn read_through<T, E, F, Fut>(
        &self,
        key: impl AsKey<T>,
        policy: impl Into<Policy>,
        load: F,
    ) -> Result<Read<T>, E>
    where
        T: Value,
        E: Clone + Send + Sync + 'static,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let policy = policy.into();
        let name = self.inner.local.name(key.name());
        if let Ok(Some(read)) = self.inner.find_for(name, &policy) {
            return Ok(read);
        }
        Box::pin(self.inner.read_missing(key, policy, load)).await
    }
}

impl<T> Read<T> {
    pub(super) fn of_load(value: Arc<T>, source: Source, stored: bool) -> Self {
        Read { value, source, age: Duration::ZERO, stored }
    }
}

impl Inner {
    /// Looks a value up and counts the hit. A value of another type is an error; a miss is for the caller to count.
    #[inline]
    pub(super) fn find<T: Value>(
        &self,
        name: NameRef<'_>,
        declared: &[Tag],
    ) -> Result<Option<Read<T>>, Error> {
        let now_ms = self.now_ms();
        let Some(hit) = self.local.lookup(name, declared, now_ms) else { return Ok(None) };
        let value = typed(hit.payload)?;
        self.counters.count(hit.group, Count::Hit);
        let age = Duration::from_millis(now_ms.saturating_sub(hit.stored_at_ms));
        Ok(Some(Read { value, source: Source::Local, age, stored: true }))
    }

    /// Looks a value up for a reader who declares what it has to depend on.
    #[inline]
    pub(super) fn find_for<T: Value>(
        &self,
        name: NameRef<'_>,
        policy: &Policy,
    ) -> Result<Option<Read<T>>, Error> {
        if policy.too_many_tags {
            return Ok(None); // no entry can depend on all of them, and the policy has forgotten some
        }
        self.find(name, &policy.tags)
    }

    /// Looks once more, before a flight is opened. What cannot be read is told, then loaded, and thereby replaced.
    pub(super) fn find_again<T: Value>(&self, name: NameRef<'_>, declared: &[Tag]) -> Option<Read<T>> {
        self.find(name, declared).unwrap_or_else(|error| {
            self.report("get", name.name, &error);
            None
        })
    }

    /// What there is for a reader who asks for no more; failures are counted and logged.
    #[inline]
    fn look_up<T: Value>(&self, key: &impl AsKey<T>) -> Option<Read<T>> {
        match self.find(self.local.name(key.name()), &[]) {
            Ok(Some(read)) => return Some(read),
            Ok(None) => {}
            Err(error) => self.report("get", key.name(), &error),
        }
        self.count(key.name(), Count::Miss);
        None
    }

    /// The rest of a read that was no hit: another caller's load, or one of its own. It is large and callers box it, so that
    /// a hit does not move room for a load about.
    async fn read_missing<T, E, F, Fut>(
        &self,
        key: impl AsKey<T>,
        policy: Policy,
        load: F,
    ) -> Result<Read<T>, E>
    where
        T: Value,
        E: Clone + Send + Sync + 'static,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let name = self.local.name(key.name());
        if self.settings.bypass {
            self.count_unplanned_load(name.name, &policy);
            return load().await.map(|value| Read::of_load(Arc::new(value), Source::Bypass, false));
        }
        let plan = match self.plan(name.name, key.space(), &policy) {
            Ok(plan) => plan,
            Err(error) => {
                self.report("get_or_set", name.name, &error);
                self.count_unplanned_load(name.name, &policy);
                return load().await.map(|value| Read::of_load(Arc::new(value), Source::Loaded, false));
            }
        };
        let leader = match self.board(name, &policy.tags, &plan).await {
            Boarded::Found(read) => return Ok(read),
            Boarded::Failed(error) => return Err(error),
            Boarded::Loads(leader) => leader,
        };
        self.load(name, key.typed(), plan, leader, load).await
    }

    pub(super) fn count(&self, name: &str, what: Count) {
        self.counters.count(self.group_of_name(name), what);
    }

    /// Counts a miss and a load for which nothing can be stored.
    pub(super) fn count_unplanned_load(&self, name: &str, policy: &Policy) {
        let group = self.group_of_call(name, policy);
        self.counters.count(group, Count::Miss);
        self.counters.count(group, Count::Load);
    }

    /// Joins the flight of a key that was not there: waits for what another caller loads, or becomes the one who loads.
    ///
    /// Waiting is bounded by the follow limit for each flight. One that takes longer is given up, and the first caller to
    /// notice loads in its place.
    pub(super) async fn board<T: Value, E: Clone + 'static>(
        &self,
        name: NameRef<'_>,
        declared: &[Tag],
        plan: &Plan,
    ) -> Boarded<T, E> {
        let arrived = self.flights.moment();
        loop {
            let joined = self.flights.join(name.name, name.hash, || self.find_again::<T>(name, declared));
            let follower = match joined {
                Joined::Hit(read) => return Boarded::Found(read),
                Joined::Leads(leader) => {
                    self.counters.count(plan.group, Count::Miss);
                    return Boarded::Loads(Some(leader));
                }
                Joined::Follows(follower) => follower,
            };
            let flight = follower.id();
            if is_loading(&flight) {
                self.counters.count(plan.group, Count::Miss);
                return Boarded::Loads(None);
            }
            match tokio::time::timeout(self.settings.follow_limit, follower.wait()).await {
                Ok(Followed::Leads(leader)) => {
                    self.counters.count(plan.group, Count::Miss);
                    return Boarded::Loads(Some(leader));
                }
                Ok(Followed::Landed(landed)) => {
                    if let Some(boarded) = self.take(landed, arrived, declared) {
                        self.counters.count(plan.group, Count::Miss);
                        self.counters.count(plan.group, Count::Joined);
                        return boarded;
                    }
                }
                Err(_elapsed) => self.flights.give_up(&flight),
            }
        }
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

    /// Loads, installs, and tells those who follow.
    async fn load<T, E, Fut>(
        &self,
        name: NameRef<'_>,
        typed: Option<&Typed<T>>,
        plan: Plan,
        leader: Option<Leader>,
        load: impl FnOnce() -> Fut,
    ) -> Result<Read<T>, E>
    where
        T: Value,
        E: Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>>,
    {
        self.counters.count(plan.group, Count::Load);
        let began = self.flights.moment();
        let grant = self.local.begin(name, plan.tags.iter().copied(), self.now_ms());
        let flights: Vec<FlightId> = leader.iter().map(Leader::id).collect();
        // The loader is called within too, so that what it does before its first await is known to be part of the load.
        let loaded = while_loading(flights, async { load().await }).await;
        match loaded {
            Ok(value) => {
                let value = Arc::new(value);
                let stored = self.settle(name, typed, &plan, leader, (began, grant), Arc::clone(&value));
                Ok(Read::of_load(value, Source::Loaded, stored.is_stored()))
            }
            Err(error) => {
                self.fail(name, leader, (began, grant), &error);
                Err(error)
            }
        }
    }

    /// Lands a flight with the loader's error, of which everybody who may take it gets a clone.
    pub(super) fn fail<E: Clone + Send + Sync + 'static>(
        &self,
        name: NameRef<'_>,
        leader: Option<Leader>,
        (began, grant): (Moment, Grant),
        error: &E,
    ) {
        let Some(leader) = leader else { return };
        let error: SharedError = Arc::new(error.clone());
        leader.land(|| {
            let vouched = self.local.is_current(name, &grant);
            Landed { result: Err(error), began, vouched, tags: grant.tags().collect(), stored: false }
        });
    }

    /// Installs a loaded value and lands its flight, in one step.
    pub(super) fn settle<T: Value>(
        &self,
        name: NameRef<'_>,
        typed: Option<&Typed<T>>,
        plan: &Plan,
        leader: Option<Leader>,
        (began, grant): (Moment, Grant),
        value: Arc<T>,
    ) -> Stored {
        let candidate = self.candidate(name.name, Arc::clone(&value), typed, plan, grant.began_ms());
        let candidate = candidate.inspect_err(|error| self.report("set", name.name, error)).ok();
        let failed = candidate.is_none();
        let tags = grant.tags().collect();
        let install = || self.local.install(name, grant, candidate);
        let installed = match leader {
            None => install(),
            Some(leader) => {
                let landed = leader.land(|| {
                    let Installed { current, stored } = install();
                    Landed { result: Ok(value), began, vouched: current, tags, stored }
                });
                Installed { current: landed.vouched, stored: landed.stored }
            }
        };
        let (stored, what) = match installed {
            Installed { stored: true, .. } => (Stored::YES, Count::Set),
            _ if failed => return Stored::no(Refusal::Failed), // counted already
            Installed { current: true, .. } => (Stored::no(Refusal::TooLarge), Count::TooLarge),
            Installed { .. } => (Stored::no(Refusal::Superseded), Count::Superseded),
        };
        self.counters.count(plan.group, what);
        stored
    }
}
