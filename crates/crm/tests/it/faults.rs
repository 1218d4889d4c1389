//! The application while its Redis fails: two processes on one database and one Redis, and all that [`Fault`] names. Nobody is
//! shown what was changed before, nobody is kept waiting until the limit of a request, health says what is so, and caching
//! resumes by itself.

use crate::ground;
use crate::process::{LIMIT, Serving};
use crate::redis::is_hit;
use crate::running::{Answer, Running, unlimited};
use crm::config::{Layer, Settings, Switch};
use crm::database::Database;
use larder::Clock;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use testkit::faults::{Fault, Faulty};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio::time::MissedTickBehavior;

/// The deals that are changed.
const CHANGED: usize = 25;
/// Of these, how many are changed before what is a moment: all of their removals were acknowledged then. The others are changed
/// while it happens once more.
const BEFORE: usize = 13;
/// Changes that are under way at once: more than one, of either process, and fewer than the readers of a database.
const LANES: usize = 4;
/// Between two reads of whoever watches: leaves the cores to the processes that are watched.
const WATCH_EVERY: Duration = Duration::from_millis(5);
/// The limit of a request, in milliseconds: half of the default, for processes that are waiting for a sick Redis only.
const REQUEST_LIMIT_MS: &str = "5000";
/// The limit of a call to Redis, in milliseconds, is the longest there is: answers that are 200 ms late come in time also on a machine that is
/// busy with builds.
const REDIS_TIMEOUT_MS: &str = "650";

/// One test a fault, and one that none is left out.
macro_rules! withstood {
    ($($name:ident: $fault:ident,)*) => {
        $(#[test]
        fn $name() {
            testkit::run_within(LIMIT, withstand(Fault::$fault));
        })*

        #[test]
        fn every_fault_has_its_test() {
            assert_eq!([$(Fault::$fault),*], Fault::ALL);
        }
    };
}

withstood! {
    redis_that_is_killed_is_withstood: Killed,
    redis_that_is_paused_is_withstood: Paused,
    redis_that_refuses_connections_is_withstood: Refusing,
    redis_that_is_full_is_withstood: Full,
    redis_that_evicts_all_the_time_is_withstood: Evicting,
    redis_whose_disk_is_full_is_withstood: DiskFull,
    redis_that_answers_garbage_is_withstood: Garbage,
    redis_that_is_flushed_is_withstood: Flushed,
    redis_that_starts_again_empty_is_withstood: RestartedEmpty,
    redis_that_starts_again_with_its_log_is_withstood: RestartedWithAof,
    redis_that_starts_again_from_an_old_snapshot_is_withstood: RestartedWithOldRdb,
    redis_that_is_slow_is_withstood: Slow,
}

/// What health says of Redis while the fault lasts.
fn health_during(fault: Fault) -> &'static str {
    match fault {
        Fault::Killed | Fault::Paused | Fault::Refusing | Fault::DiskFull | Fault::Garbage => "disconnected",
        Fault::Full => "degraded",
        _ => "connected",
    }
}

async fn withstand(fault: Fault) {
    let scene = Arc::new(Scene::set().await);
    scene.warm().await;
    scene.redis.remember().await;
    let (before, meanwhile) = scene.rows.split_at(BEFORE);
    let watch = scene.watch();
    if fault.is_moment() {
        scene.change(before, fault, Seen::ByBoth).await;
        fault.begin(&scene.redis).await;
    } else {
        fault.begin(&scene.redis).await;
        scene.change(&scene.rows, fault, Seen::ByBoth).await;
        for server in &scene.servers {
            server.until_health_says(health_during(fault)).await;
        }
        scene.compare(&format!("{fault}, during")).await;
        fault.end(&scene.redis).await;
    }
    scene.recovers(fault).await;
    watch.end().await;
    if fault.is_moment() {
        tokio::join!(fault.begin(&scene.redis), scene.change(meanwhile, fault, Seen::ByWriter));
        scene.recovers(fault).await;
    }
    scene.report(fault);
}

