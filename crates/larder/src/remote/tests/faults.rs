//! Servers that die, hang, fill up, forget, or are somebody else.

use std::sync::Arc;
use std::time::Duration;

use testkit::proxy::FaultProxy;
use testkit::redis::RedisServer;

use super::super::read::{Found, Intent};
use super::super::settings::Redis;
use super::super::trouble::Trouble;
use super::super::{Link, Remote};
use super::{ask, connected, connected_with_deadlines, fill, granted, is_up_again, kept, load, look, store};
use crate::clock::Clock;
use crate::key::Tag;

#[test]
fn a_restart_is_another_incarnation_and_its_old_values_are_never_served() {
    testkit::run(async {
        let server = RedisServer::builder().aof().start().await;
        let remote = connected(&Redis::at(server.url())).await;
        store(&remote, "k", b"1").await;
        let old = server.snapshot().await;
        let before = remote.ready().await;
        server.kill().await;
        testkit::until("reads fail at once", async || remote.read(ask("k", Intent::Look)).await.is_err())
            .await;
        server.restart_with_data().await;
        assert_eq!(server.command(&["EXISTS", "k"]).await.int(), 1, "its data came back");
        is_up_again(&remote).await;
        assert_ne!(remote.ready().await.identity.incarnation, before.identity.incarnation);
        assert_eq!(look(&remote, "k").await, None, "and is not believed");

        server.restart_with_snapshot(&old).await;
        testkit::until("it is of no use before", async || !Arc::ptr_eq(&remote.ready().await, &before)).await;
        testkit::until("an old copy is not believed", async || {
            matches!(remote.read(ask("k", Intent::Look)).await.map(|seen| seen.found), Ok(Found::Stale(_)))
        })
        .await;
        server.restart_empty().await;
        testkit::until("an empty one is used", async || {
            matches!(remote.read(ask("k", Intent::Look)).await.map(|seen| seen.found), Ok(Found::Nothing))
        })
        .await;
    });
}

#[test]
fn a_flushed_server_gets_a_new_root_and_is_used_again() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let remote = connected(&Redis::at(server.url())).await;
        let (word, capture) = granted(&remote, ask("k", Intent::Load)).await;
        server.command(&["FLUSHALL"]).await;
        let filled = fill(&remote, "k", word, &capture, b"old").await;
        assert!(matches!(filled, Err(Trouble::Away(_))), "the missing root is noticed at once: {filled:?}");
        testkit::until("a new root is put in", async || {
            matches!(remote.read(ask("k", Intent::Look)).await.map(|seen| seen.found), Ok(Found::Nothing))
        })
        .await;
    });
}

/// A removal that fails while its server is in this trouble: what was there is never served again, though it is there.
async fn removal_that_fails(
    remote: &Remote,
    server: &RedisServer,
    trouble: impl AsyncFnOnce(),
    healing: impl AsyncFnOnce(),
) {
    store(remote, "changed", b"old").await;
    let other = connected(&Redis::at(server.url())).await;
    trouble().await;
    assert!(remote.remove(&["changed"], &[]).await.is_err());
    healing().await;
    is_up_again(remote).await;
    assert_eq!(look(remote, "changed").await, None);
    testkit::until("another process does not serve it either", async || {
        matches!(other.read(ask("changed", Intent::Look)).await, Ok(seen) if !matches!(seen.found, Found::Hit { .. }))
    })
    .await;
    remote.remove(&["changed"], &[]).await.expect("Redis is back");
}

#[test]
fn a_removal_that_failed_begins_a_new_era_before_anything_is_served() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let proxy = FaultProxy::to(server.address()).await;
        let limits = Redis::at(server.url_at(proxy.address())).operation_limit(Duration::from_millis(200));
        let remote = connected_with_deadlines(&limits).await;
        removal_that_fails(&remote, &server, async || server.pause().await, async || server.resume().await)
            .await;
        let refused = async || {
            proxy.refuse().await;
            proxy.cut().await;
        };
        removal_that_fails(&remote, &server, refused, async || proxy.accept().await).await;
        let healed = async || {
            proxy.heal().await;
            proxy.cut().await;
        };
        removal_that_fails(&remote, &server, async || proxy.half_open(), healed).await;
        let healed = async || {
            proxy.heal().await;
            proxy.cut().await;
        };
        removal_that_fails(&remote, &server, async || proxy.garble(), healed).await;
    });
}

