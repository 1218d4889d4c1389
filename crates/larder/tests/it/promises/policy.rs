//! Lifetimes, groups and tags: what a policy says, and what holds when it says nothing, too much or nonsense.

use std::time::Duration;

use larder::{CacheService, ErrorKind, MAX_NAME_BYTES, MAX_TAGS, Policy, Refusal, Space, Tag, Ttl};

use super::fixture::{self, Clock, MOMENT, cache, cache_and_clock, counted_under, is_hit, with_clock};
use crate::loader::{Runs, brings};
use crate::observed::group;

static REPORT: Space<str, u32> =
    Space::new("report:{id}", "Read by tests; never changes; staleness costs a test.").ttl(Ttl::SHORT);

fn tags(range: std::ops::Range<usize>) -> Vec<Tag> {
    range.map(|n| Tag::new("t", n)).collect()
}

/// Advances to the last moment of the lifetime, and then to its end.
pub(super) async fn assert_lives(cache: &CacheService, clock: &Clock, name: &str, lifetime: Duration) {
    clock.advance(lifetime - MOMENT).await;
    assert!(cache.get::<u32>(name).await.is_some(), "{name} ended before {lifetime:?}");
    clock.advance(MOMENT).await;
    assert!(cache.get::<u32>(name).await.is_none(), "{name} outlived {lifetime:?}");
}

#[test]
fn an_entry_that_names_no_lifetime_lives_half_an_hour() {
    testkit::run(async {
        let (cache, clock) = cache_and_clock().await;
        cache.set("set", 1_u32, Policy::new()).await;
        assert_lives(&cache, &clock, "set", Duration::from_secs(1_800)).await;
        cache.get_or_set("loaded", Policy::new(), || brings(1_u32)).await.unwrap();
        assert_lives(&cache, &clock, "loaded", Duration::from_secs(1_800)).await;
    });
}

#[test]
fn the_call_goes_before_the_space_and_the_space_before_the_default() {
    testkit::run(async {
        let (cache, clock) = with_clock(fixture::builder().space(&REPORT).default_ttl(Ttl::secs(70))).await;
        cache.set("bare", 1_u32, Policy::new()).await;
        assert_lives(&cache, &clock, "bare", Duration::from_secs(70)).await;
        cache.get_or_set(REPORT.key("a"), Policy::new(), || brings(1)).await.unwrap();
        assert_lives(&cache, &clock, "report:a", Duration::from_secs(300)).await;
        cache.get_or_set("report:a", Policy::new(), || brings(1_u32)).await.unwrap();
        assert_lives(&cache, &clock, "report:a", Duration::from_secs(300)).await;
        cache.get_or_set(REPORT.key("a"), Ttl::secs(60), || brings(1)).await.unwrap();
        assert_lives(&cache, &clock, "report:a", Duration::from_secs(60)).await;
    });
}

#[test]
fn nothing_but_forever_lives_for_ever() {
    testkit::run(async {
        let (cache, clock) = cache_and_clock().await;
        cache.set("forever", 1_u32, Ttl::FOREVER).await;
        cache.set("long", 1_u32, Ttl::millis(u64::MAX - 1)).await;
        cache.set("default", 1_u32, Policy::new()).await;
        clock.advance(Duration::from_secs(1_000 * 365 * 86_400)).await;
        cache.sweep().await;
        assert!(cache.get::<u32>("forever").await.is_some());
        assert!(cache.get::<u32>("long").await.is_some(), "a deadline beyond all time does not wrap around");
        assert!(cache.get::<u32>("default").await.is_none());
    });
}

#[test]
fn reading_does_not_prolong_a_life_and_setting_begins_it_anew() {
    testkit::run(async {
        let (cache, clock) = cache_and_clock().await;
        cache.set("a", 1_u32, Ttl::secs(600)).await;
        for _ in 0..9 {
            clock.advance(Duration::from_secs(60)).await;
            let read = cache.read_through("a", Ttl::DAY, || brings(2_u32)).await.unwrap();
            assert_eq!(*read.value, 1);
        }
        cache.set("a", 3_u32, Ttl::secs(600)).await;
        assert_lives(&cache, &clock, "a", Duration::from_secs(600)).await;
    });
}

