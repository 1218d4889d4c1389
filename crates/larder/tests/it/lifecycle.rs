//! Building, switching off, sweeping, and the end.

use std::time::Duration;

use larder::{CacheService, ErrorKind, Lookup, Policy, Refusal, Source, Space, Status, Tag, Ttl};

use crate::fixture::{Runs, brings, cache, cache_and_clock, run_paused, with_clock};

static ROW: Space<u32, u64> = Space::new("row:{id}", "A test.").versioned(|version| *version);

#[test]
fn building_outside_of_a_runtime_is_an_error_that_says_where_to_build() {
    let error = CacheService::builder().build().expect_err("there is no runtime");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("inside a Tokio runtime"), "{error}");
}

#[test]
fn settings_of_nothing_are_refused_by_name() {
    testkit::run(async {
        let build = CacheService::builder;
        for (builder, name) in [
            (build().local_capacity_bytes(0), "local_capacity_bytes"),
            (build().default_ttl(Ttl::millis(0)), "default_ttl"),
            (build().follow_limit(Duration::ZERO), "follow_limit"),
            (build().sweep_interval(Duration::ZERO), "sweep_interval"),
        ] {
            let error = builder.build().expect_err(name);
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains(name), "{error}");
        }
        let smallest = build().local_capacity_bytes(1).local_expected_entries(0).max_value_bytes(0).build();
        let smallest = smallest.expect("small is not nothing");
        assert_eq!(smallest.set("a", 1, Policy::new()).await.refusal, Some(Refusal::TooLarge));
    });
}

#[test]
fn a_cache_that_is_switched_off_loads_every_time_and_needs_no_runtime() {
    let cache = CacheService::bypass();
    testkit::run(async move {
        let runs = Runs::default();
        for _ in 0..2 {
            let read = cache.read_through("a", Policy::new(), || runs.of(1)).await.unwrap();
            assert_eq!((*read.value, read.source, read.stored), (1, Source::Bypass, false));
        }
        assert_eq!(runs.count(), 2);
        let batch = cache.get_or_set_many(
            &[1, 2],
            |id| format!("a:{id}"),
            Policy::new(),
            |missing| {
                assert_eq!(missing, [1, 2]);
                runs.of([(1, 10), (2, 20)])
            },
        );
        let batch: Vec<_> = batch.await.unwrap().iter().map(|value| value.as_deref().copied()).collect();
        assert_eq!((batch, runs.count()), (vec![Some(10), Some(20)], 3));

        assert_eq!(cache.set("a", 1, Policy::new()).await.refusal, Some(Refusal::Bypass));
        assert_eq!(cache.set("a", 1, Policy::new().nx()).await.refusal, Some(Refusal::Bypass));
        assert_eq!(cache.set_versioned(ROW.key(&1), 1).await.refusal, Some(Refusal::Bypass));
        assert_eq!(cache.get::<i32>("a").await, None);
        assert_eq!(cache.health().await.status, Status::Bypass);
        let total = cache.stats().total;
        assert_eq!((total.hits, total.misses, total.loads, total.errors), (0, 5, 3, 0));
        assert_eq!(cache.stats().local.entries, 0);
        for removed in [
            cache.delete("a").await,
            cache.delete_pattern("a*").await,
            cache.invalidate_tag(Tag::named("t")).await,
            cache.clear().await,
        ] {
            assert!(removed.acknowledged, "there is nothing that could be stale");
        }
    });
}

#[test]
fn a_permit_of_a_cache_that_is_switched_off_says_so() {
    testkit::run(async {
        let cache = CacheService::bypass();
        let Lookup::Permit(permit) = cache.get_or_permit("a", Policy::new()).await else { panic!("a hit") };
        let (read, stored) = permit.try_fill(1).await;
        assert_eq!((*read.value, read.source, read.stored), (1, Source::Bypass, false));
        assert_eq!(stored.refusal, Some(Refusal::Bypass));
        let total = cache.stats().total;
        assert_eq!((total.misses, total.loads, total.errors), (1, 1, 0));
    });
}

#[test]
fn clones_are_the_same_cache() {
    testkit::run(async {
        let cache = cache();
        cache.clone().set("a", 1, Policy::new()).await;
        assert_eq!(cache.get::<i32>("a").await.as_deref(), Some(&1));
        let other = self::cache();
        assert_eq!(other.get::<i32>("a").await, None);
    });
}

