//! Many callers of several processes at one cold key, and what becomes of them when the one who loads dies or stands still.

use std::collections::BTreeSet;
use std::time::Duration;

use larder::CacheService;
use testkit::redis::RedisServer;
use testkit::until;
use tokio::time::Instant;

use super::worker::{Change, Row, Worker, cache_over, policy, storm};
use crate::loader::brings;

/// How long a load takes.
const LOAD: Duration = Duration::from_millis(50);

/// How long the others may take that wait for a holder who is gone: the 2 s of their patience, a load each, and much for a
/// machine that is busy.
const BOUND: Duration = Duration::from_secs(10);

/// How long a process stands still: longer than patience, and than silence makes a connection suspect.
const PAUSED: Duration = Duration::from_secs(5);

async fn workers<const N: usize>(server: &RedisServer) -> [Worker; N] {
    let mut workers = Vec::new();
    for _ in 0..N {
        workers.push(Worker::start(server).await);
    }
    workers.try_into().unwrap_or_else(|_| unreachable!("there are N"))
}

#[test]
fn a_thousand_callers_of_four_processes_load_a_cold_key_once() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let [a, b, c, d] = workers(&server).await;
        for round in 0..10 {
            // Each key is the first of its group: as long as nothing is known of a group, its loads are waited for the longest,
            // so that a machine that stands still for a moment changes nothing.
            let name = &*format!("cold{round}:1");
            let all = tokio::join!(
                a.load(name, 1, 250, LOAD),
                b.load(name, 1, 250, LOAD),
                c.load(name, 1, 250, LOAD),
                d.load(name, 1, 250, LOAD)
            );
            let all = [all.0, all.1, all.2, all.3];
            assert_eq!(all.iter().map(|(loads, _)| loads).sum::<u64>(), 1, "{all:?}");
            assert!(all.iter().all(|(_, versions)| *versions == BTreeSet::from([1])), "{all:?}");
        }
    });
}

#[test]
fn when_the_holder_is_killed_in_mid_load_the_others_wait_a_bounded_time_and_one_loads() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let [holder, b, c, d] = workers(&server).await;
        holder.hold("row:1", 1).await;
        let kill = async {
            for worker in [&b, &c, &d] {
                worker.followed_by(49).await;
            }
            holder.kill().await;
            Instant::now()
        };
        let (b, c, d, killed) = tokio::join!(
            b.load("row:1", 1, 50, LOAD),
            c.load("row:1", 1, 50, LOAD),
            d.load("row:1", 1, 50, LOAD),
            kill
        );
        let took = killed.elapsed();
        let all = [b, c, d];
        assert!(
            all.iter().all(|(loads, versions)| *loads <= 1 && *versions == BTreeSet::from([1])),
            "{all:?}"
        );
        assert_ne!(all.iter().map(|(loads, _)| loads).sum::<u64>(), 0, "somebody loaded: {all:?}");
        assert!(took < BOUND, "{took:?}");
    });
}

#[test]
fn a_holder_that_stood_still_in_mid_load_does_no_harm_when_it_goes_on() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let [holder, other] = workers(&server).await;
        let here = cache_over(&server, CacheService::builder()).await;
        holder.hold("row:1", 1).await;
        holder.pause().await;
        let since = Instant::now();

        // The others go on, and the row changes.
        let (there, (loads, versions)) =
            tokio::join!(other.load("row:1", 1, 50, LOAD), storm(&here, "row:1", 1, 50, LOAD));
        assert!(since.elapsed() < BOUND, "{:?}", since.elapsed());
        assert!((1..=2).contains(&(there.0 + loads)), "one took the load over: {there:?}, {loads}");
        assert_eq!((there.1, versions), (BTreeSet::from([1]), BTreeSet::from([1])));
        other.announce(Change::Delete, "row:1", 2).await;
        assert_eq!(storm(&here, "row:1", 2, 50, LOAD).await, (1, BTreeSet::from([2])));
        until("the end of the pause", async || since.elapsed() >= PAUSED).await;
        holder.resume().await;

        assert_eq!(holder.open("row:1").await, (1, false), "it returns what it read, and stores nothing");
        let found = || async { here.get::<Row>("row:1").await.map(|row| row.version) };
        assert_eq!((found().await, other.get("row:1").await), (Some(2), Some(2)), "its late fill is refused");
        assert_eq!(holder.load("row:1", 2, 50, LOAD).await.1, BTreeSet::from([2]), "it reads what is right");
        until("the cache of who stood still", async || holder.get("row:1").await == Some(2)).await;
        assert_eq!((found().await, other.get("row:1").await), (Some(2), Some(2)));
    });
}

#[test]
fn callers_of_one_process_wait_for_the_load_of_another_by_one_of_them() {
    testkit::run(async {
        /// Every poll is a `SET … NX GET`, and pauses grow to 16 ms, of which half is at random.
        const SHORTEST_PAUSE_MS: u128 = 8;
        /// So many polls are waited for; the first few pause less.
        const POLLS: u64 = 5;
        let server = RedisServer::start().await;
        let holder = Worker::start(&server).await;
        let here = cache_over(&server, CacheService::builder()).await;
        holder.hold("row:1", 1).await;
        let sets = async || server.calls().await.get("set").map_or(0, |calls| calls.count);
        let watch = async {
            until("99 callers follow one", async || here.stats().local.following == 99).await;
            let since = Instant::now();
            server.reset_stats().await;
            until("so many polls", async || sets().await >= 2 * POLLS).await;
            let (sets, elapsed) = (sets().await, since.elapsed());
            assert_eq!(here.stats().local.following, 99, "all still wait");
            holder.open("row:1").await;
            (sets, elapsed)
        };
        let ((loads, versions), (sets, elapsed)) = tokio::join!(storm(&here, "row:1", 1, 100, LOAD), watch);
        assert_eq!((loads, versions), (0, BTreeSet::from([1])));
        // A poll is two of them: the token of the tag, and the entry.
        let most = 2 * (elapsed.as_millis() / SHORTEST_PAUSE_MS + 5);
        assert!(u128::from(sets) <= most, "{sets} SETs in {elapsed:?}, and {most} are the most");
        let Ok(row) = here.get_or_set("row:1", policy("row:1"), || brings(Row { version: 9 })).await;
        assert_eq!(row.version, 1, "it is stored");
    });
}