#[test]
fn a_removal_that_is_dropped_unfinished_is_owed() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let remote = connected(&Redis::at(server.url())).await;
        store(&remote, "k", b"1").await;
        let link: Arc<Link> = remote.ready().await;
        server.pause().await;
        tokio::select! {
            biased;
            _ = remote.remove(&["k"], &[]) => panic!("nobody answers"),
            () = tokio::task::yield_now() => {}
        }
        assert!(link.check().is_err(), "what it sends may not be believed any more");
        server.resume().await;
        is_up_again(&remote).await;
        assert_eq!(look(&remote, "k").await, None);
    });
}

#[test]
fn a_slow_server_is_used_and_a_silent_one_is_not_waited_for_twice() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let proxy = FaultProxy::to(server.address()).await;
        proxy.delay(Duration::from_millis(200));
        let remote = connected_with_deadlines(&Redis::at(server.url_at(proxy.address()))).await;
        store(&remote, "k", b"1").await;
        assert_eq!(look(&remote, "k").await.as_deref(), Some(&b"1"[..]));
        proxy.half_open();
        assert!(matches!(
            remote.read(ask("k", Intent::Look)).await,
            Err(Trouble::TimedOut | Trouble::Away(_))
        ));
        // From now on nobody waits: the second is refused when it is first polled.
        let second = std::pin::pin!(remote.read(ask("k", Intent::Look)));
        let second = tokio::time::timeout(Duration::ZERO, second).await.expect("it fails fast");
        assert!(matches!(second, Err(Trouble::Away(_))));
    });
}

#[test]
fn a_full_server_serves_what_it_has_removes_and_grants_nothing() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let remote = connected(&Redis::at(server.url())).await;
        store(&remote, "k", b"1").await;
        server.fill_memory().await;
        assert!(matches!(load(&remote, "k").await.found, Found::Hit { .. }));
        assert!(matches!(remote.read(ask("cold", Intent::Load)).await, Err(Trouble::Full)));
        assert_eq!(remote.remove(&["k"], &[]).await, Ok(1));
        assert_eq!(look(&remote, "k").await, None);
        server.free_memory().await;
        store(&remote, "cold", b"1").await;
    });
}

#[test]
fn a_socket_of_this_machine_and_another_database_of_the_server_do_as_well() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let url = format!("redis+unix://{}?db=3", server.socket().display());
        let remote = connected(&Redis::at(url)).await;
        store(&remote, "k", b"1").await;
        let here = connected(&Redis::at(server.url())).await;
        let there = connected(&Redis::at(format!("{}3", server.url()))).await;
        assert!(look(&here, "k").await.is_none() && look(&there, "k").await.is_some());
    });
}

#[test]
fn tls_and_the_deployed_user_are_enough() {
    testkit::run(async {
        let server = RedisServer::builder().tls_with_client_certificates().users().start().await;
        let tls = server.tls();
        let redis = Redis::at(server.url())
            .ca_pem(tls.ca_pem.as_bytes())
            .client_pem(tls.client_cert_pem.as_bytes(), tls.client_key_pem.as_bytes());
        let remote = connected(&redis).await;
        store(&remote, "k", &[b'x'; 5_000]).await;
        let (word, capture) = granted(&remote, ask("l", Intent::Load)).await;
        assert!(remote.release("l", (word, &capture), &[]).await.expect("Redis is there").done);
        assert_eq!(remote.remove(&["k"], &[Tag::named("t")]).await, Ok(1));

        let stranger = Redis::at(server.url()).ca_pem(tls.wrong_ca_pem.as_bytes());
        let stranger = kept(&stranger, Clock::system());
        testkit::until("a server of another authority is not trusted", async || {
            matches!(stranger.supervisor.link(), Err(Trouble::Away(reason)) if reason.contains("certificate"))
        })
        .await;
    });
}
