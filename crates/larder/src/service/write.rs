//! Writing without a load: bare sets, for data whose source is the cache, and rows written through by version.

use std::sync::Arc;

use super::{CacheService, Inner, Policy, Refusal, SetOptions, Stored};
use crate::codec::{Value, typed};
use crate::error::{Error, ErrorKind};
use crate::key::{AsKey, AsName, Key};
use crate::local::Put;
use crate::stats::Count;

impl CacheService {
    /// Stores a value under a name, whatever was there: the last set wins.
    ///
    /// It is for data whose source is the cache. Data that is also elsewhere is loaded through
    /// [`get_or_set`](Self::get_or_set) and removed when it changes; a bare set of it could overwrite a newer value. A
    /// registered space therefore refuses bare sets on its names, unless it is declared with
    /// [`cache_is_source`](crate::Space::cache_is_source).
    ///
    /// # Consistency
    /// A load of the name that is under way installs nothing over it.
    ///
    /// # Cancel safety
    /// It is done when it is first polled, or not at all.
    pub async fn set<T: Value>(
        &self,
        key: impl AsKey<T>,
        value: T,
        options: impl Into<SetOptions>,
    ) -> Stored {
        self.inner.set(&key, value, &options.into()).unwrap_or_else(|error| {
            self.inner.report("set", key.name(), &error);
            Stored::no(Refusal::Failed)
        })
    }

    /// Like [`set`](Self::set), with the failure instead of "not stored".
    ///
    /// # Errors
    /// [`Refused`](ErrorKind::Refused) where a space owns the name, [`InvalidInput`](ErrorKind::InvalidInput) for a name,
    /// lifetime or tags that cannot be, [`Encode`](ErrorKind::Encode) for a value that cannot be written. It is counted.
    ///
    /// # Cancel safety
    /// It is done when it is first polled, or not at all.
    pub async fn try_set<T: Value>(
        &self,
        key: impl AsKey<T>,
        value: T,
        options: impl Into<SetOptions>,
    ) -> Result<Stored, Error> {
        let set = self.inner.set(&key, value, &options.into());
        set.inspect_err(|_| self.inner.count(key.name(), Count::Error))
    }

    /// Stores several values with the same options; the answers are in the order of the entries.
    ///
    /// # Cancel safety
    /// It is done when it is first polled, or not at all.
    pub async fn set_many<T: Value, N: AsKey<T>>(
        &self,
        entries: impl IntoIterator<Item = (N, T)>,
        options: impl Into<SetOptions>,
    ) -> Vec<Stored> {
        let options = options.into();
        let set = |(key, value): (N, T)| {
            self.inner.set(&key, value, &options).unwrap_or_else(|error| {
                self.inner.report("set", key.name(), &error);
                Stored::no(Refusal::Failed)
            })
        };
        entries.into_iter().map(set).collect()
    }

    /// Writes a row through, after its change was committed: replaces an older version of the row in the cache, and is
    /// ignored by a newer one. Two writers whose calls arrive in the reverse order of their commits leave the newer value.
    ///
    /// It never creates an entry: where there is none, or one without a version, it acts as a removal. It is only for values
    /// that are made of that one row, in a space declared [`versioned`](crate::Space::versioned); the entry goes on
    /// depending on the tags that it depended on, and lives as long as it did, from now on.
    ///
    /// # Consistency
    /// A read that starts after the answer returns this version or a newer one, or loads.
    ///
    /// # Cancel safety
    /// It is done when it is first polled, or not at all.
    pub async fn set_versioned<T: Value>(&self, key: Key<'_, T>, value: T) -> Stored {
        self.inner.set_versioned(&key, value).unwrap_or_else(|error| {
            self.inner.report("set", key.name(), &error);
            Stored::no(Refusal::Failed)
        })
    }

    /// Like [`set_versioned`](Self::set_versioned), with the failure instead of "not stored". A failure has removed the
    /// entry all the same, so that nothing older is left behind.
    ///
    /// # Errors
    /// [`Refused`](ErrorKind::Refused) in a space that is not versioned, [`Unregistered`](ErrorKind::Unregistered) in one
    /// that the service does not know, [`Encode`](ErrorKind::Encode) for a value that cannot be written. It is counted.
    ///
    /// # Cancel safety
    /// It is done when it is first polled, or not at all.
    pub async fn try_set_versioned<T: Value>(&self, key: Key<'_, T>, value: T) -> Result<Stored, Error> {
        let set = self.inner.set_versioned(&key, value);
        set.inspect_err(|_| self.inner.count(key.name(), Count::Error))
    }
}

impl Inner {
    fn set<T: Value>(&self, key: &impl AsKey<T>, value: T, options: &SetOptions) -> Result<Stored, Error> {
        if self.settings.bypass {
            return Ok(Stored::no(Refusal::Bypass));
        }
        let name = self.local.name(key.name());
        self.refuse_owned(name.name)?;
        let plan = self.plan(name.name, key.space(), &options.policy)?;
        let candidate = self.candidate(name.name, Arc::new(value), key.typed(), &plan, self.now_ms())?;
        let tags = plan.tags.iter().copied();
        let put = if options.nx {
            self.local.put_absent(
                name,
                tags,
                candidate,
                |there| typed::<T>(Arc::clone(there)).is_ok(),
                self.now_ms(),
            )
        } else {
            self.local.put(name, tags, candidate)
        };
        Ok(self.answer(put, plan.group))
    }

    /// A bare set on a name whose data has another owner could leave a stale value behind.
    fn refuse_owned(&self, name: &str) -> Result<(), Error> {
        match self.registry.owner(name) {
            Some(owner) if !owner.cache_is_source => {
                let message = "a bare set on a name of this space is refused, since it could overwrite a newer value; load it with `get_or_set`, write a row through with `set_versioned`, or declare the space with `cache_is_source`";
                Err(Error::new(ErrorKind::Refused, message).in_space(owner.template))
            }
            _ => Ok(()),
        }
    }

    /// Writes a row through; where that fails, the entry is removed.
    fn set_versioned<T: Value>(&self, key: &Key<'_, T>, value: T) -> Result<Stored, Error> {
        if self.settings.bypass {
            return Ok(Stored::no(Refusal::Bypass));
        }
        self.replace_older(key, value).inspect_err(|_| {
            self.remove(key.name());
        })
    }

    fn replace_older<T: Value>(&self, key: &Key<'_, T>, value: T) -> Result<Stored, Error> {
        let name = self.local.name(key.name());
        let plan = self.plan(name.name, key.space(), &Policy::new())?;
        let candidate = self.candidate(name.name, Arc::new(value), key.typed(), &plan, self.now_ms())?;
        if candidate.version.is_none() {
            let message = "this space has no row version; declare it with `versioned`";
            let template = key.space().map_or("", |space| space.template);
            return Err(Error::new(ErrorKind::Refused, message).in_space(template));
        }
        let put = self.local.put_newer(name, candidate, self.now_ms());
        Ok(self.answer(put, plan.group))
    }

    fn answer(&self, put: Put, group: crate::stats::Group) -> Stored {
        match put {
            Put::Stored => {
                self.counters.count(group, Count::Set);
                Stored::YES
            }
            Put::TooLarge => {
                self.counters.count(group, Count::TooLarge);
                Stored::no(Refusal::TooLarge)
            }
            Put::Exists => Stored::no(Refusal::Exists),
            Put::Older => Stored::no(Refusal::Older),
            Put::Absent => Stored::no(Refusal::Absent),
        }
    }
}
