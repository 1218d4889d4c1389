//! Limits that processes share, and what they are while they cannot.

use std::time::Duration;

use larder::{CacheService, Limit, Redis, Status};
use testkit::redis::RedisServer;
use testkit::until;
use tokio::task::JoinSet;

use super::worker::cache_over;

/// Slow enough that nothing is earned again while a test runs.
const LIMIT: Limit = Limit::new("test", 20, Duration::from_secs(20 * 3_600));

async fn allowed(cache: &CacheService, limit: Limit, id: &str) -> u32 {
    let mut allowed = 0;
    while cache.limit(&limit, id).await.allowed {
        allowed += 1;
        assert!(allowed <= 100, "there is no end to it");
    }
    allowed
}

#[test]
fn processes_together_do_no_more_than_one_may() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let caches = [
            cache_over(&server, CacheService::builder()).await,
            cache_over(&server, CacheService::builder()).await,
        ];
        for share in [1, 3] {
            let mut asking = JoinSet::new();
            for n in 0..200 {
                let cache = caches[n % 2].clone();
                let limit = LIMIT.share(share);
                asking.spawn(async move { cache.limit(&limit, share).await.allowed });
            }
            let allowed = asking.join_all().await.into_iter().filter(|allowed| *allowed).count();
            // What one has taken as its share and not spent, the other cannot have.
            let least = if share == 1 { 20 } else { 20 - 2 };
            assert!((least..=20).contains(&allowed), "share {share}: {allowed}");
        }
    });
}

/// The one key that there is of a limit.
async fn key_of_the_limit(server: &RedisServer) -> String {
    let keys = server.command(&["KEYS", "*limit*"]).await;
    let [key] = keys.array() else { panic!("one key, not {keys:?}") };
    key.text()
}

#[test]
fn a_key_says_nothing_of_whom_it_limits_and_ends_when_all_is_earned_again() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let cache = cache_over(&server, CacheService::builder()).await;
        let limit = Limit::new("test", 10, Duration::from_secs(600));
        cache.limit(&limit, "ann@example.com").await;
        let key = key_of_the_limit(&server).await;
        assert!(key.starts_with("!limit:") && key.len() == "!limit:".len() + 32, "{key}");
        let left_ms = server.command(&["PTTL", &key]).await.int();
        assert!((1..=60_000).contains(&left_ms), "{left_ms}");
    });
}

#[test]
fn what_is_known_is_not_asked_again() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let cache = cache_over(&server, CacheService::builder()).await;
        let scripts = async || {
            let info = server.command(&["INFO", "commandstats"]).await.text();
            let line = info.lines().find(|line| line.starts_with("cmdstat_eval:")).map(str::to_owned);
            let calls = line.as_deref().and_then(|line| line.split_once("calls=")?.1.split(',').next());
            calls.map_or(0, |calls| calls.parse::<u64>().unwrap())
        };
        let before = scripts().await;
        assert_eq!(allowed(&cache, LIMIT, "ann").await, 20);
        assert_eq!(scripts().await - before, 20, "one each, and none for what is certainly denied");
        let before = scripts().await;
        assert_eq!(allowed(&cache, LIMIT.share(10), "bob").await, 20);
        assert_eq!(scripts().await - before, 5, "shares of 1, 2, 4 and 8, and of what is left");
    });
}

#[test]
fn while_redis_is_away_each_process_keeps_the_limit_by_itself() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let cache = cache_over(&server, CacheService::builder()).await;
        for _ in 0..15 {
            assert!(cache.limit(&LIMIT, "ann").await.allowed);
        }
        server.kill().await;
        until("it is gone", async || cache.health().await.status == Status::Disconnected).await;
        assert_eq!(allowed(&cache, LIMIT, "ann").await, 5, "it knows what it has heard");
        assert_eq!(allowed(&cache, LIMIT, "bob").await, 20);
        server.restart_empty().await;
        until("it is back", async || cache.health().await.status == Status::Connected).await;
        assert!(!cache.limit(&LIMIT, "ann").await.allowed, "nobody is asked in vain");
        assert_eq!(allowed(&cache, LIMIT, "joe").await, 20);
    });
}

#[test]
fn a_server_whose_clock_was_ahead_denies_nothing_for_longer_than_the_limit_says() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let cache = cache_over(&server, CacheService::builder()).await;
        let limit = Limit::new("quick", 2, Duration::from_secs(4));
        cache.limit(&limit, "ann").await;
        let key = key_of_the_limit(&server).await;
        server.command(&["SET", &key, "99999999999999999"]).await;
        until("it is allowed again", async || cache.limit(&limit, "ann").await.allowed).await;
        server.command(&["SET", &key, "no number"]).await;
        until("no number is nothing", async || cache.limit(&limit, "ann").await.allowed).await;
        assert_eq!(cache.stats().total.errors, 0);
        server.command(&["DEL", &key]).await;
        server.command(&["LPUSH", &key, "of another type"]).await;
        until("its trouble is counted, and denies nothing", async || {
            cache.limit(&limit, "ann").await.allowed && cache.stats().total.errors > 0
        })
        .await;
    });
}

#[test]
fn the_user_of_the_deployment_may_do_it() {
    testkit::run(async {
        let server = RedisServer::builder().users().start().await;
        let cache = cache_over(&server, CacheService::builder()).await;
        assert_eq!(allowed(&cache, LIMIT, "ann").await, 20);
        assert_eq!(cache.stats().total.errors, 0);
        let namespaced =
            CacheService::builder().redis(Redis::at(server.url()).namespace("crm")).build().unwrap();
        namespaced.ready().await;
        assert_eq!(allowed(&namespaced, LIMIT, "ann").await, 20, "another namespace, another limit");
    });
}
