//! What is stored, removed and raced for.

use std::ops::ControlFlow;
use std::time::Duration;

use testkit::redis::RedisServer;

use super::super::read::{Ask, Found, Intent, Seen};
use super::super::settings::Redis;
use super::super::write::Succeeded;
use super::super::{Fresh, Remote};
use super::{ask, bytes_of, connected, fill, fill_in, fresh, granted, kept, load, look, store};
use crate::clock::MovableClock;
use crate::entry::Word;
use crate::key::Tag;
use crate::policy::Ttl;

#[test]
fn a_cold_name_is_leased_once_filled_and_then_hit() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let one = connected(&Redis::at(server.url())).await;
        let two = connected(&Redis::at(server.url())).await;
        let (word, capture) = granted(&one, ask("deals:company:abc123", Intent::Load)).await;
        assert_eq!(load(&two, "deals:company:abc123").await.found, Found::Busy(word));
        assert_eq!(look(&two, "deals:company:abc123").await, None);
        assert!(fill(&one, "deals:company:abc123", word, &capture, b"[1,2]").await.expect("Redis is there"));
        assert_eq!(look(&two, "deals:company:abc123").await.as_deref(), Some(&b"[1,2]"[..]));
        assert!(matches!(load(&two, "deals:company:abc123").await.found, Found::Hit { .. }));

        // What anybody sees: the name of the application, its JSON behind a header, its lifetime.
        assert!(server.cli(&["GET", "deals:company:abc123"]).await.contains("[1,2]"));
        let ttl_ms = server.command(&["PTTL", "deals:company:abc123"]).await.int();
        assert!((290_000..=300_000).contains(&ttl_ms), "{ttl_ms} ms");
        assert_eq!(server.cli(&["DEL", "deals:company:abc123"]).await.trim(), "1");
        assert_eq!(look(&one, "deals:company:abc123").await, None);
    });
}

#[test]
fn small_and_large_values_are_filled_in_and_nothing_is_left_aside() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let remote = connected(&Redis::at(server.url())).await;
        for size in [0, 1, 4_000, 4_096, 100_000, 1_000_000] {
            let (name, payload) = (format!("of:{size}"), vec![b'x'; size]);
            store(&remote, &name, &payload).await;
            assert_eq!(look(&remote, &name).await.as_deref(), Some(&payload[..]));
            let ttl_ms = server.command(&["PTTL", &name]).await.int();
            assert!((290_000..=300_000).contains(&ttl_ms), "{size}: {ttl_ms} ms");
        }
        assert_eq!(server.cli(&["--scan", "--pattern", "!f:*"]).await, "");
    });
}

/// How often a load that began before a change is found after it. The change is a removal by another client, between the
/// lease and the fill.
async fn stale_after_removal(remote: &Remote, server: &RedisServer, rounds: u32, blindly: bool) -> u32 {
    let mut stale = 0;
    for round in 0..rounds {
        let name = format!("raced:{round}");
        let size = if round % 2 == 0 { 10 } else { 5_000 }; // through the script, and put aside
        let old = vec![b'o'; size];
        let (word, capture) = granted(remote, ask(&name, Intent::Load)).await;
        assert_eq!(server.command(&["UNLINK", &name]).await.int(), 1, "the lease is what is removed");
        if blindly {
            let bytes = bytes_of(word, &capture, &old);
            assert!(server.command(&[b"SET", name.as_bytes(), &bytes]).await.is_ok());
        } else {
            let filled = fill(remote, &name, word, &capture, &old).await.expect("Redis is there");
            assert!(!filled, "the word that was seen is gone");
        }
        stale += u32::from(look(remote, &name).await.is_some());
    }
    stale
}

#[test]
fn a_removal_between_lease_and_fill_refuses_the_fill() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let remote = connected(&Redis::at(server.url())).await;
        assert_eq!(stale_after_removal(&remote, &server, 1_000, false).await, 0);
    });
}

#[test]
fn with_a_blind_set_in_place_of_the_fill_each_race_is_stale() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let remote = connected(&Redis::at(server.url())).await;
        assert_eq!(stale_after_removal(&remote, &server, 20, true).await, 20);
    });
}

