//! Loads that know only afterwards what their value depends on.

use std::future::Future;
use std::sync::Arc;

use super::boarding::{Boarded, Wanted};
use super::loading::Loading;
use super::{CacheService, Inner, MAX_TAGS, Plan, Policy, Read, Source};
use crate::codec::Value;
use crate::error::{Error, ErrorKind};
use crate::flight::while_loading;
use crate::key::{AsKey, Tag, Tags, Typed};
use crate::local::NameRef;
use crate::stats::Count;

/// How often such a load runs at most: once to learn the tags, once more with them captured before.
const ATTEMPTS: usize = 2;

impl CacheService {
    /// Like [`get_or_set`](Self::get_or_set), for a value that tells what it depends on: the loader answers the value and
    /// its tags.
    ///
    /// What a tag was at the time of the load has to be captured before the load. The tags of the key's last entry are
    /// captured as a guess; where the guess falls short, the loader is called a second time, with what the first call told.
    /// Should the second tell of still others, its value is returned and not stored.
    ///
    /// ```
    /// # use larder::{CacheService, Policy, Tag};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cache = CacheService::builder().build()?;
    /// let load = || async {
    ///     let (deal, contact) = ("a deal of", 7); // queried
    ///     Ok::<_, std::convert::Infallible>((format!("{deal} {contact}"), vec![Tag::new("contact", contact)]))
    /// };
    /// cache.get_or_set_tagged("deal:17", Policy::new(), load).await?;
    ///
    /// cache.invalidate_tag(Tag::new("contact", 7)).await;
    /// assert!(cache.get::<String>("deal:17").await.is_none());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Consistency
    /// As for [`get_or_set`](Self::get_or_set).
    ///
    /// # Errors
    /// The loader's.
    ///
    /// # Cancel safety
    /// As for [`get_or_set`](Self::get_or_set).
    pub async fn get_or_set_tagged<T, E, F, Fut>(
        &self,
        key: impl AsKey<T>,
        policy: impl Into<Policy>,
        mut load: F,
    ) -> Result<Read<T>, E>
    where
        T: Value,
        E: Clone + Send + Sync + 'static,
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<(T, Vec<Tag>), E>>,
    {
        let inner = &*self.inner;
        let policy = policy.into();
        let name = inner.local.name(key.name());
        if let Ok(Some(read)) = inner.find_for(name, &policy) {
            return Ok(read);
        }
        let plan = match inner.plan(name.name, key.space(), &policy) {
            Ok(plan) if !inner.settings.bypass => plan,
            refused => {
                if let Some(read) = inner.find_unplanned(name, &policy).await {
                    return Ok(read);
                }
                refused.err().inspect(|error| inner.report("get_or_set", name.name, error));
                inner.count_unplanned_load(name.name, &policy);
                let source = if inner.settings.bypass { Source::Bypass } else { Source::Loaded };
                return load().await.map(|(value, _tags)| Read::of_load(Arc::new(value), source, false));
            }
        };
        let guess = inner.guess(name);
        let wanted = Wanted { name, plan: &plan, declared: &policy.tags, guess: &guess };
        let loading = match Box::pin(inner.board(wanted, None)).await {
            Boarded::Found(read) => return Ok(read),
            Boarded::Failed(error) => return Err(error),
            Boarded::Loads(loading) => loading,
        };
        inner.load_tagged(name, key.typed(), (&policy, &plan), loading, &mut load).await
    }
}

impl Inner {
    /// The tags of the last entry of a name, as far as is known.
    fn guess(&self, name: NameRef<'_>) -> Tags {
        match &self.remote {
            None => self.local.last_tags(name).into(),
            Some(_) => self.guesses.of(name.hash).into_iter().collect(),
        }
    }

    async fn load_tagged<T, E, Fut>(
        &self,
        name: NameRef<'_>,
        typed: Option<&Typed<T>>,
        (policy, plan): (&Policy, &Plan),
        mut loading: Loading,
        load: &mut impl FnMut() -> Fut,
    ) -> Result<Read<T>, E>
    where
        T: Value,
        E: Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<(T, Vec<Tag>), E>>,
    {
        for attempt in 1..=ATTEMPTS {
            self.counters.count(plan.group, Count::Load);
            let (value, told) = match while_loading(loading.flights(), async { load().await }).await {
                Ok((value, told)) => (Arc::new(value), told),
                Err(error) => {
                    self.fail(name, loading, &error).await;
                    return Err(error);
                }
            };
            let mut needed = plan.tags.clone();
            let declared = policy.clone().tags(told);
            needed.extend(declared.tags.into_iter().filter(|tag| !plan.tags.contains(tag)));
            let too_many = declared.too_many_tags;
            let no_room = plan.raw && !needed.is_empty();
            if !too_many && loading.narrow_to(&needed) {
                if self.remote.is_some() {
                    self.guesses
                        .learn(name.hash, needed.iter().filter(|tag| !plan.tags.contains(tag)).copied());
                }
                let stored = self.settle(name, typed, plan, loading, Arc::clone(&value)).await;
                return Ok(Read::of_load(value, Source::Loaded, stored.is_stored()));
            }
            if too_many || no_room || attempt == ATTEMPTS {
                self.report("set", name.name, &unstorable(too_many, no_room));
                self.land_unstored(loading, Arc::clone(&value) as _);
                return Ok(Read::of_load(value, Source::Loaded, false));
            }
            loading = self.begin_again(name, loading, &needed).await;
        }
        unreachable!("the last attempt returns")
    }
}

fn unstorable(too_many_tags: bool, no_room: bool) -> Error {
    let message = if too_many_tags {
        format!(
            "more than {MAX_TAGS} tags are declared and told by the loader; depend on fewer, coarser things"
        )
    } else if no_room {
        "the space is raw, so that its values have no room for the tags that the loader told; remove them by name"
            .to_owned()
    } else {
        "the loader told other tags each time; what a value depends on should follow from its key and its row"
            .to_owned()
    };
    Error::new(ErrorKind::InvalidInput, message)
}
