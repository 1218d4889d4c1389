//! Caches of two tiers that a user would take instead, set up as their documentation does it: a tier in the process, Redis, and
//! word of changes between processes.

use std::sync::Arc;

use amalgam::provider::{
    Backplane, DistributedCache, DistributedLocker, DistributedSerializer, MessagePackSerializer,
    RedisBackplane, RedisDistributedCache, RedisDistributedLocker,
};
use bytes::Bytes;
use larder::{Blob, Value};
use multi_tier_cache::{
    CacheError, CacheManager, CacheStrategy, InvalidationConfig, L1Cache, L2Cache, MokaCacheConfig,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Failure;
use crate::data::Item;
use crate::sides::{LIFETIME, ROOM, Side};

/// multi-tier-cache: Moka, Redis, pub/sub. It keeps bytes.
pub(crate) struct MultiTier(pub(crate) CacheManager);

impl MultiTier {
    pub(crate) async fn at(url: &str) -> Result<Self, Failure> {
        let config =
            MokaCacheConfig { max_capacity: ROOM as u64, time_to_live: LIFETIME, time_to_idle: LIFETIME };
        let (l1, l2) = (Arc::new(L1Cache::new(config)?), Arc::new(L2Cache::with_url(url).await?));
        let word = InvalidationConfig::default();
        Ok(MultiTier(CacheManager::new_with_invalidation(l1, l2, url, word).await?))
    }
}

impl Side<Blob> for MultiTier {
    async fn hit(&self, item: &Item) -> Option<Arc<Blob>> {
        self.0.get(&item.name).await.ok().flatten().map(|bytes| Arc::new(Blob(bytes)))
    }

    async fn fill(&self, item: &Item, make: impl Fn() -> Blob + Send + Sync) -> Arc<Blob> {
        let load = || async { Ok(make().0) };
        let lifetime = CacheStrategy::Custom(LIFETIME);
        let bytes = self.0.get_or_compute_with(&item.name, lifetime, load).await;
        Arc::new(Blob(bytes.unwrap_or_default()))
    }

    async fn set(&self, item: &Item, Blob(bytes): Blob) {
        self.0.set_with_strategy(&item.name, bytes, CacheStrategy::Custom(LIFETIME)).await.ok();
    }

    async fn delete(&self, item: &Item) {
        self.0.invalidate(&item.name).await.ok();
    }
}

/// The same, whose every hit decodes a value.
pub(crate) struct MultiTierTyped(pub(crate) MultiTier);

impl<V: Value + Serialize + DeserializeOwned> Side<V> for MultiTierTyped {
    async fn hit(&self, item: &Item) -> Option<Arc<V>> {
        self.0.0.get_typed(&item.name).await.ok().flatten().map(Arc::new)
    }

    async fn fill(&self, item: &Item, make: impl Fn() -> V + Send + Sync) -> Arc<V> {
        let value = make();
        self.set(item, make()).await;
        Arc::new(value)
    }

    async fn set(&self, item: &Item, value: V) {
        let bytes = serde_json::to_vec(&value).map(Bytes::from).unwrap_or_default();
        self.0.0.set_with_strategy(&item.name, bytes, CacheStrategy::Custom(LIFETIME)).await.ok();
    }

    async fn delete(&self, item: &Item) {
        self.0.0.invalidate(&item.name).await.ok();
    }
}

pub(crate) fn lives(options: amalgam::EntryOptions) -> amalgam::EntryOptions {
    options.with_duration(LIFETIME)
}

/// amalgam-cache: its own map, Redis, pub/sub, locks. It keeps values, which a hit clones; here they are shared.
pub(crate) struct Amalgam<V: Clone + Send + Sync + 'static>(pub(crate) amalgam::Cache<Arc<V>>);

impl<V: Value + Clone + Serialize + DeserializeOwned> Amalgam<V> {
    /// In the process alone.
    pub(crate) fn alone() -> Result<Self, Failure> {
        Ok(Amalgam(amalgam::Cache::builder().try_build()?))
    }

    pub(crate) async fn at(url: &str) -> Result<Self, Failure> {
        let cache = amalgam::Cache::builder()
            .distributed(Arc::new(RedisDistributedCache::connect(url).await?) as Arc<dyn DistributedCache>)
            .serializer(Arc::new(MessagePackSerializer) as Arc<dyn DistributedSerializer<Arc<V>>>)
            .backplane(Arc::new(RedisBackplane::connect(url).await?) as Arc<dyn Backplane>)
            .distributed_locker(
                Arc::new(RedisDistributedLocker::connect(url).await?) as Arc<dyn DistributedLocker>
            )
            .try_build()?;
        cache.ready().await?;
        Ok(Amalgam(cache))
    }
}

impl<V: Value + Clone + Serialize + DeserializeOwned> Side<V> for Amalgam<V> {
    async fn hit(&self, item: &Item) -> Option<Arc<V>> {
        self.0.try_get(&item.name).await.ok().flatten()
    }

    async fn fill(&self, item: &Item, make: impl Fn() -> V + Send + Sync) -> Arc<V> {
        let value = Arc::new(make());
        self.set(item, make()).await;
        value
    }

    async fn set(&self, item: &Item, value: V) {
        self.0.set(&item.name, Arc::new(value)).options(lives).await.ok();
    }

    async fn delete(&self, item: &Item) {
        self.0.remove(&item.name).await.ok();
    }
}

/// The same, read through `get_or_set`.
pub(crate) struct AmalgamOrSet<V: Clone + Send + Sync + 'static>(pub(crate) Arc<Amalgam<V>>);

impl<V: Value + Clone + Serialize + DeserializeOwned> Side<V> for AmalgamOrSet<V> {
    async fn hit(&self, item: &Item) -> Option<Arc<V>> {
        let load = |_| async { Err::<Arc<V>, _>(std::fmt::Error) };
        self.0.0.get_or_set(&item.name, load).await.ok()
    }

    async fn fill(&self, item: &Item, make: impl Fn() -> V + Send + Sync) -> Arc<V> {
        let value = Arc::new(make());
        let loaded = Arc::clone(&value);
        let load = move |_| {
            let loaded = Arc::clone(&loaded);
            async move { Ok::<_, std::fmt::Error>(loaded) }
        };
        self.0.0.get_or_set(&item.name, load).options(lives).await.unwrap_or(value)
    }

    async fn set(&self, item: &Item, value: V) {
        self.0.set(item, value).await;
    }

    async fn delete(&self, item: &Item) {
        self.0.delete(item).await;
    }
}

/// The same, read through `get_or_compute_with`.
pub(crate) struct MultiTierOrSet(pub(crate) Arc<MultiTier>);

impl Side<Blob> for MultiTierOrSet {
    async fn hit(&self, item: &Item) -> Option<Arc<Blob>> {
        let load = || async { Err(CacheError::NotFound) };
        let lifetime = CacheStrategy::Custom(LIFETIME);
        let bytes = self.0.0.get_or_compute_with(&item.name, lifetime, load).await.ok()?;
        Some(Arc::new(Blob(bytes)))
    }

    async fn fill(&self, item: &Item, make: impl Fn() -> Blob + Send + Sync) -> Arc<Blob> {
        self.0.fill(item, make).await
    }

    async fn set(&self, item: &Item, value: Blob) {
        self.0.set(item, value).await;
    }

    async fn delete(&self, item: &Item) {
        self.0.delete(item).await;
    }
}