/// Only who could not remove what it changed knows of it. Until it has reached Redis again the other may show what is there; from
/// then on nobody does.
#[test]
fn what_one_process_could_not_remove_nobody_shows_once_it_is_connected_again() {
    testkit::run_within(LIMIT, async {
        let scene = Arc::new(Scene::set().await);
        scene.warm().await;
        let fault = Fault::Refusing;
        fault.begin(&scene.redis).await;
        for row in &scene.rows {
            scene.change_one(row, 0, fault, Seen::ByBoth).await;
        }
        fault.end(&scene.redis).await;
        scene.recovers(fault).await;
    });
}

/// Who shows a change as soon as it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    ByBoth,
    /// The other may be connected again before its writer is, and show what that could not remove: both must be connected first.
    ByWriter,
}

/// Those who watch, until it ends.
struct Watch {
    done: Arc<AtomicBool>,
    watching: JoinSet<usize>,
}

impl Watch {
    async fn end(self) {
        self.done.store(true, Ordering::Release);
        let reads = self.watching.join_all().await;
        assert!(reads.iter().all(|reads| *reads > CHANGED), "{reads:?}: nobody watched");
    }
}

/// A deal, and the newest version of it that a process has acknowledged.
#[derive(Debug, Clone)]
struct Row {
    path: String,
    list: String,
    acknowledged: Arc<AtomicI64>,
}

/// One of the processes.
struct Server {
    serving: Serving,
    /// The longest read and the longest write, for people to see.
    longest: Mutex<(Duration, Duration)>,
}

impl Server {
    /// Asks; what is read is never to be older than the request.
    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let is_read = method == Method::GET;
        let since = Instant::now();
        let request =
            self.serving.client().await.request(method, format!("http://{}{path}", self.serving.address));
        let request = request.header("cache-control", "no-cache");
        let answer = Answer::to(body.into_iter().fold(request, |request, body| request.json(body))).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        let took = since.elapsed();
        let mut longest = self.longest.lock().unwrap();
        let of_kind = if is_read { &mut longest.0 } else { &mut longest.1 };
        *of_kind = took.max(*of_kind);
        answer
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    async fn until_health_says(&self, status: &str) {
        let what = format!("health that says {status}");
        testkit::until(&what, || async {
            let health = self.get("/api/health").await.json();
            let troubled = health["cache"]["status"] != "connected";
            assert!(health["trouble"].is_string() == troubled, "{health}");
            assert!(
                health["cache"]["redis"].is_null() == (health["cache"]["status"] == "disconnected"),
                "{health}"
            );
            health["cache"]["status"] == status
        })
        .await;
    }
}

/// Two processes on one database and one Redis; one more server on that database has no cache and tells the truth.
struct Scene {
    redis: Faulty,
    servers: [Server; 2],
    truth: Running,
    rows: Vec<Row>,
    /// What is shown of the deals besides themselves.
    views: BTreeSet<String>,
    directory: tempfile::TempDir,
}

const LOGS: [&str; 2] = ["one.log", "other.log"];

impl Scene {
    async fn set() -> Self {
        let redis = Faulty::start().await;
        let directory = tempfile::tempdir().unwrap();
        let url = redis.url();
        let flags = [
            "--redis-url",
            &url,
            "--redis-timeout-ms",
            REDIS_TIMEOUT_MS,
            "--request-limit-ms",
            REQUEST_LIMIT_MS,
            "--limit-per-user=0",
            "--limit-per-address=0",
        ];
        let servers = LOGS.map(|log| {
            let log = File::create(directory.path().join(log)).unwrap();
            let serving = Serving::start_logging(directory.path(), &flags, log.into());
            Server { serving, longest: Mutex::default() }
        });
        let layer = Layer {
            database_url: Some(ground::url(directory.path()).await.into()),
            cache: Some(Switch::Off),
            ..unlimited()
        };
        let settings = Settings::of(layer, Layer::default()).unwrap();
        let database = Database::open(&settings.database_url).await.unwrap();
        let truth = Running::start(database, Clock::system(), settings).await;
        let companies = servers[0].get("/api/companies").await.json();
        let company = companies["items"][0]["id"].as_str().unwrap();
        let truth = truth.asked_by_admin_of(company);
        let (rows, views) = subjects(&truth, company).await;
        Self { redis, servers, truth, rows, views, directory }
    }