#[test]
fn a_lease_after_a_removal_is_another_and_the_late_fill_does_no_harm() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let remote = connected(&Redis::at(server.url())).await;
        let (old_word, old_capture) = granted(&remote, ask("k", Intent::Load)).await;
        remote.remove(&["k"], &[]).await.expect("Redis is there");
        let (word, capture) = granted(&remote, ask("k", Intent::Load)).await;
        assert!(fill(&remote, "k", word, &capture, b"new").await.expect("Redis is there"));
        assert!(!fill(&remote, "k", old_word, &old_capture, b"old").await.expect("Redis is there"));
        assert!(
            !fill(&remote, "k", word, &capture, b"late").await.expect("Redis is there"),
            "the first fill wins"
        );
        assert!(!remote.release("k", (word, &capture), &[]).await.expect("Redis is there").done);
        assert_eq!(look(&remote, "k").await.as_deref(), Some(&b"new"[..]));
    });
}

#[test]
fn a_lease_that_is_taken_back_is_free_for_the_next() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let remote = connected(&Redis::at(server.url())).await;
        let (word, capture) = granted(&remote, ask("k", Intent::Load)).await;
        assert!(remote.release("k", (word, &capture), &[]).await.expect("Redis is there").done);
        assert!(matches!(load(&remote, "k").await.found, Found::Granted(other) if other != word));
    });
}

#[test]
fn a_tag_ends_what_depends_on_it_and_no_late_fill_revives_it() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let remote = connected(&Redis::at(server.url())).await;
        let (deals, users) = (Tag::new("deals", 1), Tag::new("users", 1));
        let tags = [deals, users];
        let reads = Ask { needs: &tags, ..ask("page", Intent::Load) };
        let (word, capture) = granted(&remote, reads).await;
        assert!(
            fill_in(&remote, "page", (word, &capture), &tags, fresh(b"1")).await.expect("Redis is there")
        );
        assert_eq!(
            look(&remote, "page").await.as_deref(),
            Some(&b"1"[..]),
            "a look that knows no tags learns them"
        );
        let other = Tag::new("contacts", 1);
        let more = Ask { needs: &[deals, other], ..ask("page", Intent::Look) };
        let seen = remote.read(more).await.expect("Redis is there");
        assert!(matches!(seen.found, Found::Stale(_)), "it does not depend on all that is declared");

        assert_eq!(remote.remove(&[""; 0], &[users]).await, Ok(1));
        assert_eq!(look(&remote, "page").await, None);
        let Seen { found: Found::Stale(stale), capture: seen, .. } =
            remote.read(reads).await.expect("Redis is there")
        else {
            panic!("the tag was invalidated");
        };
        // One loads anew, whoever else has seen the same.
        let lease = remote.new_lease("page");
        assert!(
            remote.lease_over("page", stale, (lease, &seen), &[]).await.is_ok_and(|put| put.is_some()),
            "it is the first"
        );
        assert!(
            remote
                .lease_over("page", stale, (remote.new_lease("page"), &seen), &[])
                .await
                .is_ok_and(|put| put.is_none())
        );
        remote.remove(&[""; 0], &[deals]).await.expect("Redis is there"); // while it loads
        assert!(fill_in(&remote, "page", (lease, &seen), &tags, fresh(b"2")).await.expect("Redis is there"));
        assert_eq!(look(&remote, "page").await, None, "it depends on what was invalidated during its load");
    });
}

#[test]
fn a_tag_that_was_evicted_or_flushed_is_never_in_force_again() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let remote = connected(&Redis::at(server.url())).await;
        let tags = [Tag::new("deals", 1)];
        let (word, capture) = granted(&remote, Ask { needs: &tags, ..ask("page", Intent::Load) }).await;
        assert!(
            fill_in(&remote, "page", (word, &capture), &tags, fresh(b"1")).await.expect("Redis is there")
        );
        assert_eq!(server.cli(&["DEL", &remote.supervisor.names().tag(tags[0])]).await.trim(), "1");
        for _ in 0..2 {
            assert_eq!(look(&remote, "page").await, None);
            let seen =
                remote.read(Ask { needs: &tags, ..ask("page", Intent::Load) }).await.expect("Redis is there");
            assert!(matches!(seen.found, Found::Stale(_)));
        }
    });
}

#[test]
fn foreign_values_are_left_by_a_look_and_healed_by_a_load() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let remote = connected(&Redis::at(server.url())).await;
        let mut cut = bytes_of(Word::value([1; 8]), &granted(&remote, ask("x", Intent::Load)).await.1, b"");
        cut.truncate(30);
        server.command(&["RPUSH", "list", "1"]).await;
        server.command(&["SET", "json", "{\"a\":1}"]).await;
        server.command(&["SET", "empty", ""]).await;
        server.command(&[b"SET", b"cut", &cut[..]]).await;
        for name in ["list", "json", "empty", "cut"] {
            let seen = remote.read(ask(name, Intent::Look)).await.expect("Redis is there");
            assert_eq!(seen.found, Found::Foreign, "{name}");
            assert_eq!(server.command(&["EXISTS", name]).await.int(), 1, "{name} is left alone");
            store(&remote, name, b"healed").await;
            assert_eq!(look(&remote, name).await.as_deref(), Some(&b"healed"[..]), "{name}");
        }
    });
}

