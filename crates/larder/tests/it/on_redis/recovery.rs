//! What is not lost when Redis fails, without a record in a database.

use std::convert::Infallible;
use std::time::Duration;

use larder::testing::Ablation;
use larder::{Acknowledged, CacheService, Invalidation, Policy, Redis, Source, Status, Tag};
use testkit::proxy::FaultProxy;
use testkit::redis::RedisServer;
use testkit::until;

const KEYS: u32 = 30;

async fn cache(redis: Redis) -> CacheService {
    let builder = CacheService::builder().without(Ablation::Deadlines);
    let cache = builder.redis(redis.local_tier(false)).build().unwrap();
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

/// How something is removed that a backup still has.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Removal {
    Acknowledged,
    /// It fails at first, and is made up for on the next connection.
    Paid,
    Everything,
    Glob,
}

/// How many are loaded behind a restart with a backup, of before one was removed.
async fn loads_behind_a_backup(is_sole: bool, removal: Removal) -> u32 {
    let server = RedisServer::start().await;
    let proxy = FaultProxy::to(server.address()).await;
    let cache = cache(Redis::at(server.url_at(proxy.address())).sole(is_sole)).await;
    loads(&cache, 1).await;
    let backup = server.snapshot().await;
    match removal {
        Removal::Acknowledged => assert!(cache.delete(name(1)).await.is_applied()),
        Removal::Everything => assert!(cache.clear().await.is_applied()),
        Removal::Glob => assert!(cache.delete_pattern("k1*").await.is_applied()),
        Removal::Paid => {
            proxy.refuse().await;
            proxy.cut().await;
            until("it is noticed", async || cache.health().await.status == Status::Disconnected).await;
            assert!(!cache.delete(name(1)).await.is_applied());
            proxy.accept().await;
            is_back(&cache).await;
        }
    }
    assert!(cache.invalidate_tag(Tag::new("row", 2)).await.is_applied());
    server.restart_with_snapshot(&backup).await;
    is_back(&cache).await;
    for key in [1, 2] {
        assert_eq!(cache.get::<u32>(name(key)).await, None, "sole: {is_sole}, {removal:?}");
    }
    loads(&cache, 2).await
}

#[test]
fn who_is_the_only_one_sends_a_server_with_older_data_what_it_has_lost() {
    testkit::run(async {
        assert_eq!(loads_behind_a_backup(true, Removal::Acknowledged).await, 2);
        assert_eq!(loads_behind_a_backup(true, Removal::Paid).await, 2);
        for removal in [Removal::Everything, Removal::Glob] {
            let loads = loads_behind_a_backup(true, removal).await;
            assert_eq!(loads, KEYS, "{removal:?} cannot be sent once more");
        }
        let loads = loads_behind_a_backup(false, Removal::Acknowledged).await;
        assert_eq!(loads, KEYS, "others may have removed what it does not know");
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
        // Two that wait, one behind the other, each for its own time.
        let long = Duration::from_millis(600);
        let changed = [changed(), changed()];
        let both = tokio::join!(
            cache.invalidate_replicated(&changed[0], 2, long),
            cache.invalidate_replicated(&changed[1], 2, long)
        );
        for removed in [both.0, both.1] {
            assert_eq!(removed.acknowledged, Some(Acknowledged::Applied), "there is one replica");
        }
    });
}

#[test]
fn a_connection_that_waited_for_replicas_and_was_closed_meanwhile_takes_no_other_along() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let cache = cache(Redis::at(server.url())).await;
        let (changed, limit) = (Invalidation::new().key(name(1)), Duration::from_millis(1));
        // Those that wait, and the one that does not; not whoever asks for them.
        let ids = async |waits: bool| -> Vec<String> {
            let clients = server.command(&["CLIENT", "LIST", "TYPE", "normal"]).await.text();
            let are = clients.lines().filter(|client| !client.contains(" cmd=client|"));
            let are = are.filter(|client| client.contains(" cmd=wait ") == waits);
            are.filter_map(|client| Some(client.strip_prefix("id=")?.split(' ').next()?.to_owned())).collect()
        };
        loads(&cache, 1).await;
        cache.invalidate_replicated(&changed, 1, limit).await;
        let (waited, main) = (ids(true).await, ids(false).await);
        assert_eq!((waited.len(), main.len()), (1, 1));
        assert_eq!(server.command(&["CLIENT", "KILL", "ID", &waited[0]]).await.int(), 1);
        loads(&cache, 1).await;
        let removed = cache.invalidate_replicated(&changed, 1, limit).await;
        assert_eq!(
            removed.acknowledged,
            Some(Acknowledged::Applied),
            "there is no replica, and it is removed"
        );
        assert_eq!(loads(&cache, 2).await, 1, "this one, and no others");
        assert_eq!(ids(false).await, main, "it is still the same connection");
    });
}

#[test]
fn what_this_user_may_not_remove_begins_a_new_era_and_is_in_nobodys_way() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let cache = cache(Redis::at(server.url())).await;
        loads(&cache, 1).await;
        server.command(&["ACL", "SETUSER", "default", "resetkeys", "~k*", "~!*"]).await;
        assert!(!cache.delete("other").await.is_applied());
        is_back(&cache).await;
        assert_eq!(loads(&cache, 2).await, KEYS);
        assert_eq!(loads(&cache, 2).await, 0, "and goes on");
    });
}

#[test]
fn a_server_that_was_left_for_another_has_not_heard_of_what_happened_there() {
    testkit::run(async {
        let (one, other) = (RedisServer::start().await, RedisServer::start().await);
        let proxy = FaultProxy::to(one.address()).await;
        let cache = cache(Redis::at(one.url_at(proxy.address()))).await;
        loads(&cache, 1).await;
        proxy.lead_to(other.address()).await;
        is_back(&cache).await;
        loads(&cache, 1).await;
        assert!(cache.delete(name(1)).await.is_applied(), "by the other");
        proxy.lead_to(one.address()).await;
        is_back(&cache).await;
        assert_eq!(loads(&cache, 2).await, KEYS, "the first has the value of before");
    });
}
