//! One Redis, which dies and comes back in all its ways.

use std::time::Duration;

use larder::{Acknowledged, CacheService, Redis};
use larder_outbox::{Ablation, Settings};
use testkit::faults::{Fault, Faulty};
use testkit::redis::RedisServer;

use crate::fixture::{Base, KINDS, Kind, Node};

const KEYS: i64 = 50;

fn id(key: i64) -> String {
    format!("d{key}")
}

/// Reads all, so that all of them are in Redis, and answers how many had to be loaded.
async fn read_all(node: &Node, expected: impl Fn(i64) -> i64) -> u64 {
    let before = node.loads();
    for key in 0..KEYS {
        assert_eq!(node.read(&id(key)).await, expected(key), "key {key}");
    }
    node.loads() - before
}

/// Nothing in this process: what is read is what Redis has.
fn plain(redis: &RedisServer) -> Redis {
    Redis::at(redis.url()).local_tier(false)
}

#[test]
fn a_change_is_applied_by_the_process_that_made_it_and_noted() {
    testkit::run(async {
        for kind in KINDS {
            let (base, redis) = (Base::new(kind).await, RedisServer::start().await);
            // Longer than it takes to note what was done, whatever else the machine does.
            let patient = || Settings::new().grace(Duration::from_secs(10));
            let one = Node::with(&base, Some(plain(&redis)), patient()).await;
            let other = Node::with(&base, Some(plain(&redis)), patient()).await;
            for stage in 1..20 {
                assert_eq!(one.write("a", stage).await, Acknowledged::Applied);
                assert_eq!(other.read("a").await, stage, "{kind:?}");
            }
            testkit::until("all is noted as done", async || {
                base.number("SELECT count(*) FROM larder_outbox WHERE done IS NULL").await == 0
            })
            .await;
            let applied =
                [one.outbox.stats().await.unwrap().applied, other.outbox.stats().await.unwrap().applied];
            assert_eq!(applied, [0, 0], "{kind:?}: nobody had to do it for it");
        }
    });
}

#[test]
fn what_its_own_process_does_not_announce_another_one_does() {
    testkit::run(async {
        for kind in KINDS {
            let (base, redis) = (Base::new(kind).await, RedisServer::start().await);
            let node = Node::new(&base, Some(plain(&redis))).await;
            assert_eq!(node.read("a").await, 0);
            base.sql("INSERT INTO deals (id, stage) VALUES ('a', 1)").await;
            base.sql("INSERT INTO larder_outbox (removes) VALUES ('[{\"key\":\"deal:a\"}]')").await;
            testkit::until("it is removed", async || node.read("a").await == 1).await;
            node.outbox.caught_up(Duration::from_secs(5)).await.unwrap();
            assert_eq!(node.outbox.stats().await.unwrap().applied, 1);

            base.sql("UPDATE deals SET stage = 2").await;
            base.sql("INSERT INTO larder_outbox (removes) VALUES ('[{\"key\":\"deal:a\"}]')").await;
            node.outbox.caught_up(Duration::from_secs(5)).await.unwrap();
            assert_eq!(node.read("a").await, 2, "{kind:?}");
        }
    });
}

#[test]
fn a_redis_that_was_away_keeps_what_is_still_right() {
    testkit::run(async {
        for kind in KINDS {
            let (base, redis) = (Base::new(kind).await, RedisServer::builder().aof().start().await);
            let (one, other) =
                (Node::new(&base, Some(plain(&redis))).await, Node::new(&base, Some(plain(&redis))).await);
            let expected = |lives: i64| move |key: i64| if key < 5 { lives } else { 0 };
            assert_eq!(read_all(&one, expected(0)).await, KEYS as u64);
            for lives in 1..4 {
                redis.kill().await;
                for key in 0..5 {
                    assert_eq!(one.write(&id(key), lives).await, Acknowledged::Durable);
                }
                redis.restart_with_data().await;
                one.synced().await;
                other.synced().await;
                assert_eq!(read_all(&one, expected(lives)).await, 5, "{kind:?}: all others are hits");
                assert_eq!(read_all(&other, expected(lives)).await, 0);
            }
            assert_eq!(one.outbox.stats().await.unwrap().eras + other.outbox.stats().await.unwrap().eras, 1);
        }
    });
}

