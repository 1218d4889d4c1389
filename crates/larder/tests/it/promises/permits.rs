//! Permits: to query and fill for oneself, with the promises of a loader.

use std::time::Duration;

use larder::{CacheService, Lookup, Permit, Policy, Refusal, Source, Space, Tag, Ttl};
use testkit::gate::Gate;

use super::fixture::{self, MOMENT, cache, is_hit, with_clock};
use crate::loader::brings;
use crate::observed::{followers, group};

static ROW: Space<u32, u32> = Space::new("row:{id}", "A test.").ttl(Ttl::SHORT).prefix("rows");

pub(super) async fn permit(cache: &CacheService, name: &str, policy: Policy) -> Permit<i32> {
    match cache.get_or_permit(name, policy).await {
        Lookup::Permit(permit) => permit,
        Lookup::Hit(read) => panic!("`{name}` is there: {read:?}"),
    }
}

#[test]
fn a_permit_is_filled_and_the_next_one_is_a_hit() {
    testkit::run(async {
        let cache = cache().await;
        let permit = permit(&cache, "deal:1", Policy::new()).await;
        assert_eq!(permit.name(), "deal:1");
        assert_eq!(cache.stats().local.loading, 1);
        let (read, stored) = permit.try_fill(1).await;
        assert_eq!(
            (*read.value, read.source, read.age, read.stored),
            (1, Source::Loaded, Duration::ZERO, true)
        );
        assert!(stored.is_stored());
        assert_eq!(cache.stats().local.loading, 0);
        let Lookup::Hit(read) = cache.get_or_permit::<i32>("deal:1", Policy::new()).await else {
            panic!("it was filled")
        };
        assert_eq!((*read.value, is_hit(read.source)), (1, true));
        assert_eq!(cache.get::<i32>("deal:1").await.as_deref(), Some(&1));
        let counts = group(&cache, "deal");
        assert_eq!((counts.misses, counts.loads, counts.sets, counts.hits), (1, 1, 1, 2));
    });
}

#[test]
fn the_policy_of_the_permit_is_that_of_the_entry() {
    testkit::run(async {
        let (cache, clock) = with_clock(fixture::builder().space(&ROW)).await;
        let tag = Tag::named("t");
        permit(&cache, "a:1", Policy::ttl(Ttl::secs(60)).prefix("p").tag(tag)).await.fill(1).await;
        assert_eq!(group(&cache, "p").sets, 1);
        clock.advance(Duration::from_secs(60) - MOMENT).await;
        assert!(cache.get::<i32>("a:1").await.is_some());
        cache.invalidate_tag(tag).await;
        assert!(cache.get::<i32>("a:1").await.is_none());

        let Lookup::Permit(typed) = cache.get_or_permit(ROW.key(&1), Policy::new()).await else {
            panic!("a hit")
        };
        clock.advance(Duration::from_secs(100)).await;
        typed.fill(1).await;
        assert_eq!(group(&cache, "rows").sets, 1);
        clock.advance(Duration::from_secs(200) - MOMENT).await;
        assert!(cache.get(ROW.key(&1)).await.is_some(), "its life began when the permit was given");
        clock.advance(MOMENT).await;
        assert!(cache.get(ROW.key(&1)).await.is_none());
    });
}

#[test]
fn an_entry_that_lacks_a_declared_tag_is_no_hit_for_a_permit() {
    testkit::run(async {
        let cache = cache().await;
        let tag = Tag::named("t");
        cache.set("a", 1, Policy::new()).await;
        permit(&cache, "a", Policy::new().tag(tag)).await.fill(2).await;
        cache.invalidate_tag(tag).await;
        assert_eq!(cache.get::<i32>("a").await, None);
    });
}

#[test]
fn a_fill_is_refused_after_whatever_removed_or_set_its_entry() {
    testkit::run(async {
        static PAGE: Space<(&str, u32), i32> =
            Space::new("deals:company:{company}:page:{n}", "A test.").scope("company");
        let cache = fixture::build(fixture::builder().space(&PAGE)).await;
        let tag = Tag::named("t");
        for change in 0..8 {
            let key = PAGE.key(&("a", change));
            let Lookup::Permit(permit) = cache.get_or_permit(key.clone(), Policy::new().tag(tag)).await
            else {
                panic!("a hit before {change}")
            };
            let removed = match change {
                0 => cache.delete(key.clone()).await,
                1 => cache.delete_pattern("deals:company:a:*").await,
                2 => cache.delete_pattern("d*").await,
                3 => cache.invalidate_tag(tag).await,
                4 => PAGE.clear(&cache).await,
                5 => cache.clear().await,
                6 => cache.delete_many([key.clone()]).await,
                _ => cache.delete_pattern(key.as_str()).await,
            };
            assert!(removed.is_applied());
            let (read, stored) = permit.try_fill(change as i32).await;
            assert_eq!((*read.value, read.stored), (change as i32, false), "after change {change}");
            assert_eq!(stored.refusal, Some(Refusal::Superseded), "after change {change}");
            assert_eq!(cache.get(key).await, None, "after change {change}");
        }
        assert_eq!(cache.stats().total.superseded, 8);

        let late = permit(&cache, "bare", Policy::new()).await;
        cache.set("bare", 1, Policy::new()).await;
        assert!(!late.fill(2).await.stored);
        assert_eq!(cache.get::<i32>("bare").await.as_deref(), Some(&1), "what was set meanwhile stays");
    });
}

