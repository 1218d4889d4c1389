//! Reads that leave together: each has its own answer, and what they share is asked for once.

use std::time::Duration;

use futures_util::future::join_all;
use testkit::proxy::FaultProxy;
use testkit::redis::RedisServer;
use tokio::task::JoinSet;

use super::super::read::{Ask, Found, Intent};
use super::super::settings::Redis;
use super::{ask, connected, fill_in, fresh, granted, look, store};
use crate::key::Tag;

#[test]
fn each_reader_has_its_own_answer_and_what_they_share_is_asked_for_once() {
    // On one thread, all readers have asked before what has gathered is sent.
    let on_one_thread = || tokio::runtime::Builder::new_current_thread().enable_all().build();
    let body = async {
        let server = RedisServer::start().await;
        let kept = connected(&Redis::at(server.url())).await;
        let tags = [Tag::named("shared")];
        let names: Vec<String> = (0..200).map(|n| format!("k{n}")).collect();
        for name in names.iter().step_by(2) {
            let ask = Ask { needs: &tags, ..ask(name, Intent::Load) };
            let (word, capture) = granted(&kept, ask).await;
            assert_eq!(fill_in(&kept, name, (word, &capture), &tags, fresh(name.as_bytes())).await, Ok(true));
        }

        server.reset_stats().await;
        let reads = names.iter().map(|name| kept.read(Ask { needs: &tags, ..ask(name, Intent::Load) }));
        let seen = join_all(reads).await;
        for (n, (name, seen)) in names.iter().zip(seen).enumerate() {
            match seen.expect("Redis is there").found {
                Found::Hit { payload, .. } => assert_eq!((n % 2, &payload[..]), (0, name.as_bytes())),
                Found::Granted(_) => assert_eq!(n % 2, 1, "{name} was there"),
                found => panic!("{name}: {found:?}"),
            }
        }
        let calls = server.calls().await;
        let [sets, tokens] = ["set", "mget"].map(|command| calls.get(command).map_or(0, |calls| calls.count));
        // The first leaves alone, the others together; the token stands once in each of the two pipelines.
        assert_eq!((sets, tokens), (200, 2), "200 entries, and one token twice");
    };
    let runtime = on_one_thread().expect("the operating system gives a test its runtime");
    testkit::run_sync(testkit::LIMIT, move || runtime.block_on(body));
}

#[test]
fn a_reader_that_goes_away_takes_no_answer_from_the_others() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let kept = connected(&Redis::at(server.url())).await;
        store(&kept, "there", b"1").await;
        for round in 0..50 {
            let mut going = JoinSet::new();
            for n in 0..8 {
                let remote = kept.remote.clone();
                going.spawn(async move {
                    drop(remote.read(ask(&format!("gone{round}x{n}"), Intent::Load)).await);
                    std::future::pending::<()>().await; // holds nothing but what it was granted
                });
            }
            tokio::task::yield_now().await;
            let stays = kept.read(ask("there", Intent::Load));
            let (seen, ()) = tokio::join!(stays, async { going.shutdown().await });
            assert!(matches!(seen.expect("Redis is there").found, Found::Hit { .. }));
        }
        assert_eq!(look(&kept, "there").await.as_deref(), Some(&b"1"[..]));
    });
}

#[test]
fn a_lease_whose_reader_went_away_before_its_answer_is_taken_back() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let proxy = FaultProxy::to(server.address()).await;
        let kept = connected(&Redis::at(server.url_at(proxy.address()))).await;
        proxy.delay(Duration::from_millis(100));
        for alone in [true, false] {
            server.reset_stats().await;
            let remote = kept.remote.clone();
            let mut others = JoinSet::new();
            if !alone {
                let ask_first = async move { drop(remote.read(ask("first", Intent::Look)).await) };
                others.spawn(ask_first);
                testkit::until("another read is under way", async || kept.is_reading()).await;
            }
            let read = kept.read(ask("gone", Intent::Load));
            assert!(
                tokio::time::timeout(Duration::from_millis(10), read).await.is_err(),
                "answers take longer"
            );
            others.join_all().await;
            let is_left = async || server.calls().await.get("set").is_some_and(|calls| calls.count == 1);
            testkit::until("the lease is left", is_left).await;
            let is_there = async || server.command(&["EXISTS", "gone"]).await.int() == 1;
            testkit::until("the lease is taken back", async || !is_there().await).await;
        }
    });
}

#[test]
fn who_watches_a_name_is_told_when_it_changes() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let kept = connected(&Redis::at(server.url())).await;
        let copies = Ask { copies: true, ..ask("k", Intent::Look) };
        let watch = kept.front().watch("k").expect("copies are kept");
        kept.read(copies).await.expect("Redis is there"); // registers the name
        server.command(&["SET", "k", "1"]).await;
        let told = tokio::time::timeout(Duration::from_secs(10), watch.changed()).await;
        assert!(told.is_ok());
        drop(watch);
        assert_eq!(kept.front().watched(), 0);
    });
}
