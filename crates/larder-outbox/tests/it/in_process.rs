//! Several processes on one database, each with a cache of its own, without Redis. Here a node stands for a process: nodes know of each
//! other only by the database.

use std::time::Duration;

use larder::{Acknowledged, CacheService, Invalidation};
use larder_outbox::{Error, Outbox, Settings};
use sqlx::Any;
use testkit::postgres::PostgresServer;
use tokio::time::Instant;

use crate::fixture::{Base, KINDS, Kind, Node, changed, put};

#[test]
fn what_one_process_changes_another_reads_at_once_after_a_sync_and_soon_without() {
    testkit::run(async {
        for kind in KINDS {
            let base = Base::new(kind).await;
            let (one, other) = (Node::new(&base, None).await, Node::new(&base, None).await);
            for round in 1..20 {
                let (now, before) = (round, other.read("a").await);
                assert_eq!(other.read("a").await, before);
                assert_eq!(one.write("a", now).await, Acknowledged::Applied);
                assert_eq!(one.read("a").await, now, "its own change");
                if round % 2 == 0 {
                    other.synced().await;
                    assert_eq!(other.read("a").await, now, "{kind:?}");
                } else {
                    testkit::until("the other hears of it", async || other.read("a").await == now).await;
                }
            }
        }
    });
}

#[test]
fn hits_are_hits_and_ones_own_changes_are_removed_once() {
    testkit::run(async {
        for kind in KINDS {
            let base = Base::new(kind).await;
            let node = Node::patient(&base).await;
            node.synced().await;
            node.write("a", 1).await;
            node.read("a").await;
            let loads = node.loads();
            node.synced().await; // the relay has met the row by now
            node.read("a").await;
            assert_eq!(node.loads(), loads, "{kind:?}: its own row removed it a second time");
        }
    });
}

#[test]
fn without_a_relay_nothing_is_served_after_a_second() {
    testkit::run(async {
        for kind in KINDS {
            let base = Base::new(kind).await;
            let (one, other) = (Node::new(&base, None).await, Node::new(&base, None).await);
            one.synced().await;
            one.write("a", 1).await;
            assert_eq!(one.read("a").await, 1);
            one.outbox.shutdown().await;
            other.write("a", 2).await;
            let changed = Instant::now();
            testkit::until("it serves nothing any more", async || {
                let asked = changed.elapsed();
                let stage = one.read("a").await;
                assert!(stage == 2 || asked < Duration::from_secs(1), "{kind:?}: {stage} after {asked:?}");
                stage == 2
            })
            .await;
            assert!(one.cache.sync().await.is_err(), "nobody tells it of anything");
        }
    });
}

#[test]
fn what_is_rolled_back_is_not_announced_and_what_nobody_announced_is() {
    testkit::run(async {
        for kind in KINDS {
            let base = Base::new(kind).await;
            let (one, other) = (Node::patient(&base).await, Node::patient(&base).await);
            for node in [&one, &other] {
                node.synced().await;
                node.read("a").await;
            }
            let (before, loads) = (one.loads(), other.loads());
            let mut change = one.pool.begin().await.unwrap();
            put(&mut change, "a", 7).await;
            let recorded = one.outbox.add(&mut change, changed("a")).await.unwrap();
            change.rollback().await.unwrap();
            drop(recorded);
            for node in [&one, &other] {
                node.synced().await;
                assert_eq!(node.read("a").await, 0);
            }
            assert_eq!((one.loads(), other.loads()), (before, loads), "{kind:?}: nothing was changed");

            let mut change = one.pool.begin().await.unwrap();
            put(&mut change, "a", 8).await;
            drop(one.outbox.add(&mut change, changed("a")).await.unwrap());
            change.commit().await.unwrap();
            for node in [&one, &other] {
                node.synced().await;
                assert_eq!(node.read("a").await, 8, "{kind:?}");
            }
        }
    });
}