#[test]
fn changes_of_other_things_do_not_refuse_a_fill() {
    testkit::run(async {
        let cache = cache().await;
        let mine = permit(&cache, "mine", Policy::new().tag(Tag::named("mine"))).await;
        cache.invalidate_tag(Tag::named("other")).await;
        assert_eq!(
            cache.set("mine", 1, Ttl::millis(0)).await.refusal,
            Some(Refusal::Failed),
            "it has set nothing"
        );
        assert!(mine.fill(2).await.stored);
    });
}

#[test]
fn a_permit_that_is_dropped_leaves_nothing_behind() {
    testkit::run(async {
        let cache = cache().await;
        drop(permit(&cache, "a", Policy::new()).await);
        assert_eq!(cache.stats().local.loading, 0);
        assert_eq!(cache.get::<i32>("a").await, None);
        assert!(permit(&cache, "a", Policy::new()).await.fill(1).await.stored);
    });
}

#[test]
fn a_fill_that_was_never_polled_has_done_nothing() {
    testkit::run(async {
        let cache = cache().await;
        drop(permit(&cache, "a", Policy::new()).await.fill(1));
        assert_eq!((cache.get::<i32>("a").await, cache.stats().local.loading), (None, 0));
    });
}

#[test]
fn who_asks_for_a_key_of_which_a_permit_is_held_waits_for_its_fill() {
    testkit::run(async {
        let cache = cache().await;
        let held = permit(&cache, "a", Policy::new()).await;
        let asker = cache.read_through("a", Policy::new(), || async {
            panic!("two loads of one key");
            #[expect(unreachable_code, reason = "it names the types of the loader")]
            Ok::<i32, std::convert::Infallible>(2)
        });
        let fills = async {
            followers(&cache, 1).await;
            held.fill(1).await
        };
        let (read, filled) = tokio::join!(asker, fills);
        let read = read.unwrap();
        assert_eq!((*read.value, read.source, read.stored), (1, Source::Joined, true));
        assert!(filled.stored);
        assert_eq!(cache.stats().total.joined, 1);
    });
}

#[test]
fn who_waits_for_a_permit_that_is_dropped_loads_instead() {
    testkit::run(async {
        let cache = cache().await;
        let held = permit(&cache, "a", Policy::new()).await;
        let asker = cache.read_through("a", Policy::new(), || brings(2));
        let drops = async {
            followers(&cache, 1).await;
            drop(held);
        };
        let (read, ()) = tokio::join!(asker, drops);
        let read = read.unwrap();
        assert_eq!((*read.value, read.source, read.stored), (2, Source::Loaded, true));
    });
}

#[test]
fn who_waited_for_a_permit_as_long_as_the_limit_loads_instead() {
    testkit::run(async {
        let builder = fixture::builder().follow_limit(Duration::from_millis(100));
        let cache = fixture::build(builder).await;
        let held = permit(&cache, "a", Policy::new()).await;
        let read = cache.read_through("a", Policy::new(), || brings(2)).await.unwrap();
        assert_eq!((*read.value, read.source, read.stored), (2, Source::Loaded, true));
        assert_eq!(*held.fill(1).await.value, 1, "its holder has its value all the same");
    });
}

#[test]
fn who_waits_for_a_value_that_cannot_be_stored_shares_it_all_the_same() {
    testkit::run(async {
        static NARROW: Space<u32, String> = Space::new("narrow:{id}", "A test.");
        let cache = fixture::build(fixture::builder().space(&NARROW).max_value_bytes(1_000)).await;
        let Lookup::Permit(held) = cache.get_or_permit(NARROW.key(&1), Policy::new()).await else {
            panic!("a hit")
        };
        let asker = cache.read_through(NARROW.key(&1), Policy::new(), || brings("loaded twice".to_owned()));
        let fills = async {
            followers(&cache, 1).await;
            held.fill("x".repeat(2_000)).await
        };
        let (read, _filled) = tokio::join!(asker, fills);
        let read = read.unwrap();
        assert_eq!((read.value.len(), read.source, read.stored), (2_000, Source::Joined, false));
    });
}

#[test]
fn a_loaders_failure_leaves_one_permit_at_a_time_to_those_who_wait() {
    testkit::run(async {
        let cache = cache().await;
        let gate = Gate::new("the loader is about to fail");
        let fails = cache.get_or_set("key", Policy::new(), || async {
            gate.pass().await;
            Err::<i32, _>("the database is away")
        });
        let mut waiting = tokio::task::JoinSet::new();
        let open = async {
            gate.reached().await;
            for _ in 0..20 {
                let cache = cache.clone();
                waiting.spawn(async move { permit_or_hit(&cache).await });
            }
            followers(&cache, 20).await;
            gate.open();
        };
        let (failed, ()) = tokio::join!(fails, open);
        assert_eq!(failed, Err("the database is away"));
        let filled = waiting.join_all().await.into_iter().filter(|filled| *filled).count();
        assert_eq!(filled, 1, "the others got what the one with the permit filled in");
    });
}

/// Fills a permit once all others had time to get one too; answers whether it got one.
async fn permit_or_hit(cache: &CacheService) -> bool {
    match cache.get_or_permit("key", Policy::new()).await {
        Lookup::Hit(_) => false,
        Lookup::Permit(permit) => {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            permit.fill(1).await;
            true
        }
    }
}
