//! For callers who cannot hand a loader over: get, miss, query, fill.

use std::convert::Infallible;
use std::sync::Arc;

use super::boarding::{Boarded, Wanted};
use super::loading::Loading;
use super::{CacheService, Plan, Policy, Read, Refusal, Source, Stored};
use crate::codec::Value;
use crate::key::{AsKey, Typed};
use crate::stats::Count;

/// The answer of [`CacheService::get_or_permit`].
#[derive(Debug)]
pub enum Lookup<T> {
    /// The value.
    Hit(Read<T>),
    /// Leave to load it and to fill it in.
    Permit(Permit<T>),
}

/// Leave to load one value and to fill it in: what a loader closure has without saying so.
///
/// Its [`fill`](Permit::fill) is refused when the key, a tag or a scope was removed or set since the permit was given.
/// While it is held, other callers who ask for the key wait for it, for a bounded time; dropping it hands the load to one of
/// them. The source has to be read after the permit was given.
#[derive(Debug)]
pub struct Permit<T> {
    cache: CacheService,
    name: String,
    typed: Option<Typed<T>>,
    /// What a fill compares; the reason where nothing can be stored.
    granted: Result<Box<(Plan, Loading)>, Refusal>,
}

impl CacheService {
    /// The value of a key, or a permit to fill it in.
    ///
    /// ```
    /// # use larder::{CacheService, Lookup, Policy};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), larder::Error> {
    /// # let cache = CacheService::builder().build()?;
    /// let deal = match cache.get_or_permit("deal:17", Policy::new()).await {
    ///     Lookup::Hit(read) => read.value,
    ///     Lookup::Permit(permit) => {
    ///         let deal = String::from("queried after the permit was given");
    ///         permit.fill(deal).await.value
    ///     }
    /// };
    /// # assert!(cache.get::<String>("deal:17").await == Some(deal));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A task that holds a permit and asks for the same key again waits for itself, until the bound on following. Over Redis a permit that is
    /// held for longer than 30 s stores nothing.
    ///
    /// # Cancel safety
    /// Nothing has happened.
    pub async fn get_or_permit<T: Value>(&self, key: impl AsKey<T>, policy: impl Into<Policy>) -> Lookup<T> {
        let inner = &*self.inner;
        let policy = policy.into();
        let name = inner.local.name(key.name());
        if let Ok(Some(read)) = inner.find_for(name, &policy) {
            return Lookup::Hit(read);
        }
        let permit = |granted| {
            let typed = key.typed().copied();
            Lookup::Permit(Permit { cache: self.clone(), name: name.name.to_owned(), typed, granted })
        };
        if inner.settings.bypass {
            inner.count_unplanned_load(name.name, &policy);
            return permit(Err(Refusal::Bypass));
        }
        let plan = match inner.plan(name.name, key.space(), &policy) {
            Ok(plan) => plan,
            Err(error) => {
                if let Some(read) = inner.find_unplanned(name, &policy).await {
                    return Lookup::Hit(read);
                }
                inner.report("get_or_permit", name.name, &error);
                inner.count_unplanned_load(name.name, &policy);
                return permit(Err(Refusal::Failed));
            }
        };
        // It has its own way to load, so another caller's error is none of its own: it starts again, one of many at a time.
        let wanted = Wanted { name, plan: &plan, declared: &policy.tags, guess: &[] };
        let loading = match Box::pin(inner.board::<T, Infallible>(wanted, None)).await {
            Boarded::Found(read) => return Lookup::Hit(read),
            Boarded::Failed(error) => match error {},
            Boarded::Loads(loading) => loading,
        };
        inner.counters.count(plan.group, Count::Load);
        permit(Ok(Box::new((plan, loading))))
    }
}

impl<T: Value> Permit<T> {
    /// The name of the entry that it is for.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Fills the loaded value in and hands it to the callers who wait for it. [`Read::stored`] says whether the cache took
    /// it; [`try_fill`](Permit::try_fill) says why not.
    ///
    /// # Cancel safety
    /// It is done when it is first polled, or not at all; over Redis, dropped before its end, it may have been filled in or not.
    pub async fn fill(self, value: T) -> Read<T> {
        self.settle(value).await.0
    }

    /// Like [`fill`](Permit::fill), with the reason where the value was not stored.
    ///
    /// # Cancel safety
    /// As for [`fill`](Permit::fill).
    pub async fn try_fill(self, value: T) -> (Read<T>, Stored) {
        self.settle(value).await
    }

    async fn settle(self, value: T) -> (Read<T>, Stored) {
        let inner = &*self.cache.inner;
        let value = Arc::new(value);
        let (plan, loading) = *match self.granted {
            Ok(granted) => granted,
            Err(refusal) => {
                let source = if refusal == Refusal::Bypass { Source::Bypass } else { Source::Loaded };
                return (Read::of_load(value, source, false), Stored::no(refusal));
            }
        };
        let name = inner.local.name(&self.name);
        let stored = inner.settle(name, self.typed.as_ref(), &plan, loading, Arc::clone(&value)).await;
        (Read::of_load(value, Source::Loaded, stored.is_stored()), stored)
    }
}
