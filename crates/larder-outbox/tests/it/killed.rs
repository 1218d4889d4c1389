//! The process that writes is killed, at every point between the beginning of its transaction and the removal: what it committed is
//! removed by another process that lives, and else before the next one serves its first hit.

use std::io::Write;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use larder::Redis;
use larder_outbox::{Ablation, Settings};
use parking_lot::Mutex;
use rand::RngExt;
use sqlx::{Any, Transaction};
use testkit::redis::RedisServer;
use testkit::worker::{self, Worker};
use tokio::time::Instant;

use crate::fixture::{Base, KINDS, Kind, Node, changed, put, stage};

/// Where a writer is when it is killed.
const POINTS: [&str; 6] = ["begun", "written", "recorded", "committed", "removing", "removed"];

/// How many are killed at each point, on each database, with another process that lives and without.
const AT_EACH_POINT: usize = 12;

/// How many are killed in the midst of writing, wherever they are.
const ANYWHERE: usize = 30;

/// 200: what was asked for, on each database.
const _: () = assert!(2 * (POINTS.len() * AT_EACH_POINT + ANYWHERE) >= 200);

const ID: &str = "a";

#[test]
fn worker() {
    let Some(settings) = worker::settings() else { return };
    testkit::run_within(Duration::from_secs(600), async move {
        let [url, redis, row]: [&str; 3] = settings.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let redis = (redis != "-").then(|| Redis::at(redis).local_tier(false));
        let with_row = Settings::new();
        let settings = if row == "row" { with_row } else { with_row.without(Ablation::OutboxRow) };
        let node = Arc::new(Node::start(url, redis, settings).await);
        // What the one writer holds when it is killed.
        let held: Arc<Mutex<Option<Transaction<'static, Any>>>> = Arc::default();
        worker::serve(|order| {
            let (node, held) = (Arc::clone(&node), Arc::clone(&held));
            async move {
                let (what, number) = order.split_once(' ').unwrap();
                let number: i64 = number.parse().unwrap();
                if what == "anywhere" {
                    for stage in number.. {
                        node.write(ID, stage).await;
                    }
                }
                write_until(&node, &held, what, number).await;
                "there".to_owned()
            }
        })
        .await;
    });
}

/// Writes, up to a point.
async fn write_until(node: &Node, held: &Mutex<Option<Transaction<'static, Any>>>, point: &str, stage: i64) {
    let mut change = node.pool.begin().await.unwrap();
    if point != "begun" {
        put(&mut change, ID, stage).await;
    }
    if matches!(point, "begun" | "written") {
        *held.lock() = Some(change);
        return;
    }
    let recorded = node.outbox.add(&mut change, changed(ID)).await.unwrap();
    if point == "recorded" {
        *held.lock() = Some(change);
        std::mem::forget(recorded); // as it is while the transaction goes on
        return;
    }
    change.commit().await.unwrap();
    let mut announce = pin!(node.outbox.announce(recorded));
    match point {
        "committed" => {}
        "removing" => drop(announce.as_mut().now_or_never()), // it is sent, and nobody has waited for the answer
        _ => drop(announce.await),
    }
}

/// A database, perhaps with a Redis, and the writers that die there.
struct Scene {
    base: Base,
    redis: Option<RedisServer>,
    stage: i64,
    /// Whether writers record what they change: "row", or not.
    row: &'static str,
    /// When the last one was killed.
    killed: Instant,
}

impl Scene {
    async fn new(kind: Kind, over_redis: bool) -> Scene {
        let redis = if over_redis { Some(RedisServer::start().await) } else { None };
        Scene { base: Base::new(kind).await, redis, stage: 0, row: "row", killed: Instant::now() }
    }

    async fn node(&self) -> Node {
        let redis = self.redis.as_ref().map(|redis| Redis::at(redis.url()).local_tier(false));
        Node::start(&self.base.url, redis, Settings::new()).await
    }

