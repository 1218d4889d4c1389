//! Copies in the process, in front of Redis.

use std::sync::Arc;
use std::time::Duration;

use larder::testing::Ablation;
use larder::{
    Builder, CacheService, Freshness, Key, Lookup, Policy, Read, Redis, Source, Space, Status, Tag, Ttl,
};
use serde::{Deserialize, Serialize};
use testkit::redis::RedisServer;
use testkit::until;
use tokio::time::Instant;

use crate::loader::brings;

static DEAL: Space<u32, u32> = Space::new("deal:{id}", "A test.").ttl(Ttl::DAY);
static STRICT: Space<u32, u32> = Space::new("strict:{id}", "A test.").ttl(Ttl::DAY).local_tier(false);
/// A cache over the Redis at this URL, which waits for it as long as that takes.
pub(super) async fn cache_at(url: &str) -> CacheService {
    cache_of(CacheService::builder().without(Ablation::Deadlines), url).await
}

/// The same, whose copies do not end because the machine of a test stood still for a second.
async fn patient_at(url: &str) -> CacheService {
    let builder = CacheService::builder().without(Ablation::Deadlines).without(Ablation::LocalLease);
    cache_of(builder, url).await
}

pub(super) async fn cache_of(builder: Builder, url: &str) -> CacheService {
    let builder = builder.space(&DEAL).space(&STRICT);
    let cache = builder.redis(Redis::at(url)).build().expect("the settings fit together");
    cache.ready().await;
    cache
}

/// Reads until the value is copied; it is loaded as this one if it has to be.
pub(super) async fn copied(cache: &CacheService, key: &str, policy: Policy, loads: u32) {
    until("it is copied", async || {
        let Ok(read) = cache.read_through(key, policy.clone(), || brings(loads)).await;
        assert_eq!(*read.value, loads);
        read.source == Source::Local
    })
    .await;
}

#[test]
fn the_second_hit_is_a_copy_and_a_strict_space_has_none() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let cache = patient_at(&server.url()).await;
        for source in [Source::Loaded, Source::Remote, Source::Local, Source::Local] {
            let Ok(read) = cache.read_through(DEAL.key(&1), Policy::new(), || brings(7)).await;
            assert_eq!((*read.value, read.source), (7, source));
        }
        for source in [Source::Loaded, Source::Remote, Source::Remote] {
            let Ok(read) = cache.read_through(STRICT.key(&1), Policy::new(), || brings(7)).await;
            assert_eq!(read.source, source);
        }
        let tagged = || Policy::new().tag(Tag::named("t"));
        for source in [Source::Loaded, Source::Remote, Source::Local] {
            let Ok(read) = cache.read_through("tagged", tagged(), || brings(7)).await;
            assert_eq!(read.source, source);
        }
    });
}

/// What lies under a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Whole {
    id: u32,
    name: Option<String>,
}

/// What some readers need of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Part {
    id: u32,
}

#[test]
fn a_copy_is_for_readers_of_its_own_type() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let cache = patient_at(&server.url()).await;
        let whole = Whole { id: 1, name: Some("Ada".to_owned()) };
        let Ok(_) = cache.get_or_set("row", Policy::new(), || brings(whole.clone())).await;
        until("the part is copied", async || {
            cache.lookup::<Part>("row").await.is_some_and(|read| read.source == Source::Local)
        })
        .await;
        let read = cache.lookup::<Whole>("row").await.expect("it is in Redis");
        assert_eq!((&*read.value, read.source), (&whole, Source::Remote));
    });
}

#[test]
fn batches_and_permits_keep_copies_of_what_they_find() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let (here, other) = (patient_at(&server.url()).await, patient_at(&server.url()).await);
        for id in 1..=3 {
            let Ok(_) = other.get_or_set(DEAL.key(&id), Policy::new(), || brings(id)).await;
        }
        let Ok(found) = here
            .get_or_set_many(
                &[1, 2],
                |id| DEAL.key(id),
                Policy::new(),
                |_| async { Ok::<_, std::convert::Infallible>([(1, 0)]) },
            )
            .await;
        assert_eq!(found, [Some(Arc::new(1)), Some(Arc::new(2))]);
        let Lookup::Hit(_) = here.get_or_permit(DEAL.key(&3), Policy::new()).await else {
            panic!("it is there")
        };
        for id in 1..=3 {
            assert_eq!(here.lookup(DEAL.key(&id)).await.map(|read| read.source), Some(Source::Local));
        }
        let counts = here.stats().total;
        assert_eq!((counts.hits, counts.local_hits, counts.loads), (6, 3, 0), "each tier is counted");
    });
}

