//! Removing: by name, pattern, tag, scope, space, or everything.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

#[expect(unused_imports, reason = "the documentation names it")]
use super::Acknowledged;
use super::{CacheService, Inner, Invalidation, Removed};
use crate::error::{Error, ErrorKind};
use crate::key::{AsName, Id, MAX_NAME_BYTES, Pattern, Space, Tag};
use crate::local::SCAN_BATCH;
use crate::progress::{Progress, Watching};
use crate::remote::Remote;
use crate::stats::Count;

impl CacheService {
    /// Removes one entry.
    ///
    /// # Consistency
    /// When it is acknowledged, no read that starts later returns what was there, and no load that began before installs
    /// anything; from its own copies another process may return it for a [second at most](crate::Redis::local_tier). To be called
    /// after the change is committed.
    ///
    /// # Cancel safety
    /// Once polled, it is done, whoever goes away.
    pub async fn delete(&self, key: impl AsName) -> Removed {
        self.inner.remove(key.name()).await
    }

    /// Removes several entries.
    ///
    /// # Cancel safety
    /// Once polled, it is done, whoever goes away.
    pub async fn delete_many<N: AsName>(&self, keys: impl IntoIterator<Item = N>) -> Removed {
        let names = keys.into_iter();
        match &self.inner.remote {
            None => {
                names.map(|key| self.inner.remove_here(key.name())).fold(Removed::counted(0), Removed::and)
            }
            Some(remote) => {
                let names = names.map(|key| key.name().to_owned()).collect();
                self.inner.remove_over(remote, names, Vec::new()).await
            }
        }
    }

    /// Removes every entry whose name matches a glob, by the rules of Redis: `*`, `?`, `[abc]`, `[^a]`, `[a-z]`, and `\`
    /// before what is meant as it is.
    ///
    /// The ids in it stand as they stand in names; [`Space::under`] writes them so.
    ///
    /// A glob of the form `prefix:*` whose prefix is a declared [`scope`](Space::scope) costs the same at any number of
    /// entries, and does not count them. A glob without anything special is a [`delete`](Self::delete). Any other looks at
    /// the name of every entry, and lets other tasks run meanwhile.
    ///
    /// # Consistency
    /// As for [`delete`](Self::delete), for every name that matches. In this process, except on a scope, it also refuses the
    /// loads of other names that are under way: their values are returned and not stored.
    ///
    /// # Cancel safety
    /// In this process, dropped before its end, it has removed some entries and not others. Over Redis it goes on to its end.
    pub async fn delete_pattern(&self, glob: impl AsRef<str>) -> Removed {
        let glob = glob.as_ref();
        self.try_delete_pattern(glob).await.unwrap_or_else(|error| {
            self.inner.report("delete", glob, &error);
            Removed::failed(&error)
        })
    }

    /// Like [`delete_pattern`](Self::delete_pattern), with the failure instead of "not acknowledged".
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for a glob that is longer than a name can be,
    /// [`Unavailable`](ErrorKind::Unavailable) where Redis did not do it.
    ///
    /// # Cancel safety
    /// As for [`delete_pattern`](Self::delete_pattern).
    pub async fn try_delete_pattern(&self, glob: impl AsRef<str>) -> Result<Removed, Error> {
        self.delete_pattern_watched_by(glob.as_ref(), None).await
    }

    /// Like [`try_delete_pattern`](Self::try_delete_pattern), for a glob that looks at every name: `watch` is told after every
    /// few hundred of them how far it has come, and stops it with `Break`. Then some are removed and others are not, and the answer
    /// says that it is not acknowledged. It must not panic: over Redis that stops it too.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    ///
    /// # use larder::{CacheService, Policy};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), larder::Error> {
    /// # let cache = CacheService::builder().build()?;
    /// # for n in 0..1_000 { cache.set(format!("deal:{n}"), n, Policy::new()).await; }
    /// let removed = cache
    ///     .delete_pattern_watched("d*l:*", |progress| {
    ///         println!("{} of {:?}", progress.looked_at, progress.of);
    ///         ControlFlow::Continue(())
    ///     })
    ///     .await?;
    /// assert_eq!(removed.count, Some(1_000));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`try_delete_pattern`](Self::try_delete_pattern).
    ///
    /// # Cancel safety
    /// As for [`delete_pattern`](Self::delete_pattern).
    pub async fn delete_pattern_watched(
        &self,
        glob: impl AsRef<str>,
        watch: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static,
    ) -> Result<Removed, Error> {
        self.delete_pattern_watched_by(glob.as_ref(), Some(Box::new(watch))).await
    }