    /// Starts a writer, has it write up to a point, and kills it there. Answers what is true then.
    async fn kill_a_writer(&mut self, point: &str) -> i64 {
        let redis = self.redis.as_ref().map_or_else(|| "-".to_owned(), RedisServer::url);
        let writer = Worker::start("killed::worker", &format!("{} {redis} {}", self.base.url, self.row));
        self.stage += 1_000_000;
        if point == "anywhere" {
            writer.try_ask("removed 0").await.unwrap(); // it is there, and has connections
            let order = format!("anywhere {}", self.stage);
            let writes = writer.try_ask(&order);
            let pause = Duration::from_micros(rand::rng().random_range(0..20_000));
            assert!(tokio::time::timeout(pause, writes).await.is_err(), "it writes for ever");
        } else {
            assert_eq!(writer.try_ask(&format!("{point} {}", self.stage)).await.unwrap(), "there");
        }
        self.killed = Instant::now();
        writer.kill().await;
        // Of PostgreSQL, the transaction of who is gone may still be ending.
        let is_settled = async || {
            let first = stage(&self.base.pool, ID).await.unwrap();
            let open = match self.base.kind() {
                Kind::Sqlite => 0,
                Kind::Postgres => {
                    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                                  AND state <> 'idle' AND pid <> pg_backend_pid()";
                    self.base.number(others).await
                }
            };
            open == 0 && stage(&self.base.pool, ID).await.unwrap() == first
        };
        testkit::until("the transaction has ended", is_settled).await;
        stage(&self.base.pool, ID).await.unwrap()
    }
}

fn points() -> impl Iterator<Item = &'static str> {
    let each = POINTS.into_iter().flat_map(|point| std::iter::repeat_n(point, AT_EACH_POINT));
    each.chain(std::iter::repeat_n("anywhere", ANYWHERE))
}

/// Another process lives, and has read what is changed.
async fn another_one_removes_it(kind: Kind, over_redis: bool) {
    let mut scene = Scene::new(kind, over_redis).await;
    let other = scene.node().await;
    other.cache.ready().await;
    let mut committed = 0;
    let mut longest = Duration::ZERO;
    for point in points() {
        other.synced().await;
        let before = other.read(ID).await;
        let truth = scene.kill_a_writer(point).await;
        committed += usize::from(truth != before);
        let what = format!("{kind:?}, {point}: {truth} is shown");
        testkit::until(&what, async || other.read(ID).await == truth).await;
        longest = longest.max(scene.killed.elapsed());
    }
    // How fast it is depends on the machine. `cargo test -- --nocapture` shows it.
    let line =
        format!("{kind:?}, over Redis: {over_redis}: {longest:?} at most from a kill until all is seen\n");
    std::io::stdout().write_all(line.as_bytes()).unwrap();
    assert!(committed >= 3 * AT_EACH_POINT, "of those that were killed behind the commit");
}

/// Nobody else lives, and the entry lies in Redis. Whoever starts next shows nothing older from its first read on.
async fn the_next_one_removes_it(kind: Kind) {
    let mut scene = Scene::new(kind, true).await;
    let first = scene.node().await;
    first.cache.ready().await;
    first.read(ID).await;
    first.outbox.shutdown().await;
    first.cache.shutdown().await;
    drop(first);
    for point in points() {
        let truth = scene.kill_a_writer(point).await;
        let next = scene.node().await;
        assert_eq!(next.read(ID).await, truth, "{kind:?}, {point}");
        next.cache.ready().await;
        assert_eq!(next.read(ID).await, truth, "{kind:?}, {point}, once it serves from Redis");
        next.outbox.shutdown().await;
        next.cache.shutdown().await;
    }
}

#[test]
fn on_sqlite_another_process_removes_what_a_killed_one_committed() {
    testkit::run_within(Duration::from_secs(300), another_one_removes_it(Kind::Sqlite, true));
}

#[test]
fn on_postgres_another_process_removes_what_a_killed_one_committed() {
    testkit::run_within(Duration::from_secs(300), another_one_removes_it(Kind::Postgres, true));
}

#[test]
fn on_sqlite_the_next_process_removes_what_a_killed_one_committed() {
    testkit::run_within(Duration::from_secs(300), the_next_one_removes_it(Kind::Sqlite));
}

#[test]
fn on_postgres_the_next_process_removes_what_a_killed_one_committed() {
    testkit::run_within(Duration::from_secs(300), the_next_one_removes_it(Kind::Postgres));
}

#[test]
fn without_redis_another_process_hears_of_what_a_killed_one_committed() {
    testkit::run_within(Duration::from_secs(600), async {
        for kind in KINDS {
            another_one_removes_it(kind, false).await;
        }
    });
}

#[test]
fn without_the_row_the_same_kills_leave_stale_values() {
    testkit::run(async {
        for kind in KINDS {
            let mut scene = Scene { row: "no-row", ..Scene::new(kind, true).await };
            let other = scene.node().await;
            other.cache.ready().await;
            other.read(ID).await;
            let truth = scene.kill_a_writer("committed").await;
            other.outbox.caught_up(Duration::from_secs(10)).await.unwrap();
            assert_ne!(other.read(ID).await, truth, "{kind:?}: nobody can have told it");
        }
    });
}
