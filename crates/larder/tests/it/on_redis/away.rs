//! When Redis is gone, or the service ends.

use std::convert::Infallible;
use std::time::Duration;

use larder::testing::Ablation;
use larder::{Builder, CacheService, ErrorKind, Policy, Redis, Space, Status, Tag};
use testkit::proxy::FaultProxy;
use testkit::redis::RedisServer;
use testkit::until;
use tokio::task::JoinSet;

use super::worker::cache_over;

static RAW: Space<u32, u32> = Space::new("raw:{id}", "A test.").raw();

#[test]
fn the_removal_of_a_pattern_says_so_whatever_its_form() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let cache = cache_over(&server, CacheService::builder()).await;
        server.kill().await;
        until("it is gone", async || cache.health().await.status == Status::Disconnected).await;
        for glob in ["k", "k:*"] {
            let error = cache.try_delete_pattern(glob).await.expect_err("nobody can remove it");
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{glob}");
        }
    });
}

/// How many bytes lie under a name that was set to a large value over a narrow connection, which was given up, and then to a small one over the
/// next, when all that was under way has arrived or never will.
async fn bytes_behind_a_late_set(builder: Builder) -> i64 {
    let server = RedisServer::start().await;
    let proxy = FaultProxy::to(server.address()).await;
    let redis = Redis::at(server.url_at(proxy.address())).local_tier(false);
    let cache = builder.redis(redis.operation_limit(Duration::from_millis(200))).build().unwrap();
    cache.ready().await;
    proxy.crumble(1_000, Duration::from_millis(100)); // so that it takes seconds, and short commands do not
    assert!(!cache.set("k", "x".repeat(LARGE), Policy::new()).await.is_stored());
    until("the small one is stored", async || cache.set("k", 1, Policy::new()).await.is_stored()).await;
    until("the end of the first connection", async || proxy.connections() == 1).await;
    server.command(&["STRLEN", "k"]).await.int()
}

const LARGE: usize = 500_000;

#[test]
fn what_was_sent_over_a_connection_that_was_given_up_is_not_executed_behind_the_next() {
    testkit::run(async {
        let bytes = bytes_behind_a_late_set(CacheService::builder()).await;
        assert!((1..1_000).contains(&bytes), "{bytes}");
        let without = CacheService::builder().without(Ablation::EndPredecessors);
        let bytes = bytes_behind_a_late_set(without).await;
        assert!(bytes > LARGE as i64, "without the rule the small one is lost: {bytes}");
    });
}

#[test]
fn shutdown_ends_while_readers_go_on() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let cache = cache_over(&server, CacheService::builder()).await;
        let mut readers = JoinSet::new();
        for n in 0..64 {
            let cache = cache.clone();
            readers.spawn(async move {
                loop {
                    cache.get::<u32>(format!("k{n}")).await;
                    tokio::task::yield_now().await;
                }
            });
        }
        until("they read", async || cache.stats().total.misses > 1_000).await;
        assert!(tokio::time::timeout(Duration::from_secs(20), cache.shutdown()).await.is_ok());
    });
}

#[test]
fn tags_that_a_loader_tells_have_no_room_in_a_raw_space() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let cache = cache_over(&server, CacheService::builder().space(&RAW)).await;
        let load = || async { Ok::<_, Infallible>((1, vec![Tag::named("t")])) };
        let Ok(read) = cache.get_or_set_tagged(RAW.key(&1), Policy::new(), load).await;
        assert!(!read.stored, "an invalidation of the tag would not find it");
        assert_eq!(cache.get(RAW.key(&1)).await, None);
    });
}
