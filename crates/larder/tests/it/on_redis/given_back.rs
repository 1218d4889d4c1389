//! Callers that go away: nobody waits for a load that never comes.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use futures_util::poll;
use larder::{CacheService, Lookup, Policy, Redis, Space, Status, Tag, Ttl};
use testkit::gate::Gate;
use testkit::proxy::{Direction, FaultProxy};
use testkit::redis::{RedisServer, Reply};
use testkit::until;
use tokio::task::JoinSet;

use super::worker::{Row, Worker, cache_at, cache_over, cache_with_deadlines, policy};
use crate::loader::brings;

/// So many callers begin to read at once, and go away at once, so often.
const CALLERS: usize = 100;
const WAVES: usize = 200;

/// Whether a lease lies under this key.
async fn is_leased(server: &RedisServer, key: &str) -> bool {
    server.command(&["GETRANGE", key, "0", "1"]).await == Reply::Bulk(b"\xFEL".to_vec())
}

/// Waits until no key of this server is a lease.
async fn no_lease_is_left(server: &RedisServer) {
    until("the end of all leases", async || {
        let keys = server.command(&["KEYS", "*"]).await;
        for key in keys.array() {
            if is_leased(server, &key.text()).await {
                return false;
            }
        }
        true
    })
    .await;
}

#[test]
fn who_is_dropped_in_mid_load_gives_the_load_to_another_process() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let here = cache_over(&server, CacheService::builder()).await;
        let other = Worker::start(&server).await;
        let gate = Gate::new("the load is under way");
        let mut load = JoinSet::new();
        let (cache, held) = (here.clone(), gate.clone());
        load.spawn(async move {
            let load = || async {
                held.pass().await;
                Ok::<_, Infallible>(Row { version: 1 })
            };
            drop(cache.get_or_set("row:1", policy("row:1"), load).await);
        });
        gate.reached().await;
        let drops = async {
            other.followed_by(9).await;
            load.abort_all();
        };
        let (loaded, ()) = tokio::join!(other.load("row:1", 2, 10, Duration::ZERO), drops);
        assert_eq!(loaded, (1, BTreeSet::from([2])));
        // Whoever loses patience claims the load first, and the claim would stand for as long again.
        assert_eq!(
            server.command(&["EXISTS", "!c:row:1"]).await.int(),
            0,
            "the load was given back, not claimed"
        );
        no_lease_is_left(&server).await;
    });
}

#[test]
fn what_a_batch_leaves_out_is_free_when_its_call_ends() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let proxy = FaultProxy::to(server.address()).await;
        let cache = cache_at(&server.url_at(proxy.address()), CacheService::builder());
        cache.ready().await;
        let load = |_missing| async {
            assert!(is_leased(&server, "row:1").await && is_leased(&server, "row:2").await);
            proxy.crumble(20, Duration::from_millis(1)); // what gives them back takes a while to arrive
            brings([(1, Row { version: 1 })]).await
        };
        let rows =
            cache.get_or_set_many(&[1, 2], |id| format!("row:{id}"), Policy::new(), load).await.unwrap();
        assert!(rows[0].is_some() && rows[1].is_none());
        assert!(!is_leased(&server, "row:2").await, "nobody loads it any more");
    });
}

/// Lets callers go away at every moment of their reads, and waits for the end of their leases.
async fn drops_callers<F>(call: impl Fn(CacheService, usize) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let server = RedisServer::start().await;
    let cache = cache_over(&server, CacheService::builder()).await;
    for wave in 0..WAVES {
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            callers.spawn(call(cache.clone(), wave * CALLERS + caller));
        }
        // Some before they are polled, some before they are answered, some before they have seen their answer.
        for _ in 0..wave % 20 {
            tokio::task::yield_now().await;
        }
        callers.shutdown().await;
    }
    no_lease_is_left(&server).await;
}

#[test]
fn who_is_dropped_while_it_reads_leaves_no_lease() {
    testkit::run(drops_callers(|cache, caller| async move {
        let load = std::future::pending::<Result<u64, Infallible>>;
        drop(cache.get_or_set(format!("row:{caller}"), Policy::new(), load).await);
    }));
}

#[test]
fn who_is_dropped_while_it_reads_many_leaves_no_lease() {
    testkit::run(drops_callers(|cache, caller| async move {
        let load = |_missing| std::future::pending::<Result<Vec<(usize, u64)>, Infallible>>();
        let name = |at: &usize| format!("row:{caller}:{at}");
        drop(cache.get_or_set_many(&[1, 2, 3], name, Policy::new(), load).await);
    }));
}

#[test]
fn who_is_dropped_while_it_waits_leaves_the_waiting_to_others() {
    testkit::run(async {
        let server = RedisServer::start().await;
        // Nobody gives a flight up that nobody leads: they are told.
        let builder = CacheService::builder().follow_limit(Duration::from_secs(600));
        let here = cache_over(&server, builder).await;
        let holder = Worker::start(&server).await;
        holder.hold("row:1", 1).await;
        let mut callers = JoinSet::new();
        for _ in 0..20 {
            let cache = here.clone();
            callers.spawn(async move {
                let Ok(row) = cache.get_or_set("row:1", policy("row:1"), || brings(Row { version: 2 })).await;
                row.version
            });
        }
        until("19 callers follow one", async || here.stats().local.following == 19).await;
        // One more, which stays when whoever leads and all others go.
        let mut survivor = JoinSet::new();
        let cache = here.clone();
        survivor.spawn(async move {
            let Ok(row) = cache.get_or_set("row:1", policy("row:1"), || brings(Row { version: 2 })).await;
            row.version
        });
        until("20 callers follow one", async || here.stats().local.following == 20).await;
        callers.shutdown().await;
        until("the last one leads", async || here.stats().local.following == 0).await;
        assert_eq!(holder.open("row:1").await, (1, true));
        assert_eq!(survivor.join_all().await, [1]);
    });
}

