//! Many keys at once: one loader call with only what is missing.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use tokio::time::Instant;

use super::read::Boarded;
use super::{CacheService, Inner, Plan, Policy};
use crate::codec::Value;
use crate::flight::{FlightId, Followed, Follower, Joined, Leader, Moment, is_loading, while_loading};
use crate::key::AsKey;
use crate::local::{Grant, NameRef};
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
    leader: Option<Leader>,
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
        let mut missing = batch.find();
        let mut led: Vec<Led<'_>> = Vec::new();
        while !(missing.is_empty() && led.is_empty()) {
            let mut following = batch.board(std::mem::take(&mut missing), &mut led);
            if !led.is_empty() {
                batch.load(std::mem::take(&mut led), &mut load).await?;
            }
            let since = Instant::now(); // the limit holds for all of them together
            while let Some((waiting, follower)) = following.pop() {
                match batch.follow(&waiting, follower, (arrived, since)).await? {
                    Waited::Done => {}
                    Waited::StartAgain => missing.push(waiting),
                    Waited::Leads(leader) => {
                        // What this call leads it loads before it waits any longer.
                        led.push(Led { missing: waiting, leader: Some(leader) });
                        missing.extend(following.drain(..).map(|(waiting, _follower)| waiting));
                    }
                }
            }
        }
        Ok(batch.into_values())
    }
}

/// What became of waiting for another caller's load.
enum Waited {
    Done,
    StartAgain,
    Leads(Leader),
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
    fn find(&mut self) -> Vec<Missing<'a>> {
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
                    inner.report("get_or_set", name.name, &error);
                    None
                }
            };
            missing.push(Missing { at, name, plan });
        }
        missing
    }

    /// Joins the flights of what is missing: what this call leads is added to `led`, what others load is answered.
    fn board(&mut self, missing: Vec<Missing<'a>>, led: &mut Vec<Led<'a>>) -> Vec<(Missing<'a>, Follower)> {
        let inner = self.inner;
        let mut following = Vec::new();
        for missing in missing {
            if missing.plan.is_none() {
                self.count(&missing, Count::Miss);
                led.push(Led { missing, leader: None });
                continue;
            }
            let name = missing.name;
            match inner.flights.join(name.name, name.hash, || inner.find_again::<T>(name, &self.policy.tags))
            {
                Joined::Hit(read) => self.values[missing.at] = Some(read.value),
                Joined::Leads(leader) => {
                    self.count(&missing, Count::Miss);
                    led.push(Led { missing, leader: Some(leader) });
                }
                Joined::Follows(follower) if is_loading(&follower.id()) => {
                    self.count(&missing, Count::Miss);
                    led.push(Led { missing, leader: None });
                }
                Joined::Follows(follower) => following.push((missing, follower)),
            }
        }
        following
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
        let began = inner.flights.moment();
        let grants: Vec<Option<Grant>> = led.iter().map(|led| led.missing.grant(inner)).collect();
        let flights = led.iter().filter_map(|led| led.leader.as_ref()).map(Leader::id).collect();
        let wanted = led.iter().map(|led| ids[led.missing.at].clone()).collect();
        let loaded = match while_loading(flights, async { load(wanted).await }).await {
            Ok(loaded) => loaded,
            Err(error) => {
                for (Led { missing, leader }, grant) in led.into_iter().zip(grants) {
                    if let Some(grant) = grant {
                        inner.fail(missing.name, leader, (began, grant), &error);
                    }
                }
                return Err(error);
            }
        };
        let mut loaded: HashMap<K, T> = loaded.into_iter().collect();
        for (Led { missing, leader }, grant) in led.into_iter().zip(grants) {
            // Without a value the leader is dropped, and whoever follows loads for itself.
            let Some(value) = loaded.remove(&ids[missing.at]).map(Arc::new) else { continue };
            if let (Some(plan), Some(grant)) = (&missing.plan, grant) {
                let typed = keys[missing.at].typed();
                inner.settle(missing.name, typed, plan, leader, (began, grant), Arc::clone(&value));
            }
            self.values[missing.at] = Some(value);
        }
        Ok(())
    }

    /// Waits for another caller's load.
    async fn follow<E: Clone + 'static>(
        &mut self,
        missing: &Missing<'a>,
        follower: Follower,
        (arrived, since): (Moment, Instant),
    ) -> Result<Waited, E> {
        let inner = self.inner;
        let flight: FlightId = follower.id();
        let patience = inner.settings.follow_limit.saturating_sub(since.elapsed());
        let landed = match tokio::time::timeout(patience, follower.wait()).await {
            Ok(Followed::Leads(leader)) => {
                self.count(missing, Count::Miss);
                return Ok(Waited::Leads(leader));
            }
            Ok(Followed::Landed(landed)) => landed,
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
    fn grant(&self, inner: &Inner) -> Option<Grant> {
        self.plan.as_ref().map(|plan| inner.local.begin(self.name, plan.tags.iter().copied(), inner.now_ms()))
    }
}