#[test]
fn what_a_reader_is_told_of_its_tags_is_copied_too() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let (here, other) = (patient_at(&server.url()).await, patient_at(&server.url()).await);
        let tagged = || Policy::new().tag(Tag::named("t"));
        let Ok(_) = other.get_or_set("tagged", tagged(), || brings(7)).await;
        // It declares none, and is told by the entry.
        for source in [Source::Remote, Source::Local] {
            assert_eq!(here.lookup::<u32>("tagged").await.map(|read| read.source), Some(source));
        }
        assert!(other.invalidate_tag(Tag::named("t")).await.is_applied());
        here.sync().await.expect("Redis is there");
        assert_eq!(here.get::<u32>("tagged").await, None);
    });
}

/// A way in which a server does not tell of changes.
#[derive(Clone, Copy, Debug)]
enum Silence {
    /// Its user may not be told.
    Forbidden,
    /// It speaks no RESP3, as many proxies do.
    Resp2,
}

#[test]
fn where_nobody_tells_of_changes_a_copy_is_kept_for_a_second() {
    testkit::run(async {
        for silence in [Silence::Forbidden, Silence::Resp2] {
            let builder = RedisServer::builder();
            let server = match silence {
                Silence::Forbidden => builder.start().await,
                Silence::Resp2 => builder.set("rename-command", "HELLO \"\"").start().await,
            };
            let words = ["ACL", "SETUSER", "guest", "on", ">pass", "~*", "+@all", "-client|tracking"];
            assert!(server.command(&words).await.is_ok());
            let url = match silence {
                Silence::Forbidden => server.url().replace("redis://", "redis://guest:pass@"),
                Silence::Resp2 => server.url(),
            };
            let (here, other) = (cache_at(&url).await, cache_at(&server.url()).await);
            assert_eq!(here.health().await.status, Status::Degraded, "{silence:?}");
            copied(&here, "k", Policy::new().tag(tag()), 1).await;
            assert!(other.invalidate_tag(tag()).await.is_applied());
            let since = Instant::now();
            until("the copy is not served", async || {
                let asked = since.elapsed();
                let is_served = here.get::<u32>("k").await.is_some();
                assert!(!is_served || asked < Duration::from_millis(1_100), "{silence:?}");
                !is_served
            })
            .await;
            // Whoever wants to know does not wait for it.
            copied(&here, "k", Policy::new().tag(tag()), 2).await;
            assert!(other.delete("k").await.is_applied());
            here.sync().await.expect("Redis is there");
            assert_eq!(here.get::<u32>("k").await, None, "{silence:?}");
            // What this process changes it knows.
            copied(&here, "k", Policy::new().tag(tag()), 3).await;
            assert!(here.delete("k").await.is_applied());
            assert_eq!(here.get::<u32>("k").await, None, "{silence:?}");
        }
    });
}

static NEEDED: Space<u32, u32> = Space::new("needed:{id}", "A test.")
    .ttl(Ttl::DAY)
    .degraded_ttl(Duration::from_secs(3_600))
    .cache_is_source();
static BRIEFLY: Space<u32, u32> =
    Space::new("briefly:{id}", "A test.").ttl(Ttl::DAY).degraded_ttl(Duration::from_millis(800));

/// Copies of the first in spaces that go on being served, in a cache whose Redis is killed then.
async fn left_alone() -> (CacheService, RedisServer) {
    let server = RedisServer::start().await;
    let cache = cache_of(CacheService::builder().space(&NEEDED).space(&BRIEFLY), &server.url()).await;
    copied_by_key(&cache, NEEDED.key(&1), Policy::new().tag(tag())).await;
    copied_by_key(&cache, BRIEFLY.key(&1), Policy::new()).await;
    copied(&cache, "deal:1", Policy::new(), 1).await;
    server.kill().await;
    until("it is gone", async || cache.health().await.status == Status::Disconnected).await;
    (cache, server)
}

/// Reads until the value is copied.
async fn copied_by_key(cache: &CacheService, key: Key<'_, u32>, policy: Policy) {
    until("it is copied", async || {
        let Ok(read) = cache.read_through(&key, policy.clone(), || brings(1)).await;
        read.source == Source::Local && read.freshness == Freshness::Fresh
    })
    .await;
}

#[test]
fn a_space_that_says_so_goes_on_being_served_while_redis_is_away_and_says_that_it_is_stale() {
    testkit::run(async {
        let (cache, server) = left_alone().await;
        cache.sweep().await; // leaves it
        let is_stale = |read: Option<Read<u32>>| {
            read.is_some_and(|read| {
                assert_eq!((*read.value, read.source), (1, Source::Local));
                matches!(read.freshness, Freshness::Stale { .. })
            })
        };
        assert!(is_stale(cache.lookup(NEEDED.key(&1)).await));
        let Ok(read) = cache.read_through(NEEDED.key(&1), Policy::new(), || brings(9)).await;
        assert!(is_stale(Some(read)));
        // Not where it would have to depend on more, and not of another space.
        let more = Policy::new().tag(Tag::named("more"));
        let Ok(read) = cache.read_through(NEEDED.key(&1), more, || brings(9)).await;
        assert_eq!((*read.value, read.freshness), (9, Freshness::Fresh));
        let Ok(read) = cache.read_through("deal:1", Policy::new(), || brings(9)).await;
        assert_eq!((*read.value, read.freshness), (9, Freshness::Fresh));
        // Not for longer than it says.
        until("it is over", async || cache.get(BRIEFLY.key(&1)).await.is_none()).await;
        assert!(is_stale(cache.lookup(NEEDED.key(&1)).await));

        server.restart_empty().await;
        cache.ready().await;
        assert_eq!(cache.get(NEEDED.key(&1)).await, None, "it is asked for again");
    });
}

