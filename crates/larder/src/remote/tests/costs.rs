//! What each operation costs, counted at the server: its commands, and those of its scripts.
//!
//! `GETEX` is not compared: a connection that is kept asks for the root three times a second.

use std::collections::BTreeMap;

use testkit::redis::RedisServer;

use super::super::Remote;
use super::super::read::{Ask, Found, Intent};
use super::super::settings::Redis;
use super::{ask, connected, fill_in, fresh, granted, look, store};
use crate::key::Tag;

/// Counts what an operation makes the server do.
async fn cost_of(server: &RedisServer, operation: impl AsyncFnOnce()) -> BTreeMap<String, u64> {
    server.reset_stats().await;
    operation().await;
    let calls = server.calls().await.into_iter().map(|(command, calls)| (command, calls.count));
    // The testkit's own commands, and the heartbeat's.
    let not_ours = ["config|resetstat", "info", "getex", "ping"];
    calls.filter(|(command, _)| !not_ours.contains(&command.as_str())).collect()
}

fn costs(of: &[(&str, u64)]) -> BTreeMap<String, u64> {
    of.iter().map(|(command, count)| ((*command).to_owned(), *count)).collect()
}

#[test]
fn each_operation_costs_the_commands_that_it_is_said_to() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let kept = connected(&Redis::at(server.url())).await;
        let remote: &Remote = &kept;
        let tags = [Tag::named("a"), Tag::named("b")];
        let reads = Ask { needs: &tags, ..ask("k", Intent::Load) };
        let hit = async || {
            let seen = remote.read(reads).await.expect("Redis is there");
            assert!(matches!(seen.found, Found::Hit { .. }));
        };

        let (word, capture) = granted(remote, reads).await;
        let filled = cost_of(&server, async || {
            assert_eq!(fill_in(remote, "k", (word, &capture), &tags, fresh(b"1")).await, Ok(true));
        });
        assert_eq!(filled.await, costs(&[("eval", 1), ("getrange", 1), ("mget", 1), ("set", 1)]), "a fill");
        assert_eq!(
            cost_of(&server, hit).await,
            costs(&[("mget", 1), ("set", 1)]),
            "a hit: the entry, and all tokens"
        );
        let copied = cost_of(&server, async || {
            let seen = remote.read(Ask { copies: true, ..reads }).await.expect("Redis is there");
            assert!(seen.copying.is_some());
        });
        assert_eq!(
            copied.await,
            costs(&[("mget", 1), ("pttl", 2), ("set", 1)]),
            "a hit that is copied: the key and the root are registered besides"
        );
        let looked = cost_of(&server, async || assert!(look(remote, "none").await.is_none()));
        assert_eq!(looked.await, costs(&[]), "a look asks without a trace");

        let (word, capture) = granted(remote, ask("large", Intent::Load)).await;
        let staged = cost_of(&server, async || {
            assert_eq!(
                fill_in(remote, "large", (word, &capture), &[], fresh(&[b'x'; 4_096])).await,
                Ok(true)
            );
        });
        let aside = [("eval", 1), ("exists", 1), ("getrange", 1), ("pexpire", 1), ("rename", 1), ("set", 1)];
        assert_eq!(staged.await, costs(&aside), "a fill that is put aside");

        let removed = cost_of(&server, async || drop(remote.remove(&["k", "large"], &tags).await));
        assert_eq!(removed.await, costs(&[("unlink", 4)]), "a removal of two names and two tags");
        let cleared = cost_of(&server, async || remote.clear().await.expect("Redis is there"));
        assert_eq!(cleared.await, costs(&[("eval", 1), ("getrange", 1), ("set", 1)]), "everything");
        store(remote, "k", b"1").await;
        let set = cost_of(&server, async || remote.put("k", &[], fresh(b"2")).await.expect("Redis is there"));
        assert_eq!(set.await, costs(&[("set", 1)]), "a bare set");
    });
}
