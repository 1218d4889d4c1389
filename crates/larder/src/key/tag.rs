//! Tags: names for what many entries depend on.

use std::fmt::{self, Display, Write};

use arrayvec::ArrayString;
use smallvec::SmallVec;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Something that entries depend on, so that all of them can be invalidated at once: the deals of a company, the
/// exchange rates. Readers attach it, writers invalidate it; the cost is the same for ten entries and a million.
///
/// It is the 64-bit XXH3 hash of a kind and an id, the same in every process. Two tags that happen to share it
/// are invalidated together, which costs a load and is never stale.
///
/// ```
/// use larder::Tag;
///
/// let deals = Tag::new("deals", "abc123");
/// assert_eq!(deals, Tag::new("deals", String::from("abc123")));
/// assert_ne!(deals, Tag::new("contacts", "abc123"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(u64);

/// A few tags; more than these few take an allocation.
pub(crate) type Tags = SmallVec<[Tag; 4]>;

/// What a tag's text begins with, so that an application's tags and the library's own never meet.
#[derive(Clone, Copy)]
enum Realm {
    Application,
    Scope,
    Space,
}

impl Tag {
    /// The tag of this kind of thing with this id.
    pub fn new(kind: &str, id: impl Display) -> Tag {
        Tag::hash(Realm::Application, kind, &id)
    }

    /// The tag of a thing of which there is only one.
    pub fn named(name: &str) -> Tag {
        Tag::hash(Realm::Application, name, &"")
    }

    /// The implicit tag of all names that begin with these segments.
    pub(crate) fn scope(prefix: &str) -> Tag {
        Tag::hash(Realm::Scope, prefix, &"")
    }

    /// The implicit tag of all names of a space.
    pub(crate) fn space(template: &str) -> Tag {
        Tag::hash(Realm::Space, template, &"")
    }

    pub(crate) fn as_u64(self) -> u64 {
        self.0
    }

    pub(crate) fn from_u64(hash: u64) -> Tag {
        Tag(hash)
    }

    /// Hashes realm, length of the kind, kind and id: the length keeps ("ab", "c") and ("a", "bc") apart.
    fn hash(realm: Realm, kind: &str, id: &dyn Display) -> Tag {
        let mut text = ArrayString::<120>::new();
        if write_text(&mut text, realm, kind, id).is_ok() {
            return Tag(xxh3_64(text.as_bytes()));
        }
        let mut long = Xxh3Text(Box::new(Xxh3::new()));
        // Writing to a hasher does not fail, and what a failing `Display` wrote up to there is hashed all the same.
        write_text(&mut long, realm, kind, id).ok();
        Tag(long.0.digest())
    }
}

/// Writes what is hashed. Readers make their tags anew for each read, so that only the id, which can be anything, is formatted.
fn write_text(text: &mut impl Write, realm: Realm, kind: &str, id: &dyn Display) -> fmt::Result {
    text.write_str(match realm {
        Realm::Application => "1 ",
        Realm::Scope => "2 ",
        Realm::Space => "3 ",
    })?;
    text.write_str(itoa::Buffer::new().format(kind.len()))?;
    text.write_char(' ')?;
    text.write_str(kind)?;
    write!(text, "{id}")
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({:016x})", self.0)
    }
}

struct Xxh3Text(Box<Xxh3>);

impl Write for Xxh3Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

/// A tag is a hash already.
#[derive(Debug, Default)]
pub(crate) struct TagHasher(u64);

impl std::hash::Hasher for TagHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_and_id_do_not_run_together() {
        assert_ne!(Tag::new("ab", "c"), Tag::new("a", "bc"));
        assert_ne!(Tag::new("a", ""), Tag::new("", "a"));
    }

    #[test]
    fn long_ids_hash_like_their_text_whatever_the_road() {
        let long = "x".repeat(300);
        assert_eq!(Tag::new("t", &long).0, xxh3_64(format!("1 1 t{long}").as_bytes()));
        assert_eq!(Tag::new("t", "x").0, xxh3_64(b"1 1 tx"));
    }

    #[test]
    fn the_librarys_own_tags_are_out_of_reach() {
        assert_ne!(Tag::named("deals:company:x"), Tag::scope("deals:company:x"));
        assert_ne!(Tag::scope("user:{id}"), Tag::space("user:{id}"));
    }
}