#[test]
fn a_value_ends_with_its_life_by_the_clock_of_the_reader_too() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let clock = MovableClock::new();
        let remote = kept(&Redis::at(server.url()), clock.clock());
        remote.ready().await;
        store(&remote, "k", b"1").await;
        clock.advance(Duration::from_millis(299_999));
        assert!(look(&remote, "k").await.is_some());
        clock.advance(Duration::from_millis(1));
        assert_eq!(look(&remote, "k").await, None);
    });
}

#[test]
fn another_format_is_a_miss() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let remote = connected(&Redis::at(server.url())).await;
        store(&remote, "k", b"1").await;
        let newer = Ask { format: 2, ..ask("k", Intent::Look) };
        assert!(matches!(remote.read(newer).await.expect("Redis is there").found, Found::Stale(_)));
    });
}

#[test]
fn a_namespace_keeps_two_applications_apart() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let [one, two] = ["one", "two"].map(|namespace| Redis::at(server.url()).namespace(namespace));
        let (one, two) = (connected(&one).await, connected(&two).await);
        store(&one, "k", b"1").await;
        assert_eq!(look(&two, "k").await, None);
        assert_eq!(two.remove(&["k"], &[]).await, Ok(0));
        assert_eq!(look(&one, "k").await.as_deref(), Some(&b"1"[..]));
        assert_eq!(server.command(&["EXISTS", "one:k", "!one:root", "!two:root"]).await.int(), 3);
    });
}

#[test]
fn a_bare_set_wins_over_loads_and_nx_fills_what_a_look_does_not_find() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let remote = connected(&Redis::at(server.url())).await;
        let tags = [Tag::named("t")];
        let (word, capture) = granted(&remote, ask("k", Intent::Load)).await;
        remote.put("k", &tags, fresh(b"set")).await.expect("Redis is there");
        assert_eq!(fill(&remote, "k", word, &capture, b"loaded").await, Ok(false));
        assert_eq!(look(&remote, "k").await.as_deref(), Some(&b"set"[..]));

        let nx = |name, payload| {
            let ask = Ask { needs: &tags, ..ask(name, Intent::Look) };
            remote.put_absent(ask, |found| matches!(found, Found::Hit { .. }), fresh(payload))
        };
        assert_eq!(nx("k", b"nx").await, Ok(false));
        remote.remove(&[""; 0], &tags).await.expect("Redis is there");
        assert_eq!(nx("k", b"over a stale one").await, Ok(true));
        assert_eq!(nx("absent", b"1").await, Ok(true));
        granted(&remote, ask("leased", Intent::Load)).await;
        assert_eq!(nx("leased", b"1").await, Ok(true));
        server.command(&["RPUSH", "list", "1"]).await;
        assert_eq!(nx("list", b"1").await, Ok(true));
        let unreadable = remote.put_absent(ask("list", Intent::Look), |_| false, fresh(b"2"));
        assert_eq!(unreadable.await, Ok(true));
        for name in ["k", "absent", "leased", "list"] {
            assert!(look(&remote, name).await.is_some(), "{name}");
        }
        let forever = Fresh { ttl: Ttl::FOREVER, ..fresh(b"1") };
        remote.put("forever", &[], forever).await.expect("Redis is there");
        assert_eq!(server.command(&["PTTL", "forever"]).await.int(), -1);
    });
}

