//! How ids become keys.

use larder::Space;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::property::holds;

pub(crate) static PAIR: Space<(String, String), u32> =
    Space::new("pair:{a}:of:{b}", "A test of names.").scope("a").cache_is_source();

/// Few letters and all that is special, so that globs and names meet often.
pub(crate) fn text(of: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    vec(prop::sample::select(of), 0..=most).prop_map(|parts| parts.concat())
}

/// Ids that would like to be more than ids.
pub(crate) fn id() -> impl Strategy<Value = String> {
    const PARTS: &[&str] =
        &["a", "b", ":", "of", "%", "%3A", "*", "?", "[", "]", "{", "}", "!", "\\", " ", "\n", "Ø", "\0"];
    prop_oneof![text(PARTS, 4), any::<String>()]
}

/// Reads one segment back. `None` if it was not written by the rules.
fn unescaped(segment: &str) -> Option<String> {
    if segment == "%" {
        return Some(String::new());
    }
    let mut bytes = Vec::new();
    let mut rest = segment.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let (byte, next) = match first {
            b'%' => (u8::from_str_radix(str::from_utf8(after.get(..2)?).ok()?, 16).ok()?, &after[2..]),
            plain => (*plain, after),
        };
        bytes.push(byte);
        rest = next;
    }
    String::from_utf8(bytes).ok()
}

#[test]
fn a_key_can_be_read_back_so_no_two_ids_share_one() {
    holds(
        2_000,
        || (id(), id()),
        |ids, _| {
            let key = PAIR.key(&ids);
            let segments: Vec<&str> = key.as_str().split(':').collect();
            prop_assert_eq!(segments.len(), 4, "{}", key);
            prop_assert_eq!((segments[0], segments[2]), ("pair", "of"));
            prop_assert_eq!(unescaped(segments[1]), Some(ids.0), "{}", key);
            prop_assert_eq!(unescaped(segments[3]), Some(ids.1), "{}", key);
            prop_assert!(
                !key.as_str().contains(['*', '?', '[', ']', '\\', '{', '}', '!', ' ', '\n']),
                "{}",
                key
            );
            Ok(())
        },
    );
}

#[test]
fn ids_that_are_plain_stand_as_they_are() {
    holds(
        500,
        || ("[A-Za-z0-9_.@+=,~/-]{1,40}", "[A-Za-z0-9_.-]{1,150}"),
        |(a, b), _| {
            prop_assert_eq!(PAIR.key(&(a.clone(), b.clone())).to_string(), format!("pair:{a}:of:{b}"));
            Ok(())
        },
    );
}
