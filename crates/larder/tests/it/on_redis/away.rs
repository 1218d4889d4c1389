//! When Redis is gone, or the service ends.

use std::convert::Infallible;
use std::time::Duration;

use larder::{CacheService, ErrorKind, Policy, Space, Status, Tag};
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
