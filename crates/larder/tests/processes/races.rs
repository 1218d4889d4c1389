//! Loads against removals and sets, each forced, within one process and across two; and without the rules that win them.

use larder::testing::Ablation;
use testkit::redis::RedisServer;
use tokio::sync::oneshot::Receiver;

use super::worker::Worker;

/// How often each race is forced.
const ROUNDS: u64 = 1_000;

/// How often without its rule: each round finds what the rule would have kept out.
const ROUNDS_WITHOUT: u64 = 20;

/// What happens while a load is held; the verb is followed by the key.
const CHANGES: [&str; 3] = ["delete", "pattern", "set"];

/// Who loads and who changes: one process, or one each.
const PLACES: [(usize, usize); 2] = [(0, 0), (0, 1)];

impl Worker {
    /// Begins a load that is held; it is under way when this answers. The value comes once it was let go.
    pub(crate) async fn hold(&self, key: &str, value: &str) -> Receiver<String> {
        let (value, loading) = self.begin_held(key, value).await;
        loading.await.expect("the load begins");
        value
    }
}

async fn two(without: &[Ablation]) -> (RedisServer, [Worker; 2]) {
    let server = RedisServer::start().await;
    let workers = [Worker::start(&server.url(), without).await, Worker::start(&server.url(), without).await];
    (server, workers)
}

/// Holds a load of the old value, changes, lets go; answers in how many rounds the old value is found afterwards.
async fn stale_after(
    workers: &[Worker; 2],
    (loads, changes): (usize, usize),
    change: &str,
    rounds: u64,
) -> u64 {
    let mut stale = 0;
    for round in 0..rounds {
        let key = format!("{change}{loads}{changes}:{round}");
        let late = workers[loads].hold(&key, "old").await;
        let done = match change {
            "pattern" => workers[changes].tell(&format!("pattern {key}*")).await,
            "set" => workers[changes].tell(&format!("set {key} new")).await,
            _ => workers[changes].tell(&format!("{change} {key}")).await,
        };
        assert_eq!(done, "true", "{change} in round {round}");
        workers[loads].tell("let-go").await;
        assert_eq!(late.await.as_deref(), Ok("old"), "who asked before the change gets what was loaded");
        let read = workers[1].tell(&format!("read {key} new")).await;
        stale += u64::from(read != "new");
    }
    stale
}

#[test]
fn no_change_during_a_load_leaves_the_old_value() {
    testkit::run_within(std::time::Duration::from_secs(120), async {
        let (_server, workers) = two(&[]).await;
        for places in PLACES {
            for change in CHANGES {
                assert_eq!(stale_after(&workers, places, change, ROUNDS).await, 0, "{change} in {places:?}");
            }
        }
    });
}

#[test]
fn with_a_plain_set_in_place_of_the_fill_each_change_is_lost() {
    testkit::run(async {
        let (_server, workers) = two(&[Ablation::TicketCheck]).await;
        for places in PLACES {
            for change in CHANGES {
                let stale = stale_after(&workers, places, change, ROUNDS_WITHOUT).await;
                assert_eq!(stale, ROUNDS_WITHOUT, "{change} in {places:?}");
            }
        }
    });
}

/// A removal by the other process while a load is held, and then somebody who joins it; answers how many get the old value.
async fn stale_joiners(workers: &[Worker; 2], rounds: u64) -> u64 {
    let mut stale = 0;
    for round in 0..rounds {
        let key = format!("join:{round}");
        let late = workers[0].hold(&key, "old").await;
        assert_eq!(workers[1].tell(&format!("delete {key}")).await, "true");
        let joins = workers[0].begin(&format!("read {key} new")).await;
        workers[0].tell("ready").await; // lines are obeyed in their order: the reader has come
        workers[0].tell("let-go").await;
        assert_eq!(late.await.as_deref(), Ok("old"));
        stale += u64::from(joins.await.as_deref() != Ok("new"));
    }
    stale
}

#[test]
fn who_joins_after_a_removal_by_another_process_never_gets_the_old_value() {
    testkit::run_within(std::time::Duration::from_secs(120), async {
        assert_eq!(stale_joiners(&two(&[]).await.1, 1).await, 0);
        let (_server, workers) = two(&[]).await;
        assert_eq!(stale_joiners(&workers, ROUNDS).await, 0);
    });
}

#[test]
fn without_vouching_joiners_get_the_old_value() {
    testkit::run(async {
        let (_server, workers) = two(&[Ablation::Vouching]).await;
        assert!(stale_joiners(&workers, ROUNDS_WITHOUT).await > 0);
    });
}

/// A removal and the beginning of another load, before the first fills in; answers how often its old value is then found.
async fn revived(workers: &[Worker; 2], rounds: u64) -> u64 {
    let mut revived = 0;
    for round in 0..rounds {
        let key = format!("revive:{round}");
        let late = workers[0].hold(&key, "old").await;
        assert_eq!(workers[1].tell(&format!("delete {key}")).await, "true");
        let next = workers[1].hold(&key, "new").await;
        workers[0].tell("let-go").await;
        assert_eq!(late.await.as_deref(), Ok("old"));
        revived += u64::from(workers[1].tell(&format!("look {key}")).await == "old");
        workers[1].tell("let-go").await;
        assert_eq!(next.await.as_deref(), Ok("new"));
    }
    revived
}

#[test]
fn a_late_fill_is_not_taken_for_one_of_the_next_interval() {
    testkit::run_within(std::time::Duration::from_secs(120), async {
        let (_server, workers) = two(&[]).await;
        assert_eq!(revived(&workers, ROUNDS).await, 0);
    });
}

#[test]
fn with_a_lease_that_is_sent_again_the_late_fill_is_taken() {
    testkit::run(async {
        let (_server, workers) = two(&[Ablation::FreshLease]).await;
        assert_eq!(revived(&workers, ROUNDS_WITHOUT).await, ROUNDS_WITHOUT);
    });
}

/// Large values filled in by two processes at once; answers how many were another's, or refused.
async fn mixed_up(workers: &[Worker; 2], count: u64) -> u64 {
    let (a, b) = (format!("large a {count}"), format!("large b {count}"));
    let (one, two) = tokio::join!(workers[0].tell(&a), workers[1].tell(&b));
    one.parse::<u64>().expect("a number") + two.parse::<u64>().expect("a number")
}

#[test]
fn large_values_are_never_anothers() {
    testkit::run(async {
        let (_server, workers) = two(&[]).await;
        assert_eq!(mixed_up(&workers, 300).await, 0);
    });
}

#[test]
fn with_one_staging_key_for_all_large_values_are_mixed_up() {
    testkit::run(async {
        let (_server, workers) = two(&[Ablation::OwnStaging]).await;
        assert!(mixed_up(&workers, 300).await > 0);
    });
}
