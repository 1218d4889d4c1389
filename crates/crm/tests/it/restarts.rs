//! Processes that come and go over a Redis: what the next one finds there, and what it must not believe.

use crate::process::{LIMIT, Serving, output};
use serde_json::{Value, json};
use testkit::faults::{Fault, Faulty};
use testkit::redis::RedisServer;

/// The names of the companies, not older than this request, and where the answer came from.
async fn names(serving: &Serving) -> (Vec<String>, String) {
    let request = serving.client().await.get(format!("http://{}/api/companies", serving.address));
    let answer = request.header("cache-control", "no-cache").send().await.unwrap();
    let source = answer.headers()["x-cache"].to_str().unwrap().to_owned();
    let answer: Value = answer.json().await.unwrap();
    let names = answer["items"].as_array().unwrap().iter();
    (names.map(|company| company["name"].as_str().unwrap().to_owned()).collect(), source)
}

/// What does not change here, and where it came from.
async fn products(serving: &Serving) -> (String, String) {
    let request = serving.client().await.get(format!("http://{}/api/products", serving.address));
    let answer = request.header("cache-control", "no-cache").send().await.unwrap();
    let source = answer.headers()["x-cache"].to_str().unwrap().to_owned();
    (answer.text().await.unwrap(), source)
}

async fn rename(serving: &Serving, company: &str, name: &str) {
    let url = format!("http://{}/api/companies/{company}", serving.address);
    let answer = serving.client().await.patch(url).json(&json!({"name": name})).send().await.unwrap();
    assert!(answer.status().is_success());
}

async fn first_id(serving: &Serving) -> String {
    let answer =
        serving.client().await.get(format!("http://{}/api/companies", serving.address)).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    answer["items"][0]["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_restart_finds_its_cache_again_and_nothing_that_somebody_changed_meanwhile() {
    testkit::run_within(LIMIT, async {
        let redis = RedisServer::start().await;
        let url = redis.url();
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let over_redis = || Serving::start(directory, &["--redis-url", &url]);

        let first = over_redis();
        let (shown, _) = names(&first).await;
        assert!(first.terminate());
        let again = over_redis();
        assert_eq!(names(&again).await, (shown, "hit".to_owned()));
        let company = first_id(&again).await;
        let products = products(&again).await;
        assert!(again.terminate());

        for (flag, name) in [("--cache=on", "AAA One"), ("--cache=off", "AAA Two")] {
            let past = Serving::start(directory, &[flag]);
            rename(&past, &company, name).await;
            assert!(past.terminate());
            let serving = over_redis();
            let (shown, source) = names(&serving).await;
            assert!(shown.contains(&name.to_owned()) && source == "miss", "{flag}: {shown:?} {source}");
            assert_eq!(
                self::products(&serving).await,
                (products.0.clone(), "hit".to_owned()),
                "what did not change"
            );
            assert!(serving.terminate());
        }

        let sample = testkit::workspace_root().join("crates/crm/samples/sales");
        let imported = output(directory, &["import", "sales", sample.to_str().unwrap(), "--redis-url", &url]);
        assert!(imported.status.success());
        let serving = over_redis();
        let (listed, source) = self::products(&serving).await;
        assert!(listed.contains("GTX Pro") && source == "miss", "{source}: {listed}");
    });
}

#[test]
fn what_redis_did_not_hear_of_before_the_end_of_a_process_is_not_shown_by_the_next() {
    testkit::run_within(LIMIT, async {
        for killed in [false, true] {
            let redis = Faulty::start().await;
            let url = redis.url();
            let directory = tempfile::tempdir().unwrap();
            let over_redis = || Serving::start(directory.path(), &["--redis-url", &url]);
            let serving = over_redis();
            let company = first_id(&serving).await;
            testkit::until("companies in the cache", async || names(&serving).await.1.starts_with("hit"))
                .await;

            Fault::Refusing.begin(&redis).await;
            rename(&serving, &company, "AAA Unheard").await;
            if killed {
                drop(serving);
            } else {
                assert!(serving.terminate());
            }
            Fault::Refusing.end(&redis).await;
            let (shown, source) = names(&over_redis()).await;
            assert!(shown.contains(&"AAA Unheard".to_owned()), "killed: {killed}, {source}: {shown:?}");
        }
    });
}

#[test]
fn a_redis_that_served_another_database_meanwhile_begins_empty() {
    testkit::run_within(LIMIT, async {
        let redis = RedisServer::start().await;
        let url = redis.url();
        let directory = tempfile::tempdir().unwrap();
        let over = |database: &str| {
            Serving::start(directory.path(), &["--redis-url", &url, "--database-url", database])
        };
        let mut ids = Vec::new();
        for database in ["sqlite:a.db", "sqlite:b.db", "sqlite:a.db"] {
            let serving = over(database);
            ids.push(first_id(&serving).await);
            assert!(serving.terminate());
        }
        assert!(ids[0] == ids[2] && ids[0] != ids[1], "{ids:?}");
    });
}

#[test]
fn two_processes_see_what_the_other_writes() {
    testkit::run_within(LIMIT, async {
        let redis = RedisServer::start().await;
        let url = redis.url();
        let directory = tempfile::tempdir().unwrap();
        let start = || Serving::start(directory.path(), &["--redis-url", &url]);
        let (one, other) = (start(), start());
        let company = first_id(&one).await;
        for round in 0..10 {
            names(&other).await;
            let name = format!("AAA Round {round}");
            rename(&one, &company, &name).await;
            assert!(names(&other).await.0.contains(&name), "{name}");
        }
    });
}

#[test]
fn a_process_that_starts_while_redis_fails_serves_and_caches_once_that_is_over() {
    testkit::run_within(LIMIT, async {
        let redis = Faulty::start().await;
        let url = redis.url();
        let directory = tempfile::tempdir().unwrap();
        let over_redis = || Serving::start(directory.path(), &["--redis-url", &url]);
        let from_the_cache = async |serving: &Serving| {
            testkit::until("companies in the cache", async || names(serving).await.1.starts_with("hit"))
                .await;
        };
        let first = over_redis();
        let company = first_id(&first).await;
        from_the_cache(&first).await;
        assert!(first.terminate());
        for fault in Fault::ALL.into_iter().filter(|fault| !fault.is_moment()) {
            fault.begin(&redis).await;
            let serving = over_redis();
            let name = format!("AAA {fault}");
            rename(&serving, &company, &name).await;
            assert!(names(&serving).await.0.contains(&name), "{fault}");
            fault.end(&redis).await;
            from_the_cache(&serving).await;
            assert!(names(&serving).await.0.contains(&name), "after {fault}");
            assert!(serving.terminate());
        }
    });
}
