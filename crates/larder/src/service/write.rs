//! Writing without a load: bare sets, for data whose source is the cache, and rows written through by version.

use std::collections::HashSet;
use std::sync::Arc;

use super::{CacheService, Inner, Plan, Policy, Refusal, SetOptions, Stored, together};
use crate::codec::{Value, decode, typed};
use crate::error::{Error, ErrorKind};
use crate::key::{AsKey, AsName, Key, Typed};
use crate::local::{NameRef, Put};
use crate::remote::{Ask, Found, Intent, Remote, Succeeded, Trouble};
use crate::stats::{Count, Group};

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
    /// It is done when it is first polled, or not at all; over Redis, dropped before its end, it may be done or not.
    pub async fn set<T: Value>(
        &self,
        key: impl AsKey<T>,
        value: T,
        options: impl Into<SetOptions>,
    ) -> Stored {
        self.inner.set_or_report(&key, value, &options.into()).await
    }

    /// Like [`set`](Self::set), with the failure instead of "not stored".
    ///
    /// # Errors
    /// [`Refused`](ErrorKind::Refused) where a space owns the name, [`InvalidInput`](ErrorKind::InvalidInput) for a name,
    /// lifetime or tags that cannot be, [`Encode`](ErrorKind::Encode) for a value that cannot be written,
    /// [`Unavailable`](ErrorKind::Unavailable) where Redis did not do it. It is counted.
    ///
    /// # Cancel safety
    /// It is done when it is first polled, or not at all; over Redis, dropped before its end, it may be done or not.
    pub async fn try_set<T: Value>(
        &self,
        key: impl AsKey<T>,
        value: T,
        options: impl Into<SetOptions>,
    ) -> Result<Stored, Error> {
        let set = self.inner.set(&key, value, &options.into()).await;
        set.inspect_err(|_| self.inner.count(key.name(), Count::Error))
    }

    /// Stores several values with the same options; the answers are in the order of the entries. A name that stands twice is
    /// set twice, in that order.
    ///
    /// # Cancel safety
    /// It is done when it is first polled, or not at all; over Redis, dropped before its end, it may be done or not.
    pub async fn set_many<T: Value, N: AsKey<T>>(
        &self,
        entries: impl IntoIterator<Item = (N, T)>,
        options: impl Into<SetOptions>,
    ) -> Vec<Stored> {
        let (inner, options) = (&*self.inner, &options.into());
        let mut left: Vec<(usize, N, T)> =
            entries.into_iter().enumerate().map(|(at, (key, value))| (at, key, value)).collect();
        let mut answers = vec![Stored::no(Refusal::Failed); left.len()];
        while !left.is_empty() {
            // What comes again waits for what came before it.
            let mut names = HashSet::with_capacity(left.len());
            let is_first = |(_, key, _): &(usize, N, T)| names.insert(inner.local.name(key.name()).hash);
            let (now, later): (Vec<_>, Vec<_>) = left.into_iter().partition(is_first);
            let set = |(at, key, value): (usize, N, T)| async move {
                (at, inner.set_or_report(&key, value, options).await)
            };
            for (at, stored) in together(now.into_iter().map(set)).await {
                answers[at] = stored;
            }
            left = later;
        }
        answers
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
    /// It is done when it is first polled, or not at all; over Redis, dropped before its end, the row is written through or the entry
    /// is removed.
    pub async fn set_versioned<T: Value>(&self, key: Key<'_, T>, value: T) -> Stored {
        self.inner.set_versioned(&key, value).await.unwrap_or_else(|error| {
            self.inner.report("set", key.name(), &error);
            Stored::no(refusal_of(&error))
        })
    }

    /// Like [`set_versioned`](Self::set_versioned), with the failure instead of "not stored". A failure has removed the
    /// entry all the same, so that nothing older is left behind; but for [`Unavailable`](ErrorKind::Unavailable), where this
    /// process serves nothing older from Redis.
    ///
    /// # Errors
    /// [`Refused`](ErrorKind::Refused) in a space that is not versioned, [`Unregistered`](ErrorKind::Unregistered) in one
    /// that the service does not know, [`Encode`](ErrorKind::Encode) for a value that cannot be written. It is counted.
    ///
    /// # Cancel safety
    /// It is done when it is first polled, or not at all; over Redis, dropped before its end, the row is written through or the entry
    /// is removed.
    pub async fn try_set_versioned<T: Value>(&self, key: Key<'_, T>, value: T) -> Result<Stored, Error> {
        let set = self.inner.set_versioned(&key, value).await;
        set.inspect_err(|_| self.inner.count(key.name(), Count::Error))
    }
}