#[test]
fn a_sweep_frees_what_is_no_hit_any_more_and_nothing_else() {
    testkit::run(async {
        let (cache, clock) = cache_and_clock();
        let tag = Tag::named("t");
        for i in 0..1_000 {
            cache.set(format!("short:{i}"), i, Ttl::secs(1)).await;
            cache.set(format!("tagged:{i}"), i, Policy::ttl(Ttl::DAY).tag(tag)).await;
            cache.set(format!("own:{i}"), i, Policy::ttl(Ttl::DAY).tag(Tag::new("own", i))).await;
            cache.set(format!("kept:{i}"), i, Ttl::DAY).await;
        }
        assert_eq!(cache.sweep().await, 0);
        assert_eq!(cache.stats().local.tags, 1_001);
        clock.advance(Duration::from_secs(1));
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
fn a_scan_of_ten_thousand_names_misses_none() {
    testkit::run(async {
        let cache = cache();
        for i in 0..10_000 {
            cache.set(format!("{}:{i}", if i % 3 == 0 { "gone" } else { "kept" }), i, Policy::new()).await;
        }
        assert_eq!(cache.delete_pattern("g?ne*").await.count, Some(3_334));
        assert_eq!(cache.delete_pattern("gone:*").await.count, Some(0));
        assert_eq!(cache.stats().local.entries, 6_666);
        assert_eq!(cache.stats().total.deletes, 3_334);
    });
}

#[test]
fn memory_is_reclaimed_without_being_asked() {
    run_paused(async {
        let builder = CacheService::builder().sweep_interval(Duration::from_secs(30));
        let (cache, clock) = with_clock(builder);
        cache.set("a", 1, Ttl::secs(1)).await;
        clock.advance(Duration::from_secs(1));
        for (secs, entries) in [(29, 1), (2, 0)] {
            tokio::time::sleep(Duration::from_secs(secs)).await; // of paused time
            assert_eq!(cache.stats().local.entries, entries);
        }
        cache.set("b", 1, Ttl::secs(1)).await;
        clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_secs(31)).await;
        assert_eq!(cache.stats().local.entries, 0, "and again");
    });
}

fn alive_tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

#[test]
fn the_sweep_ends_with_the_last_clone() {
    testkit::run(async {
        let cache = cache();
        let clone = cache.clone();
        drop(cache);
        clone.set("a", 1, Policy::new()).await;
        assert_eq!(alive_tasks(), 1);
        drop(clone);
        while alive_tasks() > 0 {
            tokio::task::yield_now().await; // the limit of the test ends this
        }
    });
}

#[test]
fn shutdown_ends_the_tasks_and_the_cache_goes_on_answering() {
    testkit::run(async {
        let (cache, clock) = cache_and_clock();
        cache.set("a", 1, Ttl::secs(1)).await;
        assert_eq!(alive_tasks(), 1);
        cache.shutdown().await;
        cache.shutdown().await;
        assert_eq!(alive_tasks(), 0);
        assert_eq!(cache.get::<i32>("a").await.as_deref(), Some(&1));
        assert_eq!(cache.get_or_set("b", Policy::new(), || brings(2)).await.as_deref(), Ok(&2));
        clock.advance(Duration::from_secs(1));
        assert_eq!(cache.get::<i32>("a").await, None);
        assert_eq!(cache.sweep().await, 1, "by hand it still sweeps");
    });
}

#[test]
fn a_cache_may_outlive_the_runtime_that_it_was_built_in() {
    let cache = testkit::run(async {
        let cache = cache();
        cache.set("a", 1, Policy::new()).await;
        cache
    });
    testkit::run(async move {
        assert_eq!(cache.get::<i32>("a").await.as_deref(), Some(&1));
        assert_eq!(cache.get_or_set("b", Policy::new(), || brings(2)).await.as_deref(), Ok(&2));
        cache.shutdown().await;
    });
}

#[test]
fn what_a_service_shows_of_itself_fits_on_a_screen_and_shows_no_value() {
    testkit::run(async {
        let cache = cache();
        cache.set("a", "top secret".to_owned(), Policy::new()).await;
        let shown = format!("{cache:?}");
        assert!(shown.len() < 500 && !shown.contains("secret"), "{shown}");
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
