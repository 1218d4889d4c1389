//! The tier against real servers and real faults. Until the service asks it, this is its only door.

use std::sync::Arc;
use std::time::Duration;

use testkit::proxy::FaultProxy;
use testkit::redis::RedisServer;
use tokio::task::JoinSet;

use super::fill::Fresh;
use super::read::{Ask, Capture, Found, Intent, Seen};
use super::settings::Redis;
use super::trouble::Trouble;
use super::write::Succeeded;
use super::{Link, Remote};
use crate::clock::{Clock, MovableClock};
use crate::codec::Encoding;
use crate::entry::Word;
use crate::key::Tag;
use crate::policy::Ttl;

/// A tier whose connection is kept for as long as this lives.
struct Kept {
    remote: Remote,
    _keeps: JoinSet<()>,
}

impl std::ops::Deref for Kept {
    type Target = Remote;

    fn deref(&self) -> &Remote {
        &self.remote
    }
}

fn kept(redis: &Redis, clock: Clock) -> Kept {
    let remote = Remote::new(redis, clock).expect("the settings are right");
    let mut keeps = JoinSet::new();
    keeps.spawn(remote.clone().run());
    Kept { remote, _keeps: keeps }
}

async fn connected(redis: &Redis) -> Kept {
    let kept = kept(redis, Clock::system());
    kept.ready().await;
    kept
}

fn ask(name: &str, intent: Intent) -> Ask<'_> {
    Ask { name, intent, format: 1, needs: &[], guess: &[] }
}

async fn load(remote: &Remote, name: &str) -> Seen {
    remote.read(ask(name, Intent::Load)).await.expect("Redis is there")
}

/// The lease of a reader who has to load.
async fn granted(remote: &Remote, ask: Ask<'_>) -> (Word, Capture) {
    match remote.read(ask).await.expect("Redis is there") {
        Seen { found: Found::Granted(word), capture } => (word, capture),
        seen => panic!("{:?} is no lease", seen.found),
    }
}

fn fresh(payload: &[u8]) -> Fresh<'_> {
    Fresh { format: 1, encoding: Encoding::Json, version: None, load_cost_us: 50, ttl: Ttl::SHORT, payload }
}

/// Fills in what depends on nothing.
async fn fill(
    remote: &Remote,
    name: &str,
    word: Word,
    capture: &Capture,
    payload: &[u8],
) -> Result<bool, Trouble> {
    remote.fill(name, (word, capture), &[], fresh(payload)).await
}

/// Loads a name that is not there and fills it in.
async fn store(remote: &Remote, name: &str, payload: &[u8]) {
    let (word, capture) = granted(remote, ask(name, Intent::Load)).await;
    assert!(fill(remote, name, word, &capture, payload).await.expect("Redis is there"));
}

/// What a plain look finds.
async fn look(remote: &Remote, name: &str) -> Option<Vec<u8>> {
    match remote.read(ask(name, Intent::Look)).await.expect("Redis is there").found {
        Found::Hit { payload, .. } => Some(payload.to_vec()),
        _ => None,
    }
}

async fn is_up_again(remote: &Remote) {
    testkit::until("there is a connection again", async || remote.supervisor.link().is_ok()).await;
}

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

fn bytes_of(word: Word, capture: &Capture, payload: &[u8]) -> Vec<u8> {
    let header = crate::entry::Header {
        era: capture.root.era,
        format: 1,
        encoding: Encoding::Json,
        stored_at_ms: 0,
        fresh_until_ms: u64::MAX,
        load_cost_us: 0,
        version: None,
        depends_on: capture.dependencies(&[]).expect("there are none"),
    };
    crate::entry::value(word.filled(), &header, payload)
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
        assert!(!remote.release("k", word, &capture).await.expect("Redis is there"));
        assert_eq!(look(&remote, "k").await.as_deref(), Some(&b"new"[..]));
    });
}