impl Inner {
    async fn set_or_report<T: Value>(&self, key: &impl AsKey<T>, value: T, options: &SetOptions) -> Stored {
        self.set(key, value, options).await.unwrap_or_else(|error| {
            self.report("set", key.name(), &error);
            Stored::no(refusal_of(&error))
        })
    }

    async fn set<T: Value>(
        &self,
        key: &impl AsKey<T>,
        value: T,
        options: &SetOptions,
    ) -> Result<Stored, Error> {
        if self.settings.bypass {
            return Ok(Stored::no(Refusal::Bypass));
        }
        let name = self.local.name(key.name());
        self.refuse_owned(name.name)?;
        let plan = self.plan(name.name, key.space(), &options.policy)?;
        if let Some(remote) = &self.remote {
            let declared = options.policy.tags.len();
            let set = self.set_over(remote, name.name, value, key.typed(), (&plan, declared), options.nx);
            return Box::pin(set).await;
        }
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

    /// Sets a value in Redis.
    async fn set_over<T: Value>(
        &self,
        remote: &Remote,
        name: &str,
        value: T,
        typed: Option<&Typed<T>>,
        (plan, declared): (&Plan, usize),
        nx: bool,
    ) -> Result<Stored, Error> {
        let encoded = self.encode(name, &value, typed, plan)?;
        if encoded.weight > self.settings.max_value_bytes {
            // What was there is older.
            if !nx {
                self.remove_there(remote, vec![name.to_owned()], Vec::new()).await?;
            }
            return Ok(self.answer(Put::TooLarge, plan.group));
        }
        let is_readable = |found: &Found| match found {
            Found::Hit { header, payload, .. } => decode::<T>(payload.clone(), header.encoding).is_ok(),
            Found::Foreign => {
                self.counters.count(plan.group, Count::Foreign);
                false
            }
            _ => false,
        };
        let put = if plan.raw {
            remote.put_raw(name, &encoded.bytes, plan.ttl, nx).await?
        } else if nx {
            let (intent, format) = (Intent::Put, plan.format);
            let (guess, needs) = plan.tags.split_at(declared); // as `get` would look
            let ask = Ask { name, intent, format, needs, guess, copies: false };
            remote.put_absent(ask, is_readable, encoded.fresh(plan)).await?
        } else {
            remote.put(name, &plan.tags, encoded.fresh(plan)).await.map(|()| true)?
        };
        Ok(self.answer(if put { Put::Stored } else { Put::Exists }, plan.group))
    }

    /// Stores a loaded value as it is, in a space that is raw.
    pub(super) async fn put_raw<T: Value>(
        &self,
        name: &str,
        value: &T,
        typed: Option<&Typed<T>>,
        plan: &Plan,
    ) -> Stored {
        let Some(remote) = &self.remote else { return Stored::no(Refusal::Unavailable) };
        let put = async {
            let encoded = self.encode(name, value, typed, plan)?;
            if encoded.weight > self.settings.max_value_bytes {
                return Ok(Put::TooLarge);
            }
            remote.put_raw(name, &encoded.bytes, plan.ttl, false).await?;
            Ok(Put::Stored)
        };
        match put.await {
            Ok(put) => self.answer(put, plan.group),
            Err(error) => {
                self.report("set", name, &error);
                Stored::no(refusal_of(&error))
            }
        }
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
    async fn set_versioned<T: Value>(&self, key: &Key<'_, T>, value: T) -> Result<Stored, Error> {
        if self.settings.bypass {
            return Ok(Stored::no(Refusal::Bypass));
        }
        let replaced = self.replace_older(key, value).await;
        if replaced.is_err() && !self.remove(key.name()).await.is_applied() {
            let message = "the row was not written through, and what is older is not removed";
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        replaced
    }

    async fn replace_older<T: Value>(&self, key: &Key<'_, T>, value: T) -> Result<Stored, Error> {
        let name = self.local.name(key.name());
        let plan = self.plan(name.name, key.space(), &Policy::new())?;
        let refused = |message| {
            let template = key.space().map_or("", |space| space.template);
            Err(Error::new(ErrorKind::Refused, message).in_space(template))
        };
        if key.typed().and_then(|typed| typed.version).is_none() {
            return refused("this space has no row version; declare it with `versioned`");
        }
        if let Some(remote) = &self.remote {
            if plan.raw {
                return refused(
                    "this space is raw, so that its values have no room for a row version; remove the entry instead",
                );
            }
            return Box::pin(self.succeed_over(remote, name, value, key.typed(), plan)).await;
        }
        let candidate = self.candidate(name.name, Arc::new(value), key.typed(), &plan, self.now_ms())?;
        let put = self.local.put_newer(name, candidate, self.now_ms());
        Ok(self.answer(put, plan.group))
    }

    /// Writes a row through in Redis.
    async fn succeed_over<T: Value>(
        &self,
        remote: &Remote,
        name: NameRef<'_>,
        value: T,
        typed: Option<&Typed<T>>,
        plan: Plan,
    ) -> Result<Stored, Error> {
        remote.front().changed([name.name], &[]); // whatever becomes of it, nobody here reads what was before
        let encoded = self.encode(name.name, &value, typed, &plan)?;
        let (group, version) = (plan.group, encoded.version.unwrap_or(0));
        let removal = remote.remove_unless_told(name.name);
        let there = self.version_there(remote, name, &plan).await;
        removal.told(); // what follows runs to its end, and what failed is removed
        let there = there?;
        let put = match there {
            Some(there) if there >= version => Put::Older,
            Some(_) if encoded.weight <= self.settings.max_value_bytes => {
                let (succeeds, name) = (remote.clone(), name.name.to_owned());
                // It runs to its end whoever goes away, since it removes what is older.
                let succeed = async move { succeeds.succeed(&name, version, encoded.fresh(&plan)).await };
                match remote.to_the_end(succeed).await? {
                    Succeeded::Stored => Put::Stored,
                    Succeeded::Older => Put::Older,
                    Succeeded::Absent => Put::Absent,
                }
            }
            there => {
                self.remove_there(remote, vec![name.name.to_owned()], Vec::new()).await?;
                if there.is_some() { Put::TooLarge } else { Put::Absent }
            }
        };
        Ok(self.answer(put, group))
    }

    /// The version of the row in Redis, if there is one in force.
    async fn version_there(
        &self,
        remote: &Remote,
        name: NameRef<'_>,
        plan: &Plan,
    ) -> Result<Option<u64>, Trouble> {
        let (intent, format, guess) = (Intent::Look, plan.format, self.guesses.of(name.hash));
        let (needs, copies) = (&plan.tags, false);
        let ask = Ask { name: name.name, intent, format, needs, guess: &guess, copies };
        Ok(match remote.read(ask).await?.found {
            Found::Hit { header, .. } => header.version,
            Found::Foreign => {
                self.counters.count(plan.group, Count::Foreign);
                None
            }
            _ => None,
        })
    }

    fn answer(&self, put: Put, group: Group) -> Stored {
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

/// The refusal that stands for a failure where it is not handed out.
fn refusal_of(error: &Error) -> Refusal {
    if error.kind() == ErrorKind::Unavailable { Refusal::Unavailable } else { Refusal::Failed }
}
