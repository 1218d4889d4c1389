//! How long callers wait, on a clock that stands still meanwhile.

use std::convert::Infallible;
use std::time::Duration;

use larder::{Policy, Source, Ttl};
use tokio::time::Instant;

use super::batches::{Asked, USER, get, named};
use super::fixture::{self, cache_and_clock};
use super::paused::run_paused;
use super::permits::permit;
use crate::loader::brings;

#[test]
fn a_batch_waits_for_others_no_longer_than_the_limit_however_many_ids_they_load() {
    run_paused(async {
        let limit = Duration::from_secs(10);
        let cache = fixture::build(fixture::builder().space(&USER).follow_limit(limit)).await;
        let (ids, asked) = ([1, 2, 3, 4, 5], Asked::default());
        let stuck = |_missing| std::future::pending::<Result<Vec<(u32, String)>, Infallible>>();
        let stuck = cache.get_or_set_many(&ids, |id| USER.key(id), Policy::new(), stuck);
        let began = Instant::now();
        tokio::select! { biased;
            _ = stuck => unreachable!("it never ends"),
            values = get(&cache, &ids, &asked) => assert_eq!(values, named(&ids)),
        }
        assert!(began.elapsed() < 2 * limit, "it took {:?}", began.elapsed());
        assert_eq!(asked.take().len(), 1, "what was given up is loaded with one call");
    });
}

#[test]
fn a_permit_that_is_held_for_ever_holds_nobody_for_ever() {
    run_paused(async {
        let cache = fixture::build(fixture::builder().follow_limit(Duration::from_secs(3))).await;
        let held = permit(&cache, "a", Policy::new()).await;
        let began = Instant::now();
        let read = cache.read_through("a", Policy::new(), || brings(2)).await.unwrap();
        assert_eq!((*read.value, read.source, read.stored), (2, Source::Loaded, true));
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        assert_eq!(*held.fill(1).await.value, 1, "its holder has its value all the same");
    });
}

#[test]
fn waiting_ends_with_the_release() {
    run_paused(async {
        let (cache, _clock) = cache_and_clock().await;
        let held = cache.lock("report", Ttl::secs(100), Duration::ZERO).await.unwrap();
        let began = Instant::now();
        let waiter = cache.lock("report", Ttl::secs(100), Duration::from_secs(50));
        let (taken, ()) = tokio::join!(waiter, async {
            tokio::time::advance(Duration::from_secs(1)).await;
            drop(held);
        });
        assert!(taken.is_some());
        assert_eq!(began.elapsed(), Duration::from_secs(1), "it was woken, it did not poll");
    });
}

#[test]
fn waiting_ends_with_the_time_of_the_holder() {
    run_paused(async {
        let (cache, clock) = cache_and_clock().await;
        let _held = cache.lock("report", Ttl::secs(10), Duration::ZERO).await.unwrap();
        let began = Instant::now();
        let waiter = cache.lock("report", Ttl::secs(10), Duration::from_secs(50));
        let (taken, ()) = tokio::join!(waiter, clock.advance(Duration::from_secs(10)));
        assert!(taken.is_some());
        assert!(began.elapsed() < Duration::from_secs(11), "{:?}", began.elapsed());
    });
}

#[test]
fn waiting_is_bounded() {
    run_paused(async {
        let (cache, _clock) = cache_and_clock().await;
        let _held = cache.lock("report", Ttl::FOREVER, Duration::ZERO).await.unwrap();
        let began = Instant::now();
        assert!(cache.lock("report", Ttl::secs(10), Duration::from_secs(5)).await.is_none());
        let waited = began.elapsed();
        assert!(waited >= Duration::from_secs(5) && waited < Duration::from_millis(5_100), "{waited:?}");
    });
}