#[test]
fn a_lease_that_is_taken_back_is_free_for_the_next() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let remote = connected(&Redis::at(server.url())).await;
        let (word, capture) = granted(&remote, ask("k", Intent::Load)).await;
        assert!(remote.release("k", word, &capture).await.expect("Redis is there"));
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
        assert!(remote.fill("page", (word, &capture), &tags, fresh(b"1")).await.expect("Redis is there"));
        assert_eq!(
            look(&remote, "page").await.as_deref(),
            Some(&b"1"[..]),
            "a look that knows no tags learns them"
        );
        let other = Tag::new("contacts", 1);
        let more = Ask { needs: &[deals, other], ..ask("page", Intent::Look) };
        let seen = remote.read(more).await.expect("Redis is there");
        assert!(matches!(seen.found, Found::Stale(_)), "it does not depend on all that is declared");

        assert_eq!(remote.remove(&[], &[users]).await, Ok(1));
        assert_eq!(look(&remote, "page").await, None);
        let Seen { found: Found::Stale(stale), capture: seen } =
            remote.read(reads).await.expect("Redis is there")
        else {
            panic!("the tag was invalidated");
        };
        // One loads anew, whoever else has seen the same.
        let lease =
            remote.lease_over("page", stale, &seen).await.expect("Redis is there").expect("it is the first");
        assert_eq!(remote.lease_over("page", stale, &seen).await, Ok(None));
        remote.remove(&[], &[deals]).await.expect("Redis is there"); // while it loads
        assert!(remote.fill("page", (lease, &seen), &tags, fresh(b"2")).await.expect("Redis is there"));
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
        assert!(remote.fill("page", (word, &capture), &tags, fresh(b"1")).await.expect("Redis is there"));
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
        assert_eq!(fill(&remote, "k", word, &capture, b"old").await, Ok(false));
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
        let remote = connected(&limits).await;
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
        let remote = connected(&Redis::at(server.url_at(proxy.address()))).await;
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
        assert_eq!(remote.release("l", word, &capture).await, Ok(true));
        assert_eq!(remote.remove(&["k"], &[Tag::named("t")]).await, Ok(1));

        let stranger = Redis::at(server.url()).ca_pem(tls.wrong_ca_pem.as_bytes());
        let stranger = kept(&stranger, Clock::system());
        testkit::until("a server of another authority is not trusted", async || {
            matches!(stranger.supervisor.link(), Err(Trouble::Away(reason)) if reason.contains("certificate"))
        })
        .await;
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
            remote.put_absent(ask, |_| true, fresh(payload))
        };
        assert_eq!(nx("k", b"nx").await, Ok(false));
        remote.remove(&[], &tags).await.expect("Redis is there");
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
            assert_eq!(remote.fill("row", (word, &capture), &tags, first).await, Ok(true));
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
            remote.remove(&[], &tags).await.expect("Redis is there");
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
        assert_eq!(remote.remove_matching("user:*").await, Ok(3), "two values and a lease");
        assert_eq!(fill(&remote, "user:3", word, &capture, b"old").await, Ok(false));
        assert_eq!(look(&remote, "deal:1").await.as_deref(), Some(&b"1"[..]));
        assert_eq!(remote.remove_matching("*").await, Ok(3));
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
        let token = remote.lock("l", Ttl::LONG).await.expect("Redis is there").expect("it is free");
        assert_eq!(remote.lock("l", Ttl::LONG).await, Ok(None));
        assert_eq!(remote.unlock("l", &[0; 16]).await, Ok(false));
        assert_eq!(look(&remote, "l").await, None, "an entry of the same name does not meet it");
        assert_eq!(remote.unlock("l", &token).await, Ok(true));
        assert_eq!(remote.unlock("l", &token).await, Ok(false));
        assert!(remote.lock("l", Ttl::millis(1)).await.expect("Redis is there").is_some());
        testkit::until("its time is over", async || {
            remote.lock("l", Ttl::LONG).await.expect("Redis is there").is_some()
        })
        .await;
    });
}
