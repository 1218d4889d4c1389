//! What a change made untrue, as data: in the program, and as the text of a record.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::key::{AsName, Tag, Tags};

/// What one change made untrue, as data: to be announced once the change is committed.
///
/// ```
/// use larder::{Invalidation, Tag};
///
/// let mut changed = Invalidation::new().key("deal:17").tag(Tag::new("deals", "abc123"));
/// changed.merge(Invalidation::new().pattern("pipeline:stats:abc123"));
/// assert!(!changed.is_empty());
/// ```
///
/// # As text
/// Its [`Display`](fmt::Display) is JSON, which [`FromStr`] reads: an array of what is removed, in which a tag is written by its hash. Who
/// writes such a text elsewhere, in a trigger of a database for instance, names a tag by its kind and id.
///
/// ```
/// use larder::{Invalidation, Tag};
///
/// let written = r#"[{"key":"deal:17"},{"tag":["deals","abc123"]},{"pattern":"pipeline:stats:abc123"}]"#;
/// let read: Invalidation = written.parse()?;
/// assert_eq!(read, Invalidation::new().key("deal:17").tag(Tag::new("deals", "abc123")).pattern("pipeline:stats:abc123"));
/// assert_eq!(read.to_string().parse::<Invalidation>()?, read);
/// # Ok::<(), larder::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "an invalidation does nothing until it is given to `CacheService::invalidate`"]
pub struct Invalidation {
    pub(super) names: Vec<String>,
    pub(super) tags: Tags,
    pub(super) patterns: Vec<String>,
    pub(super) everything: bool,
}

/// One thing that is removed, as it is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Item<'a> {
    Key(std::borrow::Cow<'a, str>),
    /// A kind and an id.
    Tag(String, String),
    /// Sixteen hexadecimal digits.
    Hash(String),
    Pattern(std::borrow::Cow<'a, str>),
    /// Always `true`.
    Everything(bool),
}

impl Invalidation {
    /// Nothing yet.
    pub fn new() -> Self {
        Invalidation::default()
    }

    /// Everything there is, as [`CacheService::clear`](crate::CacheService::clear) removes it: for changes that are too many to name.
    pub fn everything() -> Self {
        Invalidation { everything: true, ..Invalidation::default() }
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

    /// Everything whose name matches a glob, as for [`CacheService::delete_pattern`](crate::CacheService::delete_pattern).
    pub fn pattern(mut self, glob: impl Into<String>) -> Self {
        self.patterns.push(glob.into());
        self
    }

    /// All that the other says, too.
    pub fn merge(&mut self, other: Invalidation) {
        self.names.extend(other.names);
        self.tags.extend(other.tags);
        self.patterns.extend(other.patterns);
        self.everything |= other.everything;
    }

    /// Says each thing once, however often it was said.
    pub fn dedup(&mut self) {
        for texts in [&mut self.names, &mut self.patterns] {
            texts.sort_unstable();
            texts.dedup();
        }
        self.tags.sort_unstable();
        self.tags.dedup();
    }

    /// Whether there is nothing to remove.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many things it names.
    pub fn len(&self) -> usize {
        self.names.len() + self.tags.len() + self.patterns.len() + usize::from(self.everything)
    }
}

impl fmt::Display for Invalidation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names.iter().map(|name| Item::Key(name.into()));
        let tags = self.tags.iter().map(|tag| Item::Hash(format!("{:016x}", tag.as_u64())));
        let patterns = self.patterns.iter().map(|glob| Item::Pattern(glob.into()));
        let everything = self.everything.then_some(Item::Everything(true));
        let items: Vec<Item<'_>> = names.chain(tags).chain(patterns).chain(everything).collect();
        f.write_str(&serde_json::to_string(&items).map_err(|_no_text| fmt::Error)?)
    }
}

impl FromStr for Invalidation {
    type Err = Error;

    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) if it is no text of this form. It does not quote the text.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |at: String| {
            let message = format!(
                "this is no invalidation ({at}); it is a JSON array of {{\"key\": name}}, {{\"tag\": [kind, id]}}, {{\"pattern\": glob}} and {{\"everything\": true}}"
            );
            Error::new(ErrorKind::InvalidInput, message)
        };
        let items: Vec<Item<'_>> = serde_json::from_str(text)
            .map_err(|error| wrong(format!("line {}, column {}", error.line(), error.column())))?;
        items.into_iter().enumerate().try_fold(Invalidation::new(), |all, (index, item)| {
            Ok(match item {
                Item::Key(name) => all.key(&*name),
                Item::Tag(kind, id) => all.tag(Tag::new(&kind, id)),
                Item::Hash(digits)
                    if digits.len() == 16 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) =>
                {
                    let hash = u64::from_str_radix(&digits, 16)
                        .map_err(|_no_hash| wrong(format!("item {index}")))?;
                    all.tag(Tag::from_u64(hash))
                }
                Item::Pattern(glob) => all.pattern(glob),
                Item::Everything(true) => Invalidation { everything: true, ..all },
                Item::Hash(_) | Item::Everything(false) => return Err(wrong(format!("item {index}"))),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let all = Invalidation::new()
            .key("a\n:\"%*")
            .key("")
            .tag(Tag::new("deals of", "ä:1"))
            .tag(Tag::from_u64(1))
            .pattern("x:*");
        for changed in [Invalidation::new(), Invalidation::everything(), all] {
            assert_eq!(changed.to_string().parse::<Invalidation>().expect("it was just written"), changed);
        }
        assert_eq!(
            Invalidation::new().key("deal:1").tag(Tag::from_u64(255)).to_string(),
            r#"[{"key":"deal:1"},{"hash":"00000000000000ff"}]"#
        );
    }

    #[test]
    fn a_text_that_is_none_is_refused_without_quoting_it() {
        for wrong in [
            "",
            "{}",
            "[1]",
            r#"[{"hash":"ff"}]"#,
            r#"[{"hash":"+0000000000000ff"}]"#,
            r#"[{"everything":false}]"#,
            r#"[{"secret":"x"}]"#,
        ] {
            let said = wrong.parse::<Invalidation>().expect_err(wrong).to_string();
            assert!(said.contains("no invalidation") && !said.contains("secret"), "{wrong}: {said}");
        }
    }

    #[test]
    fn saying_it_once_is_enough() {
        let mut changed =
            Invalidation::new().key("b").key("a").key("b").tag(Tag::from_u64(1)).tag(Tag::from_u64(1));
        changed.dedup();
        assert_eq!(changed, Invalidation::new().key("a").key("b").tag(Tag::from_u64(1)));
        changed.merge(Invalidation::everything());
        assert_eq!(changed.len(), 4);
    }
}
