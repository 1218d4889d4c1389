//! What is not lost when Redis fails, without a record in a database.

use std::convert::Infallible;
use std::time::Duration;

use larder::{Acknowledged, CacheService, Invalidation, Policy, Redis, Source, Status, Tag};
use testkit::proxy::FaultProxy;
use testkit::redis::RedisServer;
use testkit::until;

const KEYS: u32 = 30;

async fn cache(redis: Redis) -> CacheService {
    let cache = CacheService::builder().redis(redis.local_tier(false)).build().unwrap();
    cache.ready().await;
    cache
}

fn name(key: u32) -> String {
    format!("k{key}")
}

/// Reads all, each with a tag of its own, and answers how many were no hits.
async fn loads(cache: &CacheService, value: u32) -> u32 {
    let mut loads = 0;
    for key in 0..KEYS {
        let policy = Policy::new().tag(Tag::new("row", key));
        let Ok(read) = cache.read_through(name(key), policy, || async { Ok::<_, Infallible>(value) }).await;
        loads += u32::from(read.source == Source::Loaded);
    }
    loads
}

async fn is_back(cache: &CacheService) {
    until("Redis is served from again", async || cache.sync().await.is_ok()).await;
}

#[test]
fn a_removal_that_failed_is_made_up_for_and_the_rest_stays_warm() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let proxy = FaultProxy::to(server.address()).await;
        let cache = cache(Redis::at(server.url_at(proxy.address()))).await;
        assert_eq!(loads(&cache, 1).await, KEYS);
        proxy.refuse().await;
        proxy.cut().await;
        until("it is noticed", async || cache.health().await.status == Status::Disconnected).await;
        assert_eq!(cache.delete(name(1)).await.acknowledged, Some(Acknowledged::Pending));
        assert_eq!(cache.invalidate_tag(Tag::new("row", 2)).await.acknowledged, Some(Acknowledged::Pending));
        let both = Invalidation::new().key(name(3)).pattern(name(4));
        assert_eq!(cache.invalidate(&both).await.acknowledged, Some(Acknowledged::Pending));
        proxy.accept().await;
        is_back(&cache).await;
        assert_eq!(loads(&cache, 2).await, 4, "those, and no others");
    });
}

#[test]
fn what_cannot_be_named_or_is_too_much_begins_a_new_era() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let proxy = FaultProxy::to(server.address()).await;
        let cache = cache(Redis::at(server.url_at(proxy.address()))).await;
        for too_much in [false, true] {
            loads(&cache, 1).await;
            proxy.refuse().await;
            proxy.cut().await;
            until("it is noticed", async || cache.health().await.status == Status::Disconnected).await;
            let removed = match too_much {
                false => cache.delete_pattern("*7").await,
                true => cache.delete_many((0..20_000).map(|key| format!("other{key}"))).await,
            };
            assert_eq!(removed.acknowledged, Some(Acknowledged::Pending));
            proxy.accept().await;
            is_back(&cache).await;
            assert_eq!(loads(&cache, 2).await, KEYS, "too much: {too_much}");
        }
    });
}

/// How many are loaded behind a restart with a backup, of before one was removed.
async fn loads_behind_a_backup(is_sole: bool, cleared: bool) -> u32 {
    let server = RedisServer::start().await;
    let cache = cache(Redis::at(server.url()).sole(is_sole)).await;
    loads(&cache, 1).await;
    let backup = server.snapshot().await;
    let removed = if cleared { cache.clear().await } else { cache.delete(name(1)).await };
    assert!(removed.is_applied());
    assert!(cache.invalidate_tag(Tag::new("row", 2)).await.is_applied());
    server.restart_with_snapshot(&backup).await;
    is_back(&cache).await;
    for key in [1, 2] {
        assert_eq!(cache.get::<u32>(name(key)).await, None, "sole: {is_sole}, cleared: {cleared}");
    }
    loads(&cache, 2).await
}

#[test]
fn who_is_the_only_one_sends_a_server_with_older_data_what_it_has_lost() {
    testkit::run(async {
        assert_eq!(loads_behind_a_backup(true, false).await, 2);
        assert_eq!(loads_behind_a_backup(true, true).await, KEYS, "an era cannot be sent once more");
        assert_eq!(
            loads_behind_a_backup(false, false).await,
            KEYS,
            "others may have removed what it does not know"
        );
    });
}

#[test]
fn another_process_does_not_believe_the_mark_of_one_that_was_alone() {
    testkit::run(async {
        let server = RedisServer::builder().aof().start().await;
        let redis = || Redis::at(server.url()).sole(true);
        let first = cache(redis()).await;
        loads(&first, 1).await;
        first.shutdown().await;
        server.restart_with_data().await;
        let second = cache(redis()).await;
        assert_eq!(loads(&second, 2).await, KEYS, "nobody knows what the first has removed");
    });
}

#[test]
fn a_removal_is_said_to_be_replicated_when_replicas_have_it() {
    testkit::run(async {
        let primary = RedisServer::start().await;
        let cache = cache(Redis::at(primary.url())).await;
        let changed = || Invalidation::new().key(name(1)).tag(Tag::new("row", 2));
        let limit = Duration::from_millis(50);
        loads(&cache, 1).await;
        let alone = cache.invalidate_replicated(&changed(), 1, limit).await;
        assert_eq!(alone.acknowledged, Some(Acknowledged::Applied), "there is no replica");
        assert_eq!(loads(&cache, 1).await, 2);

        let replica = RedisServer::builder()
            .set("replicaof", &format!("127.0.0.1 {}", primary.port()))
            .set("repl-diskless-load", "disabled")
            .start()
            .await;
        let is_linked =
            async || replica.command(&["INFO", "replication"]).await.text().contains("master_link_status:up");
        until("the replica follows", is_linked).await;
        let removed = cache.invalidate_replicated(&changed(), 1, Duration::from_secs(10)).await;
        assert_eq!(removed.acknowledged, Some(Acknowledged::Replicated));
        assert_eq!(replica.command(&["EXISTS", &name(1)]).await.int(), 0);
        assert_eq!(loads(&cache, 1).await, 2);
        let two = cache.invalidate_replicated(&changed(), 2, limit).await;
        assert_eq!(two.acknowledged, Some(Acknowledged::Applied), "there is one");
    });
}
