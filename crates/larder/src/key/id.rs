//! What stands for the placeholders of a space's template, and how it is written so that no id can say more than itself.

use std::fmt::{self, Display, Write};

use arrayvec::ArrayString;

/// How many bytes of a key's name are kept without an allocation: three UUIDs and the words around them.
pub(crate) const INLINE_NAME_BYTES: usize = 128;

/// The last segment of a name that is not whole. No id is written like it, and no placeholder stands for it.
pub(super) const NO_ID: &str = "%%";

/// A value that fills one or more placeholders of a template.
///
/// Strings, integers and tuples of up to four ids are ids. A newtype of an application is one by delegation:
///
/// ```
/// use larder::{Id, KeyWriter};
///
/// struct CompanyId(String);
///
/// impl Id for CompanyId {
///     const SEGMENTS: usize = 1;
///     fn write(&self, key: &mut KeyWriter<'_>) {
///         key.segment(&self.0);
///     }
/// }
/// ```
pub trait Id {
    /// How many placeholders it fills.
    const SEGMENTS: usize;

    /// Writes its segments, in order. Writing more or fewer than [`Id::SEGMENTS`] puts the key outside of every space.
    fn write(&self, key: &mut KeyWriter<'_>);
}

/// Writes the name of a key, a placeholder at a time.
pub struct KeyWriter<'a> {
    name: &'a mut KeyName,
    rest: &'a str,
    /// Something was written that makes no name of this template.
    broken: bool,
}

impl fmt::Debug for KeyWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyWriter").field("name", &self.name.as_str()).finish_non_exhaustive()
    }
}

impl<'a> KeyWriter<'a> {
    pub(crate) fn new(name: &'a mut KeyName, template: &'a str) -> Self {
        let mut writer = KeyWriter { name, rest: template, broken: false };
        writer.copy_literal();
        writer
    }

    /// Writes the next placeholder. Letters, digits, `-`, `_`, `.`, `@`, `+`, `=`, `,`, `~`, `/` and all characters beyond
    /// ASCII stand as they are; everything else is written as `%` and two hexadecimal digits, and nothing at all as `%`.
    /// Two different ids are therefore never written alike, and no id contains `:`, a glob or a hash tag.
    pub fn segment(&mut self, id: impl Display) {
        self.placeholder(|escaped| write!(escaped, "{id}"));
    }

    /// A segment that is text already needs no formatting; most ids are.
    fn text(&mut self, id: &str) {
        self.placeholder(|escaped| escaped.write_str(id));
    }

    fn placeholder(&mut self, write: impl FnOnce(&mut Escape<'_>) -> fmt::Result) {
        let Some(end) = position(self.rest, b'}') else {
            self.broken = true; // more ids than placeholders
            return;
        };
        self.rest = &self.rest[end + 1..];
        let before = self.name.as_str().len();
        let written = write(&mut Escape(self.name));
        if written.is_err() {
            self.broken = true; // how the id goes on is not known: another one may begin like it
        } else if self.name.as_str().len() == before {
            self.name.push_str("%");
        }
        self.copy_literal();
    }

    /// Copies the template up to the next placeholder.
    fn copy_literal(&mut self) {
        let end = position(self.rest, b'{').unwrap_or(self.rest.len());
        self.name.push_str(&self.rest[..end]);
        self.rest = &self.rest[end..];
    }

    /// Whether what was written makes no name of the template.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Closes the name. One that is not whole gets a segment that no id can make, so that it is of no space.
    pub(crate) fn finish(self) {
        if self.broken || !self.rest.is_empty() {
            self.name.push_str(&self.rest.replace(['{', '}'], "%"));
            self.name.push_str(":");
            self.name.push_str(NO_ID);
        }
    }
}

/// Where an ASCII character stands; templates are too short for a search that has to be set up.
fn position(text: &str, ascii: u8) -> Option<usize> {
    text.bytes().position(|byte| byte == ascii)
}

/// The bytes of a name, without an allocation where it is short.
#[derive(Clone)]
pub(crate) enum KeyName {
    Inline(ArrayString<INLINE_NAME_BYTES>),
    Heap(String),
}

impl KeyName {
    pub(crate) fn new() -> Self {
        KeyName::Inline(ArrayString::new_const())
    }

    #[inline]
    pub(crate) fn as_str(&self) -> &str {
        match self {
            KeyName::Inline(name) => name,
            KeyName::Heap(name) => name,
        }
    }

    fn push_str(&mut self, more: &str) {
        if more.is_empty() {
            return; // what follows the last placeholder of most templates
        }
        match self {
            KeyName::Heap(name) => name.push_str(more),
            KeyName::Inline(name) => {
                if name.try_push_str(more).is_err() {
                    let mut heap = String::with_capacity(2 * (name.len() + more.len()));
                    heap.push_str(name);
                    heap.push_str(more);
                    *self = KeyName::Heap(heap);
                }
            }
        }
    }
}

struct Escape<'a>(&'a mut KeyName);

