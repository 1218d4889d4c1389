//! What a caller can say about one read or one set.

use arrayvec::ArrayVec;

use crate::key::Tag;
use crate::policy::Ttl;

/// How many tags one entry can declare. Each is compared at every hit, and fetched with every read from a shared cache.
pub const MAX_TAGS: usize = 8;

/// How long an entry lives, under which prefix it is counted, and which tags it depends on. What is not said comes from the
/// space that owns the name, else from the service's defaults.
///
/// ```
/// use larder::{Policy, Tag, Ttl};
///
/// let policy = Policy::ttl(Ttl::SHORT).prefix("deals").tag(Tag::new("deals", "abc123"));
/// # drop(policy);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Policy {
    pub(super) ttl: Option<Ttl>,
    pub(super) prefix: Option<&'static str>,
    pub(super) tags: ArrayVec<Tag, MAX_TAGS>,
    pub(super) too_many_tags: bool,
}

impl Policy {
    /// Nothing but the defaults.
    pub fn new() -> Self {
        Policy::default()
    }

    /// A lifetime of its own, of a class or of any [`Duration`](std::time::Duration).
    pub fn ttl(ttl: impl Into<Ttl>) -> Self {
        Policy { ttl: Some(ttl.into()), ..Policy::default() }
    }

    /// The group under which the entry is counted. It does not change the name of the entry.
    #[must_use]
    pub fn prefix(mut self, prefix: &'static str) -> Self {
        self.prefix = Some(prefix);
        self
    }

    /// Something that the entry depends on. With more than [`MAX_TAGS`] of them, values are loaded and not stored, and each
    /// time that is counted and logged as an error.
    #[must_use]
    pub fn tag(mut self, tag: Tag) -> Self {
        self.add(tag);
        self
    }

    /// Several of them.
    #[must_use]
    pub fn tags(mut self, tags: impl IntoIterator<Item = Tag>) -> Self {
        tags.into_iter().for_each(|tag| self.add(tag));
        self
    }

    fn add(&mut self, tag: Tag) {
        if !self.tags.contains(&tag) && self.tags.try_push(tag).is_err() {
            self.too_many_tags = true;
        }
    }

    /// For a set: only if a `get` would find nothing.
    #[must_use]
    pub fn nx(self) -> SetOptions {
        SetOptions { policy: self, nx: true }
    }
}

impl From<Ttl> for Policy {
    fn from(ttl: Ttl) -> Self {
        Policy::ttl(ttl)
    }
}

/// A [`Policy`] for a set, perhaps with `nx`.
#[derive(Clone, Debug, Default)]
pub struct SetOptions {
    pub(super) policy: Policy,
    pub(super) nx: bool,
}

impl<P: Into<Policy>> From<P> for SetOptions {
    fn from(policy: P) -> Self {
        SetOptions { policy: policy.into(), nx: false }
    }
}