    fn paths(&self) -> impl Iterator<Item = &String> {
        self.rows.iter().map(|row| &row.path).chain(&self.views)
    }

    /// Reads everything through both processes until it comes from the cache.
    async fn warm(&self) {
        for server in &self.servers {
            server.until_health_says("connected").await;
            for path in self.paths() {
                let what = format!("{path} from the cache");
                testkit::until(&what, || async { is_hit(&server.get(path).await) }).await;
            }
        }
    }

    /// Watches the deals through both processes: what is shown is never older than what was acknowledged before the read began.
    fn watch(self: &Arc<Self>) -> Watch {
        let (mut watching, done) = (JoinSet::new(), Arc::new(AtomicBool::new(false)));
        for index in 0..self.servers.len() {
            let (scene, done) = (Arc::clone(self), Arc::clone(&done));
            watching.spawn(async move {
                let (mut reads, mut pace) = (0, tokio::time::interval(WATCH_EVERY));
                pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
                for row in scene.rows.iter().cycle() {
                    if done.load(Ordering::Acquire) {
                        break;
                    }
                    let acknowledged = row.acknowledged.load(Ordering::Acquire);
                    let shown = scene.servers[index].get(&row.path).await;
                    let version = shown.json()["version"].as_i64().unwrap();
                    assert!(
                        version >= acknowledged,
                        "{}: version {version} ({}) after {acknowledged} was acknowledged",
                        row.path,
                        shown.header("x-cache")
                    );
                    reads += 1;
                    pace.tick().await;
                }
                reads
            });
        }
        Watch { done, watching }
    }

    /// Changes each of these deals once, some through the one process and some through the other, and reads what both show of
    /// it at once.
    async fn change(self: &Arc<Self>, rows: &[Row], fault: Fault, seen: Seen) {
        let mut lanes = JoinSet::new();
        for lane in 0..LANES {
            let of_lane: Vec<Row> = rows.iter().skip(lane).step_by(LANES).cloned().collect();
            let scene = Arc::clone(self);
            lanes.spawn(async move {
                for (index, row) in of_lane.iter().enumerate() {
                    scene.change_one(row, (lane + index) % scene.servers.len(), fault, seen).await;
                }
            });
        }
        lanes.join_all().await;
    }

    async fn change_one(&self, row: &Row, writer: usize, fault: Fault, seen: Seen) {
        let edit = json!({"title": format!("Changed while {fault}"), "value_cents": 1_234_567});
        let changed = self.servers[writer].send(Method::PATCH, &row.path, Some(&edit)).await;
        let version = changed.json()["version"].as_i64().unwrap();
        // One that is durable only, since its process lost its connection, as it may on a machine that stands still: as soon as
        // another process has made good for it.
        let is_applied = changed.header("x-acknowledged") == "applied";
        if !is_applied && seen == Seen::ByBoth && health_during(fault) != "disconnected" {
            let other = &self.servers[1 - writer];
            let shown = || async { other.get(&row.path).await.text == changed.text };
            testkit::until(&format!("{fault}: it is shown by the other"), shown).await;
            let id = &changed.json()["id"];
            let listed = || async {
                let list = other.get(&row.list).await.json();
                let items = list["items"].as_array().unwrap();
                items.iter().any(|item| item["id"] == *id && item["version"] == version)
            };
            testkit::until(&format!("{fault}: and in its list"), listed).await;
        }
        row.acknowledged.fetch_max(version, Ordering::AcqRel);
        for (index, server) in self.servers.iter().enumerate() {
            if index != writer && seen == Seen::ByWriter {
                continue;
            }
            let from = if index == writer { "its writer" } else { "the other" };
            let shown = server.get(&row.path).await;
            assert_eq!(shown.text, changed.text, "{fault}: from {from}, {}", shown.header("x-cache"));
            let list = server.get(&row.list).await;
            let (id, list_of) = (&changed.json()["id"], list.json());
            let listed = list_of["items"].as_array().unwrap().iter().find(|item| item["id"] == *id);
            assert_eq!(
                listed.unwrap()["version"],
                version,
                "{fault}: in the list of {from}, {}",
                list.header("x-cache")
            );
        }
    }

