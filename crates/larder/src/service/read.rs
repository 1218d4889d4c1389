//! Reading: a hit, or one load for all who ask.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::boarding::{Boarded, Glanced, Wanted};
use super::loading::Loading;
use super::{CacheService, Freshness, Inner, Plan, Policy, Read, Source};
use crate::codec::{Value, decode, same, typed};
use crate::entry::Header;
use crate::error::Error;
use crate::flight::while_loading;
use crate::key::{AsKey, MAX_NAME_BYTES, Tag, Tags, Typed};
use crate::local::{Candidate, NameRef};
use crate::remote::{Ask, Copying, Found, Intent, Remote, Trouble};
use crate::stats::Count;

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
    /// Where [copies](crate::Redis::local_tier) of what is in Redis are kept, another process's removal is known here a moment
    /// later, after a second at most.
    ///
    /// # Cancel safety
    /// It changes nothing but counters.
    pub async fn get<T: Value>(&self, key: impl AsKey<T>) -> Option<Arc<T>> {
        self.inner.look_up(&key).await.map(|read| read.value)
    }

    /// Like [`get`](Self::get), with the failure instead of "not there".
    ///
    /// # Errors
    /// [`Decode`](crate::ErrorKind::Decode) if the stored value is no `T`, [`Unavailable`](crate::ErrorKind::Unavailable) if
    /// Redis cannot be asked. It is counted.
    ///
    /// # Cancel safety
    /// It changes nothing but counters.
    pub async fn try_get<T: Value>(&self, key: impl AsKey<T>) -> Result<Option<Arc<T>>, Error> {
        match self.inner.look(&key).await {
            Ok(read) => Ok(read.map(|read| read.value)),
            Err(error) => {
                self.inner.count(key.name(), Count::Error);
                Err(error)
            }
        }
    }

    /// Like [`get`](Self::get), with where the value came from and how old it is.
    ///
    /// # Cancel safety
    /// It changes nothing but counters.
    pub async fn lookup<T: Value>(&self, key: impl AsKey<T>) -> Option<Read<T>> {
        self.inner.look_up(&key).await
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
    /// Where [copies](crate::Redis::local_tier) are kept, what another process removed may be returned for a moment, for a second
    /// at most.
    ///
    /// Over Redis a load that takes longer than 30 s is returned and not stored, since its lease has ended by then; from 2 s on another
    /// process that waits for it may load too.
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
        let planned = match self.inner.find_there(name, &key, &policy).await {
            Ok(read) => return Ok(read.value),
            Err(planned) => planned,
        };
        Box::pin(self.inner.read_missing(key, policy, planned, load)).await.map(|read| read.value)
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
        let planned = match self.inner.find_there(name, &key, &policy).await {
            Ok(read) => return Ok(read),
            Err(planned) => planned,
        };
        Box::pin(self.inner.read_missing(key, policy, planned, load)).await
    }
}

/// What a call means, and what was seen in Redis already.
type Planned = (Result<Plan, Error>, Glanced);

impl<T> Read<T> {
    pub(super) fn of_remote(value: T, age: Duration) -> Self {
        let (source, freshness) = (Source::Remote, Freshness::Fresh);
        Read { value: Arc::new(value), source, age, freshness, stored: true }
    }

    pub(super) fn of_load(value: Arc<T>, source: Source, stored: bool) -> Self {
        let is_bypass = source == Source::Bypass;
        let freshness = if is_bypass { Freshness::Bypass } else { Freshness::Fresh };
        Read { value, source, age: Duration::ZERO, freshness, stored }
    }
}

impl Inner {
    /// Looks a value up and counts the hit. A value of another type is an error; a miss is for the caller to count.
    #[inline]
    pub(super) fn find<T: Value>(
        &self,
        name: NameRef<'_>,
        declared: &[Tag],
        prefix: Option<&'static str>,
    ) -> Result<Option<Read<T>>, Error> {
        let Some(now_ms) = self.serves_local() else { return Ok(None) };
        let Some(hit) = self.local.lookup(name, declared, now_ms) else { return Ok(None) };
        let (value, group) = match (&self.remote, prefix) {
            (None, _) => (typed(hit.payload)?, hit.group),
            // A copy does not know who stored what it was made of.
            (Some(_), prefix) => match same(hit.payload) {
                Some(value) => (value, prefix.map_or(hit.group, |prefix| self.counters.group(prefix))),
                None => return Ok(None),
            },
        };
        self.counters.count(group, Count::LocalHit);
        let age = Duration::from_millis(now_ms.saturating_sub(hit.stored_at_ms));
        let (source, freshness) = (Source::Local, Freshness::Fresh);
        Ok(Some(Read { value, source, age, freshness, stored: true }))
    }

