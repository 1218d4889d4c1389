//! Servers that forbid something, are full, or hold other things than we left there.

use std::time::Duration;

use testkit::proxy::FaultProxy;
use testkit::redis::RedisServer;
use tokio::task::JoinSet;

use super::super::read::{Ask, Found, Intent, Seen};
use super::super::removal::Debt;
use super::super::settings::Redis;
use super::super::trouble::Trouble;
use super::super::{Fresh, Remote};
use super::{ask, connected, errands, fill_in, fresh, granted, is_up_again, local, look, store};
use crate::ablation::Ablations;
use crate::clock::Clock;
use crate::key::Tag;
use crate::policy::Ttl;

/// A user who may do everything but this.
async fn user(server: &RedisServer, rules: &[&str]) -> Redis {
    let words = [&["ACL", "SETUSER", "guest", "on", ">pass", "~*", "+@all"], rules].concat();
    assert!(server.command(&words).await.is_ok());
    Redis::at(server.url().replace("redis://", "redis://guest:pass@"))
}

#[test]
fn where_connections_may_not_be_ended_a_new_era_begins_instead() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let remote = connected(&user(&server, &["-client|kill"]).await).await;
        store(&remote, "k", b"1").await;
        let first = remote.ready().await;
        first.give_up(Trouble::TimedOut);
        is_up_again(&remote).await;
        assert_ne!(remote.ready().await.identity.client_id, first.identity.client_id);
        assert_eq!(look(&remote, "k").await, None);
        store(&remote, "another", b"1").await;
    });
}

#[test]
fn what_is_forbidden_for_one_key_is_told_to_its_caller_alone() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let remote = connected(&user(&server, &["resetkeys", "~deals:*", "~!*"]).await).await;
        let link = remote.ready().await;
        assert!(matches!(remote.read(ask("users:1", Intent::Load)).await, Err(Trouble::Forbidden(_))));
        store(&remote, "deals:1", b"1").await;
        link.check().expect("the connection is as good as before");
    });
}

/// A full server refuses a `SET` even where what it would put is there.
#[test]
fn a_full_server_serves_what_depends_on_a_tag_beside_callers_who_load() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let tags = [Tag::named("t")];
        let reads = |name, intent| Ask { needs: &tags, ..ask(name, intent) };
        let here = connected(&Redis::at(server.url())).await;
        let (word, capture) = granted(&here, reads("k", Intent::Load)).await;
        assert_eq!(fill_in(&here, "k", (word, &capture), &tags, fresh(b"1")).await, Ok(true));
        server.fill_memory().await;
        let other = connected(&Redis::at(server.url())).await; // it has never seen that the tag has a token
        let mut loaders = JoinSet::new();
        for n in 0..32 {
            let remote = other.remote.clone();
            loaders.spawn(async move {
                let name = format!("cold{n}");
                let ask = Ask { needs: &tags, ..ask(&name, Intent::Load) };
                loop {
                    assert!(matches!(remote.read(ask).await, Err(Trouble::Full)));
                }
            });
        }
        for intent in [Intent::Look, Intent::Load].into_iter().cycle().take(600) {
            let seen = other.read(reads("k", intent)).await;
            assert!(matches!(seen, Ok(Seen { found: Found::Hit { .. }, .. })), "{intent:?} {seen:?}");
        }
        loaders.shutdown().await;
    });
}

#[test]
fn an_incarnation_that_is_not_told_begins_a_new_era_with_each_connection() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let remote = connected(&user(&server, &["-info"]).await).await;
        store(&remote, "k", b"1").await;
        assert_eq!(look(&remote, "k").await.as_deref(), Some(&b"1"[..]));
        remote.ready().await.give_up(Trouble::TimedOut);
        is_up_again(&remote).await;
        assert_eq!(look(&remote, "k").await, None);
    });
}

