//! A cache that is switched off.

use std::time::Duration;

use larder::{CacheService, Lookup, Policy, Refusal, Source, Space, Status, Tag, Ttl};

use crate::loader::Runs;

static ROW: Space<u32, u64> = Space::new("row:{id}", "A test.").versioned(|version| *version);

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
            assert!(removed.is_applied(), "there is nothing that could be stale");
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
fn locks_hold_while_the_cache_is_switched_off() {
    testkit::run(async {
        let cache = CacheService::bypass();
        let held = cache.lock("report", Ttl::secs(10), Duration::ZERO).await.unwrap();
        assert!(cache.lock("report", Ttl::secs(10), Duration::ZERO).await.is_none());
        assert!(held.release().await);
    });
}
