//! Many keys at once: one loader call with only what is missing.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::boarding::{Approach, Boarded, Wanted};
use super::loading::{Grant, Loading};
use super::waiting::Waiting;
use super::{CacheService, Inner, Plan, Policy, Refusal, together};
use crate::codec::Value;
use crate::flight::{Followed, Follower, Moment, while_loading};
use crate::key::AsKey;
use crate::local::NameRef;
use crate::stats::Count;

/// One key of a batch that the cache does not have.
struct Missing<'a> {
    at: usize,
    name: NameRef<'a>,
    /// `None` where nothing can be stored for it.
    plan: Option<Plan>,
}

/// One key of a batch that this call loads.
struct Led<'a> {
    missing: Missing<'a>,
    loading: Loading,
}

/// The keys of a batch that others load.
#[derive(Default)]
struct Standing<'a> {
    /// In this process.
    follows: Vec<(Missing<'a>, Follower)>,
    /// In another, and this call asks for all of this process.
    waits: Vec<(Missing<'a>, Waiting)>,
}

impl<'a> Standing<'a> {
    fn into_missing(self) -> impl Iterator<Item = Missing<'a>> {
        let waits = self.waits.into_iter().map(|(missing, _)| missing);
        self.follows.into_iter().map(|(missing, _)| missing).chain(waits)
    }
}

impl CacheService {
    /// The values of several keys, in their order; `None` where the cache has none.
    ///
    /// # Cancel safety
    /// It changes nothing but counters.
    pub async fn get_many<T: Value, N: AsKey<T>>(
        &self,
        keys: impl IntoIterator<Item = N>,
    ) -> Vec<Option<Arc<T>>> {
        if self.inner.remote.is_some() {
            let keys: Vec<N> = keys.into_iter().collect();
            return join_all(keys.iter().map(|key| self.get(key))).await; // they leave together
        }
        let mut values = Vec::new();
        for key in keys {
            values.push(self.get(key).await);
        }
        values
    }

    /// The values of several ids, in their order: those that the cache has, and the others from one call of the loader with
    /// only the missing ids. It answers pairs of id and value, in any order; an id that it leaves out stays `None`, and is not
    /// stored.
    ///
    /// Ids that another caller is loading are waited for, after this call has loaded and stored its own. Should that load fail
    /// to help, the loader is called once more with what is still missing. An id that stands twice is loaded once.
    ///
    /// ```
    /// # use larder::{CacheService, Policy, Space};
    /// static USER: Space<u32, String> = Space::new("user:{id}", "Read by lists; changes with a profile; a stale name confuses.");
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cache = CacheService::builder().space(&USER).build()?;
    /// let users = cache
    ///     .get_or_set_many(&[1, 2, 3], |id| USER.key(id), Policy::new(), |missing| async move {
    ///         Ok::<_, std::convert::Infallible>(missing.into_iter().map(|id| (id, format!("user {id}"))))
    ///     })
    ///     .await?;
    /// assert_eq!(users[1].as_deref().map(String::as_str), Some("user 2"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Consistency
    /// For each id as for [`get_or_set`](Self::get_or_set).
    ///
    /// # Errors
    /// The loader's error, of this call or of the one that it shared.
    ///
    /// # Cancel safety
    /// As for [`get_or_set`](Self::get_or_set), for each id.
    pub async fn get_or_set_many<K, T, N, E, I, Fut>(
        &self,
        ids: &[K],
        key_of: impl Fn(&K) -> N,
        policy: impl Into<Policy>,
        mut load: impl FnMut(Vec<K>) -> Fut,
    ) -> Result<Vec<Option<Arc<T>>>, E>
    where
        K: Clone + Eq + Hash,
        T: Value,
        N: AsKey<T>,
        E: Clone + Send + Sync + 'static,
        I: IntoIterator<Item = (K, T)>,
        Fut: Future<Output = Result<I, E>>,
    {
        let inner = &*self.inner;
        let policy = policy.into();
        let keys: Vec<N> = ids.iter().map(key_of).collect();
        let mut batch = Batch { inner, ids, keys: &keys, policy: &policy, values: vec![None; ids.len()] };
        let arrived = inner.flights.moment();
        let mut missing = batch.find().await;
        let mut led: Vec<Led<'_>> = Vec::new();
        while !(missing.is_empty() && led.is_empty()) {
            let mut standing = batch.board(std::mem::take(&mut missing), &mut led).await;
            if !led.is_empty() {
                // Nobody asks Redis for those who wait meanwhile: let others do it.
                missing.append(&mut standing.waits.drain(..).map(|(missing, _)| missing).collect());
                batch.load(std::mem::take(&mut led), &mut load).await?;
            }
            let since = Instant::now(); // the limit holds for all of them together
            // What this call leads it loads before it waits any longer.
            while led.is_empty() {
                if !standing.waits.is_empty() {
                    batch.wait(&mut standing.waits, &mut missing, &mut led).await;
                    continue;
                }
                let Some((waiting, follower)) = standing.follows.pop() else { break };
                match batch.follow(&waiting, follower, (arrived, since)).await? {
                    Waited::Done => {}
                    Waited::StartAgain => missing.push(waiting),
                    Waited::Loads(loading) => led.push(Led { missing: waiting, loading }),
                    Waited::Waits(waits) => standing.waits.push((waiting, waits)),
                }
            }
            missing.extend(standing.into_missing());
        }
        Ok(batch.into_values())
    }
}