    async fn delete_pattern_watched_by(&self, glob: &str, watch: Option<Watching>) -> Result<Removed, Error> {
        if glob.len() > MAX_NAME_BYTES {
            let message = format!("the pattern has {} bytes and {MAX_NAME_BYTES} are the most", glob.len());
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        let kind = self.inner.kind_of(glob);
        if !matches!(kind, Glob::Pattern(_)) && self.inner.remote.is_some() {
            self.inner.count(glob, Count::Delete);
        }
        Ok(match (kind, &self.inner.remote) {
            (Glob::Name(name), None) => self.inner.remove_here(name),
            (Glob::Name(name), Some(remote)) => {
                Removed::counted(self.inner.remove_there(remote, vec![name.to_owned()], Vec::new()).await?)
            }
            (Glob::Scope(scope), None) => {
                self.inner.count(glob, Count::Delete);
                self.inner.local.invalidate(scope);
                Removed::UNCOUNTED
            }
            (Glob::Scope(scope), Some(remote)) => {
                self.inner.remove_there(remote, Vec::new(), vec![scope]).await?;
                Removed::UNCOUNTED
            }
            (Glob::Pattern(pattern), None) => {
                Removed::scanned(self.inner.remove_matching(pattern, watch).await)
            }
            (Glob::Pattern(_), Some(remote)) => {
                Removed::scanned(self.scan_there(remote, glob.to_owned(), None, watch).await?)
            }
        })
    }

    /// Removes everything that depends on a tag, at the same cost for any number of entries.
    ///
    /// # Consistency
    /// As for [`delete`](Self::delete), for every value that depends on the tag.
    ///
    /// # Cancel safety
    /// Once polled, it is done, whoever goes away.
    pub async fn invalidate_tag(&self, tag: Tag) -> Removed {
        self.invalidate_tags([tag]).await
    }

    /// Removes everything that depends on any of several tags.
    ///
    /// # Cancel safety
    /// Once polled, it is done, whoever goes away.
    pub async fn invalidate_tags(&self, tags: impl IntoIterator<Item = Tag>) -> Removed {
        if let Some(remote) = &self.inner.remote {
            let removed = self.inner.remove_over(remote, Vec::new(), tags.into_iter().collect()).await;
            return removed.and(Removed::UNCOUNTED); // also where there was nothing to do
        }
        for tag in tags {
            self.inner.local.invalidate(tag);
            self.inner.count_tag();
        }
        Removed::UNCOUNTED
    }

    /// Removes all that one change made untrue. To be called after the change is committed.
    ///
    /// # Cancel safety
    /// Dropped before its end, it has removed some of it. Without a pattern, once polled, it is done, whoever goes away.
    pub async fn invalidate(&self, changed: &Invalidation) -> Removed {
        if changed.everything {
            return self.clear().await;
        }
        let mut removed = match &self.inner.remote {
            Some(remote) => {
                self.inner.remove_over(remote, changed.names.clone(), changed.tags.to_vec()).await
            }
            None if changed.tags.is_empty() => self.delete_many(&changed.names).await,
            None => {
                let names = self.delete_many(&changed.names).await;
                names.and(self.invalidate_tags(changed.tags.iter().copied()).await)
            }
        };
        for glob in &changed.patterns {
            removed = removed.and(self.delete_pattern(glob).await);
        }
        removed
    }

    /// Removes all that one change made untrue, and waits for so many replicas to have it too, for `limit` at most: the answer is
    /// [`Replicated`](Acknowledged::Replicated) if they do, so that it survives a failover to any of them, else
    /// [`Applied`](Acknowledged::Applied). What looks through all names, and everything, is removed as by
    /// [`invalidate`](Self::invalidate). Without Redis it is that too.
    ///
    /// Removals that wait are sent over a connection of their own, on which the next one waits for the one before.
    ///
    /// # Cancel safety
    /// Once polled, it is done, whoever goes away.
    pub async fn invalidate_replicated(
        &self,
        changed: &Invalidation,
        replicas: u32,
        limit: Duration,
    ) -> Removed {
        let named = self.inner.named(changed).filter(|_| !changed.everything);
        let (Some(remote), Some((names, tags))) = (&self.inner.remote, named) else {
            return self.invalidate(changed).await;
        };
        names.iter().for_each(|name| self.inner.count(name, Count::Delete));
        tags.iter().for_each(|_| self.inner.count_tag());
        let removes = remote.clone();
        let removal = async move { removes.remove_replicated(&names, &tags, replicas, limit).await };
        match remote.to_the_end(removal).await.map_err(Error::from) {
            Ok(true) => Removed::UNCOUNTED.replicated(),
            Ok(false) => Removed::UNCOUNTED,
            Err(error) => {
                self.inner.report("delete", TAGS, &error);
                Removed::failed(&error)
            }
        }
    }

    /// Removes everything, at the same cost for any number of entries; the memory is reclaimed by and by. The entries of
    /// [raw](Space::raw) spaces in Redis are looked for by their names.
    ///
    /// # Cancel safety
    /// Once polled, it is done, whoever goes away.
    pub async fn clear(&self) -> Removed {
        self.inner.count_tag();
        let Some(remote) = &self.inner.remote else {
            self.inner.local.clear();
            return Removed::UNCOUNTED;
        };
        let service = self.clone();
        let cleared = remote.to_the_end(async move { Ok(service.clear_there().await) }).await;
        cleared.map_err(Error::from).flatten().unwrap_or_else(|error| Removed::failed(&error))
    }

    /// Begins a new era, and removes what is in none.
    async fn clear_there(&self) -> Result<Removed, Error> {
        let Some(remote) = &self.inner.remote else { return Ok(Removed::UNCOUNTED) };
        let cleared = remote.clear().await.map_err(Error::from);
        let cleared = cleared.inspect_err(|error| self.inner.report("delete", TAGS, error));
        let mut removed = cleared.map(|()| Removed::UNCOUNTED);
        for raw in self.inner.registry.spaces().filter(|space| space.raw) {
            let cleared = self.clear_raw(remote, raw.template).await;
            removed = removed.and(cleared);
        }
        removed
    }

    /// Removes all entries of a raw space, by looking for their names: they are in no era and have no tags.
    async fn clear_raw(&self, remote: &Remote, template: &'static str) -> Result<Removed, Error> {
        let glob = glob_of(template);
        let scanned = self.scan_there(remote, glob.clone(), Some(template), None).await;
        scanned.map(|_| Removed::UNCOUNTED).inspect_err(|error| self.inner.report("delete", &glob, error))
    }

    /// Removes the names in Redis that match a glob, and belong to this space if one is given. It runs to its end whoever goes
    /// away.
    async fn scan_there(
        &self,
        remote: &Remote,
        glob: String,
        template: Option<&'static str>,
        watch: Option<Watching>,
    ) -> Result<ControlFlow<u64, u64>, Error> {
        let (scans, inner) = (remote.clone(), Arc::clone(&self.inner));
        let scan = async move {
            let is_meant = |name: &str| {
                let owner = inner.registry.owner(name);
                let meant =
                    template.is_none_or(|template| owner.is_some_and(|owner| owner.template == template));
                if meant && template.is_none() {
                    inner.counters.count(inner.group_of(name, owner, None), Count::Delete);
                }
                meant
            };
            scans.remove_matching(&glob, is_meant, watch).await
        };
        Ok(remote.to_the_end(scan).await?)
    }
}

/// What a glob of the application is.
pub(super) enum Glob<'a> {
    /// One name, without anything special.
    Name(&'a str),
    /// All names of a declared scope.
    Scope(Tag),
    /// Any other.
    Pattern(Pattern<'a>),
}

/// The glob of all names of a space.
pub(super) fn glob_of(template: &str) -> String {
    let parts = template.split(':').map(|part| if part.starts_with('{') { "*" } else { part });
    parts.collect::<Vec<_>>().join(":")
}

/// The group under which removals that are no names are counted.
pub(super) const TAGS: &str = "(tags)";

impl<K: Id + ?Sized, V> Space<K, V> {
    /// Removes all entries of this space, at the same cost for any number of them; those of a [raw](Space::raw) space in Redis are
    /// looked for by their names.
    ///
    /// # Consistency
    /// As for [`CacheService::invalidate_tag`].
    ///
    /// # Cancel safety
    /// Once polled, it is done, whoever goes away.
    pub async fn clear(&self, cache: &CacheService) -> Removed {
        match &cache.inner.remote {
            Some(remote) if self.info().raw => {
                cache.inner.count_tag();
                {
                    let cleared = cache.clear_raw(remote, self.template()).await;
                    cleared.unwrap_or_else(|error| Removed::failed(&error))
                }
            }
            _ => cache.invalidate_tag(Tag::space(self.template())).await,
        }
    }
}

impl Inner {
    pub(super) fn kind_of<'a>(&self, glob: &'a str) -> Glob<'a> {
        let pattern = Pattern::new(glob);
        if let Some(name) = pattern.as_literal() {
            return Glob::Name(name);
        }
        let scope = pattern.as_prefix().and_then(|prefix| self.registry.scope_of_prefix(prefix));
        scope.map_or(Glob::Pattern(pattern), Glob::Scope)
    }

