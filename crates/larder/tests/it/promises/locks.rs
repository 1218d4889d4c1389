//! Locks by name: one holder at a time, given back by its token alone, waited for within a bound.

use std::time::Duration;

use larder::{Policy, Ttl};
use tokio::time::timeout;

use super::fixture::{GIVEN_BACK_WITHIN, MOMENT, cache, cache_and_clock};

const NOT_AT_ALL: Duration = Duration::ZERO;

/// Longer than any test may take.
const AS_LONG_AS_IT_TAKES: Duration = Duration::from_secs(3_600);

#[test]
fn one_holder_at_a_time_and_locks_of_other_names_are_others() {
    testkit::run(async {
        let cache = cache().await;
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
        let cache = cache().await;
        drop(cache.lock("report", Ttl::FOREVER, NOT_AT_ALL).await);
        assert!(cache.lock("report", Ttl::FOREVER, GIVEN_BACK_WITHIN).await.is_some());
    });
}

#[test]
fn a_holder_whose_time_is_over_cannot_give_back_what_another_holds() {
    testkit::run(async {
        let (cache, clock) = cache_and_clock().await;
        let take = || cache.lock("report", Ttl::secs(60), NOT_AT_ALL);
        let first = take().await.unwrap();
        clock.advance(Duration::from_secs(60) - MOMENT).await;
        assert!(take().await.is_none());
        clock.advance(MOMENT).await;
        let second = take().await.expect("its time is over");
        assert!(!first.release().await, "it was lost");
        assert!(take().await.is_none(), "the second holds it still");
        clock.advance(Duration::from_secs(60)).await;
        let third = take().await.expect("the second's time is over, too");
        drop(second);
        assert!(take().await.is_none(), "and its drop gives nothing back either");
        assert!(third.release().await);
    });
}

#[test]
fn a_lock_that_ran_out_and_was_taken_by_nobody_was_lost_all_the_same() {
    testkit::run(async {
        let (cache, clock) = cache_and_clock().await;
        for swept in [false, true] {
            let held = cache.lock("report", Ttl::secs(10), NOT_AT_ALL).await.unwrap();
            clock.advance(Duration::from_secs(10)).await;
            if swept {
                cache.sweep().await;
            }
            assert!(!held.release().await, "swept: {swept}");
        }
    });
}

#[test]
fn who_waits_has_the_lock_once_it_is_released() {
    testkit::run(async {
        let cache = cache().await;
        let held = cache.lock("report", Ttl::FOREVER, NOT_AT_ALL).await.unwrap();
        let waiter = cache.lock("report", Ttl::FOREVER, AS_LONG_AS_IT_TAKES);
        let (taken, released) = tokio::join!(biased; waiter, held.release());
        assert!(taken.is_some() && released);
    });
}

#[test]
fn who_waits_has_the_lock_once_the_time_of_its_holder_is_over() {
    testkit::run(async {
        let cache = cache().await;
        let held = cache.lock("report", Ttl::millis(50), NOT_AT_ALL).await.unwrap();
        assert!(cache.lock("report", Ttl::FOREVER, AS_LONG_AS_IT_TAKES).await.is_some());
        assert!(!held.release().await, "it was lost");
    });
}

#[test]
fn who_waits_no_longer_than_it_said_has_nothing() {
    testkit::run(async {
        let cache = cache().await;
        let held = cache.lock("report", Ttl::FOREVER, NOT_AT_ALL).await.unwrap();
        assert!(cache.lock("report", Ttl::FOREVER, Duration::from_millis(50)).await.is_none());
        assert!(held.release().await);
    });
}

#[test]
fn a_hundred_who_wait_are_served_one_after_the_other() {
    testkit::run(async {
        let cache = cache().await;
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
        let cache = cache().await;
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
        let cache = cache().await;
        let held = cache.lock("report", Ttl::secs(100), NOT_AT_ALL).await.unwrap();
        let waiter = cache.lock("report", Ttl::secs(100), AS_LONG_AS_IT_TAKES);
        timeout(Duration::from_millis(50), waiter).await.expect_err("it waits");
        drop(held);
        assert!(cache.lock("report", Ttl::secs(100), GIVEN_BACK_WITHIN).await.is_some());
    });
}

#[test]
fn a_lock_without_a_lifetime_is_refused_and_keeps_nobody_out() {
    testkit::run(async {
        let cache = cache().await;
        assert!(cache.lock("report", Ttl::millis(0), NOT_AT_ALL).await.is_none());
        assert_eq!(cache.stats().total.errors, 1);
        assert!(cache.lock("report", Ttl::secs(1), NOT_AT_ALL).await.is_some());
    });
}
