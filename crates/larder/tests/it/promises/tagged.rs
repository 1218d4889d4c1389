//! Loads that know only afterwards what their value depends on.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};

use larder::{CacheService, Policy, Tag};

use super::fixture;

/// A cache, and a loader's answers in turn: each a value and the ids of its tags.
struct Loads {
    cache: CacheService,
    calls: AtomicU64,
}

impl Loads {
    async fn new() -> Self {
        let cache = fixture::cache().await;
        Loads { cache, calls: AtomicU64::new(0) }
    }

    /// Reads the key with a loader whose tags depend on how often it has been called; answers value and whether it is stored.
    async fn read(&self, tags_of_call: impl Fn(u64) -> Vec<u64>) -> (u64, bool) {
        let load = || async {
            let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
            let tags = tags_of_call(call).into_iter().map(|id| Tag::new("contact", id)).collect();
            Ok::<_, Infallible>((call, tags))
        };
        let Ok(read) = self.cache.get_or_set_tagged("deal", Policy::new(), load).await;
        (*read.value, read.stored)
    }

    async fn is_cached(&self) -> bool {
        self.cache.get::<u64>("deal").await.is_some()
    }
}

#[test]
fn tags_that_were_not_captured_cost_a_second_load_once() {
    testkit::run(async {
        let loads = Loads::new().await;
        assert_eq!(loads.read(|_| vec![7]).await, (2, true), "the second load is the one that is stored");
        assert_eq!(loads.read(|_| vec![7]).await, (2, true), "a hit");
        loads.cache.invalidate_tag(Tag::new("contact", 7)).await;
        assert!(!loads.is_cached().await);
        assert_eq!(loads.read(|_| vec![7]).await, (3, true), "the last tags were a good guess: one load");
        loads.cache.invalidate_tag(Tag::new("contact", 7)).await;
        assert!(!loads.is_cached().await, "and the new entry depends on them");
    });
}

#[test]
fn a_guess_is_not_a_dependency() {
    testkit::run(async {
        let loads = Loads::new().await;
        loads.read(|_| vec![7, 8]).await;
        loads.cache.invalidate_tag(Tag::new("contact", 8)).await;
        assert_eq!(loads.read(|_| vec![7]).await, (3, true));
        loads.cache.invalidate_tag(Tag::new("contact", 8)).await;
        assert!(loads.is_cached().await, "it no longer depends on 8");
    });
}

#[test]
fn tags_that_change_with_every_load_are_not_stored() {
    testkit::run(async {
        let loads = Loads::new().await;
        assert_eq!(loads.read(|call| vec![call]).await, (2, false));
        assert!(!loads.is_cached().await);
        assert_eq!(loads.cache.stats().total.errors, 1);
    });
}

#[test]
fn more_tags_than_an_entry_takes_are_not_stored() {
    testkit::run(async {
        let loads = Loads::new().await;
        assert_eq!(loads.read(|_| (0..9).collect()).await, (1, false));
        assert_eq!(loads.read(|_| (0..8).collect()).await, (3, true));
    });
}

#[test]
fn a_tag_that_is_invalidated_during_the_second_load_wins() {
    testkit::run(async {
        let loads = Loads::new().await;
        let cache = &loads.cache;
        let load = || async {
            let call = loads.calls.fetch_add(1, Ordering::SeqCst) + 1;
            if call == 2 {
                cache.invalidate_tag(Tag::new("contact", 7)).await;
            }
            Ok::<_, Infallible>((call, vec![Tag::new("contact", 7)]))
        };
        let Ok(read) = cache.get_or_set_tagged("deal", Policy::new(), load).await;
        assert_eq!((*read.value, read.stored), (2, false));
        assert!(!loads.is_cached().await);
    });
}

#[test]
fn a_tag_that_is_told_several_times_is_one() {
    testkit::run(async {
        let loads = Loads::new().await;
        assert_eq!(loads.read(|_| vec![7; 20]).await, (2, true));
        loads.cache.invalidate_tag(Tag::new("contact", 7)).await;
        assert!(!loads.is_cached().await);
    });
}

#[test]
fn declared_and_told_tags_are_counted_together() {
    testkit::run(async {
        let Loads { cache, .. } = Loads::new().await;
        let declares = |tags: u64| Policy::new().tags((0..tags).map(|id| Tag::new("declared", id)));
        let load = || async { Ok::<_, Infallible>((1, vec![Tag::new("told", 1), Tag::new("declared", 0)])) };
        let Ok(read) = cache.get_or_set_tagged("deal", declares(8), load).await;
        assert!(!read.stored, "nine tags");
        let Ok(read) = cache.get_or_set_tagged("deal", declares(7), load).await;
        assert!(read.stored, "eight tags");
    });
}