    /// The names and tags of an invalidation, if that is all it has.
    fn named(&self, changed: &Invalidation) -> Option<(Vec<String>, Vec<Tag>)> {
        let (mut names, mut tags) = (changed.names.clone(), changed.tags.to_vec());
        for glob in &changed.patterns {
            match self.kind_of(glob) {
                Glob::Name(name) => names.push(name.to_owned()),
                Glob::Scope(tag) => tags.push(tag),
                Glob::Pattern(_) => return None,
            }
        }
        Some((names, tags))
    }

    pub(super) async fn remove(&self, name: &str) -> Removed {
        match &self.remote {
            None => self.remove_here(name),
            Some(remote) => self.remove_over(remote, vec![name.to_owned()], Vec::new()).await,
        }
    }

    /// Removes names and tags in Redis; a failure is counted and logged.
    async fn remove_over(&self, remote: &Remote, names: Vec<String>, tags: Vec<Tag>) -> Removed {
        names.iter().for_each(|name| self.count(name, Count::Delete));
        tags.iter().for_each(|_| self.count_tag());
        let (counted, first) = (tags.is_empty(), names.first().cloned());
        match self.remove_there(remote, names, tags).await {
            Ok(count) if counted => Removed::counted(count),
            Ok(_) => Removed::UNCOUNTED,
            Err(error) => {
                self.report("delete", first.as_deref().unwrap_or(TAGS), &error);
                Removed::failed(&error)
            }
        }
    }

