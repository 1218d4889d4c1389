//! What the names of the application and of the library are in Redis.
//!
//! Keys of the library begin with `!`. A name of the application that would be taken for one, or is empty, gets `!k:` before
//! it. A namespace stands before everything: `ns:…` and `!ns:…`.

use std::borrow::Cow;

use crate::key::Tag;

/// The digits of a tag in its key.
const HEX: &[u8; 16] = b"0123456789abcdef";

/// The names under one namespace.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// The namespace with its colon, or nothing.
    namespace: String,
    root: String,
    watermark: String,
}

/// What a key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named<'a> {
    Entry(&'a str),
    Tag(Tag),
    Root,
    /// Nothing of which there are copies, or nothing of ours.
    Nothing,
}

impl Names {
    /// Names under a namespace; the empty one is none.
    pub(crate) fn new(namespace: &str) -> Self {
        let namespace = if namespace.is_empty() { String::new() } else { format!("{namespace}:") };
        let (root, watermark) = (format!("!{namespace}root"), format!("!{namespace}wm"));
        Names { namespace, root, watermark }
    }

    /// The key of an entry.
    pub(crate) fn entry<'a>(&self, name: &'a str) -> Cow<'a, str> {
        if !self.namespace.is_empty() {
            Cow::Owned(format!("{}{name}", self.namespace))
        } else if is_taken(name) {
            Cow::Owned(format!("!k:{name}"))
        } else {
            Cow::Borrowed(name)
        }
    }

    /// The name of the application that a key stands for; `None` for keys of the library.
    pub(crate) fn name_of<'a>(&self, key: &'a str) -> Option<&'a str> {
        if !self.namespace.is_empty() {
            return key.strip_prefix(&self.namespace);
        }
        match key.strip_prefix("!k:") {
            // Nothing of ours stands under `!k:` without need, nor without it in need.
            Some(name) => is_taken(name).then_some(name),
            None => (!is_taken(key)).then_some(key),
        }
    }

    /// What a key is to us.
    pub(crate) fn meaning_of<'a>(&self, key: &'a str) -> Named<'a> {
        if let Some(name) = self.name_of(key) {
            return Named::Entry(name);
        }
        if key == self.root {
            return Named::Root;
        }
        let ours = key.strip_prefix('!').and_then(|key| key.strip_prefix(&*self.namespace));
        let tag = ours.and_then(|key| u64::from_str_radix(key.strip_prefix("t:")?, 16).ok());
        tag.map_or(Named::Nothing, |tag| Named::Tag(Tag::from_u64(tag)))
    }

    /// The globs of all keys whose names may match a glob of the application. What they find is still to be looked at: by
    /// [`name_of`](Self::name_of), and whether that name matches.
    pub(crate) fn globs(&self, glob: &str) -> Vec<String> {
        let glob = if is_read_alike(glob) { glob } else { "*" };
        if self.namespace.is_empty() {
            // A star at its beginning finds what stands under `!k:` too, and a plain character none of it.
            let may_be_taken = glob.is_empty() || glob.starts_with(['!', '?', '[', '\\']);
            let taken = may_be_taken.then(|| format!("!k:{glob}"));
            return std::iter::once(glob.to_owned()).chain(taken).collect();
        }
        // A namespace is made of plain characters, so that there is nothing to escape.
        vec![format!("{}{glob}", self.namespace)]
    }

    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    pub(crate) fn watermark(&self) -> &str {
        &self.watermark
    }

    pub(crate) fn tag(&self, tag: Tag) -> String {
        let mut key = String::with_capacity(20 + self.namespace.len());
        key.extend(["!", &self.namespace, "t:"]);
        // Sixteen digits, the highest first: one key for each tag of each read, where formatting is felt.
        key.extend((0..16).rev().map(|at| char::from(HEX[(tag.as_u64() >> (4 * at)) as usize & 0xf])));
        key
    }

    pub(crate) fn claim(&self, name: &str) -> String {
        format!("!{}c:{name}", self.namespace)
    }

    pub(crate) fn staging(&self, nonce: u64) -> String {
        format!("!{}f:{nonce:016x}", self.namespace)
    }

    pub(crate) fn lock(&self, name: &str) -> String {
        format!("!{}lock:{name}", self.namespace)
    }

    pub(crate) fn limit(&self, digest: u128) -> String {
        format!("!{}limit:{digest:032x}", self.namespace)
    }
}

/// So many stars in a glob every Redis takes; newer ones let a glob of more match nothing.
const MAX_STARS: usize = 1_000;