#[test]
fn who_is_dropped_while_it_takes_the_place_of_what_it_cannot_use_leaves_no_lease() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let proxy = FaultProxy::to(server.address()).await;
        let here = cache_at(&server.url_at(proxy.address()), CacheService::builder());
        here.ready().await;
        let tagged = || Policy::new().tag(Tag::named("t"));
        here.get_or_set("k", tagged(), || brings(1)).await.expect("it cannot fail");
        assert!(here.invalidate_tag(Tag::named("t")).await.is_applied());
        proxy.delay(Duration::from_millis(200)); // so that the lease lies there before its answer comes
        let mut call = JoinSet::new();
        let cache = here.clone();
        call.spawn(async move {
            cache.get_or_set("k", tagged(), std::future::pending::<Result<i32, Infallible>>).await
        });
        until("its lease lies in the place of the value", async || is_leased(&server, "k").await).await;
        call.shutdown().await;
        no_lease_is_left(&server).await;
    });
}

#[test]
fn who_fails_to_load_in_place_of_another_leaves_no_claim() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let (here, gone) = (
            cache_over(&server, CacheService::builder()).await,
            cache_over(&server, CacheService::builder()).await,
        );
        let Lookup::Permit(_never_filled) = gone.get_or_permit::<i32>("k", Policy::new()).await else {
            panic!("a hit")
        };
        let failed = here.get_or_set("k", Policy::new(), || async { Err::<i32, _>("refused") }).await;
        assert_eq!(failed, Err("refused"), "its patience was over, and it loaded");
        assert_eq!(server.command(&["EXISTS", "!c:k"]).await.int(), 0, "the next one loads at once");
        assert!(is_leased(&server, "k").await, "the lease is another's");
    });
}

#[test]
fn what_was_granted_over_a_connection_that_ended_is_given_back_over_the_next() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let proxy = FaultProxy::to(server.address()).await;
        let here = cache_at(&server.url_at(proxy.address()), CacheService::builder());
        here.ready().await;
        let Lookup::Permit(permit) = here.get_or_permit::<i32>("k", Policy::new()).await else {
            panic!("a hit")
        };
        proxy.cut().await;
        until("another connection", async || here.health().await.status == Status::Connected).await;
        assert!(is_leased(&server, "k").await);
        drop(permit);
        no_lease_is_left(&server).await;
    });
}

#[test]
fn a_lock_of_which_no_answer_says_whether_it_is_held_is_given_back() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let proxy = FaultProxy::to(server.address()).await;
        let cache = cache_with_deadlines(&server.url_at(proxy.address()), CacheService::builder());
        cache.ready().await;
        proxy.one_way(Direction::ToClient);
        assert!(
            cache.lock("report", Ttl::DAY, Duration::ZERO).await.is_none(),
            "nobody can say that it is held"
        );
        let is_taken = async || server.command(&["EXISTS", "!lock:report"]).await.int() == 1;
        assert!(is_taken().await, "and yet it is");
        proxy.heal().await;
        until("it is given back", async || !is_taken().await).await;
    });
}

static WRITTEN: Space<u32, u64> =
    Space::new("written:{id}", "Tests write its rows through.").versioned(|row| *row);
static RAW: Space<u32, u64> = Space::new("raw:{id}", "Tests clear it.").raw();

/// Without copies: what is read lies in Redis.
async fn cache_of_both(server: &RedisServer) -> CacheService {
    let builder = CacheService::builder().space(&WRITTEN).space(&RAW);
    let cache = builder.redis(Redis::at(server.url()).local_tier(false)).build().unwrap();
    cache.ready().await;
    cache
}

#[test]
fn who_is_dropped_while_it_writes_a_row_through_leaves_nothing_older() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let cache = cache_of_both(&server).await;
        cache.get_or_set(WRITTEN.key(&1), Policy::new(), || brings(1)).await.unwrap();
        let mut write = Box::pin(cache.set_versioned(WRITTEN.key(&1), 2));
        assert!(poll!(&mut write).is_pending(), "Redis is asked which version is there");
        drop(write);
        until("what is older is gone", async || cache.get(WRITTEN.key(&1)).await.is_none_or(|row| *row != 1))
            .await;
    });
}

#[test]
fn who_is_dropped_while_it_clears_has_cleared_raw_values_too() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let cache = cache_of_both(&server).await;
        cache.get_or_set(RAW.key(&1), Policy::new(), || brings(1)).await.unwrap();
        assert_eq!(cache.get(RAW.key(&1)).await.as_deref(), Some(&1));
        let mut clear = Box::pin(cache.clear());
        assert!(poll!(&mut clear).is_pending(), "Redis is told to");
        drop(clear);
        let is_gone = async || server.command(&["EXISTS", "raw:1"]).await.int() == 0;
        until("raw values are gone", is_gone).await;
    });
}
