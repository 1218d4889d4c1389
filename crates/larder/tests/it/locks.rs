//! Locks by name: one holder at a time, given back by its token alone, waited for within a bound.

use std::time::Duration;

use larder::{CacheService, Policy, Ttl};
use tokio::time::Instant;

use crate::fixture::{cache, cache_and_clock, run_paused};

const NOT_AT_ALL: Duration = Duration::ZERO;

#[test]
fn one_holder_at_a_time_and_locks_of_other_names_are_others() {
    testkit::run(async {
        let cache = cache();
        let held = cache.lock("report", Ttl::secs(10), NOT_AT_ALL).await.unwrap();
        assert_eq!(held.name(), "report");
        assert!(cache.clone().lock("report", Ttl::secs(10), NOT_AT_ALL).await.is_none());
        assert!(cache.lock("reports", Ttl::secs(10), NOT_AT_ALL).await.is_some());
        assert!(held.release().await);
        assert!(cache.lock("report", Ttl::secs(10), NOT_AT_ALL).await.is_some());
    });
}

#[test]
fn a_lock_that_goes_out_of_scope_is_given_back() {
    testkit::run(async {
        let cache = cache();
        drop(cache.lock("report", Ttl::FOREVER, NOT_AT_ALL).await);
        assert!(cache.lock("report", Ttl::FOREVER, NOT_AT_ALL).await.is_some());
    });
}

#[test]
fn a_holder_whose_time_is_over_cannot_give_back_what_another_holds() {
    testkit::run(async {
        let (cache, clock) = cache_and_clock();
        let take = || cache.lock("report", Ttl::secs(10), NOT_AT_ALL);
        let first = take().await.unwrap();
        clock.advance(Duration::from_millis(9_999));
        assert!(take().await.is_none());
        clock.advance(Duration::from_millis(1));
        let second = take().await.expect("its time is over");
        assert!(!first.release().await, "it was lost");
        assert!(take().await.is_none(), "the second holds it still");
        clock.advance(Duration::from_secs(10));
        let third = take().await.expect("the second's time is over, too");
        drop(second);
        assert!(take().await.is_none(), "and its drop gives nothing back either");
        assert!(third.release().await);
    });
}

#[test]
fn a_lock_that_ran_out_and_was_taken_by_nobody_was_lost_all_the_same() {
    testkit::run(async {
        let (cache, clock) = cache_and_clock();
        for swept in [false, true] {
            let held = cache.lock("report", Ttl::secs(10), NOT_AT_ALL).await.unwrap();
            clock.advance(Duration::from_secs(10));
            if swept {
                cache.sweep().await;
            }
            assert!(!held.release().await, "swept: {swept}");
        }
    });
}

#[test]
fn waiting_ends_with_the_release() {
    run_paused(async {
        let (cache, _clock) = cache_and_clock();
        let held = cache.lock("report", Ttl::secs(100), NOT_AT_ALL).await.unwrap();
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
        let (cache, clock) = cache_and_clock();
        let _held = cache.lock("report", Ttl::secs(10), NOT_AT_ALL).await.unwrap();
        let began = Instant::now();
        let waiter = cache.lock("report", Ttl::secs(10), Duration::from_secs(50));
        let (taken, ()) = tokio::join!(waiter, async { clock.advance(Duration::from_secs(10)) });
        assert!(taken.is_some());
        assert!(began.elapsed() < Duration::from_secs(11), "{:?}", began.elapsed());
    });
}

#[test]
fn waiting_is_bounded() {
    run_paused(async {
        let (cache, _clock) = cache_and_clock();
        let _held = cache.lock("report", Ttl::FOREVER, NOT_AT_ALL).await.unwrap();
        let began = Instant::now();
        assert!(cache.lock("report", Ttl::secs(10), Duration::from_secs(5)).await.is_none());
        let waited = began.elapsed();
        assert!(waited >= Duration::from_secs(5) && waited < Duration::from_millis(5_100), "{waited:?}");
    });
}

#[test]
fn a_hundred_who_wait_are_served_one_after_the_other() {
    testkit::run(async {
        let cache = cache();
        let inside = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let (cache, inside) = (cache.clone(), inside.clone());
            tasks.spawn(async move {
                let lock = cache
                    .lock("report", Ttl::secs(600), Duration::from_secs(50))
                    .await
                    .expect("its turn comes");
                assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0, "two are inside");
                tokio::task::yield_now().await;
                inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                assert!(lock.release().await);
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
    });
}

#[test]
fn a_lock_and_an_entry_of_one_name_do_not_meet() {
    testkit::run(async {
        let cache = cache();
        let held = cache.lock("report", Ttl::secs(10), NOT_AT_ALL).await.unwrap();
        assert!(cache.set("report", 1, Policy::new().nx()).await.is_stored());
        cache.delete("report").await;
        cache.delete_pattern("*").await;
        cache.clear().await;
        cache.sweep().await;
        assert!(
            cache.lock("report", Ttl::secs(10), NOT_AT_ALL).await.is_none(),
            "no removal of entries releases it"
        );
        assert!(held.release().await);
        assert_eq!(cache.get::<i32>("report").await, None);
    });
}

#[test]
fn a_waiter_that_gives_up_holds_nothing() {
    testkit::run(async {
        let cache = cache();
        let held = cache.lock("report", Ttl::secs(100), NOT_AT_ALL).await.unwrap();
        {
            let mut waiter = std::pin::pin!(cache.lock("report", Ttl::secs(100), Duration::from_secs(50)));
            assert!(poll_once(waiter.as_mut()).await.is_none(), "it waits");
        }
        drop(held);
        assert!(cache.lock("report", Ttl::secs(100), NOT_AT_ALL).await.is_some());
    });
}

#[test]
fn locks_hold_while_the_cache_is_switched_off() {
    testkit::run(async {
        let cache = CacheService::bypass();
        let held = cache.lock("report", Ttl::secs(10), NOT_AT_ALL).await.unwrap();
        assert!(cache.lock("report", Ttl::secs(10), NOT_AT_ALL).await.is_none());
        assert!(held.release().await);
    });
}

#[test]
fn a_lock_without_a_lifetime_is_refused_and_keeps_nobody_out() {
    testkit::run(async {
        let cache = cache();
        assert!(cache.lock("report", Ttl::millis(0), NOT_AT_ALL).await.is_none());
        assert_eq!(cache.stats().total.errors, 1);
        assert!(cache.lock("report", Ttl::secs(1), NOT_AT_ALL).await.is_some());
    });
}

/// Polls a future once: its answer, or `None` while it has none.
async fn poll_once<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(match future.as_mut().poll(context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}
