//! One caller of a process waits for the load of another process: what it may hand to those who follow it.

use larder::{Lookup, Policy, Tag};
use testkit::redis::RedisServer;
use testkit::until;
use tokio::task::JoinSet;

use super::worker::cache_over;
use crate::loader::brings;

#[test]
fn who_declares_more_takes_nothing_that_does_not_depend_on_it() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let builder = larder::CacheService::builder;
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
            other.invalidate_tag(two).await.acknowledged,
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