/// Whether every Redis finds by a glob what we do: a range that ends beyond ASCII is another one where `char` has a sign.
fn is_read_alike(glob: &str) -> bool {
    (glob.is_ascii() || !glob.contains('[')) && glob.matches('*').count() <= MAX_STARS
}

/// Whether a name without a namespace cannot stand as it is.
fn is_taken(name: &str) -> bool {
    name.is_empty() || name.starts_with('!')
}

/// What keys of the library are called without a namespace; as namespaces they would make the same keys.
const RESERVED: [&str; 8] = ["c", "f", "k", "limit", "lock", "root", "t", "wm"];

/// Whether this can be a namespace: it must not be able to run into a name.
pub(crate) fn is_namespace(text: &str) -> bool {
    !RESERVED.contains(&text)
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Pattern;

    #[test]
    fn names_and_keys_of_the_library_never_meet() {
        let plain = Names::new("");
        for (name, key) in [("deal:1", "deal:1"), ("", "!k:"), ("!root", "!k:!root"), ("!k:x", "!k:!k:x")] {
            assert_eq!(plain.entry(name), key);
            assert_eq!(plain.name_of(key), Some(name));
        }
        assert_eq!(plain.root(), "!root");
        assert_eq!(plain.name_of("!root"), None);
        assert_eq!(plain.name_of("!k:root"), None);
        assert_eq!(plain.name_of(""), None);
        assert_eq!(plain.tag(Tag::from_u64(255)), "!t:00000000000000ff");
        assert_eq!(plain.lock("x"), "!lock:x");

        assert_eq!(plain.meaning_of("!t:00000000000000ff"), Named::Tag(Tag::from_u64(255)));
        assert_eq!(plain.meaning_of("!k:!x"), Named::Entry("!x"));
        assert_eq!([plain.meaning_of("!root"), plain.meaning_of("!lock:x")], [Named::Root, Named::Nothing]);

        let crm = Names::new("crm");
        assert_eq!(crm.meaning_of("!crm:t:00000000000000ff"), Named::Tag(Tag::from_u64(255)));
        assert_eq!(crm.meaning_of("crm:deal:1"), Named::Entry("deal:1"));
        assert_eq!([crm.meaning_of("!crm:root"), crm.meaning_of("!root")], [Named::Root, Named::Nothing]);
        for (name, key) in [("deal:1", "crm:deal:1"), ("", "crm:"), ("!root", "crm:!root")] {
            assert_eq!(crm.entry(name), key);
            assert_eq!(crm.name_of(key), Some(name));
        }
        assert_eq!(crm.root(), "!crm:root");
        assert_eq!(crm.name_of("!crm:root"), None);
        assert_eq!(crm.name_of("other:deal:1"), None);
        assert_eq!(crm.claim("x"), "!crm:c:x");
    }

    #[test]
    fn a_glob_that_servers_read_differently_looks_through_all_keys() {
        assert_eq!(Names::new("").globs("ä[a-z]?"), ["*"]);
        assert_eq!(Names::new("crm").globs("[a-é]*"), ["crm:*"]);
        assert_eq!(Names::new("crm").globs(&"*a".repeat(MAX_STARS + 1)), ["crm:*"]);
        assert_eq!(Names::new("crm").globs("[^a-z]*"), ["crm:[^a-z]*"]);
        assert_eq!(Names::new("crm").globs("ä*"), ["crm:ä*"]);
    }

    #[test]
    fn a_glob_finds_the_key_of_each_name_that_it_matches_in_one_scan_where_one_will_do() {
        let plain = Names::new("");
        for (glob, scans) in
            [("*", 1), ("*x", 1), ("user:*", 1), ("", 2), ("!*", 2), ("?x", 2), ("[!u]x", 2), ("\\!x", 2)]
        {
            let globs = plain.globs(glob);
            assert_eq!(globs.len(), scans, "{glob:?}");
            for name in ["", "!x", "!k:x", "x", "ux", "user:1"] {
                let found = globs.iter().any(|glob| Pattern::new(glob).matches(&plain.entry(name)));
                assert!(found || !Pattern::new(glob).matches(name), "{glob:?} misses {name:?}");
            }
        }
    }

    #[test]
    fn a_namespace_cannot_run_into_a_name() {
        assert!(is_namespace("crm-1_a.b") && is_namespace(""));
        for wrong in ["a:b", "!a", "a*", "a b", "ä", "{a}", "lock", "t", "k"] {
            assert!(!is_namespace(wrong), "{wrong}");
        }
    }
}