    /// A copy of what Redis had when it was last there, for a space that goes on being served while it is away.
    pub(super) fn find_stale<T: Value>(
        &self,
        name: NameRef<'_>,
        plan: &Plan,
        declared: &[Tag],
    ) -> Option<Read<T>> {
        let (front, now_ms) = (self.front.as_ref()?, self.now_ms());
        if plan.degraded_ttl.is_zero() {
            return None;
        }
        let silent_ms = front.silent_ms(self.settings.clock.machine_ms(now_ms))?;
        let silent = Some(Duration::from_millis(silent_ms)).filter(|silent| *silent <= plan.degraded_ttl)?;
        let hit = self.local.lookup_retired(name, declared, now_ms)?;
        let value = same(hit.payload)?;
        self.counters.count(hit.group, Count::LocalHit);
        let age = Duration::from_millis(now_ms.saturating_sub(hit.stored_at_ms));
        let (source, freshness) = (Source::Local, Freshness::Stale { age: silent });
        Some(Read { value, source, age, freshness, stored: true })
    }

    /// Looks a value up for a reader who declares what it has to depend on.
    #[inline]
    pub(super) fn find_for<T: Value>(
        &self,
        name: NameRef<'_>,
        policy: &Policy,
    ) -> Result<Option<Read<T>>, Error> {
        self.hottest.note(name.name, || self.now_ms());
        // No entry can depend on too many tags, of which the policy has forgotten some.
        if policy.too_many_tags { Ok(None) } else { self.find(name, &policy.tags, policy.prefix) }
    }

    /// Looks once more, before a flight is opened. What cannot be read is told, then loaded, and thereby replaced.
    pub(super) fn find_again<T: Value>(&self, name: NameRef<'_>, declared: &[Tag]) -> Option<Read<T>> {
        self.find(name, declared, None).unwrap_or_else(|error| {
            self.report("get", name.name, &error);
            None
        })
    }

    /// What there is for a reader who asks for no more; failures are counted and logged.
    #[inline]
    async fn look_up<T: Value>(&self, key: &impl AsKey<T>) -> Option<Read<T>> {
        self.look(key).await.unwrap_or_else(|error| {
            self.report("get", key.name(), &error);
            None
        })
    }

    /// What there is for a reader who asks for no more. A hit is counted, and a miss; a failure is for the caller to count.
    #[inline]
    async fn look<T: Value>(&self, key: &impl AsKey<T>) -> Result<Option<Read<T>>, Error> {
        let name = self.local.name(key.name());
        self.hottest.note(name.name, || self.now_ms());
        let found = match (self.find(name, &[], None), &self.remote) {
            (Ok(None), Some(remote)) => {
                // It is large, and a hit in this process does not move room for it about.
                Box::pin(self.look_over(remote, name, key.typed(), &Policy::new())).await
            }
            (found, _) => found,
        };
        if !matches!(found, Ok(Some(_))) {
            self.count(key.name(), Count::Miss);
        }
        found
    }

    /// What there is in Redis, for a reader who leaves nothing behind.
    async fn look_over<T: Value>(
        &self,
        remote: &Remote,
        name: NameRef<'_>,
        typed: Option<&Typed<T>>,
        policy: &Policy,
    ) -> Result<Option<Read<T>>, Error> {
        if name.name.len() > MAX_NAME_BYTES {
            return Ok(None); // nothing was ever stored for it
        }
        let mut plan = self.plan_of_name(name.name);
        plan.tags.extend(policy.tags.iter().copied());
        let read = if plan.raw {
            match remote.read_raw(name.name).await {
                Ok(None) => return Ok(None),
                Ok(Some(bytes)) => Read::of_remote(decode(bytes, plan.encoding)?, Duration::ZERO),
                Err(Trouble::WrongType) => {
                    self.count(name.name, Count::Foreign);
                    return Ok(None);
                }
                Err(trouble) => return Err(trouble.into()),
            }
        } else {
            let guess = self.guesses.of(name.hash);
            let (intent, format) = (Intent::Look, plan.format);
            let (needs, copies) = (&plan.tags, plan.copies);
            let ask = Ask { name: name.name, intent, format, needs, guess: &guess, copies };
            let seen = match remote.read(ask).await {
                Ok(seen) => seen,
                Err(trouble) => match self.find_stale(name, &plan, &policy.tags) {
                    Some(read) => {
                        self.report("get", name.name, &trouble.into());
                        return Ok(Some(read));
                    }
                    None => return Err(trouble.into()),
                },
            };
            let Found::Hit { header, payload, .. } = seen.found else {
                if seen.found == Found::Foreign {
                    self.count(name.name, Count::Foreign);
                }
                return Ok(None);
            };
            let tags = header.depends_on.iter().map(|(tag, _)| *tag);
            let others = tags.filter(|tag| !plan.tags.contains(tag));
            if others.clone().any(|tag| !guess.contains(&tag)) {
                self.guesses.learn(name.hash, others);
            }
            let age_ms = seen.at_ms.saturating_sub(header.stored_at_ms);
            let bytes = payload.len();
            let read = Read::of_remote(decode(payload, header.encoding)?, Duration::from_millis(age_ms));
            if let Some(copying) = seen.copying.filter(|_| typed.is_some() || !plan.weighs) {
                self.copy(name, *copying, &header, (&read, typed, bytes));
            }
            read
        };
        self.counters.count(self.group_of_call(name.name, policy), Count::Hit);
        Ok(Some(read))
    }