/// How many of five keys that were changed since a backup are stale when Redis has come back with it, and how many of all had to be
/// loaded. So many changes of others lie before theirs.
async fn stale_after_a_backup(kind: Kind, settings: Settings, others: usize) -> (usize, u64) {
    let (base, redis) = (Base::new(kind).await, RedisServer::start().await);
    let node = Node::with(&base, Some(plain(&redis)), settings).await;
    read_all(&node, |_| 0).await;
    let backup = redis.snapshot().await;
    base.sql(&format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= {others}) \
         INSERT INTO larder_outbox (removes) SELECT '[{{\"key\":\"x' || i || '\"}}]' FROM n"
    ))
    .await;
    for key in 0..5 {
        assert_eq!(node.write(&id(key), 1).await, Acknowledged::Applied);
    }
    node.outbox.caught_up(Duration::from_secs(60)).await.unwrap();
    redis.restart_with_snapshot(&backup).await;
    let loads = node.loads();
    node.synced().await;
    let mut stale = 0;
    for key in 0..KEYS {
        stale += usize::from(node.read(&id(key)).await != i64::from(key < 5));
    }
    (stale, node.loads() - loads)
}

#[test]
fn a_redis_with_data_of_before_hears_of_everything_since() {
    testkit::run(async {
        for kind in KINDS {
            for others in [0, 20_000] {
                let (stale, loads) = stale_after_a_backup(kind, Settings::new(), others).await;
                assert_eq!((stale, loads), (0, 5), "{kind:?}: all others are hits");
            }
        }
    });
}

#[test]
fn without_the_gate_the_replay_or_the_name_of_the_life_the_same_test_finds_stale_values() {
    testkit::run(async {
        for kind in KINDS {
            for rule in [Ablation::SuspectGate, Ablation::Replay, Ablation::DoneIncarnation] {
                let settings = Settings::new().without(rule);
                let (stale, _) = stale_after_a_backup(kind, settings, 20_000).await;
                assert!(stale > 0, "{kind:?}: without {rule:?}");
            }
        }
    });
}

#[test]
fn a_redis_that_comes_back_empty_or_from_before_the_record_begins_a_new_era() {
    testkit::run(async {
        for kind in KINDS {
            let (base, redis) = (Base::new(kind).await, RedisServer::start().await);
            let node = Node::new(&base, Some(plain(&redis))).await;
            read_all(&node, |_| 0).await;
            redis.restart_empty().await;
            node.synced().await;
            assert_eq!(read_all(&node, |_| 0).await, KEYS as u64);

            let backup = redis.snapshot().await;
            node.write("d1", 1).await;
            // As if it were old: the rows are gone, and nobody knows what was in them.
            base.sql("DELETE FROM larder_outbox").await;
            base.sql("UPDATE larder_outbox_state SET floor = '1000000'").await;
            redis.restart_with_snapshot(&backup).await;
            node.synced().await;
            assert_eq!(read_all(&node, |key| i64::from(key == 1)).await, KEYS as u64, "{kind:?}");
        }
    });
}

#[test]
fn a_redis_of_another_database_is_not_believed() {
    testkit::run(async {
        let redis = RedisServer::start().await;
        for kind in KINDS {
            let base = Base::new(kind).await;
            base.sql("INSERT INTO deals (id, stage) VALUES ('a', 1)").await;
            let node = Node::new(&base, Some(plain(&redis))).await;
            assert_eq!(node.read("a").await, 1);
            node.outbox.shutdown().await;
            let base = Base::new(kind).await;
            base.sql("INSERT INTO deals (id, stage) VALUES ('a', 2)").await;
            let node = Node::new(&base, Some(plain(&redis))).await;
            assert_eq!(node.read("a").await, 2, "{kind:?}");
        }
    });
}

