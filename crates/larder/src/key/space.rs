//! Declared families of names, and the typed keys that they make.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use super::id::{Id, KeyName, KeyWriter};
use super::{AsKey, AsName};
use crate::policy::{Encoding, Ttl};

/// How many scopes one space can declare. Each is a tag of every entry.
pub(crate) const MAX_SCOPES: usize = 3;

/// A family of entries: the form of their names, the type of their values, and the policy that they share.
///
/// It is declared once, as a `static`, with a sentence on who reads it, how often it changes and what staleness costs, and
/// registered in the builder of the service. A registered space owns the names of its form: a bare `set` on such a name is
/// refused, unless the space is declared as data [whose source is the cache](Space::cache_is_source).
///
/// ```
/// use larder::{CacheService, Policy, Space, Ttl};
///
/// static USER: Space<str, String> =
///     Space::new("user:{id}", "Read on every page; changes when a profile does; a stale name confuses.").ttl(Ttl::LONG);
/// static DEALS: Space<(&str, u32), Vec<String>> =
///     Space::new("deals:company:{company}:page:{n}", "Read by the deal list; changes all day; stale deals cost trust.")
///         .ttl(Ttl::SHORT)
///         .scope("company");
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), larder::Error> {
/// let cache = CacheService::builder().space(&USER).space(&DEALS).build()?;
/// let load = || async { Ok::<_, std::convert::Infallible>(vec!["a deal".to_owned()]) };
/// let company = String::from("abc123"); // of a request, say
/// let page = cache.get_or_set(DEALS.key(&(company.as_str(), 1)), Policy::new(), load).await;
/// assert_eq!(page.map(|page| page.len()), Ok(1));
///
/// cache.delete_pattern("deals:company:abc123:*").await; // the same cost for one page and a million
/// assert!(cache.get(DEALS.key(&(company.as_str(), 1))).await.is_none());
/// # Ok(())
/// # }
/// ```
pub struct Space<K: ?Sized, V> {
    info: SpaceInfo,
    typed: Typed<V>,
    /// One of longer ids is one of shorter ids: a `static` space takes ids that are borrowed for a moment.
    id: PhantomData<fn() -> *const K>,
}

/// What the library knows of a space without knowing its types.
#[derive(Clone, Copy, Debug)]
pub struct SpaceInfo {
    pub(crate) template: &'static str,
    pub(crate) reason: &'static str,
    pub(crate) format: u16,
    pub(crate) ttl: Option<Ttl>,
    pub(crate) prefix: Option<&'static str>,
    pub(crate) scopes: [Option<&'static str>; MAX_SCOPES],
    pub(crate) too_many_scopes: bool,
    pub(crate) cache_is_source: bool,
    pub(crate) encoding: Encoding,
    pub(crate) raw: bool,
    pub(crate) local_tier: bool,
    pub(crate) degraded_ttl: Duration,
    /// Its values are weighed by a function of its own.
    pub(crate) weighs: bool,
    pub(crate) id_segments: usize,
}

/// What a space knows of its values.
pub struct Typed<V> {
    pub(crate) weigher: Option<fn(&V) -> u64>,
    pub(crate) version: Option<fn(&V) -> u64>,
}

impl<K: Id + ?Sized, V> Space<K, V> {
    /// Declares a space by the template of its names and the reason for its policy.
    ///
    /// The template is words and placeholders between colons, `user:{id}:stats:{company}`; the first is a word. Whether it
    /// is well formed, has as many placeholders as `K` fills and does not overlap with another is checked when the service
    /// is built.
    pub const fn new(template: &'static str, reason: &'static str) -> Self {
        Space {
            info: SpaceInfo {
                template,
                reason,
                format: 1,
                ttl: None,
                prefix: None,
                scopes: [None; MAX_SCOPES],
                too_many_scopes: false,
                cache_is_source: false,
                encoding: Encoding::Json,
                raw: false,
                local_tier: true,
                degraded_ttl: Duration::ZERO,
                weighs: false,
                id_segments: K::SEGMENTS,
            },
            typed: Typed { weigher: None, version: None },
            id: PhantomData,
        }
    }

    /// How long its entries live; without it they live as long as the service's default, [`Ttl::MEDIUM`].
    #[must_use]
    pub const fn ttl(mut self, ttl: Ttl) -> Self {
        self.info.ttl = Some(ttl);
        self
    }

    /// The group under which its entries are counted; without it that is the first word of the template.
    #[must_use]
    pub const fn prefix(mut self, prefix: &'static str) -> Self {
        self.info.prefix = Some(prefix);
        self
    }

    /// The version of the values' format, raised when a new release can no longer read what an old one stored.
    /// An entry of another version in Redis is a miss. In-process entries end with the process, so that it does not matter there.
    #[must_use]
    pub const fn version(mut self, format: u16) -> Self {
        self.info.format = format;
        self
    }

    /// Declares the segment of this placeholder (or word) as a scope: `delete_pattern` on everything under it costs the same
    /// at any size, and cannot count. It holds for all names that begin like this template, of whatever space.
    #[must_use]
    pub const fn scope(mut self, segment: &'static str) -> Self {
        let mut at = 0;
        while at < MAX_SCOPES && self.info.scopes[at].is_some() {
            at += 1;
        }
        if at < MAX_SCOPES {
            self.info.scopes[at] = Some(segment);
        } else {
            self.info.too_many_scopes = true;
        }
        self
    }

    /// What a value weighs, in bytes (or in whatever the capacity is meant in), instead of its encoded size, the length of
    /// its name and [`ENTRY_OVERHEAD_BYTES`](crate::ENTRY_OVERHEAD_BYTES).
    #[must_use]
    pub const fn weigher(mut self, weigher: fn(&V) -> u64) -> Self {
        self.typed.weigher = Some(weigher);
        self.info.weighs = true;
        self
    }

    /// The row version inside a value, raised by each update of the row: what `set_versioned` compares. Only for values that
    /// are made of that one row.
    #[must_use]
    pub const fn versioned(mut self, version: fn(&V) -> u64) -> Self {
        self.typed.version = Some(version);
        self
    }

    /// Declares the space as data whose source is the cache itself: bare sets are allowed, the last one wins.
    #[must_use]
    pub const fn cache_is_source(mut self) -> Self {
        self.info.cache_is_source = true;
        self
    }

    /// How its values are written in Redis: as JSON, which redis-cli shows, or as MessagePack, which is smaller and quicker. A
    /// reader knows either, so that a space may change.
    #[must_use]
    pub const fn encoding(mut self, encoding: Encoding) -> Self {
        self.info.encoding = encoding;
        self
    }

    /// Keeps its values in Redis without this library's header, for readers in other languages: the bytes under the name are
    /// the encoded value and nothing else.
    ///
    /// What the header promises is gone with it: a load that began before a removal may store its older value after it, which
    /// then stays for its lifetime; there are no tags and no scopes, no version and no age, and one load for all holds within a
    /// process only. The lifetime holds. In a cache without Redis it changes nothing.
    #[must_use]
    pub const fn raw(mut self) -> Self {
        self.info.raw = true;
        self
    }

    /// Whether copies of its values are kept in this process in front of Redis, where [any are](crate::Redis::local_tier). By
    /// default they are, and a hit may be older than what lies in Redis, by a second at most; without them each hit is a round
    /// trip and is never older. In a cache without Redis it changes nothing.
    #[must_use]
    pub const fn local_tier(mut self, keeps: bool) -> Self {
        self.info.local_tier = keeps;
        self
    }

    /// For how long copies in this process go on being served when Redis cannot be asked, counted from when it last answered. What
    /// other processes change meanwhile is not known here, so that such a hit says that it is
    /// [stale](crate::Freshness::Stale) to those who ask by [`lookup`](crate::CacheService::lookup) or
    /// [`read_through`](crate::CacheService::read_through). By default for no time at all: readers load.
    ///
    /// For what has to be there rather than right, and whose source is as far away as Redis. What this process removes meanwhile ends;
    /// a pattern ends all of it. In a cache without Redis, and without the [local tier](Self::local_tier), it changes nothing, and
    /// where Redis does not tell of changes, copies live for a second anyway.
    #[must_use]
    pub const fn degraded_ttl(mut self, ttl: Duration) -> Self {
        self.info.degraded_ttl = ttl;
        self
    }

    /// The key of one entry.
    pub fn key(&self, id: &K) -> Key<'_, V> {
        let mut key = Key { info: &self.info, typed: &self.typed, name: KeyName::new() };
        let mut writer = KeyWriter::new(&mut key.name, self.info.template);
        id.write(&mut writer);
        writer.finish();
        key
    }

    /// The pattern of all names that begin as the names of this space do when their first placeholders are filled with
    /// this, for [`delete_pattern`](crate::CacheService::delete_pattern): written by hand, an id with a `:` or a `*` in it would
    /// say something else. On a [scope](Space::scope) it costs the same at any number of entries.
    ///
    /// ```
    /// # use larder::Space;
    /// static DEALS: Space<(&str, u32), u64> = Space::new("deals:company:{company}:page:{n}", "…").scope("company");
    ///
    /// assert_eq!(DEALS.under(&"abc123"), "deals:company:abc123:*");
    /// assert_eq!(DEALS.under(&"A*"), "deals:company:A%2A:*");
    /// assert_eq!(DEALS.under(&()), "deals:company:*");
    /// ```
    pub fn under<P: Id>(&self, first: &P) -> String {
        let mut name = KeyName::new();
        let mut writer = KeyWriter::new(&mut name, self.info.template);
        first.write(&mut writer);
        if writer.is_broken() {
            writer.finish();
            return name.as_str().to_owned(); // the name of nothing
        }
        let template = || self.info.template.split(':');
        let placeholder = |part: &&str| part.starts_with('{');
        let filled = match P::SEGMENTS {
            0 => template().take_while(|part| !placeholder(part)).count(),
            n => template()
                .enumerate()
                .filter(|(_, part)| placeholder(part))
                .nth(n - 1)
                .map_or(0, |(at, _)| at + 1),
        };
        let parts: Vec<&str> = name.as_str().split(':').take(filled).chain(["*"]).collect();
        parts.join(":")
    }

    /// The template of its names.
    pub const fn template(&self) -> &'static str {
        self.info.template
    }

    /// The sentence that it was declared with.
    pub const fn reason(&self) -> &'static str {
        self.info.reason
    }

    pub(crate) fn info(&self) -> &SpaceInfo {
        &self.info
    }
}

