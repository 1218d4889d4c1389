//! What the limit of the memory means for one entry, and for all of them.

use std::convert::Infallible;
use std::future::ready;

use larder::{Blob, CacheService, ENTRY_OVERHEAD_BYTES, Lookup, Policy, Refusal, Source, Space};

use crate::loader::brings;

/// Entries that weigh what they say.
static PARCEL: Space<u64, u64> =
    Space::new("parcel:{id}", "Read by tests; never changes; holds nothing that could be stale.")
        .weigher(|weight| *weight)
        .cache_is_source();

#[test]
fn what_is_said_to_be_stored_is_there_at_every_weight() {
    testkit::run(async {
        const CAPACITY: u64 = 400;
        let mut refused = 0;
        for weight in 1..=CAPACITY {
            let builder = CacheService::builder().space(&PARCEL).max_value_bytes(u64::MAX);
            let cache = builder.local_capacity_bytes(CAPACITY).build().expect("the settings are sound");
            let set = cache.set(PARCEL.key(&1), weight, Policy::new()).await;
            assert_eq!(set.is_stored(), cache.get(PARCEL.key(&1)).await.is_some(), "set, weight {weight}");

            let load = || ready(Ok::<_, Infallible>(weight));
            let loaded =
                cache.read_through(PARCEL.key(&2), Policy::new(), load).await.expect("it cannot fail");
            assert_eq!((*loaded.value, loaded.source), (weight, Source::Loaded));
            assert_eq!(loaded.stored, cache.get(PARCEL.key(&2)).await.is_some(), "load, weight {weight}");

            let stats = cache.stats();
            assert_eq!(stats.total.too_large, 2 * u64::from(!set.is_stored()), "weight {weight}");
            assert!(stats.local.weight <= CAPACITY);
            refused += u64::from(!set.is_stored());
        }
        assert!(0 < refused && refused < CAPACITY, "{refused} of {CAPACITY} weights were refused");
    });
}

#[test]
fn a_cache_of_the_smallest_capacity_holds_an_entry() {
    testkit::run(async {
        let cache = CacheService::builder().space(&PARCEL).local_capacity_bytes(1).build();
        let cache = cache.expect("a capacity of one is one");
        assert!(cache.set(PARCEL.key(&1), 1, Policy::new()).await.is_stored());
        assert_eq!(cache.get(PARCEL.key(&1)).await.as_deref(), Some(&1));
        assert_eq!(cache.stats().local.weight, 1);
    });
}

#[test]
fn bytes_weigh_their_length_and_other_values_their_json() {
    testkit::run(async {
        let cache = CacheService::builder().build().expect("the defaults are sound");
        let weight = |cache: &CacheService| cache.stats().local.weight;
        cache.set("body", Blob(vec![b'x'; 1_000].into()), Policy::new()).await;
        assert_eq!(weight(&cache), 1_000 + "body".len() as u64 + ENTRY_OVERHEAD_BYTES);
        cache.delete("body").await;
        cache.set("list", vec![1, 22, 333], Policy::new()).await;
        assert_eq!(weight(&cache), "[1,22,333]list".len() as u64 + ENTRY_OVERHEAD_BYTES);
    });
}

#[test]
fn a_value_that_is_larger_than_the_memory_is_returned_counted_and_empties_nothing() {
    testkit::run(async {
        let cache = CacheService::builder().local_capacity_bytes(64 << 10).build().unwrap();
        for i in 0..20 {
            cache.set(format!("small:{i}"), i, Policy::new()).await;
        }
        let before = cache.stats().local;
        let large = || "x".repeat(100_000);
        assert_eq!(cache.set("large:1", large(), Policy::new()).await.refusal, Some(Refusal::TooLarge));
        let read = cache.read_through("large:2", Policy::new(), || brings(large())).await.unwrap();
        assert_eq!((read.value.len(), read.stored), (100_000, false));
        let batch =
            cache.get_or_set_many(&[3], |_| "large:3", Policy::new(), |_| brings([(3, large())])).await;
        assert_eq!(batch.unwrap()[0].as_deref().map(String::len), Some(100_000));
        let Lookup::Permit(permit) = cache.get_or_permit("large:4", Policy::new()).await else {
            panic!("a hit")
        };
        assert_eq!(permit.try_fill(large()).await.1.refusal, Some(Refusal::TooLarge));

        let stats = cache.stats();
        assert_eq!((stats.total.too_large, stats.total.sets, stats.total.errors), (4, 20, 0));
        assert_eq!((stats.local.entries, stats.local.weight), (before.entries, before.weight));
        for i in 0..20 {
            assert_eq!(cache.get::<i32>(format!("small:{i}")).await.as_deref(), Some(&i));
        }
    });
}

#[test]
fn what_is_called_stored_is_there_up_to_the_largest_weight() {
    testkit::run(async {
        static WEIGHED: Space<u64, u64> =
            Space::new("weighed:{n}", "A test of weights.").weigher(|weight| *weight).cache_is_source();
        // In one part, and in several.
        for (capacity, entries) in [(100, 1), (1_000, 1_000), (1 << 20, 1_000), (64 << 20, 100_000)] {
            let builder = CacheService::builder().space(&WEIGHED).max_value_bytes(u64::MAX);
            let cache =
                builder.local_capacity_bytes(capacity).local_expected_entries(entries).build().unwrap();
            let mut largest = 0;
            for weight in (1..=100).map(|percent| capacity * percent / 100) {
                let loaded = cache.read_through(WEIGHED.key(&weight), Policy::new(), || brings(weight)).await;
                assert_eq!(
                    loaded.unwrap().stored,
                    cache.get(WEIGHED.key(&weight)).await.is_some(),
                    "loaded, {weight} of {capacity}"
                );
                let stored = cache.set(WEIGHED.key(&weight), weight, Policy::new()).await.is_stored();
                assert_eq!(
                    stored,
                    cache.get(WEIGHED.key(&weight)).await.is_some(),
                    "set, {weight} of {capacity}"
                );
                largest = if stored { weight } else { largest };
                assert!(cache.stats().local.weight <= capacity);
            }
            assert!(largest > 0, "nothing at all fits into {capacity}");
        }
    });
}

#[test]
fn an_entry_without_weight_is_bounded_too() {
    testkit::run(async {
        static WEIGHTLESS: Space<u64, u64> =
            Space::new("weightless:{n}", "A test of weights.").weigher(|_| 0).cache_is_source();
        let cache = CacheService::builder().space(&WEIGHTLESS).local_capacity_bytes(100).build().unwrap();
        for n in 0..1_000 {
            cache.set(WEIGHTLESS.key(&n), n, Policy::new()).await;
        }
        assert!(cache.stats().local.entries <= 100);
    });
}

#[test]
fn the_weights_never_add_up_to_more_than_the_capacity() {
    testkit::run(async {
        let capacity = 1 << 20;
        let cache = CacheService::builder().local_capacity_bytes(capacity).build().unwrap();
        for i in 0..5_000_usize {
            cache.set(format!("k:{}", i % 1_500), "x".repeat(i * 37 % 9_000), Policy::new()).await;
            assert!(cache.stats().local.weight <= capacity, "after {i}");
        }
        let local = cache.stats().local;
        assert!(local.weight > capacity / 2 && local.capacity <= capacity, "{local:?}");
    });
}