#[test]
fn a_transaction_that_commits_late_is_not_overlooked() {
    testkit::run(async {
        // SQLite has one writer at a time, so that there is nothing to overtake.
        let base = Base::new(Kind::Postgres).await;
        let (one, other) = (Node::new(&base, None).await, Node::new(&base, None).await);
        other.synced().await;
        other.read("a").await;
        let mut late = one.pool.begin().await.unwrap();
        put(&mut late, "a", 1).await;
        drop(one.outbox.add(&mut late, changed("a")).await.unwrap());
        for stage in 1..50 {
            one.write("b", stage).await;
            other.synced().await;
            assert_eq!(other.read("b").await, stage);
        }
        assert_eq!(other.read("a").await, 0);
        late.commit().await.unwrap();
        other.synced().await;
        assert_eq!(other.read("a").await, 1);
    });
}

#[test]
fn a_change_of_more_rows_than_a_look_takes_is_told_whole() {
    testkit::run(async {
        for kind in KINDS {
            let base = Base::new(kind).await;
            let node = Node::new(&base, None).await;
            node.synced().await;
            for id in ["first", "last"] {
                assert_eq!(node.read(id).await, 0);
            }
            base.sql(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25000) \
                 INSERT INTO larder_outbox (removes) \
                 SELECT CASE i WHEN 1 THEN '[{\"key\":\"deal:first\"}]' WHEN 25000 THEN '[{\"key\":\"deal:last\"}]' ELSE '[]' END FROM n",
            )
            .await;
            base.sql("INSERT INTO deals (id, stage) VALUES ('first', 1), ('last', 1)").await;
            node.synced().await;
            for id in ["first", "last"] {
                assert_eq!(node.read(id).await, 1, "{kind:?}: {id}");
            }
        }
    });
}

#[test]
fn what_cannot_be_read_removes_everything() {
    testkit::run(async {
        for kind in KINDS {
            let base = Base::new(kind).await;
            let node = Node::new(&base, None).await;
            node.synced().await;
            node.read("a").await;
            base.sql("INSERT INTO deals (id, stage) VALUES ('a', 5)").await;
            base.sql("INSERT INTO larder_outbox (removes) VALUES ('deal:a')").await;
            node.synced().await;
            assert_eq!(node.read("a").await, 5, "{kind:?}");
            assert_eq!(node.outbox.stats().await.unwrap().garbled, 1);
        }
    });
}

#[test]
fn a_cache_has_one_outbox_and_has_to_be_made_for_it() {
    testkit::run(async {
        let base = Base::new(Kind::Sqlite).await;
        let plain = CacheService::builder().build().unwrap();
        let refused = Outbox::<Any>::start(&base.pool, &plain, Settings::new()).await.unwrap_err();
        assert!(matches!(refused, Error::NotRelayed), "{refused}");
        let node = Node::new(&base, None).await;
        assert!(Outbox::<Any>::start(&base.pool, &node.cache, Settings::new()).await.is_err());
        let wrong = Settings::new().keep(Duration::ZERO);
        let refused = Outbox::<Any>::start(&base.pool, &node.cache, wrong).await.unwrap_err();
        assert!(matches!(refused, Error::Setting { setting: "keep", .. }), "{refused}");
    });
}

#[test]
fn nothing_to_remove_is_no_row() {
    testkit::run(async {
        for kind in KINDS {
            let base = Base::new(kind).await;
            let node = Node::new(&base, None).await;
            let recorded = {
                let mut change = node.pool.begin().await.unwrap();
                let recorded = node.outbox.add(&mut change, Invalidation::new()).await.unwrap();
                change.commit().await.unwrap();
                recorded
            };
            assert_eq!(node.outbox.announce(recorded).await, Acknowledged::Applied);
            assert_eq!(base.number("SELECT count(*) FROM larder_outbox").await, 0);
        }
    });
}

#[test]
fn a_commit_that_failed_is_announced_without_being_believed() {
    testkit::run(async {
        // SQLite gives the number of a row that was rolled back to the next one.
        let base = Base::new(Kind::Sqlite).await;
        let (one, other) = (Node::new(&base, None).await, Node::new(&base, None).await);
        one.synced().await;
        one.read("b").await;
        let mut change = one.pool.begin().await.unwrap();
        put(&mut change, "a", 1).await;
        let recorded = one.outbox.add(&mut change, changed("a")).await.unwrap();
        change.rollback().await.unwrap();
        assert_eq!(one.outbox.announce_unsure(recorded).await, Acknowledged::Durable);
        other.write("b", 1).await;
        one.synced().await;
        assert_eq!(one.read("b").await, 1, "the row of another was taken for its own");
    });
}