/// What became of waiting for another caller's load.
enum Waited {
    Done,
    StartAgain,
    Loads(Loading),
    Waits(Waiting),
}

/// A call under way.
struct Batch<'a, K, T, N> {
    inner: &'a Inner,
    ids: &'a [K],
    keys: &'a [N],
    policy: &'a Policy,
    values: Vec<Option<Arc<T>>>,
}

impl<'a, K: Clone + Eq + Hash, T: Value, N: AsKey<T>> Batch<'a, K, T, N> {
    /// Takes what the cache has, and answers the rest, each id once.
    async fn find(&mut self) -> Vec<Missing<'a>> {
        let (inner, keys) = (self.inner, self.keys);
        let mut seen = HashSet::with_capacity(self.ids.len());
        let mut missing = Vec::new();
        for (at, (id, key)) in self.ids.iter().zip(keys).enumerate() {
            if !seen.insert(id) {
                continue;
            }
            let name = inner.local.name(key.name());
            if let Ok(Some(read)) = inner.find_for(name, self.policy) {
                self.values[at] = Some(read.value);
                continue;
            }
            let plan = match inner.plan(name.name, key.space(), self.policy) {
                _ if inner.settings.bypass => None,
                Ok(plan) => Some(plan),
                Err(error) => {
                    if let Some(read) = inner.find_unplanned(name, self.policy).await {
                        self.values[at] = Some(read.value);
                        continue;
                    }
                    inner.report("get_or_set", name.name, &error);
                    None
                }
            };
            missing.push(Missing { at, name, plan });
        }
        missing
    }

    /// Looks once more, over Redis in one round trip, and joins the flights of what is missing: what this call leads is added
    /// to `led`, what others load is answered.
    async fn board(&mut self, missing: Vec<Missing<'a>>, led: &mut Vec<Led<'a>>) -> Standing<'a> {
        let (inner, policy) = (self.inner, self.policy);
        let seen = inner.look_ahead(missing.iter().map(|missing| missing.wanted(policy))).await;
        let approaches = missing.iter().zip(seen).map(|(missing, seen)| {
            let approach = missing.wanted(policy).map(|wanted| inner.approach_seen::<T>(wanted, seen));
            async move {
                match approach {
                    Some(approach) => approach.await,
                    None => Approach::Loads(inner.loading(None, Grant::None(Refusal::Failed))),
                }
            }
        });
        let approaches = together(approaches).await;
        let mut standing = Standing::default();
        for (missing, approach) in missing.into_iter().zip(approaches) {
            match approach {
                Approach::Found(read) => self.values[missing.at] = Some(read.value),
                Approach::Loads(loading) => {
                    self.count(&missing, Count::Miss);
                    led.push(Led { missing, loading });
                }
                Approach::Follows(follower) => standing.follows.push((missing, follower)),
                Approach::Waits(waiting) => standing.waits.push((missing, waiting)),
            }
        }
        standing
    }

    /// Loads what this call leads with one call of the loader, and stores it.
    async fn load<E, I, Fut>(
        &mut self,
        led: Vec<Led<'a>>,
        load: &mut impl FnMut(Vec<K>) -> Fut,
    ) -> Result<(), E>
    where
        E: Clone + Send + Sync + 'static,
        I: IntoIterator<Item = (K, T)>,
        Fut: Future<Output = Result<I, E>>,
    {
        let (inner, ids, keys) = (self.inner, self.ids, self.keys);
        if let Some(first) = led.first() {
            self.count(&first.missing, Count::Load);
        }
        let flights = led.iter().flat_map(|led| led.loading.flights()).collect();
        let wanted = led.iter().map(|led| ids[led.missing.at].clone()).collect();
        let loaded = match while_loading(flights, async { load(wanted).await }).await {
            Ok(loaded) => loaded,
            Err(error) => {
                let fail = |Led { missing, loading }| inner.fail(missing.name, loading, &error);
                together(led.into_iter().map(fail)).await;
                return Err(error);
            }
        };
        let mut loaded: HashMap<K, T> = loaded.into_iter().collect();
        let mut settled = Vec::with_capacity(led.len());
        for Led { missing, loading } in led {
            let value = loaded.remove(&ids[missing.at]).map(Arc::new);
            self.values[missing.at] = value.clone();
            settled.push(async move {
                match (value, &missing.plan) {
                    (Some(value), Some(plan)) => {
                        let typed = keys[missing.at].typed();
                        inner.settle(missing.name, typed, plan, loading, value).await;
                    }
                    _ => loading.give_back().await, // whoever follows loads for itself
                }
            });
        }
        together(settled.into_iter()).await;
        Ok(())
    }

    /// Pauses, then asks Redis once for each key that other processes load. The keys that are still to be waited for stay.
    async fn wait(
        &mut self,
        waits: &mut Vec<(Missing<'a>, Waiting)>,
        missing: &mut Vec<Missing<'a>>,
        led: &mut Vec<Led<'a>>,
    ) {
        let (inner, policy) = (self.inner, self.policy);
        if let Some((_, first)) = waits.first_mut() {
            first.pause().await;
        }
        // Of one mind, so that what is loaded then is loaded with one call.
        let limit = inner.settings.follow_limit;
        let has_waited = waits.iter().any(|(_, waiting)| waiting.has_waited(limit));
        let looks = std::mem::take(waits).into_iter().map(|(missing, mut waiting)| async move {
            let ended = match missing.wanted(policy) {
                Some(wanted) if !waiting.is_dissolved() => {
                    inner.look_again::<T>(wanted, &mut waiting, has_waited).await
                }
                _ => return (missing, Ok(None)),
            };
            let Some(ended) = ended else { return (missing, Err(waiting)) };
            let wanted = missing.wanted(policy);
            let boarded =
                wanted.and_then(|wanted| inner.end_waiting::<T, Infallible>(wanted, waiting, ended));
            (missing, Ok(boarded))
        });
        let looked = together(looks).await;
        for (key, boarded) in looked {
            match boarded {
                Ok(Some(Boarded::Found(read))) => self.values[key.at] = Some(read.value),
                Ok(Some(Boarded::Loads(loading))) => led.push(Led { missing: key, loading }),
                Ok(Some(Boarded::Failed(error))) => match error {},
                Ok(None) => missing.push(key),
                Err(waiting) => waits.push((key, waiting)),
            }
        }
    }

    /// Waits for another caller's load.
    async fn follow<E: Clone + 'static>(
        &mut self,
        missing: &Missing<'a>,
        follower: Follower,
        (arrived, since): (Moment, Instant),
    ) -> Result<Waited, E> {
        let inner = self.inner;
        let flight = follower.id();
        let patience = inner.settings.follow_limit.saturating_sub(since.elapsed());
        let landed = match tokio::time::timeout(patience, follower.wait()).await {
            Ok(Followed::Leads(leader)) => {
                let Some(wanted) = missing.wanted(self.policy) else { return Ok(Waited::StartAgain) };
                if inner.remote.is_some() {
                    return Ok(Waited::Waits(inner.wait_behind(wanted, leader)));
                }
                self.count(missing, Count::Miss);
                let tags = wanted.plan.tags.iter().copied();
                return Ok(Waited::Loads(inner.loading_here(missing.name, Some(leader), tags)));
            }
            Ok(Followed::Landed(landed)) => landed,
            Ok(Followed::Dissolved) => return Ok(Waited::StartAgain),
            Err(_elapsed) => {
                inner.flights.give_up(&flight);
                return Ok(Waited::StartAgain);
            }
        };
        match inner.take(landed, arrived, &self.policy.tags) {
            Some(Boarded::Found(read)) => {
                self.count(missing, Count::Miss);
                self.count(missing, Count::Joined);
                self.values[missing.at] = Some(read.value);
                Ok(Waited::Done)
            }
            Some(Boarded::Failed(error)) => {
                self.count(missing, Count::Miss);
                self.count(missing, Count::Joined);
                Err(error)
            }
            _ => Ok(Waited::StartAgain),
        }
    }

    fn count(&self, missing: &Missing<'_>, what: Count) {
        let group = self.inner.group_of_call(missing.name.name, self.policy);
        self.inner.counters.count(group, what);
    }

    /// The values in the order of the ids; an id that stands again has the value of its first place.
    fn into_values(mut self) -> Vec<Option<Arc<T>>> {
        let mut first: HashMap<&K, usize> = HashMap::with_capacity(self.ids.len());
        for (at, id) in self.ids.iter().enumerate() {
            let first_at = *first.entry(id).or_insert(at);
            if first_at != at {
                self.values[at] = self.values[first_at].clone();
            }
        }
        self.values
    }
}

impl Missing<'_> {
    /// What is asked for, if it can be stored.
    fn wanted<'w>(&'w self, policy: &'w Policy) -> Option<Wanted<'w>> {
        let plan = self.plan.as_ref()?;
        Some(Wanted { name: self.name, plan, declared: &policy.tags, guess: &[] })
    }
}
