//! Globs match as in Redis, and no id reaches another key, another scope or a glob.

use larder::{CacheService, Policy, Space};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

static PAIR: Space<(String, String), u32> =
    Space::new("pair:{a}:of:{b}", "A test of names.").scope("a").cache_is_source();

/// Runs a property on one thread, within the limit of a test.
#[track_caller]
pub(crate) fn holds<S>(
    cases: u32,
    strategy: impl FnOnce() -> S + Send + 'static,
    property: impl Fn(S::Value, &tokio::runtime::Runtime) -> Result<(), TestCaseError> + Send + 'static,
) where
    S: Strategy,
{
    testkit::run_sync(testkit::LIMIT, move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        // A failure shows its smallest input, which belongs into a test of its own: no file remembers seeds.
        let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
        let tested = TestRunner::new(config).run(&strategy(), |input| property(input, &runtime));
        tested.unwrap_or_else(|failure| panic!("{failure}"));
    });
}

/// `stringmatchlen` of Redis, by recursion, without its shortcuts. `*` also matches an empty name.
fn redis_matches(glob: &[u8], name: &[u8]) -> bool {
    let Some((first, rest)) = glob.split_first() else { return name.is_empty() };
    if *first == b'*' {
        return (0..=name.len()).any(|skipped| redis_matches(rest, &name[skipped..]));
    }
    let Some((byte, name)) = name.split_first() else { return false };
    match first {
        b'?' => redis_matches(rest, name),
        b'[' => {
            let (matched, rest) = redis_set(rest, *byte);
            matched && redis_matches(rest, name)
        }
        b'\\' if !rest.is_empty() => rest[0] == *byte && redis_matches(&rest[1..], name),
        literal => literal == byte && redis_matches(rest, name),
    }
}

/// What stands after a `[`: whether the byte is in the set, and what follows the set.
fn redis_set(glob: &[u8], byte: u8) -> (bool, &[u8]) {
    let (negated, mut glob) = match glob {
        [b'^', rest @ ..] => (true, rest),
        _ => (false, glob),
    };
    let mut found = false;
    loop {
        if glob.len() >= 2 && glob[0] == b'\\' {
            found |= glob[1] == byte;
            glob = &glob[2..];
        } else if glob.is_empty() {
            return (found != negated, glob);
        } else if glob[0] == b']' {
            return (found != negated, &glob[1..]);
        } else if glob.len() >= 3 && glob[1] == b'-' {
            let (low, high) = (glob[0].min(glob[2]), glob[0].max(glob[2]));
            found |= low <= byte && byte <= high;
            glob = &glob[3..];
        } else {
            found |= glob[0] == byte;
            glob = &glob[1..];
        }
    }
}

/// Few letters and all that is special, so that globs and names meet often.
fn text(of: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    vec(prop::sample::select(of), 0..=most).prop_map(|parts| parts.concat())
}

const GLOB_PARTS: &[&str] = &[
    "a", "b", "c", ":", "*", "*", "?", "[", "]", "^", "-", "\\", "[ab]", "[^a]", "[a-b]", "é", "[\\]]",
    "[^\\]a]", "[b-", "[a\\-c]",
];
const NAME_PARTS: &[&str] = &["a", "b", "c", "a", "b", ":", "*", "?", "[", "]", "^", "-", "\\", "é"];

#[test]
fn patterns_match_as_in_redis() {
    holds(
        2_000,
        || (text(GLOB_PARTS, 6), btree_set(text(NAME_PARTS, 5), 1..12)),
        |(glob, names), runtime| {
            runtime.block_on(async {
                let cache = CacheService::builder().build().unwrap();
                cache.set_many(names.iter().map(|name| (name, 1)), Policy::new()).await;
                let matching =
                    names.iter().filter(|name| redis_matches(glob.as_bytes(), name.as_bytes())).count();
                prop_assert_eq!(cache.delete_pattern(&glob).await.count, Some(matching as u64));
                for name in &names {
                    let gone = cache.get::<i32>(name).await.is_none();
                    prop_assert_eq!(gone, redis_matches(glob.as_bytes(), name.as_bytes()), "{:?}", name);
                }
                Ok(())
            })
        },
    );
}

/// Ids that would like to be more than ids.
fn id() -> impl Strategy<Value = String> {
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

#[test]
fn removing_by_an_id_reaches_no_other_key_and_no_other_scope() {
    let strategy = || (btree_set((id(), id()), 1..8), (id(), id()));
    holds(500, strategy, |(others, mine), runtime| {
        runtime.block_on(async {
            let cache = CacheService::builder().space(&PAIR).build().unwrap();
            let everything = || others.iter().chain([&mine]);
            let fill = || cache.set_many(everything().map(|ids| (PAIR.key(ids), 1)), Policy::new());
            let kept = |gone: fn(&(String, String), &(String, String)) -> bool| {
                let (cache, mine) = (&cache, &mine);
                let keys: Vec<_> = everything().collect();
                async move {
                    for ids in keys {
                        let there = cache.get(PAIR.key(ids)).await.is_some();
                        prop_assert_eq!(there, !gone(ids, mine), "{:?} after {:?}", ids, mine);
                    }
                    Ok(())
                }
            };
            fill().await;
            prop_assert_eq!(cache.delete(PAIR.key(&mine)).await.count, Some(1));
            kept(|ids, mine| ids == mine).await?;
            fill().await;
            prop_assert_eq!(
                cache.delete_pattern(PAIR.key(&mine).as_str()).await.count,
                Some(1),
                "a key is no glob"
            );
            kept(|ids, mine| ids == mine).await?;
            fill().await;
            let key = PAIR.key(&mine).to_string();
            let scope = key.split(':').take(2).collect::<Vec<_>>().join(":");
            prop_assert_eq!(cache.delete_pattern(format!("{scope}:*")).await.count, None, "it is a scope");
            kept(|ids, mine| ids.0 == mine.0).await
        })
    });
}