#[test]
fn a_row_is_succeeded_by_its_newer_versions_alone() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let remote = connected(&Redis::at(server.url())).await;
        let tags = [Tag::named("t")];
        for ttl in [Ttl::SHORT, Ttl::FOREVER] {
            let row = |version, payload| Fresh { version: Some(version), ttl, ..fresh(payload) };
            let (word, capture) = granted(&remote, Ask { needs: &tags, ..ask("row", Intent::Load) }).await;
            let first = row(1 << 40, b"1");
            assert_eq!(fill_in(&remote, "row", (word, &capture), &tags, first).await, Ok(true));
            let next = (1 << 40) + 2;
            assert_eq!(remote.succeed("row", next, row(next, b"3")).await, Ok(Succeeded::Stored));
            assert_eq!(remote.succeed("row", next - 1, row(next - 1, b"2")).await, Ok(Succeeded::Older));
            assert_eq!(remote.succeed("row", next, row(next, b"3")).await, Ok(Succeeded::Older));
            let seen =
                remote.read(Ask { needs: &tags, ..ask("row", Intent::Look) }).await.expect("Redis is there");
            let Found::Hit { header, payload, .. } = seen.found else { panic!("it depends on what it did") };
            assert_eq!((header.version, &payload[..]), (Some(next), &b"3"[..]));
            let life_ms = server.command(&["PTTL", "row"]).await.int();
            assert!(if ttl == Ttl::FOREVER { life_ms == -1 } else { (290_000..=300_000).contains(&life_ms) });
            assert_eq!(fill(&remote, "row", word.filled(), &capture, b"late").await, Ok(false));
            remote.remove(&[""; 0], &tags).await.expect("Redis is there");
            assert_eq!(look(&remote, "row").await, None);
            remote.remove(&["row"], &[]).await.expect("Redis is there");
        }
        // Anything else is removed: a lease with its load, a value without a version, another type.
        let (word, capture) = granted(&remote, ask("leased", Intent::Load)).await;
        store(&remote, "plain", b"1").await;
        server.command(&["RPUSH", "list", "1"]).await;
        for name in ["leased", "plain", "list", "absent"] {
            assert_eq!(remote.succeed(name, 9, fresh(b"9")).await, Ok(Succeeded::Absent), "{name}");
            assert_eq!(server.command(&["EXISTS", name]).await.int(), 0, "{name}");
        }
        assert_eq!(fill(&remote, "leased", word, &capture, b"old").await, Ok(false));
    });
}

#[test]
fn clear_and_globs_remove_what_they_name_and_nothing_of_the_library() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let remote = connected(&Redis::at(server.url())).await;
        for name in ["user:1", "user:2", "deal:1", "!odd", ""] {
            store(&remote, name, b"1").await;
        }
        let (word, capture) = granted(&remote, ask("user:3", Intent::Load)).await;
        assert_eq!(
            remote.remove_matching("user:*", |_| true, None).await,
            Ok(ControlFlow::Continue(3)),
            "two values and a lease"
        );
        assert_eq!(fill(&remote, "user:3", word, &capture, b"old").await, Ok(false));
        assert_eq!(look(&remote, "deal:1").await.as_deref(), Some(&b"1"[..]));
        for glob in ["!k*", "*:!odd"] {
            assert_eq!(
                remote.remove_matching(glob, |_| true, None).await,
                Ok(ControlFlow::Continue(0)),
                "{glob} is about names, not about keys"
            );
        }
        store(&remote, "b", b"1").await;
        assert_eq!(
            remote.remove_matching("[a-é]", |_| true, None).await,
            Ok(ControlFlow::Continue(1)),
            "a range that servers read differently"
        );
        assert_eq!(remote.remove_matching("*", |_| true, None).await, Ok(ControlFlow::Continue(3)));
        assert_eq!(server.command(&["EXISTS", "!root"]).await.int(), 1);

        let other = connected(&Redis::at(server.url())).await;
        let (word, capture) = granted(&remote, ask("loading", Intent::Load)).await;
        store(&remote, "k", b"1").await;
        other.clear().await.expect("Redis is there");
        assert_eq!(look(&remote, "k").await, None);
        assert_eq!(
            fill(&remote, "loading", word, &capture, b"old").await,
            Ok(true),
            "nothing compares the era …"
        );
        assert_eq!(look(&remote, "loading").await, None, "… but every reader does");
        store(&remote, "after", b"1").await;
        assert_eq!(look(&other, "after").await.as_deref(), Some(&b"1"[..]));
    });
}

#[test]
fn a_lock_has_one_holder_and_ends_with_its_time() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let remote = connected(&Redis::at(server.url())).await;
        let (token, other) = ([1; 16], [2; 16]);
        assert_eq!(remote.lock("l", &token, Ttl::LONG).await, Ok(true), "it is free");
        assert_eq!(remote.lock("l", &other, Ttl::LONG).await, Ok(false));
        assert_eq!(remote.unlock("l", &[0; 16]).await, Ok(false));
        assert_eq!(look(&remote, "l").await, None, "an entry of the same name does not meet it");
        assert_eq!(remote.unlock("l", &token).await, Ok(true));
        assert_eq!(remote.unlock("l", &token).await, Ok(false));
        assert_eq!(remote.lock("l", &token, Ttl::millis(1)).await, Ok(true));
        testkit::until("its time is over", async || remote.lock("l", &other, Ttl::LONG).await == Ok(true))
            .await;
    });
}
