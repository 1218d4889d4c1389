//! One load for all processes, and what becomes of it when the process that loads is killed or falls asleep.

use std::time::Duration;

use futures_util::future::join_all;
use rustix::process::Signal;
use testkit::redis::RedisServer;

use super::worker::Worker;

/// How long callers may wait at most for a holder that is gone: its patience is 2 s, and the machine may be busy.
const BOUND_MS: u64 = 15_000;

async fn workers(server: &RedisServer, count: usize) -> Vec<Worker> {
    join_all((0..count).map(|_| Worker::start_on(server))).await
}

impl Worker {
    async fn start_on(server: &RedisServer) -> Worker {
        Worker::start(&server.url(), &[]).await
    }

    /// Loads, longest wait in ms, and the values that callers got.
    async fn stampede(&self, key: &str, value: &str, callers: usize, load_ms: u64) -> (u64, u64, String) {
        let answer = self.tell(&format!("stampede {key} {value} {callers} {load_ms}")).await;
        let words: Vec<&str> = answer.split(' ').collect();
        let [loads, longest, values] = words[..] else { panic!("{answer:?}") };
        (loads.parse().expect("a number"), longest.parse().expect("a number"), values.to_owned())
    }
}

#[test]
fn a_thousand_callers_in_four_processes_cost_one_load() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let workers = workers(&server, 4).await;
        for round in 0..10 {
            let key = format!("cold:{round}");
            let calls = workers.iter().map(|worker| worker.stampede(&key, "v", 250, 50));
            let answers = join_all(calls).await;
            let loads: u64 = answers.iter().map(|(loads, ..)| loads).sum();
            assert_eq!(loads, 1, "round {round}: {answers:?}");
            assert!(answers.iter().all(|(.., values)| values == "v"), "round {round}: {answers:?}");
        }
    });
}

#[test]
fn a_holder_that_is_killed_is_waited_for_a_bounded_time() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let mut workers = workers(&server, 4).await;
        let holder = workers.remove(0);
        holder.hold("k", "of-the-dead").await;
        let calls = workers.iter().map(|worker| worker.stampede("k", "of-the-living", 10, 1));
        let (answers, ()) = tokio::join!(join_all(calls), async { holder.signal(Signal::KILL) });
        let loads: u64 = answers.iter().map(|(loads, ..)| loads).sum();
        assert!((1..=3).contains(&loads), "at most one for each process: {answers:?}");
        for (_, longest_ms, values) in &answers {
            assert_eq!(values, "of-the-living");
            assert!(*longest_ms < BOUND_MS, "{answers:?}");
        }
        assert_eq!(workers[0].tell("look k").await, "of-the-living", "it is stored");
    });
}

#[test]
fn a_holder_that_sleeps_and_wakes_does_no_harm() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let mut workers = workers(&server, 3).await;
        let sleeper = workers.remove(0);
        let late = sleeper.hold("k", "old").await;
        sleeper.signal(Signal::STOP);
        let asleep = tokio::time::sleep(Duration::from_secs(5)); // the fault itself
        let calls = workers.iter().map(|worker| worker.stampede("k", "new", 10, 1));
        let (answers, ()) = tokio::join!(join_all(calls), asleep);
        for (_, longest_ms, values) in &answers {
            assert_eq!(values, "new", "{answers:?}");
            assert!(*longest_ms < BOUND_MS, "{answers:?}");
        }
        assert_eq!(workers[0].tell("delete k").await, "true");
        assert_eq!(workers[1].tell("read k newer").await, "newer");

        sleeper.signal(Signal::CONT);
        sleeper.tell("let-go").await;
        sleeper.tell("ready").await; // its connection was silent for too long, so that it makes another
        assert_eq!(
            late.await.as_deref(),
            Ok("old"),
            "its own caller, who came before the change, gets what it loaded"
        );
        for worker in workers.iter().chain([&sleeper]) {
            assert_eq!(worker.tell("read k none").await, "newer", "the late fill is refused");
        }
    });
}