#[test]
fn a_full_server_begins_a_new_era_and_says_that_it_is_full() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let remote = connected(&Redis::at(server.url())).await;
        store(&remote, "k", b"1").await;
        let (word, capture) = granted(&remote, ask("large", Intent::Load)).await;
        server.fill_memory().await;
        let large = [b'x'; 5_000];
        assert_eq!(fill_in(&remote, "large", (word, &capture), &[], fresh(&large)).await, Err(Trouble::Full));
        assert!(remote.release("large", (word, &capture), &[]).await.expect("Redis is there").done);
        remote.clear().await.expect("48 bytes in place of 48");
        assert_eq!(look(&remote, "k").await, None);
        remote.supervisor.owe(Debt::Era);
        is_up_again(&remote).await;
    });
}

#[test]
fn removals_that_go_on_do_not_keep_a_slow_server_away() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let proxy = FaultProxy::to(server.address()).await;
        let redis = Redis::at(server.url_at(proxy.address())).operation_limit(Duration::from_millis(600));
        let remote = connected(&redis).await;
        store(&remote, "k", b"1").await;
        proxy.delay(Duration::from_millis(100));
        proxy.cut().await;
        assert!(remote.remove(&["k"], &[]).await.is_err());
        // Somebody removes all the time; what it cannot send is owed.
        let removals = async {
            loop {
                remote.remove(&["k"], &[]).await.ok();
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = is_up_again(&remote) => {}
            () = removals => unreachable!("they go on"),
        }
    });
}

#[test]
fn keys_of_the_library_that_somebody_overwrote_are_healed() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let remote = connected(&Redis::at(server.url())).await;
        let tag = [Tag::named("t")];
        let reads = Ask { needs: &tag, ..ask("k", Intent::Load) };
        for wrong in [&["SET", "", "short"][..], &["RPUSH", "", "1"]] {
            let key = remote.supervisor.names().tag(tag[0]);
            server.command(&["UNLINK", &key]).await;
            let words: Vec<&str> =
                wrong.iter().map(|word| if word.is_empty() { key.as_str() } else { *word }).collect();
            server.command(&words).await;
            let (word, capture) = granted(&remote, reads).await;
            let capture = remote.capture_again(&capture, &tag).await.expect("it is healed before a load");
            assert_eq!(fill_in(&remote, "k", (word, &capture), &tag, fresh(b"1")).await, Ok(true));
            assert!(matches!(remote.read(reads).await.expect("Redis is there").found, Found::Hit { .. }));
            remote.remove(&["k"], &[]).await.expect("Redis is there");
        }
        server.command(&["UNLINK", "!root"]).await;
        server.command(&["HSET", "!root", "a", "b"]).await;
        testkit::until("a root of another type is replaced", async || {
            remote.read(ask("x", Intent::Look)).await.is_ok()
        })
        .await;
    });
}

#[test]
fn a_life_beyond_the_clocks_of_redis_is_for_ever() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let remote = connected(&Redis::at(server.url())).await;
        let long = Fresh { ttl: Ttl::millis(u64::MAX - 1), ..fresh(b"1") };
        remote.put("put", &[], long).await.expect("Redis is there");
        let (word, capture) = granted(&remote, ask("filled", Intent::Load)).await;
        assert_eq!(fill_in(&remote, "filled", (word, &capture), &[], long).await, Ok(true));
        for name in ["put", "filled"] {
            assert_eq!(server.command(&["PTTL", name]).await.int(), -1);
            assert!(look(&remote, name).await.is_some());
        }
    });
}

#[test]
fn a_tier_that_is_not_kept_any_more_is_away() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let kept = connected(&Redis::at(server.url())).await;
        let remote: Remote = kept.remote.clone();
        drop(kept);
        testkit::until("its connection is given up", async || {
            matches!(remote.read(ask("k", Intent::Look)).await, Err(Trouble::Away(_)))
        })
        .await;
        for limit in [Duration::from_secs(1), Duration::ZERO] {
            let redis = Redis::at(server.url()).operation_limit(limit);
            assert!(
                Remote::new(&redis, local(), Clock::system(), errands(), None, Ablations::default()).is_err(),
                "longer than a connection may be silent, or no time at all: {limit:?}"
            );
        }
    });
}
