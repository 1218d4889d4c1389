//! What the limit of the memory means for one entry.

use std::convert::Infallible;
use std::future::ready;

use larder::{Blob, CacheService, ENTRY_OVERHEAD_BYTES, Policy, Source, Space};

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