#[test]
fn the_age_is_counted_from_when_it_was_stored() {
    testkit::run(async {
        let (cache, clock) = cache_and_clock().await;
        let loaded = cache.read_through("a", Policy::new(), || brings(1_u32)).await.unwrap();
        assert_eq!(
            (loaded.age, loaded.source, loaded.stored),
            (Duration::ZERO, larder::Source::Loaded, true)
        );
        clock.advance(Duration::from_millis(1_500)).await;
        let read = cache.lookup::<u32>("a").await.unwrap();
        assert_eq!((read.age, read.stored), (Duration::from_millis(1_500), true));
        assert!(is_hit(read.source));
        cache.set("a", 2_u32, Policy::new()).await;
        assert_eq!(cache.lookup::<u32>("a").await.unwrap().age, Duration::ZERO);
    });
}

#[test]
fn a_lifetime_of_nothing_stores_nothing_and_takes_nothing_away() {
    testkit::run(async {
        let cache = cache().await;
        cache.set("a", 1_u32, Policy::new()).await;
        let zero = Ttl::millis(0);
        assert_eq!(cache.set("a", 2_u32, zero).await.refusal, Some(Refusal::Failed));
        let error = cache.try_set("a", 2_u32, zero).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("lifetime is 0"), "{error}");
        assert_eq!(cache.get::<u32>("a").await.as_deref(), Some(&1));

        let runs = Runs::default();
        for _ in 0..2 {
            let read = cache.read_through("b", zero, || runs.of(1_u32)).await.unwrap();
            assert!(!read.stored);
        }
        assert_eq!(runs.count(), 2);
        assert_eq!(cache.stats().total.errors, 4);
    });
}

#[test]
fn a_prefix_names_the_group_of_an_entry_and_not_its_key() {
    testkit::run(async {
        let cache = cache().await;
        let policy = Policy::ttl(Ttl::MEDIUM).prefix("analytics");
        cache.set("pipeline:stats:X", 1_u32, policy.clone()).await;
        assert_eq!(cache.get::<u32>("pipeline:stats:X").await.as_deref(), Some(&1));
        assert_eq!(group(&cache, "analytics").sets, 1);
        assert_eq!(group(&cache, counted_under("analytics", "pipeline")).hits, 1);

        assert_eq!(cache.delete("pipeline:stats:X").await.count, Some(1));
        assert_eq!(cache.get::<u32>("pipeline:stats:X").await, None);
        cache.get_or_set("pipeline:stats:Y", policy, || brings(1_u32)).await.unwrap();
        let analytics = group(&cache, "analytics");
        assert_eq!((analytics.sets, analytics.misses, analytics.loads), (2, 1, 1));
        let total = cache.stats().total;
        assert_eq!((total.sets, total.hits, total.misses, total.deletes), (2, 1, 2, 1));
    });
}

#[test]
fn a_batch_is_counted_under_the_prefix_of_its_policy_too() {
    testkit::run(async {
        let cache = cache().await;
        let load = |missing: Vec<u32>| brings(missing.into_iter().map(|id| (id, id)).collect::<Vec<_>>());
        for _ in 0..2 {
            let policy = Policy::new().prefix("analytics");
            cache.get_or_set_many(&[1, 2], |id| format!("pipeline:{id}"), policy, load).await.unwrap();
        }
        let counts = group(&cache, "analytics");
        assert_eq!((counts.misses, counts.loads, counts.sets, counts.hits), (2, 1, 2, 2));
        assert_eq!(group(&cache, "pipeline"), larder::Counts::default());
    });
}

#[test]
fn a_tag_takes_all_that_depend_on_it_and_nothing_else() {
    testkit::run(async {
        let cache = cache().await;
        let (a, b) = (Tag::new("deals", "a"), Tag::new("deals", "b"));
        cache.set("of-a", 1, Policy::new().tag(a)).await;
        cache.set("of-both", 1, Policy::new().tags([a, b])).await;
        cache.set("of-b", 1, Policy::new().tag(b)).await;
        cache.set("of-none", 1, Policy::new()).await;
        let removed = cache.invalidate_tag(a).await;
        assert_eq!((removed.is_applied(), removed.count), (true, None));
        let there = cache.get_many::<i32, _>(["of-a", "of-both", "of-b", "of-none"]).await;
        assert_eq!(there.iter().map(Option::is_some).collect::<Vec<_>>(), [false, false, true, true]);
        cache.set("of-a", 2, Policy::new().tag(a)).await;
        assert_eq!(
            cache.get::<i32>("of-a").await.as_deref(),
            Some(&2),
            "a tag that was invalidated serves again"
        );
        assert_eq!(group(&cache, "(tags)").deletes, 1);
    });
}