#[test]
fn a_database_that_crashed_and_gives_ids_once_more_hides_nothing() {
    testkit::run(async {
        // What it has not written when it is killed is lost: the ids of what was rolled back, which it writes when there is time.
        let forgetful = ["fsync=off", "full_page_writes=off", "wal_writer_delay=10s"];
        let server = PostgresServer::start_durable_with(&forgetful).await;
        let base = Base::at(&server.database().await).await;
        let node = Node::new(&base, None).await;
        for _ in 0..50 {
            // Ids that a crash takes back.
            let mut aborted = base.pool.begin().await.unwrap();
            put(&mut aborted, "x", 1).await;
            aborted.rollback().await.unwrap();
        }
        node.synced().await;
        assert_eq!(node.read("a").await, 0);
        let next = async || base.number("SELECT pg_snapshot_xmax(pg_current_snapshot())::TEXT::BIGINT").await;
        let before = next().await;
        server.kill().await;
        server.restart().await;
        testkit::until("the database answers", async || {
            sqlx::query("SELECT 1").execute(&base.pool).await.is_ok()
        })
        .await;
        assert!(next().await < before, "ids are given once more");
        base.sql("INSERT INTO deals (id, stage) VALUES ('a', 1)").await;
        base.sql("INSERT INTO larder_outbox (removes) VALUES ('[{\"key\":\"deal:a\"}]')").await;
        testkit::until("the relay reads again", async || node.cache.sync().await.is_ok()).await;
        assert_eq!(node.read("a").await, 1);
    });
}

#[test]
fn a_dump_of_another_server_begins_a_history_of_its_own() {
    testkit::run(async {
        let base = Base::new(Kind::Postgres).await;
        base.sql("INSERT INTO larder_outbox (xid, removes) VALUES ('1000000000', '[]')").await;
        base.sql("UPDATE larder_outbox_state SET floor = '999999999'").await;
        let identity = async || -> String {
            sqlx::query_scalar("SELECT identity FROM larder_outbox_state")
                .fetch_one(&base.pool)
                .await
                .unwrap()
        };
        let before = identity().await;
        let node = Node::patient(&base).await;
        assert_ne!(identity().await, before, "no Redis is believed that heard of the other");
        node.write("a", 1).await;
        node.read("a").await;
        let loads = node.loads();
        for _ in 0..3 {
            node.synced().await;
            node.read("a").await;
        }
        assert_eq!(node.loads(), loads, "old rows are removed again and again");
    });
}

#[test]
fn rows_that_are_old_or_too_many_are_deleted_and_the_floor_says_so() {
    testkit::run(async {
        for kind in KINDS {
            let base = Base::new(kind).await;
            let node =
                Node::with(&base, None, Settings::new().max_rows(10).prune_every(Duration::from_secs(2)))
                    .await;
            for stage in 0..30 {
                node.write("a", stage).await;
            }
            testkit::until("most are deleted", async || {
                base.number("SELECT count(*) FROM larder_outbox").await <= 10
            })
            .await;
            let floor =
                base.number("SELECT CAST(CAST(floor AS TEXT) AS BIGINT) FROM larder_outbox_state").await;
            assert!(floor > 0, "{kind:?}");
            assert!(node.outbox.stats().await.unwrap().pruned >= 20);
            node.synced().await;
            assert_eq!(node.read("a").await, 29);
        }
    });
}

#[test]
fn an_outbox_that_somebody_emptied_is_noticed() {
    testkit::run(async {
        let base = Base::new(Kind::Sqlite).await;
        let node = Node::new(&base, None).await;
        for stage in 1..5 {
            node.write("b", stage).await;
        }
        node.synced().await;
        assert_eq!(node.read("a").await, 0);
        base.sql("DELETE FROM larder_outbox").await;
        base.sql("INSERT INTO deals (id, stage) VALUES ('a', 1)").await;
        base.sql("INSERT INTO larder_outbox (removes) VALUES ('[{\"key\":\"deal:a\"}]')").await;
        node.synced().await;
        assert_eq!(node.read("a").await, 1);
    });
}
