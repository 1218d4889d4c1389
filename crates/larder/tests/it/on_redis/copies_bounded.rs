//! Copies when nobody tells of changes any more: how old they may be, whatever fails.

use std::time::Duration;

use larder::{CacheService, Policy, Source};
use testkit::proxy::{Direction, FaultProxy};
use testkit::redis::RedisServer;
use testkit::until;
use tokio::time::Instant;

use super::copies::{cache_at, cache_of, copied};
use super::worker::{Change, Order, Worker, registered};

/// How much older than what lies in Redis a copy may be.
const STALENESS: Duration = Duration::from_secs(1);

/// What happens to the connection over which changes are told.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Killed,
    Cut,
    HalfOpen,
    /// What the server says is lost.
    Deaf,
    /// What it is asked is lost.
    Dumb,
    ServerPaused,
}

impl Fault {
    const ALL: [Fault; 6] =
        [Fault::Killed, Fault::Cut, Fault::HalfOpen, Fault::Deaf, Fault::Dumb, Fault::ServerPaused];

    async fn comes(self, server: &RedisServer, proxy: &FaultProxy) {
        match self {
            Fault::Killed => {
                let killed = server.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
                assert!(killed.int() > 0, "{killed:?}");
            }
            Fault::Cut => proxy.cut().await,
            Fault::HalfOpen => proxy.half_open(),
            Fault::Deaf => proxy.one_way(Direction::ToClient),
            Fault::Dumb => proxy.one_way(Direction::ToServer),
            Fault::ServerPaused => server.pause().await,
        }
    }
}

/// Looks until the old value is not served any more; a copy of it that is served to who came later than that fails the test.
async fn until_it_is_gone(here: &CacheService, since: Instant, fault: Fault) {
    until("the old value is not served", async || {
        let asked = Instant::now();
        let read = here.lookup::<u32>("k").await;
        let is_old = read.is_some_and(|read| read.source == Source::Local && *read.value == 1);
        assert!(!is_old || asked.duration_since(since) <= STALENESS, "{fault:?}: it is older than it may be");
        !is_old
    })
    .await;
}

#[test]
fn works_is_not_told_is_bounded_is_restored_works() {
    testkit::run(async {
        for fault in Fault::ALL {
            let server = RedisServer::start().await;
            let proxy = FaultProxy::to(server.address()).await;
            let here = cache_of(CacheService::builder(), &server.url_at(proxy.address())).await;
            copied(&here, "k", Policy::new(), 1).await;

            fault.comes(&server, &proxy).await;
            if fault == Fault::ServerPaused {
                // Nobody can change anything; what may have changed is not known either.
                until_it_is_gone(&here, Instant::now(), fault).await;
                server.resume().await;
                here.ready().await;
            }
            assert_eq!(server.command(&["UNLINK", "k"]).await.int(), 1);
            until_it_is_gone(&here, Instant::now(), fault).await;

            proxy.heal().await;
            here.ready().await;
            copied(&here, "k", Policy::new(), 2).await;
            assert_eq!(server.command(&["UNLINK", "k"]).await.int(), 1, "{fault:?}");
            here.sync().await.expect("Redis is there");
            assert_eq!(here.get::<u32>("k").await, None, "{fault:?}: it is told again");
        }
    });
}

/// A process that has a copy of version 1 of this row.
async fn process_with_a_copy(server: &RedisServer) -> Worker {
    let process = Worker::with_copies(server, true).await;
    until_it_has(&process, 1).await;
    process
}

/// Waits until it has a copy of this version, which it loads if it has to.
async fn until_it_has(process: &Worker, version: u64) {
    until("it is copied", async || {
        process.load("row", version, 1, Duration::ZERO).await;
        process.lookup("row").await == Some((version, true))
    })
    .await;
}

#[test]
fn a_process_that_was_stopped_for_five_seconds_serves_no_copy_of_before() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let process = process_with_a_copy(&server).await;
        let other = cache_at(&server.url()).await;
        process.pause().await;
        Change::Delete.announce(&other, "row", 2).await;
        tokio::time::sleep(Duration::from_secs(5)).await; // it is stopped for so long: nobody waits for anything
        process.resume().await;
        assert_eq!(process.lookup("row").await, None);
        process.ask(Order::Ready).await;
        until_it_has(&process, 2).await;
    });
}

/// How many names change while a process is stopped that is told of each: some 30 MB, more than sockets hold.
const NAMES: usize = 60_000;

#[test]
fn a_process_that_is_told_more_than_it_can_hear_serves_no_copy_for_longer_than_it_may() {
    testkit::run(async {
        let builder = RedisServer::builder().set("client-output-buffer-limit", "normal 1mb 0 0");
        let server = builder.start().await;
        let process = process_with_a_copy(&server).await;
        process.ask(Order::Register { names: NAMES }).await;
        let clients = async || server.cli(&["CLIENT", "LIST"]).await.lines().count();
        let before = clients().await;
        process.pause().await;
        for names in (0..NAMES).collect::<Vec<_>>().chunks(1_000) {
            let words = names.iter().flat_map(|n| [registered(*n), String::new()]);
            let set: Vec<String> = std::iter::once("MSET".to_owned()).chain(words).collect();
            assert!(server.command(&set).await.is_ok());
        }
        until("the server has given it up", async || clients().await < before).await;
        assert_eq!(server.command(&["UNLINK", "row"]).await.int(), 1);
        let since = Instant::now();
        process.resume().await;
        until("the old value is not served", async || {
            let asked = Instant::now();
            let is_old = process.lookup("row").await == Some((1, true));
            assert!(!is_old || asked.duration_since(since) <= STALENESS, "it is older than it may be");
            !is_old
        })
        .await;
        process.ask(Order::Ready).await;
        until_it_has(&process, 2).await;
    });
}