#[test]
fn a_reader_whose_tag_the_entry_lacks_does_not_take_it() {
    testkit::run(async {
        let cache = cache().await;
        let (a, b) = (Tag::named("a"), Tag::named("b"));
        cache.set("x", 1, Policy::new().tag(a)).await;
        let both = || Policy::new().tags([b, a]);
        assert_eq!(
            cache.get_or_set("x", Policy::new(), || brings(2)).await.as_deref(),
            Ok(&1),
            "fewer is a hit"
        );
        assert_eq!(cache.get_or_set("x", both(), || brings(3)).await.as_deref(), Ok(&3), "more is none");
        cache.invalidate_tag(b).await;
        assert_eq!(cache.get::<i32>("x").await, None, "what was loaded instead depends on both");
        assert_eq!(cache.get_or_set("x", both(), || brings(4)).await.as_deref(), Ok(&4));
        cache.invalidate_tag(a).await;
        assert_eq!(cache.get::<i32>("x").await, None);
    });
}

#[test]
fn a_tag_that_nothing_depends_on_any_more_still_takes_what_comes_back_with_it() {
    testkit::run(async {
        let cache = cache().await;
        let tag = Tag::named("a");
        cache.set("x", 1, Policy::new().tag(tag)).await;
        cache.delete("x").await;
        cache.sweep().await;
        cache.set("x", 2, Policy::new().tag(tag)).await;
        cache.sweep().await;
        cache.invalidate_tag(tag).await;
        assert_eq!(cache.get::<i32>("x").await, None);
    });
}

#[test]
fn eight_tags_can_be_declared_and_the_same_one_twice_is_one() {
    testkit::run(async {
        let cache = cache().await;
        let policy = Policy::new().tags(tags(0..MAX_TAGS)).tags(tags(0..MAX_TAGS));
        for last in tags(0..MAX_TAGS) {
            assert!(cache.set("x", 1, policy.clone()).await.is_stored());
            cache.invalidate_tag(last).await;
            assert_eq!(cache.get::<i32>("x").await, None);
        }
    });
}

#[test]
fn nine_tags_are_loaded_and_not_stored() {
    testkit::run(async {
        let cache = cache().await;
        let nine = Policy::new().tags(tags(0..MAX_TAGS + 1));
        let error = cache.try_set("x", 1, nine.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("more than 8 tags"), "{error}");
        let read = cache.read_through("x", nine.clone(), || brings(1)).await.unwrap();
        assert_eq!((*read.value, read.stored), (1, false));
        let batch = cache.get_or_set_many(&["x"], |id| *id, nine, |_| brings([("x", 2)])).await.unwrap();
        assert_eq!(batch[0].as_deref(), Some(&2));
        assert_eq!(cache.get::<i32>("x").await, None);
        assert_eq!(cache.stats().total.errors, 3);
    });
}

#[test]
fn a_ninth_tag_is_not_forgotten_by_a_reader_who_finds_the_other_eight() {
    testkit::run(async {
        let cache = cache().await;
        cache.set("x", 1, Policy::new().tags(tags(0..MAX_TAGS))).await;
        let nine = || Policy::new().tags(tags(0..MAX_TAGS + 1));
        let read = cache.read_through("x", nine(), || brings(2)).await.unwrap();
        assert_eq!(
            *read.value, 2,
            "the entry does not depend on the ninth, whose invalidation would pass it by"
        );
        let batch = cache.get_or_set_many(&["x"], |id| *id, nine(), |_| brings([("x", 3)])).await.unwrap();
        assert_eq!(batch[0].as_deref(), Some(&3));
        let larder::Lookup::Permit(permit) = cache.get_or_permit::<i32>("x", nine()).await else {
            panic!("a permit takes it for a hit")
        };
        assert_eq!(permit.try_fill(4).await.1.refusal, Some(Refusal::Failed));
        assert_eq!(cache.get::<i32>("x").await.as_deref(), Some(&1), "nobody has stored over it");
    });
}

#[test]
fn every_read_that_finds_nothing_is_a_miss_even_if_nothing_can_be_stored_for_it() {
    testkit::run(async {
        let cache = cache().await;
        let zero = Ttl::millis(0);
        cache.get_or_set("g:1", zero, || brings(1)).await.unwrap();
        cache.get_or_set_many(&[1], |_| "g:1", zero, |_| brings([(1, 1)])).await.unwrap();
        drop(cache.get_or_permit::<i32>("g:1", zero).await);
        let counts = group(&cache, "g");
        assert_eq!((counts.misses, counts.loads, counts.errors), (3, 3, 3));
    });
}