impl Write for Escape<'_> {
    fn write_str(&mut self, mut text: &str) -> fmt::Result {
        // Most ids are plain throughout. To see that without stopping at the first that is not takes many bytes at a time.
        if text.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
            self.0.push_str(text);
            return Ok(());
        }
        while let Some(at) = text.bytes().position(|byte| !is_plain(byte)) {
            self.0.push_str(&text[..at]);
            let byte = text.as_bytes()[at];
            let digits = [b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
            self.0.push_str(str::from_utf8(&digits).unwrap_or_default());
            text = &text[at + 1..]; // what is not plain is ASCII, so this is where a character begins
        }
        self.0.push_str(text);
        Ok(())
    }
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Whether a byte stands as it is: `+,-./0-9`, `=`, `@A-Z`, `_`, `a-z`, `~`, and what is not ASCII.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b'+'..=b'9' | b'=' | b'@'..=b'Z' | b'_' | b'a'..=b'z' | b'~' | 0x80..)
}

impl Id for str {
    const SEGMENTS: usize = 1;
    fn write(&self, key: &mut KeyWriter<'_>) {
        key.text(self);
    }
}

impl Id for String {
    const SEGMENTS: usize = 1;
    fn write(&self, key: &mut KeyWriter<'_>) {
        key.text(self);
    }
}

macro_rules! id_by_display {
    ($($kind:ty),*) => {$(
        impl Id for $kind {
            const SEGMENTS: usize = 1;
            fn write(&self, key: &mut KeyWriter<'_>) {
                key.segment(self);
            }
        }
    )*};
}

id_by_display!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize);

impl<T: Id + ?Sized> Id for &T {
    const SEGMENTS: usize = T::SEGMENTS;
    fn write(&self, key: &mut KeyWriter<'_>) {
        (**self).write(key);
    }
}

/// The id of a space whose template has no placeholder.
impl Id for () {
    const SEGMENTS: usize = 0;
    fn write(&self, _key: &mut KeyWriter<'_>) {}
}

macro_rules! id_by_parts {
    ($($part:ident $at:tt),*) => {
        impl<$($part: Id),*> Id for ($($part,)*) {
            const SEGMENTS: usize = 0 $(+ $part::SEGMENTS)*;
            fn write(&self, key: &mut KeyWriter<'_>) {
                $(self.$at.write(key);)*
            }
        }
    };
}

id_by_parts!(A 0);
id_by_parts!(A 0, B 1);
id_by_parts!(A 0, B 1, C 2);
id_by_parts!(A 0, B 1, C 2, D 3);

#[cfg(test)]
mod tests {
    use super::*;

    fn name(template: &'static str, id: &impl Id) -> String {
        let mut name = KeyName::new();
        let mut writer = KeyWriter::new(&mut name, template);
        id.write(&mut writer);
        writer.finish();
        name.as_str().to_owned()
    }

    #[test]
    fn plain_ids_look_exactly_as_in_the_specification() {
        for (template, parts, expected) in [
            ("deals:company:{id}", vec!["abc123"], "deals:company:abc123"),
            ("user:{id}:stats:{company}", vec!["xyz789", "abc123"], "user:xyz789:stats:abc123"),
            ("contacts:company:{id}:page:{n}", vec!["abc123", "1"], "contacts:company:abc123:page:1"),
        ] {
            let got = match parts[..] {
                [a] => name(template, &a),
                [a, b] => name(template, &(a, b)),
                _ => unreachable!(),
            };
            assert_eq!(got, expected);
        }
        let uuid = "0193e2a4-7b1c-7def-8123-456789abcdef";
        assert_eq!(name("user:{id}", &uuid), format!("user:{uuid}"));
    }

    #[test]
    fn separators_globs_hash_tags_and_escapes_are_written_as_hex() {
        for (id, expected) in [
            ("a:b", "u:a%3Ab"),
            ("*", "u:%2A"),
            ("?[x]\\", "u:%3F%5Bx%5D%5C"),
            ("{x}", "u:%7Bx%7D"),
            ("%3A", "u:%253A"),
            ("!root", "u:%21root"),
            ("", "u:%"),
            (" \n\0", "u:%20%0A%00"),
            ("Ærø", "u:Ærø"),
        ] {
            assert_eq!(name("u:{id}", &id), expected);
        }
    }

    #[test]
    fn the_bytes_that_stand_as_they_are_are_those_of_the_documentation() {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte >= 0x80 || b"-_.@+=,~/".contains(&byte);
        for byte in 0..=u8::MAX {
            assert_eq!(is_plain(byte), plain(byte), "{byte:#x}");
        }
    }

    #[test]
    fn long_names_are_kept_whole() {
        let long = "x".repeat(500);
        assert_eq!(name("user:{id}:stats:{company}", &(&*long, 7)), format!("user:{long}:stats:7"));
    }

    #[test]
    fn ids_that_do_not_fit_the_template_make_names_that_no_id_can_make() {
        assert_eq!(name("u:{id}", &("a", "b")), "u:a:%%");
        assert_eq!(name("u:{a}:{b}", &"a"), "u:a:%b%:%%");
    }
}
