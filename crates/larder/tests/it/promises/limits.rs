//! Limits: so many at once, and no more however many ask.

use std::time::Duration;

use larder::Limit;
use tokio::task::JoinSet;

use super::fixture::cache;

/// Slow enough that nothing is earned again while a test runs.
const LIMIT: Limit = Limit::new("test", 20, Duration::from_secs(20 * 3_600));

#[test]
fn so_many_are_allowed_and_whoever_is_denied_is_told_until_when() {
    testkit::run(async {
        let cache = cache().await;
        for left in (0..20).rev() {
            let decision = cache.limit(&LIMIT, "ann").await;
            assert_eq!((decision.allowed, decision.remaining), (true, left));
            assert_eq!(decision.retry_after, Duration::ZERO);
        }
        for _ in 0..3 {
            let denied = cache.limit(&LIMIT, "ann").await;
            assert_eq!((denied.allowed, denied.remaining), (false, 0));
            let minute = Duration::from_secs(60);
            let hour = Duration::from_secs(3_600);
            assert!(denied.retry_after > hour - minute && denied.retry_after <= hour, "{denied:?}");
            assert!(denied.reset > 20 * hour - minute && denied.reset <= 20 * hour, "{denied:?}");
        }
        assert!(cache.limit(&LIMIT, "ann:bob").await.allowed, "somebody else");
        assert!(cache.limit(&Limit::new("other", 1, Duration::from_secs(60)), "ann").await.allowed);
    });
}

#[test]
fn of_many_who_ask_at_once_no_more_are_allowed() {
    testkit::run(async {
        for share in [1, 4, 100] {
            let cache = cache().await;
            let mut asking = JoinSet::new();
            for _ in 0..200 {
                let cache = cache.clone();
                asking.spawn(async move { cache.limit(&LIMIT.share(share), "ann").await.allowed });
            }
            let allowed = asking.join_all().await.into_iter().filter(|allowed| *allowed).count();
            assert_eq!(allowed, 20, "share {share}");
        }
    });
}

#[test]
fn what_was_done_is_earned_again() {
    testkit::run(async {
        let cache = cache().await;
        let quick = Limit::new("quick", 2, Duration::from_millis(100));
        assert!(cache.limit(&quick, 1).await.allowed);
        testkit::until("it is denied", async || !cache.limit(&quick, 1).await.allowed).await;
        testkit::until("it is allowed again", async || cache.limit(&quick, 1).await.allowed).await;
    });
}
