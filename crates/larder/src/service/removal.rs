//! Removing: by name, pattern, tag, scope, space, or everything.

use smallvec::SmallVec;

use super::{CacheService, Inner, Removed};
use crate::error::{Error, ErrorKind};
use crate::key::{AsName, Id, MAX_NAME_BYTES, Pattern, Space, Tag};
use crate::local::SCAN_BATCH;
use crate::stats::Count;

/// What one change made untrue, as data: to be announced once the change is committed.
///
/// ```
/// use larder::{Invalidation, Tag};
///
/// let mut changed = Invalidation::new().key("deal:17").tag(Tag::new("deals", "abc123"));
/// changed.merge(Invalidation::new().pattern("pipeline:stats:abc123"));
/// assert!(!changed.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "an invalidation does nothing until it is given to `CacheService::invalidate`"]
pub struct Invalidation {
    names: Vec<String>,
    tags: SmallVec<[Tag; 4]>,
    patterns: Vec<String>,
}

impl Invalidation {
    /// Nothing yet.
    pub fn new() -> Self {
        Invalidation::default()
    }

    /// One entry.
    pub fn key(mut self, key: impl AsName) -> Self {
        self.names.push(key.name().to_owned());
        self
    }

    /// Everything that depends on this tag.
    pub fn tag(mut self, tag: Tag) -> Self {
        self.tags.push(tag);
        self
    }

    /// Everything whose name matches a glob, as for [`CacheService::delete_pattern`].
    pub fn pattern(mut self, glob: impl Into<String>) -> Self {
        self.patterns.push(glob.into());
        self
    }

    /// All that the other says, too.
    pub fn merge(&mut self, other: Invalidation) {
        self.names.extend(other.names);
        self.tags.extend(other.tags);
        self.patterns.extend(other.patterns);
    }

    /// Whether there is nothing to remove.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.tags.is_empty() && self.patterns.is_empty()
    }
}

impl CacheService {
    /// Removes one entry.
    ///
    /// # Consistency
    /// When it is acknowledged, no read that starts later returns what was there, and no load that began before installs
    /// anything. To be called after the change is committed.
    ///
    /// # Cancel safety
    /// It is done when it is first polled, or not at all.
    pub async fn delete(&self, key: impl AsName) -> Removed {
        self.inner.remove(key.name())
    }

    /// Removes several entries.
    ///
    /// # Cancel safety
    /// It is done when it is first polled, or not at all.
    pub async fn delete_many<N: AsName>(&self, keys: impl IntoIterator<Item = N>) -> Removed {
        keys.into_iter().map(|key| self.inner.remove(key.name())).fold(Removed::counted(0), Removed::and)
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
    /// As for [`delete`](Self::delete), for every name that matches. Except on a scope, it also refuses the loads of other
    /// names that are under way: their values are returned and not stored.
    ///
    /// # Cancel safety
    /// Dropped before its end, it has removed some entries and not others.
    pub async fn delete_pattern(&self, glob: impl AsRef<str>) -> Removed {
        let glob = glob.as_ref();
        self.try_delete_pattern(glob).await.unwrap_or_else(|error| {
            self.inner.report("delete", glob, &error);
            Removed::FAILED
        })
    }

    /// Like [`delete_pattern`](Self::delete_pattern), with the failure instead of "not acknowledged".
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for a glob that is longer than a name can be.
    ///
    /// # Cancel safety
    /// As for [`delete_pattern`](Self::delete_pattern).
    pub async fn try_delete_pattern(&self, glob: impl AsRef<str>) -> Result<Removed, Error> {
        let glob = glob.as_ref();
        if glob.len() > MAX_NAME_BYTES {
            let message = format!("the pattern has {} bytes and {MAX_NAME_BYTES} are the most", glob.len());
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        let pattern = Pattern::new(glob);
        if let Some(name) = pattern.as_literal() {
            return Ok(self.inner.remove(name));
        }
        if let Some(scope) =
            pattern.as_prefix().and_then(|prefix| self.inner.registry.scope_of_prefix(prefix))
        {
            self.inner.local.invalidate(scope);
            self.inner.count(glob, Count::Delete);
            return Ok(Removed::UNCOUNTED);
        }
        Ok(Removed::counted(self.inner.remove_matching(pattern).await))
    }

    /// Removes everything that depends on a tag, at the same cost for any number of entries.
    ///
    /// # Consistency
    /// When it is acknowledged, no read that starts later returns a value that depended on the tag, and no load that began
    /// before installs one.
    ///
    /// # Cancel safety
    /// It is done when it is first polled, or not at all.
    pub async fn invalidate_tag(&self, tag: Tag) -> Removed {
        self.invalidate_tags([tag]).await
    }

    /// Removes everything that depends on any of several tags.
    ///
    /// # Cancel safety
    /// It is done when it is first polled, or not at all.
    pub async fn invalidate_tags(&self, tags: impl IntoIterator<Item = Tag>) -> Removed {
        for tag in tags {
            self.inner.local.invalidate(tag);
            self.inner.counters.count(self.inner.counters.group(TAGS), Count::Delete);
        }
        Removed::UNCOUNTED
    }

    /// Removes all that one change made untrue. To be called after the change is committed.
    ///
    /// # Cancel safety
    /// Dropped before its end, it has removed some of it. Without a pattern it is done when it is first polled.
    pub async fn invalidate(&self, changed: &Invalidation) -> Removed {
        let mut removed = self.delete_many(&changed.names).await;
        if !changed.tags.is_empty() {
            removed = removed.and(self.invalidate_tags(changed.tags.iter().copied()).await);
        }
        for glob in &changed.patterns {
            removed = removed.and(self.delete_pattern(glob).await);
        }
        removed
    }

    /// Removes everything, at the same cost for any number of entries; the memory is reclaimed by and by.
    ///
    /// # Cancel safety
    /// It is done when it is first polled, or not at all.
    pub async fn clear(&self) -> Removed {
        self.inner.local.clear();
        self.inner.counters.count(self.inner.counters.group(TAGS), Count::Delete);
        Removed::UNCOUNTED
    }
}

/// The group under which removals that are no names are counted.
pub(super) const TAGS: &str = "(tags)";

impl<K: Id + ?Sized, V> Space<K, V> {
    /// Removes all entries of this space, at the same cost for any number of them.
    ///
    /// # Consistency
    /// As for [`CacheService::invalidate_tag`].
    ///
    /// # Cancel safety
    /// It is done when it is first polled, or not at all.
    pub async fn clear(&self, cache: &CacheService) -> Removed {
        cache.invalidate_tag(Tag::space(self.template())).await
    }
}

impl Inner {
    pub(super) fn remove(&self, name: &str) -> Removed {
        let removed = self.local.remove(self.local.name(name), self.now_ms());
        self.counters.count(removed.unwrap_or_else(|| self.group_of_name(name)), Count::Delete);
        Removed::counted(u64::from(removed.is_some()))
    }

    async fn remove_matching(&self, pattern: Pattern<'_>) -> u64 {
        let mut count = 0;
        for (looked_at, removed) in self.local.remove_matching(pattern, self.now_ms()).enumerate() {
            if let Some(group) = removed {
                self.counters.count(group, Count::Delete);
                count += 1;
            }
            if looked_at % SCAN_BATCH == SCAN_BATCH - 1 {
                tokio::task::yield_now().await;
            }
        }
        count
    }
}
