//! What is compared, each called in the same way.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::quality::RandomState;
use larder::{AsKey, Builder, CacheService, Key, Policy, Redis, Space, Ttl, Value};

use crate::data::Item;
use crate::stage::now;

/// For all: longer than any run.
pub(crate) const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// How many entries all make room for; no measurement evicts.
pub(crate) const ROOM: usize = 2_000_000;

/// One way to cache values. Every operation is an `async fn` that is awaited in a runtime's worker, also where nothing waits.
pub(crate) trait Side<V>: Send + Sync + 'static {
    /// Asks for what is there.
    fn hit(&self, item: &Item) -> impl Future<Output = Option<Arc<V>>> + Send;
    /// Asks for what is not there, makes it and stores it.
    fn fill(&self, item: &Item, make: impl Fn() -> V + Send + Sync) -> impl Future<Output = Arc<V>> + Send;
    /// Stores.
    fn set(&self, item: &Item, value: V) -> impl Future<Output = ()> + Send;
    /// Removes.
    fn delete(&self, item: &Item) -> impl Future<Output = ()> + Send;
}

/// The map that larder stands on, bare, with a deadline in the value.
pub(crate) struct Quick<V>(
    quick_cache::sync::Cache<Arc<str>, (Instant, Arc<V>), quick_cache::UnitWeighter, RandomState>,
);

impl<V> Quick<V> {
    pub(crate) fn new() -> Self {
        let weighter = quick_cache::UnitWeighter;
        let lifecycle = quick_cache::sync::DefaultLifecycle::default();
        Quick(quick_cache::sync::Cache::with(ROOM, ROOM as u64, weighter, RandomState::default(), lifecycle))
    }
}

impl<V: Value> Side<V> for Quick<V> {
    async fn hit(&self, item: &Item) -> Option<Arc<V>> {
        let (deadline, value) = self.0.get(item.name.as_str())?;
        (now() < deadline).then_some(value)
    }

    async fn fill(&self, item: &Item, make: impl Fn() -> V + Send + Sync) -> Arc<V> {
        if let Some(value) = self.hit(item).await {
            return value;
        }
        let value = Arc::new(make());
        self.0.insert(item.name.as_str().into(), (now() + LIFETIME, Arc::clone(&value)));
        value
    }

    async fn set(&self, item: &Item, value: V) {
        self.0.insert(item.name.as_str().into(), (now() + LIFETIME, Arc::new(value)));
    }

    async fn delete(&self, item: &Item) {
        self.0.remove(item.name.as_str());
    }
}

/// The same, where each read makes the name of an id, as [`ByKey`] does.
pub(crate) struct QuickNamed<V>(pub(crate) Quick<V>);

impl<V: Value> Side<V> for QuickNamed<V> {
    async fn hit(&self, item: &Item) -> Option<Arc<V>> {
        let (deadline, value) = self.0.0.get(format!("deal:{}", item.id).as_str())?;
        (now() < deadline).then_some(value)
    }

    async fn fill(&self, item: &Item, make: impl Fn() -> V + Send + Sync) -> Arc<V> {
        self.0.fill(item, make).await
    }

    async fn set(&self, item: &Item, value: V) {
        self.0.set(item, value).await;
    }

    async fn delete(&self, item: &Item) {
        self.0.delete(item).await;
    }
}

/// The cache that most would take.
pub(crate) struct Moka<V>(moka::sync::Cache<Arc<str>, Arc<V>, RandomState>);

impl<V: Value> Moka<V> {
    pub(crate) fn new() -> Self {
        let builder = moka::sync::Cache::builder().max_capacity(ROOM as u64).time_to_live(LIFETIME);
        Moka(builder.build_with_hasher(RandomState::default()))
    }
}

impl<V: Value> Side<V> for Moka<V> {
    async fn hit(&self, item: &Item) -> Option<Arc<V>> {
        self.0.get(item.name.as_str())
    }

    async fn fill(&self, item: &Item, make: impl Fn() -> V + Send + Sync) -> Arc<V> {
        if let Some(value) = self.0.get(item.name.as_str()) {
            return value;
        }
        self.0.get_with(item.name.as_str().into(), || Arc::new(make()))
    }

    async fn set(&self, item: &Item, value: V) {
        self.0.insert(item.name.as_str().into(), Arc::new(value));
    }

    async fn delete(&self, item: &Item) {
        self.0.invalidate(item.name.as_str());
    }
}

/// A concurrent map that forgets nothing: the least that any cache can cost.
pub(crate) struct Map<V>(papaya::HashMap<Arc<str>, Arc<V>, RandomState>);

impl<V> Map<V> {
    pub(crate) fn new() -> Self {
        Map(papaya::HashMap::with_hasher(RandomState::default()))
    }
}

impl<V: Value> Side<V> for Map<V> {
    async fn hit(&self, item: &Item) -> Option<Arc<V>> {
        self.0.pin().get(item.name.as_str()).cloned()
    }

