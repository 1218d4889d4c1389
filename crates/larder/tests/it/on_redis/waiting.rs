//! One caller of a process waits for the load of another process: what it may hand to those who follow it, and that nobody waits
//! for more than has to be.

use std::convert::Infallible;
use std::time::Duration;

use larder::{CacheService, Lookup, Policy, Redis, Tag};
use testkit::gate::Gate;
use testkit::proxy::FaultProxy;
use testkit::redis::{RedisServer, Reply};
use testkit::until;
use tokio::task::JoinSet;

use super::worker::cache_over;
use crate::loader::brings;

#[test]
fn who_declares_more_takes_nothing_that_does_not_depend_on_it() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let builder = CacheService::builder;
        let (here, other) = (cache_over(&server, builder()).await, cache_over(&server, builder()).await);
        let (one, two) = (Tag::named("one"), Tag::named("two"));
        let only_one = Policy::new().tag(one);
        let Lookup::Permit(permit) = other.get_or_permit::<u32>("k", only_one.clone()).await else {
            panic!("a hit")
        };
        let read = |policy: Policy| {
            let cache = here.clone();
            async move { cache.get_or_set("k", policy, || brings(2)).await.map(|value| *value) }
        };
        let mut waits = JoinSet::new();
        waits.spawn(read(only_one));
        until("one waits", async || here.stats().local.loading == 1).await;
        assert!(
            other.invalidate_tag(two).await.is_applied(),
            "of which the load of the other process knows nothing"
        );
        let mut follows = JoinSet::new();
        follows.spawn(read(Policy::new().tag(one).tag(two)));
        until("one follows", async || here.stats().local.following == 1).await;
        permit.fill(1).await;
        assert_eq!(waits.join_all().await, [Ok(1)]);
        assert_eq!(follows.join_all().await, [Ok(2)], "it came after the second tag was invalidated");
    });
}

#[test]
fn a_batch_that_loads_its_own_keeps_nobody_from_what_others_have_loaded() {
    testkit::run(async {
        let server = RedisServer::start().await;
        // Nobody gives a flight up: they are told, or they wait until the test's limit.
        let builder = CacheService::builder().follow_limit(Duration::from_secs(600));
        let here = cache_over(&server, builder).await;
        let other = cache_over(&server, CacheService::builder()).await;
        let Lookup::Permit(permit) = other.get_or_permit::<u32>("theirs", Policy::new()).await else {
            panic!("a hit")
        };
        let gate = Gate::new("the batch loads its own");
        let (cache, held) = (here.clone(), gate.clone());
        let mut batch = JoinSet::new();
        batch.spawn(async move {
            let load = |missing: Vec<&'static str>| {
                let held = held.clone();
                async move {
                    held.pass().await;
                    Ok::<_, Infallible>(missing.into_iter().map(|name| (name, 1)))
                }
            };
            cache.get_or_set_many(&["own", "theirs"], |name| *name, Policy::new(), load).await
        });
        gate.reached().await;
        permit.fill(2).await;
        assert_eq!(here.get_or_set("theirs", Policy::new(), || brings(3)).await.as_deref(), Ok(&2));
        gate.open();
        let Ok(values) = batch.join_next().await.expect("it was spawned").expect("it ends");
        let values: Vec<Option<u32>> = values.iter().map(|value| value.as_deref().copied()).collect();
        assert_eq!(values, [Some(1), Some(2)]);
    });
}

#[test]
fn claims_that_are_refused_again_and_again_are_waited_for_a_bounded_time() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let builder = CacheService::builder().follow_limit(Duration::from_millis(100));
        let here = cache_over(&server, builder).await;
        let gone = cache_over(&server, CacheService::builder()).await;
        let Lookup::Permit(_never_filled) = gone.get_or_permit::<u32>("k", Policy::new()).await else {
            panic!("a hit")
        };
        let generation = server.command(&["GETRANGE", "k", "2", "9"]).await;
        let Reply::Bulk(generation) = generation else { panic!("{generation:?}") };
        assert!(server.command(&[b"SET", &b"!c:k"[..], &generation]).await.is_ok(), "a claim without an end");
        let read = here.read_through("k", Policy::new(), || brings(1)).await;
        assert_eq!(read.map(|read| (*read.value, read.stored)), Ok((1, true)));
    });
}

#[test]
fn a_batch_of_many_keys_takes_many_round_trips_and_each_has_its_time() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let proxy = FaultProxy::to(server.address()).await;
        let url = server.url_at(proxy.address());
        let redis = Redis::at(url).local_tier(false).operation_limit(Duration::from_millis(650));
        let here = CacheService::builder().redis(redis).build().unwrap();
        here.ready().await;
        proxy.delay(Duration::from_millis(150)); // five of them are more than one call may take, and more are needed
        let ids: Vec<u32> = (0..24_000).collect();
        let load = |missing: Vec<u32>| async { Ok::<_, Infallible>(missing.into_iter().map(|id| (id, id))) };
        let Ok(values) = here.get_or_set_many(&ids, |id| format!("k{id}"), Policy::new(), load).await;
        assert!(values.iter().zip(&ids).all(|(value, id)| value.as_deref() == Some(id)));
        let total = here.stats().total;
        assert_eq!((total.errors, total.sets), (0, 24_000));
    });
}