/// Records what a stranger does, who has no cache.
async fn strange(base: &Base, sql: &str, removes: &str) {
    base.sql(sql).await;
    base.sql(&format!("INSERT INTO larder_outbox (removes) VALUES ('{removes}')")).await;
}

#[test]
fn everything_counts_as_removed_only_once_the_era_has_begun() {
    testkit::run(async {
        for kind in KINDS {
            let (base, redis) = (Base::new(kind).await, RedisServer::builder().aof().start().await);
            let node = Node::new(&base, Some(plain(&redis))).await;
            read_all(&node, |_| 0).await;
            redis.kill().await;
            strange(&base, "INSERT INTO deals (id, stage) VALUES ('d1', 1)", r#"[{"everything":true}]"#)
                .await;
            redis.restart_with_data().await;
            // The era cannot begin, so that the life is given up between the verdict and its root, again and again.
            redis.command(&["ACL", "SETUSER", "default", "-eval"]).await;
            let handshakes = async || redis.calls().await.get("client|id").map_or(0, |calls| calls.count);
            let before = handshakes().await;
            testkit::until("several attempts", async || handshakes().await > before + 5).await;
            redis.command(&["ACL", "SETUSER", "default", "+eval"]).await;
            node.synced().await;
            assert_eq!(read_all(&node, |key| i64::from(key == 1)).await, KEYS as u64, "{kind:?}");
        }
    });
}

#[test]
fn a_server_that_does_not_say_who_it_is_is_relayed_to_all_the_same() {
    testkit::run(async {
        for kind in KINDS {
            let (base, redis) = (Base::new(kind).await, RedisServer::start().await);
            redis.command(&["ACL", "SETUSER", "default", "-info"]).await;
            let node = Node::new(&base, Some(plain(&redis))).await;
            assert_eq!(node.read("d1").await, 0);
            for stage in 1..4 {
                strange(
                    &base,
                    &format!("INSERT INTO deals (id, stage) VALUES ('d1', {stage}) ON CONFLICT (id) DO UPDATE SET stage = {stage}"),
                    r#"[{"key":"deal:d1"}]"#,
                )
                .await;
                node.outbox.caught_up(Duration::from_secs(10)).await.unwrap();
                assert_eq!(node.read("d1").await, stage, "{kind:?}");
            }
            assert_eq!(node.write("d1", 9).await, Acknowledged::Applied);
            assert_eq!(node.read("d1").await, 9);
        }
    });
}

#[test]
fn what_another_life_has_executed_is_executed_in_this_one() {
    testkit::run(async {
        for kind in KINDS {
            let (base, redis) = (Base::new(kind).await, RedisServer::start().await);
            let node = Node::new(&base, Some(plain(&redis))).await;
            assert_eq!(node.read("d1").await, 0);
            // As by a process that still reaches an old primary.
            base.sql("INSERT INTO deals (id, stage) VALUES ('d1', 1)").await;
            base.sql("INSERT INTO larder_outbox (removes, done) VALUES ('[{\"key\":\"deal:d1\"}]', 77)")
                .await;
            testkit::until("it is removed here too", async || node.read("d1").await == 1).await;
        }
    });
}

#[test]
fn a_change_of_a_hundred_thousand_rows_while_redis_is_away_leaves_the_rest_warm() {
    testkit::run(async {
        for kind in KINDS {
            let (base, redis) = (Base::new(kind).await, RedisServer::builder().aof().start().await);
            let node = Node::new(&base, Some(plain(&redis))).await;
            read_all(&node, |_| 0).await;
            redis.kill().await;
            base.sql(
                "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99999) \
                 INSERT INTO larder_outbox (removes) SELECT '[{\"key\":\"deal:' || \
                 CASE WHEN i < 5 THEN 'd' || i ELSE 'x' || i END || '\"}]' FROM n",
            )
            .await;
            for key in 0..5 {
                base.sql(&format!("INSERT INTO deals (id, stage) VALUES ('d{key}', 1)")).await;
            }
            redis.restart_with_data().await;
            node.synced().await;
            assert_eq!(read_all(&node, |key| i64::from(key < 5)).await, 5, "{kind:?}: all others are hits");
            assert_eq!(node.outbox.stats().await.unwrap().replayed, 100_000);

            // And while it is there.
            base.sql(
                "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 29999) \
                 INSERT INTO larder_outbox (removes) SELECT '[{\"key\":\"deal:d' || (i / 3000) || '\"}]' FROM n",
            )
            .await;
            base.sql("UPDATE deals SET stage = 2").await;
            node.outbox.caught_up(Duration::from_secs(60)).await.unwrap();
            assert_eq!(read_all(&node, |key| if key < 5 { 2 } else { 0 }).await, 10, "{kind:?}");
        }
    });
}

#[test]
fn whatever_befalls_redis_nothing_is_stale_afterwards_and_what_came_back_is_kept() {
    testkit::run_within(Duration::from_secs(300), async {
        for kind in KINDS {
            for fault in Fault::ALL {
                let (base, redis) = (Base::new(kind).await, Faulty::start().await);
                // With its deadlines, since some of these servers never answer.
                let builder = CacheService::builder().redis(Redis::at(redis.url()).local_tier(false));
                let node = Node::of(builder, &base.url, Settings::new()).await;
                node.cache.ready().await;
                read_all(&node, |_| 0).await;
                redis.remember().await;
                if !fault.is_moment() {
                    fault.begin(&redis).await;
                }
                for key in 0..5 {
                    node.write(&id(key), 1).await;
                }
                if fault.is_moment() {
                    fault.begin(&redis).await;
                }
                fault.end(&redis).await;
                node.synced().await;
                node.outbox.caught_up(Duration::from_secs(20)).await.unwrap();
                let loads = read_all(&node, |key| i64::from(key < 5)).await;
                let is_gone = matches!(fault, Fault::Evicting | Fault::Flushed | Fault::RestartedEmpty);
                assert!(is_gone || loads == 5, "{kind:?}, {fault}: {loads} loads for 5 that were changed");
            }
        }
    });
}

#[test]
fn a_row_that_this_user_may_not_execute_begins_a_new_era_and_is_in_nobodys_way() {
    testkit::run(async {
        for kind in KINDS {
            let (base, redis) = (Base::new(kind).await, RedisServer::start().await);
            let node = Node::new(&base, Some(plain(&redis))).await;
            read_all(&node, |_| 0).await;
            redis.command(&["ACL", "SETUSER", "default", "resetkeys", "~deal:*", "~!*"]).await;
            strange(
                &base,
                "INSERT INTO deals (id, stage) VALUES ('d1', 1)",
                r#"[{"key":"other"},{"key":"deal:d1"}]"#,
            )
            .await;
            node.outbox.caught_up(Duration::from_secs(10)).await.unwrap();
            assert_eq!(read_all(&node, |key| i64::from(key == 1)).await, KEYS as u64, "{kind:?}");
            assert_eq!(read_all(&node, |key| i64::from(key == 1)).await, 0, "{kind:?}: and goes on");
        }
    });
}

#[test]
fn while_somebody_writes_for_long_others_are_told_all_the_same() {
    testkit::run(async {
        let (base, redis) = (Base::new(Kind::Sqlite).await, RedisServer::start().await);
        let node = Node::new(&base, Some(plain(&redis))).await;
        assert_eq!(node.read("d1").await, 0);
        strange(&base, "INSERT INTO deals (id, stage) VALUES ('d1', 1)", r#"[{"key":"deal:d1"}]"#).await;
        let long = base.pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
        testkit::until("it is removed, though nobody can note it", async || node.read("d1").await == 1).await;
        redis.restart_empty().await;
        node.synced().await;
        assert_eq!(node.read("d1").await, 1);
        long.rollback().await.unwrap();
    });
}