    async fn fill(&self, item: &Item, make: impl Fn() -> V + Send + Sync) -> Arc<V> {
        Arc::clone(self.0.pin().get_or_insert_with(item.name.as_str().into(), || Arc::new(make())))
    }

    async fn set(&self, item: &Item, value: V) {
        self.0.pin().insert(item.name.as_str().into(), Arc::new(value));
    }

    async fn delete(&self, item: &Item) {
        self.0.pin().remove(item.name.as_str());
    }
}

/// How an entry of larder is named in a call.
pub(crate) trait Naming<V>: Send + Sync + 'static {
    /// What is handed over.
    type Key<'a>: AsKey<V> + Send + Sync
    where
        V: 'a;
    /// Makes it, as part of the call.
    fn key<'a>(space: &'static Space<str, V>, item: &'a Item) -> Self::Key<'a>;
    /// Whether the service knows the space.
    const REGISTERED: bool;
}

/// By a string that is there already.
pub(crate) struct ByName;

impl<V: Value> Naming<V> for ByName {
    type Key<'a> = &'a str;
    const REGISTERED: bool = false;

    fn key<'a>(_space: &'static Space<str, V>, item: &'a Item) -> &'a str {
        &item.name
    }
}

/// By a key that the space makes of an id.
pub(crate) struct ByKey;

impl<V: Value> Naming<V> for ByKey {
    type Key<'a> = Key<'static, V>;
    const REGISTERED: bool = true;

    fn key(space: &'static Space<str, V>, item: &Item) -> Key<'static, V> {
        space.key(&item.id)
    }
}

/// What entries depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tags {
    None,
    Two,
}

impl Tags {
    #[inline]
    fn policy(self, item: &Item) -> Policy {
        match self {
            Tags::None => Policy::new(),
            Tags::Two => Policy::new().tag(item.tags[0]).tag(item.tags[1]),
        }
    }
}

/// Larder, read through `get`.
pub(crate) struct Get<V: 'static, N> {
    pub(crate) cache: CacheService,
    space: &'static Space<str, V>,
    tags: Tags,
    naming: PhantomData<N>,
}

/// Larder, read through `get_or_set`.
pub(crate) struct GetOrSet<V: 'static, N>(Get<V, N>);

/// A loader that should not run.
#[derive(Clone, Debug)]
struct Unexpected;

impl<V: Value, N: Naming<V>> Get<V, N> {
    /// To be called within a runtime.
    pub(crate) fn new(space: &'static Space<str, V>, tags: Tags) -> Result<Self, larder::Error> {
        Self::built(CacheService::builder(), space, tags)
    }

    /// In front of Redis. To be called within a runtime.
    pub(crate) fn in_front_of(
        redis: Redis,
        space: &'static Space<str, V>,
        tags: Tags,
    ) -> Result<Self, larder::Error> {
        Self::built(CacheService::builder().redis(redis), space, tags)
    }

    fn built(builder: Builder, space: &'static Space<str, V>, tags: Tags) -> Result<Self, larder::Error> {
        let builder = builder.local_capacity_bytes(8 << 30).local_expected_entries(ROOM);
        let builder = builder.default_ttl(Ttl::from(LIFETIME));
        let cache = if N::REGISTERED { builder.space(space) } else { builder }.build()?;
        Ok(Get { cache, space, tags, naming: PhantomData })
    }

    /// The same entries, read through the other door.
    pub(crate) fn or_set(&self) -> GetOrSet<V, N> {
        let Get { cache, space, tags, naming } = self;
        GetOrSet(Get { cache: cache.clone(), space, tags: *tags, naming: *naming })
    }
}

impl<V: Value, N: Naming<V>> Side<V> for Get<V, N> {
    async fn hit(&self, item: &Item) -> Option<Arc<V>> {
        self.cache.get(N::key(self.space, item)).await
    }

    async fn fill(&self, item: &Item, make: impl Fn() -> V + Send + Sync) -> Arc<V> {
        let load = || async { Ok::<_, std::convert::Infallible>(make()) };
        let loaded = self.cache.get_or_set(N::key(self.space, item), self.tags.policy(item), load).await;
        loaded.unwrap_or_else(|never| match never {})
    }

    async fn set(&self, item: &Item, value: V) {
        self.cache.set(N::key(self.space, item), value, self.tags.policy(item)).await;
    }

    async fn delete(&self, item: &Item) {
        self.cache.delete(N::key(self.space, item)).await;
    }
}

impl<V: Value, N: Naming<V>> Side<V> for GetOrSet<V, N> {
    async fn hit(&self, item: &Item) -> Option<Arc<V>> {
        let Get { cache, space, tags, .. } = &self.0;
        cache.get_or_set(N::key(space, item), tags.policy(item), || async { Err(Unexpected) }).await.ok()
    }

    async fn fill(&self, item: &Item, make: impl Fn() -> V + Send + Sync) -> Arc<V> {
        self.0.fill(item, make).await
    }

    async fn set(&self, item: &Item, value: V) {
        self.0.set(item, value).await;
    }

    async fn delete(&self, item: &Item) {
        self.0.delete(item).await;
    }
}