    /// What both processes show of everything is what the database says.
    async fn compare(self: &Arc<Self>, when: &str) {
        let mut asked = JoinSet::new();
        let paths: Vec<String> = self.paths().cloned().collect();
        for path in paths {
            let scene = Arc::clone(self);
            asked.spawn(async move {
                let (truth, one, other) = tokio::join!(
                    scene.truth.get(&path),
                    scene.servers[0].get(&path),
                    scene.servers[1].get(&path)
                );
                let is_stale = |shown: &&Answer| {
                    (&shown.text, shown.header("etag")) != (&truth.text, truth.header("etag"))
                };
                let stale = [&one, &other].into_iter().filter(is_stale);
                stale.map(|shown| format!("{path} ({})", shown.header("x-cache"))).collect::<Vec<_>>()
            });
        }
        let stale = asked.join_all().await.concat();
        assert!(stale.is_empty(), "{when}: stale are\n{}", stale.join("\n"));
    }

    /// By itself health is good again, nothing is stale, and everything comes from the cache, through both processes.
    async fn recovers(self: &Arc<Self>, fault: Fault) {
        for server in &self.servers {
            server.until_health_says("connected").await;
        }
        self.compare(&format!("{fault}, afterwards")).await;
        for path in self.paths() {
            let truth = self.truth.get(path).await.text;
            for server in &self.servers {
                let what = format!("{fault}: {path} from the cache again");
                testkit::until(&what, || async {
                    let shown = server.get(path).await;
                    assert_eq!(shown.text, truth, "{fault}: {path}, {}", shown.header("x-cache"));
                    is_hit(&shown)
                })
                .await;
            }
        }
    }

    /// Nothing in the logs says that the application itself has failed.
    fn report(&self, fault: Fault) {
        for (server, log) in self.servers.iter().zip(LOGS) {
            let log = std::fs::read_to_string(self.directory.path().join(log)).unwrap();
            let (read, write) = *server.longest.lock().unwrap();
            eprintln!(
                "{fault}: longest read {read:?}, longest write {write:?}, {} lines of log",
                log.lines().count()
            );
            assert!(!log.contains("panicked") && !log.contains("ERROR crm"), "{fault}: {log}");
        }
    }
}

/// The deals that are changed, of the company of the demo's first admin, and what is shown of them besides.
async fn subjects(truth: &Running, company: &str) -> (Vec<Row>, BTreeSet<String>) {
    let (mut rows, mut views) = (Vec::new(), BTreeSet::new());
    let of = |rest: &str| format!("/api/companies/{company}/{rest}");
    let list = of("deals?per_page=200&sort=title");
    views.extend([list.clone(), of("deals?stage=won"), of("pipeline"), of("dashboard")]);
    let deals = truth.get(&of("deals?stage=won&per_page=200")).await.json();
    for deal in &deals["items"].as_array().unwrap()[..CHANGED] {
        let (id, owner) = (deal["id"].as_str().unwrap(), deal["owner"]["id"].as_str().unwrap());
        views.insert(format!("/api/users/{owner}/stats"));
        let acknowledged = AtomicI64::new(deal["version"].as_i64().unwrap());
        let path = format!("/api/deals/{id}");
        rows.push(Row { path, list: list.clone(), acknowledged: acknowledged.into() });
    }
    assert_eq!(rows.len(), CHANGED);
    (rows, views)
}