impl<K: ?Sized, V> fmt::Debug for Space<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.info.fmt(f)
    }
}

impl<V> Clone for Typed<V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for Typed<V> {}

impl SpaceInfo {
    /// The template of its names.
    pub fn template(&self) -> &'static str {
        self.template
    }

    /// Who reads it, how often it changes, and what staleness costs.
    pub fn reason(&self) -> &'static str {
        self.reason
    }

    /// How long its entries live, where it says so.
    pub fn ttl(&self) -> Option<Ttl> {
        self.ttl
    }

    /// The version of its values' format.
    pub fn version(&self) -> u16 {
        self.format
    }

    /// The group under which its entries are counted.
    pub(crate) fn group(&self) -> &'static str {
        self.prefix.unwrap_or_else(|| self.template.split(':').next().unwrap_or(self.template))
    }
}

impl<V> fmt::Debug for Typed<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Typed").finish_non_exhaustive()
    }
}

/// The name of one entry of a [`Space`], with the type of its value. It allocates nothing up to 128 bytes.
pub struct Key<'s, V> {
    info: &'s SpaceInfo,
    typed: &'s Typed<V>,
    name: KeyName,
}

impl<V> Key<'_, V> {
    /// The name of the entry, as it stands in the cache.
    pub fn as_str(&self) -> &str {
        self.name.as_str()
    }
}

impl<V> AsName for Key<'_, V> {
    #[inline]
    fn name(&self) -> &str {
        self.name.as_str()
    }

    #[inline]
    fn space(&self) -> Option<&SpaceInfo> {
        Some(self.info)
    }
}

impl<V> AsKey<V> for Key<'_, V> {
    #[inline]
    fn typed(&self) -> Option<&Typed<V>> {
        Some(self.typed)
    }
}

impl<V> Clone for Key<'_, V> {
    fn clone(&self) -> Self {
        Key { info: self.info, typed: self.typed, name: self.name.clone() }
    }
}

impl<V> fmt::Debug for Key<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.as_str())
    }
}

impl<V> fmt::Display for Key<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
