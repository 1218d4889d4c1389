//! Globs match as in Redis, and no id reaches another key, another scope or a glob.

use std::ops::ControlFlow;
use std::sync::Arc;

use larder::{Policy, Progress};
use parking_lot::Mutex;
use proptest::collection::btree_set;
use proptest::prelude::*;

use super::fixture::{self, assert_entries, cache, cases};
use crate::keys::{PAIR, id, text};
use crate::property::holds;

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

const GLOB_PARTS: &[&str] = &[
    "a", "b", "c", ":", "*", "*", "?", "[", "]", "^", "-", "\\", "[ab]", "[^a]", "[a-b]", "é", "[\\]]",
    "[^\\]a]", "[b-", "[a\\-c]",
];
const NAME_PARTS: &[&str] = &["a", "b", "c", "a", "b", ":", "*", "?", "[", "]", "^", "-", "\\", "é"];

#[test]
fn patterns_match_as_in_redis() {
    holds(
        cases(2_000),
        || (text(GLOB_PARTS, 6), btree_set(text(NAME_PARTS, 5), 1..12)),
        |(glob, names), runtime| {
            runtime.block_on(async {
                let cache = cache().await;
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

#[test]
fn a_scan_of_ten_thousand_names_misses_none() {
    testkit::run(async {
        let cache = cache().await;
        for i in 0..10_000 {
            cache.set(format!("{}:{i}", if i % 3 == 0 { "gone" } else { "kept" }), i, Policy::new()).await;
        }
        assert_eq!(cache.delete_pattern("g?ne*").await.count, Some(3_334));
        assert_eq!(cache.delete_pattern("gone:*").await.count, Some(0));
        assert_entries(&cache, 6_666).await;
        assert_eq!(cache.stats().total.deletes, 3_334);
    });
}

#[test]
fn removing_by_an_id_reaches_no_other_key_and_no_other_scope() {
    let strategy = || (btree_set((id(), id()), 1..8), (id(), id()));
    holds(cases(500), strategy, |(others, mine), runtime| {
        runtime.block_on(async {
            let cache = fixture::build(fixture::builder().space(&PAIR)).await;
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

#[test]
fn who_watches_the_removal_of_a_pattern_knows_how_far_it_is_and_can_stop_it() {
    const ENTRIES: u64 = 3_000;
    testkit::run(async {
        let cache = cache().await;
        let names = || (0..ENTRIES).map(|n| (format!("many:{n}"), n));
        let told = Arc::new(Mutex::new(Vec::<Progress>::new()));
        cache.set_many(names(), Policy::new()).await;
        let tell = Arc::clone(&told);
        let watch = move |progress| {
            tell.lock().push(progress);
            ControlFlow::Continue(())
        };
        let removed = cache.delete_pattern_watched("m*y:*", watch).await.unwrap();
        assert_eq!((removed.is_applied(), removed.count), (true, Some(ENTRIES)));
        let told = std::mem::take(&mut *told.lock());
        assert!(told.len() >= 5 && told.is_sorted_by_key(|progress| (progress.looked_at, progress.removed)));
        assert!(
            told.iter().all(|progress| progress.of.is_some_and(|of| progress.looked_at <= of)),
            "{told:?}"
        );

        cache.set_many(names(), Policy::new()).await;
        let removed = cache.delete_pattern_watched("m*y:*", |_| ControlFlow::Break(())).await.unwrap();
        let count = removed.count.unwrap();
        assert!(!removed.is_applied() && count < ENTRIES, "{removed:?}");
        let left = cache.get_many::<u64, _>(names().map(|(name, _)| name)).await;
        assert_eq!(
            left.iter().flatten().count() as u64,
            ENTRIES - count,
            "what is removed is, and the rest stays"
        );
    });
}