    /// What there is in Redis for a reader whose call cannot be stored for: it may find what is there all the same, as it would
    /// have in this process.
    pub(super) async fn find_unplanned<T: Value>(
        &self,
        name: NameRef<'_>,
        policy: &Policy,
    ) -> Option<Read<T>> {
        let remote = self.remote.as_ref().filter(|_| !policy.too_many_tags)?;
        // What is wrong with the call is what is told, not what is wrong with what it finds.
        Box::pin(self.look_over(remote, name, None, policy)).await.ok().flatten()
    }

    /// Keeps a copy of what was read, unless something was told meanwhile that ends it. Without a weigher of its space it weighs what its
    /// encoding takes.
    pub(super) fn copy<T: Value>(
        &self,
        name: NameRef<'_>,
        Copying { mut grant, expires_at_ms, .. }: Copying,
        header: &Header,
        (read, typed, bytes): (&Read<T>, Option<&Typed<T>>, usize),
    ) {
        let tags: Tags = header.depends_on.iter().map(|(tag, _)| *tag).collect();
        let weight = self.weight_of(name.name, &*read.value, typed, || Ok(bytes as u64)).unwrap_or(u64::MAX);
        if grant.narrow_to(&tags) && weight <= self.settings.max_value_bytes {
            let candidate = Candidate {
                payload: Arc::clone(&read.value) as _,
                stored_at_ms: self.now_ms().saturating_sub(millis(read.age)),
                expires_at_ms,
                version: header.version,
                weight,
                group: self.group_of_name(name.name),
            };
            self.local.install(name, grant, Some(candidate));
        }
    }

    /// A hit in Redis; else what the call means, and what was seen there.
    async fn find_there<T: Value>(
        &self,
        name: NameRef<'_>,
        key: &impl AsKey<T>,
        policy: &Policy,
    ) -> Result<Read<T>, Planned> {
        let planned = self.plan(name.name, key.space(), policy);
        let asks = self.remote.is_some() && !self.settings.bypass;
        let Some(plan) = planned.as_ref().ok().filter(|_| asks) else {
            return Err((planned, None));
        };
        let wanted = Wanted { name, plan, declared: &policy.tags, guess: &[] };
        let glanced = Box::pin(self.glance(wanted, key.typed())).await;
        glanced.map_err(|glanced| (planned, glanced))
    }

    /// The rest of a read that was no hit: another caller's load, or one of its own. It is large and callers box it, so that
    /// a hit does not move room for a load about.
    async fn read_missing<T, E, F, Fut>(
        &self,
        key: impl AsKey<T>,
        policy: Policy,
        (plan, glanced): Planned,
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
        let plan = match plan {
            Ok(plan) => plan,
            Err(error) => {
                if let Some(read) = self.find_unplanned(name, &policy).await {
                    return Ok(read);
                }
                self.report("get_or_set", name.name, &error);
                self.count_unplanned_load(name.name, &policy);
                return load().await.map(|value| Read::of_load(Arc::new(value), Source::Loaded, false));
            }
        };
        let wanted = Wanted { name, plan: &plan, declared: &policy.tags, guess: &[] };
        let loading = match self.board(wanted, glanced).await {
            Boarded::Found(read) => return Ok(read),
            Boarded::Failed(error) => return Err(error),
            Boarded::Loads(loading) => loading,
        };
        self.load(name, key.typed(), &plan, loading, load).await
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

    /// Loads, stores, and tells those who follow.
    async fn load<T, E, Fut>(
        &self,
        name: NameRef<'_>,
        typed: Option<&Typed<T>>,
        plan: &Plan,
        loading: Loading,
        load: impl FnOnce() -> Fut,
    ) -> Result<Read<T>, E>
    where
        T: Value,
        E: Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>>,
    {
        self.counters.count(plan.group, Count::Load);
        // The loader is called within too, so that what it does before its first await is known to be part of the load.
        let loaded = while_loading(loading.flights(), async { load().await }).await;
        match loaded {
            Ok(value) => {
                let value = Arc::new(value);
                let stored = self.settle(name, typed, plan, loading, Arc::clone(&value)).await;
                Ok(Read::of_load(value, Source::Loaded, stored.is_stored()))
            }
            Err(error) => {
                self.fail(name, loading, &error).await;
                Err(error)
            }
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