#[test]
fn what_a_process_changes_while_redis_is_away_it_does_not_go_on_serving() {
    testkit::run(async {
        for change in ["key", "tag", "pattern", "everything", "set"] {
            let (cache, _server) = left_alone().await;
            assert!(cache.get(NEEDED.key(&1)).await.is_some());
            let acknowledged = match change {
                "key" => cache.delete(NEEDED.key(&1)).await.is_applied(),
                "tag" => cache.invalidate_tag(tag()).await.is_applied(),
                "pattern" => cache.delete_pattern("need*").await.is_applied(),
                "everything" => cache.clear().await.is_applied(),
                _ => cache.set(NEEDED.key(&1), 2, Policy::new()).await.is_stored(),
            };
            assert!(!acknowledged, "{change}");
            assert_eq!(cache.get(NEEDED.key(&1)).await, None, "{change}");
        }
    });
}

#[test]
fn a_copy_lives_no_longer_than_what_it_was_made_of() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let cache = cache_at(&server.url()).await;
        let since = Instant::now();
        copied(&cache, "brief", Policy::ttl(Ttl::secs(1)), 1).await;
        let copied_at = Instant::now();
        until("its time is over", async || {
            let asked = copied_at.elapsed();
            let is_there = cache.get::<u32>("brief").await.is_some();
            // Redis counts the life from when the value came there, before it was copied.
            assert!(!is_there || asked < Duration::from_millis(1_100), "it lives too long");
            !is_there
        })
        .await;
        assert!(since.elapsed() >= Duration::from_millis(900), "and it lives as long, to some milliseconds");
    });
}

#[test]
fn the_names_that_are_read_most_are_known() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let cache = cache_at(&server.url()).await;
        copied(&cache, "deal:1", Policy::new(), 1).await;
        for _ in 0..10_000 {
            cache.get(DEAL.key(&1)).await;
        }
        let hottest = cache.hottest_keys(1);
        assert_eq!(hottest[0].name, "deal:1");
        assert!((5_000..20_000).contains(&hottest[0].reads), "{hottest:?}");
    });
}

/// A way in which another process, or another program, ends what lies in Redis.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Removal,
    Pattern,
    Tag,
    Everything,
    Set,
    Del,
    FlushAll,
    Expiry,
}

fn tag() -> Tag {
    Tag::named("deals")
}

impl End {
    const ALL: [End; 8] = [
        End::Removal,
        End::Pattern,
        End::Tag,
        End::Everything,
        End::Set,
        End::Del,
        End::FlushAll,
        End::Expiry,
    ];

    async fn comes(self, other: &CacheService, server: &RedisServer) {
        let acknowledged = match self {
            End::Removal => other.delete("k").await.is_applied(),
            End::Pattern => other.delete_pattern("k*").await.is_applied(),
            End::Tag => other.invalidate_tag(tag()).await.is_applied(),
            End::Everything => other.clear().await.is_applied(),
            End::Set => other.set("k", 0, Policy::new().tag(tag())).await.is_stored(),
            End::Del => server.cli(&["DEL", "k"]).await.trim() == "1",
            End::FlushAll => server.cli(&["FLUSHALL"]).await.trim() == "OK",
            End::Expiry => server.command(&["PEXPIRE", "k", "0"]).await.int() == 1,
        };
        assert!(acknowledged, "{self:?}");
    }
}

#[test]
fn whatever_ends_a_value_in_redis_ends_its_copies() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let (here, other) = (cache_at(&server.url()).await, cache_at(&server.url()).await);
        for (n, end) in (1_u32..).zip(End::ALL) {
            copied(&here, "k", Policy::new().tag(tag()), n).await;
            end.comes(&other, &server).await;
            // After a flush the root is gone, so that the connection is made anew.
            if here.sync().await.is_err() {
                assert_eq!(end, End::FlushAll);
            }
            let read = here.get::<u32>("k").await;
            assert_ne!(read.as_deref(), Some(&n), "{end:?} ends the copy");
            here.ready().await;
            other.ready().await;
            assert!(here.delete("k").await.is_applied());
        }
    });
}
