//! Tags over Redis: what losing their tokens does, and what invalidating costs.

use std::time::Duration;

use larder::{CacheService, Policy, Tag, Ttl};
use testkit::redis::RedisServer;

use crate::loader::brings;

use super::copies::cache_at;
use super::worker::{Change, Row, Worker, cache_over, policy, scoped};

/// How the token of a tag is lost.
#[derive(Clone, Copy, Debug)]
enum Loss {
    /// It was evicted, or somebody removed it.
    Evicted,
    FlushAll,
}

#[test]
fn a_load_is_not_served_whose_tag_was_invalidated_after_its_token_was_lost() {
    testkit::run(async {
        for loss in [Loss::Evicted, Loss::FlushAll] {
            let server = RedisServer::start().await;
            let (loads, here) = (Worker::with_copies(&server, true).await, cache_at(&server.url()).await);
            loads.hold("row", 1).await;
            match loss {
                Loss::Evicted => {
                    let tokens = server.cli(&["--raw", "KEYS", "!t:*"]).await;
                    for token in tokens.lines() {
                        assert_eq!(server.command(&["DEL", token]).await.int(), 1);
                    }
                    assert!(!tokens.is_empty(), "the load has captured one");
                }
                Loss::FlushAll => assert!(server.command(&["FLUSHALL"]).await.is_ok()),
            }
            here.sync().await.ok(); // after a flush its connection is made anew
            here.ready().await;
            Change::Tag.announce(&here, "row", 2).await;
            // Somebody who reads puts another token.
            let Ok(_) = here.get_or_set("other", policy("row"), || brings(Row { version: 0 })).await;
            assert_eq!(loads.open("row").await, (1, false), "{loss:?}: it is not stored for others");
            for process in 0..2 {
                let (_, versions) = loads.load("row", 2, 1, Duration::ZERO).await;
                assert_eq!(versions.into_iter().collect::<Vec<_>>(), [2], "{loss:?}, read {process}");
            }
            let there = here.get::<Row>("row").await.map(|row| row.version);
            assert_ne!(there, Some(1), "{loss:?}"); // after a flush who loaded may not have been connected
        }
    });
}

#[test]
fn a_set_is_found_where_another_process_has_changed_what_was_in_force() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let sets = cache_over(&server, CacheService::builder()).await;
        let other = cache_over(&server, CacheService::builder()).await;
        let tag = Tag::new("of", 1);
        for (change, policy) in [
            ("another era", Policy::new()),
            ("another era, with a tag", Policy::new().tag(tag)),
            ("a tag", Policy::new().tag(tag)),
        ] {
            for value in 0..3_u32 {
                // What is in force now is what the next set takes to be so.
                assert!(sets.set("before", 0, policy.clone()).await.is_stored());
                let removed =
                    if change == "a tag" { other.invalidate_tag(tag).await } else { other.clear().await };
                assert!(removed.is_applied());
                assert!(sets.set("row", value, policy.clone()).await.is_stored());
                for cache in [&sets, &other] {
                    assert_eq!(cache.get::<u32>("row").await.as_deref(), Some(&value), "{change}");
                }
            }
        }
    });
}

/// How often a load is raced.
const ROUNDS: u64 = 50;

#[test]
fn a_load_is_not_served_after_its_scope_was_removed_or_all_was_cleared() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let loads = Worker::with_copies(&server, true).await;
        let other = cache_over(&server, CacheService::builder()).await;
        for change in [Change::Scope, Change::Clear] {
            for (who, round) in [("the same process", 0), ("another", ROUNDS)] {
                for id in round..round + ROUNDS {
                    let name = scoped(u64::from(change == Change::Scope), id);
                    loads.hold(&name, 1).await;
                    match who {
                        "another" => change.announce(&other, &name, 2).await,
                        _ => loads.announce(change, &name, 2).await,
                    }
                    assert_eq!(loads.open(&name).await, (1, false), "{change:?} by {who}");
                    let (_, versions) = loads.load(&name, 2, 1, Duration::ZERO).await;
                    assert_eq!(Vec::from_iter(versions), [2], "{change:?} by {who}");
                    assert_eq!(other.get::<Row>(&name).await.map(|row| row.version), Some(2));
                }
            }
        }
    });
}

/// Stores so many members of a tag, and answers the commands that invalidating it takes.
async fn commands_of_invalidating(cache: &CacheService, server: &RedisServer, members: u32) -> u64 {
    let tag = Tag::new("of", members);
    let policy = Policy::ttl(Ttl::DAY).tag(tag);
    for chunk in (0..members).collect::<Vec<_>>().chunks(1_000) {
        let entries = chunk.iter().map(|n| (format!("member:{members}:{n}"), *n));
        cache.set_many(entries, policy.clone()).await;
    }
    let last = format!("member:{members}:{}", members - 1);
    assert_eq!(cache.get::<u32>(&last).await.as_deref(), Some(&(members - 1)));
    server.reset_stats().await;
    assert!(cache.invalidate_tag(tag).await.is_applied());
    let calls = server.calls().await;
    assert_eq!(cache.get::<u32>(&last).await, None);
    let not_its_own = ["config|resetstat", "info", "getex", "ping"]; // the testkit's, and the heartbeat's
    calls.iter().filter(|(name, _)| !not_its_own.contains(&&***name)).map(|(_, calls)| calls.count).sum()
}

#[test]
fn a_tag_of_a_hundred_thousand_members_is_invalidated_by_the_one_command_that_ten_take() {
    testkit::run(async {
        let server = RedisServer::builder().set("maxmemory", "0").start().await;
        let cache = cache_over(&server, CacheService::builder()).await;
        for members in [10, 100_000] {
            assert_eq!(commands_of_invalidating(&cache, &server, members).await, 1, "{members} members");
        }
    });
}
