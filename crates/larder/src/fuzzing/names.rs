//! Names: no two things are called alike.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Write};

use super::lines;
use crate::key::{KeyName, KeyWriter, Pattern, Segment, Space, Tag, Template};
use crate::remote::{Names, is_namespace};

static PAGES: Space<(String, String), ()> = Space::new("pages:{of}:list:{n}", "For fuzzers.");

/// Two templates, a namespace and two ids, a line each.
///
/// # Panics
/// If a name says more or less than what it was made of.
pub fn names(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let [template, other, namespace, id, rest] = lines(&text);
    ids(id, rest);
    templates(template, other, &[id, rest, namespace]);
    keys(namespace, &[id, rest, other]);
}

/// Ids are read back from their names, so that two are never written alike.
fn ids(id: &str, other: &str) {
    let name = filled("u:{a}:{b}", &[id, other]);
    let parts: Vec<&str> = name.split(':').collect();
    let [_, first, second] = parts[..] else { panic!("{name:?} has not three parts") };
    for (part, id) in [(first, id), (second, other)] {
        assert!(!part.is_empty() && part.bytes().all(is_safe), "{part:?}");
        assert_eq!(read_back(part), id);
    }
    let mut in_pieces = KeyName::new();
    let mut writer = KeyWriter::new(&mut in_pieces, "u:{a}:{b}");
    writer.segment(InPieces(id));
    writer.segment(InPieces(other));
    writer.finish();
    assert_eq!(in_pieces.as_str(), name, "how an id is written does not matter");

    let [id, other] = [id, other].map(str::to_owned);
    let under = PAGES.under(&id);
    let pattern = Pattern::new(&under);
    assert!(pattern.as_prefix().is_some(), "{under:?}");
    assert!(pattern.matches(PAGES.key(&(id.clone(), other.clone())).as_str()));
    assert_eq!(pattern.matches(PAGES.key(&(other.clone(), id.clone())).as_str()), id == other);
}

fn templates(text: &str, other: &str, ids: &[&str]) {
    let Ok(template) = Template::parse(text) else { return };
    let shown: Vec<String> = template.segments.iter().map(|segment| shown(*segment)).collect();
    assert_eq!(shown.join(":"), text, "a template is what it was read from");
    let (count, depth) = (template.placeholders(), template.segments.len());
    let ids: Vec<&str> = ids.iter().copied().cycle().take(count + 1).collect();

    let name = filled(text, &ids[..count]);
    assert!(template.owns(&name), "{text:?} owns {name:?}");
    let colons: Vec<usize> = name.match_indices(':').map(|(at, _)| at).collect();
    assert_eq!(colons.len() + 1, depth, "an id is one segment");
    for depth in 1..=depth {
        assert_eq!(template.prefix_end(depth, &name), colons.get(depth - 1).copied(), "{depth} of {name:?}");
    }
    let written = template.segments.iter().zip(name.split(':'));
    let placed = written.filter(|(segment, _)| matches!(segment, Segment::Placeholder(_)));
    assert!(placed.map(|(_, part)| read_back(part)).eq(ids[..count].iter().copied()), "{name:?}");

    let broken = [filled(text, &ids), filled(text, &ids[..count.saturating_sub(1)])];
    let broken = &broken[..if count == 0 { 1 } else { 2 }];
    assert!(!broken.iter().any(|name| template.owns(name)), "{broken:?} are of no space");

    assert!(template.overlaps(&template));
    let Ok(second) = Template::parse(other) else { return };
    assert!(!broken.iter().any(|name| second.owns(name)), "{broken:?} are of no space");
    let overlap = template.overlaps(&second);
    assert_eq!(second.overlaps(&template), overlap);
    if overlap {
        let common: Vec<&str> = template.segments.iter().zip(&second.segments).map(common).collect();
        let common = common.join(":");
        assert!(template.owns(&common) && second.owns(&common), "{common:?} is of both");
    } else {
        let ids: Vec<&str> = ids.iter().copied().cycle().take(second.placeholders()).collect();
        assert!(!second.owns(&name) && !template.owns(&filled(other, &ids)));
    }
}

/// Keys in Redis: of entries under two namespaces, and of the library.
fn keys(namespace: &str, names: &[&str]) {
    let namespace = if is_namespace(namespace) { namespace } else { "crm" };
    let under = ["", namespace].map(Names::new);
    let mut library = BTreeSet::new();
    for (index, here) in under.iter().enumerate() {
        for name in names {
            let key = here.entry(name);
            assert_eq!(here.name_of(&key), Some(*name));
            // Whatever else a key may be, it is not an entry of two names.
            assert!(here.name_of(name).is_none_or(|inner| here.entry(inner) == *name), "{name:?}");
        }
        if index == 0 || !namespace.is_empty() {
            let mut ours = vec![here.root().to_owned()];
            for (at, name) in names.iter().collect::<BTreeSet<_>>().into_iter().enumerate() {
                ours.extend([here.claim(name), here.lock(name)]);
                ours.extend([here.tag(Tag::from_u64(at as u64)), here.staging(at as u64)]);
            }
            for key in ours {
                assert!(under.iter().all(|names| names.name_of(&key).is_none()), "{key:?} is the library's");
                let entry = names.iter().find(|name| under.iter().any(|names| names.entry(name) == key));
                assert_eq!(entry, None, "{key:?} is the library's");
                assert!(library.insert(key.clone()), "{key:?} is made twice");
            }
        }
    }
}

/// The name that a template makes of ids.
fn filled(template: &str, ids: &[&str]) -> String {
    let mut name = KeyName::new();
    let mut writer = KeyWriter::new(&mut name, template);
    for id in ids {
        writer.segment(id);
    }
    writer.finish();
    name.as_str().to_owned()
}

/// The id that is written like this.
fn read_back(part: &str) -> String {
    if part == "%" {
        return String::new();
    }
    let mut pieces = part.split('%');
    let mut id = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2).expect("two digits follow");
        let byte = u8::from_str_radix(digits, 16).expect("they are hexadecimal");
        assert!(byte == b'%' || !is_safe(byte), "{digits} stands without need");
        id.push(char::from(byte));
        id.push_str(rest);
    }
    id
}

/// Whether a byte of an id may stand as it is, or begin what is escaped.
fn is_safe(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii() || b"-_.@+=,~/%".contains(&byte)
}

fn shown(segment: Segment<'_>) -> String {
    match segment {
        Segment::Literal(word) => word.to_owned(),
        Segment::Placeholder(word) => format!("{{{word}}}"),
    }
}

fn common<'a>(pair: (&Segment<'a>, &Segment<'a>)) -> &'a str {
    match pair {
        (Segment::Literal(word), _) | (_, Segment::Literal(word)) => word,
        _ => "x",
    }
}

/// An id that writes itself a character at a time.
struct InPieces<'a>(&'a str);

impl Display for InPieces<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| f.write_char(character))
    }
}