    /// Removes names and tags in Redis, in one go. It runs to its end whoever goes away: nobody would know whether it did.
    pub(super) async fn remove_there(
        &self,
        remote: &Remote,
        names: Vec<String>,
        tags: Vec<Tag>,
    ) -> Result<u64, Error> {
        if names.is_empty() && tags.is_empty() {
            return Ok(0);
        }
        let removes = remote.clone();
        Ok(remote.to_the_end(async move { removes.remove(&names, &tags).await }).await?)
    }

    pub(super) fn count_tag(&self) {
        self.counters.count(self.counters.group(TAGS), Count::Delete);
    }

    fn remove_here(&self, name: &str) -> Removed {
        let removed = self.local.remove(self.local.name(name), self.now_ms());
        self.counters.count(removed.unwrap_or_else(|| self.group_of_name(name)), Count::Delete);
        Removed::counted(u64::from(removed.is_some()))
    }

    pub(super) async fn remove_matching(
        &self,
        pattern: Pattern<'_>,
        mut watch: Option<Watching>,
    ) -> ControlFlow<u64, u64> {
        let (of, mut count) = (self.local.entries() as u64, 0);
        for (index, removed) in self.local.remove_matching(pattern, self.now_ms()).enumerate() {
            if let Some(group) = removed {
                self.counters.count(group, Count::Delete);
                count += 1;
            }
            if index % SCAN_BATCH == SCAN_BATCH - 1 {
                let progress = Progress { looked_at: index as u64 + 1, of: Some(of), removed: count };
                if watch.as_mut().is_some_and(|watch| watch(progress).is_break()) {
                    return ControlFlow::Break(count);
                }
                tokio::task::yield_now().await;
            }
        }
        ControlFlow::Continue(count)
    }
}
