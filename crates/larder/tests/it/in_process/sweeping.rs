//! The memory of what is no hit any more, and of tags that nothing depends on.

use std::time::Duration;

use larder::{CacheService, Policy, Tag, Ttl};

use super::fixture::{cache, cache_and_clock, with_clock};
use super::paused::run_paused;

#[test]
fn a_sweep_frees_what_is_no_hit_any_more_and_nothing_else() {
    testkit::run(async {
        let (cache, clock) = cache_and_clock().await;
        let tag = Tag::named("t");
        for i in 0..1_000 {
            cache.set(format!("short:{i}"), i, Ttl::secs(1)).await;
            cache.set(format!("tagged:{i}"), i, Policy::ttl(Ttl::DAY).tag(tag)).await;
            cache.set(format!("own:{i}"), i, Policy::ttl(Ttl::DAY).tag(Tag::new("own", i))).await;
            cache.set(format!("kept:{i}"), i, Ttl::DAY).await;
        }
        assert_eq!(cache.sweep().await, 0);
        assert_eq!(cache.stats().local.tags, 1_001);
        clock.advance(Duration::from_secs(1)).await;
        assert_eq!(cache.stats().local.entries, 4_000, "until then they only lie there");
        assert_eq!(cache.sweep().await, 1_000);
        cache.invalidate_tag(tag).await;
        assert_eq!(cache.sweep().await, 1_000);
        assert_eq!(cache.stats().local.entries, 2_000);
        assert_eq!(cache.delete_pattern("own:*").await.count, Some(1_000));
        assert_eq!(cache.sweep().await, 0);
        let local = cache.stats().local;
        assert_eq!((local.entries, local.tags), (1_000, 0), "tags go with what depended on them");
        for i in 0..1_000 {
            assert_eq!(cache.get::<i32>(format!("kept:{i}")).await.as_deref(), Some(&i));
        }
        cache.clear().await;
        assert_eq!(cache.sweep().await, 1_000);
        assert_eq!((cache.stats().local.entries, cache.stats().local.weight), (0, 0));
    });
}

#[test]
fn memory_is_reclaimed_without_being_asked() {
    run_paused(async {
        let builder = CacheService::builder().sweep_interval(Duration::from_secs(30));
        let (cache, clock) = with_clock(builder).await;
        cache.set("a", 1, Ttl::secs(1)).await;
        clock.advance(Duration::from_secs(1)).await;
        for (secs, entries) in [(29, 1), (2, 0)] {
            tokio::time::sleep(Duration::from_secs(secs)).await; // of paused time
            assert_eq!(cache.stats().local.entries, entries);
        }
        cache.set("b", 1, Ttl::secs(1)).await;
        clock.advance(Duration::from_secs(1)).await;
        tokio::time::sleep(Duration::from_secs(31)).await;
        assert_eq!(cache.stats().local.entries, 0, "and again");
    });
}

#[test]
fn a_tag_that_was_swept_still_takes_what_comes_back_with_it() {
    testkit::run(async {
        let cache = cache().await;
        let tag = Tag::named("a");
        cache.set("x", 1, Policy::new().tag(tag)).await;
        cache.delete("x").await;
        cache.sweep().await;
        assert_eq!(cache.stats().local.tags, 0, "the sweep forgets tags");
        cache.set("x", 2, Policy::new().tag(tag)).await;
        cache.sweep().await;
        cache.invalidate_tag(tag).await;
        assert_eq!(cache.get::<i32>("x").await, None);
    });
}

#[test]
fn tags_of_entries_that_were_evicted_take_no_memory_for_ever_even_without_a_sweep() {
    testkit::run(async {
        let cache = CacheService::builder().local_capacity_bytes(64 << 10).build().unwrap();
        cache.shutdown().await;
        for i in 0..50_000 {
            cache.set("row:1", i, Policy::new().tag(Tag::new("row", i))).await;
        }
        let tags = cache.stats().local.tags;
        assert!(tags < 5_000, "{tags} tags are kept, and one entry depends on one");
        cache.invalidate_tag(Tag::new("row", 49_999)).await;
        assert!(cache.get::<i32>("row:1").await.is_none(), "the one in use was not forgotten");
    });
}