#[test]
fn names_longer_than_the_limit_are_loaded_and_not_stored() {
    testkit::run(async {
        let cache = cache().await;
        let (longest, too_long) = ("n".repeat(MAX_NAME_BYTES), "n".repeat(MAX_NAME_BYTES + 1));
        assert!(cache.set(&longest, 1, Policy::new()).await.is_stored());
        assert_eq!(cache.get::<i32>(&longest).await.as_deref(), Some(&1));
        assert_eq!(cache.delete_pattern(&longest).await.count, Some(1));

        let error = cache.try_set(&too_long, 1, Policy::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("4097 bytes"), "{error}");
        assert!(!cache.read_through(&too_long, Policy::new(), || brings(1)).await.unwrap().stored);
        assert_eq!(cache.get::<i32>(&too_long).await, None);
        let error = cache.try_delete_pattern(&too_long).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let removed = cache.delete_pattern(&too_long).await;
        assert_eq!((removed.is_applied(), removed.count), (false, None));
    });
}

#[test]
fn nx_fills_whatever_get_calls_a_miss() {
    testkit::run(async {
        let (cache, clock) = cache_and_clock().await;
        let tag = Tag::named("a");
        let nx = || Policy::ttl(Ttl::secs(60)).tag(tag).nx();
        assert!(cache.set("x", 1, nx()).await.is_stored());
        assert_eq!(cache.set("x", 2, nx()).await.refusal, Some(Refusal::Exists));
        clock.advance(Duration::from_secs(60)).await;
        assert!(cache.set("x", 3, nx()).await.is_stored(), "expired");
        cache.invalidate_tag(tag).await;
        assert!(cache.set("x", 4, nx()).await.is_stored(), "invalidated");
        cache.clear().await;
        assert!(cache.set("x", 5, nx()).await.is_stored(), "cleared");
        cache.delete("x").await;
        assert!(cache.set("x", 6, nx()).await.is_stored(), "deleted");
        assert_eq!(cache.get::<i32>("x").await.as_deref(), Some(&6));
        assert_eq!(cache.stats().total.sets, 5);
    });
}

#[test]
fn clear_takes_everything_and_the_cache_serves_again() {
    testkit::run(async {
        let cache = cache().await;
        for i in 0..100 {
            cache.set(format!("k:{i}"), i, Ttl::FOREVER).await;
        }
        let removed = cache.clear().await;
        assert_eq!((removed.is_applied(), removed.count), (true, None));
        for i in 0..100 {
            assert_eq!(cache.get::<i32>(format!("k:{i}")).await, None);
        }
        cache.set("k:1", 2, Policy::new()).await;
        assert_eq!(cache.get::<i32>("k:1").await.as_deref(), Some(&2));
    });
}

#[test]
fn what_a_load_brings_is_as_old_as_its_beginning() {
    testkit::run(async {
        let (cache, clock) = cache_and_clock().await;
        let slow = || async {
            clock.advance(Duration::from_secs(40)).await;
            brings(1).await
        };
        cache.get_or_set("k", Policy::ttl(Ttl::secs(100)), slow).await.unwrap();
        assert_eq!(cache.lookup::<i32>("k").await.map(|read| read.age), Some(Duration::from_secs(40)));
        clock.advance(Duration::from_secs(60)).await;
        assert_eq!(cache.get::<i32>("k").await, None, "a hundred seconds after it was read at its source");
    });
}

#[test]
fn a_removal_is_counted_with_the_entry_that_it_took() {
    testkit::run(async {
        let cache = cache().await;
        cache.set("pipeline:stats:x", 1, Policy::new().prefix("analytics")).await;
        cache.set("pipeline:stats:y", 1, Policy::new().prefix("analytics")).await;
        cache.delete("pipeline:stats:x").await;
        cache.delete_pattern("pipeline:*").await;
        let of_entries = counted_under("analytics", "pipeline");
        assert_eq!(group(&cache, of_entries).deletes, 2);
        let of_name = || cache.stats().by_prefix.get("pipeline").map_or(0, |counts| counts.deletes);
        let before = of_name();
        cache.delete("pipeline:stats:x").await;
        assert_eq!(of_name(), before + 1, "it took nothing whose group it could have");
    });
}

#[test]
fn nx_fills_what_cannot_be_read_as_its_type() {
    testkit::run(async {
        let cache = cache().await;
        cache.set("k", "text".to_owned(), Policy::new()).await;
        assert!(!cache.set("k", "other".to_owned(), Policy::new().nx()).await.is_stored());
        assert!(cache.set("k", 1, Policy::new().nx()).await.is_stored(), "get::<i32> called it a miss");
        assert_eq!(cache.get::<i32>("k").await.as_deref(), Some(&1));
    });
}
