//! Warming the cache of a running server.

use crate::process::{LIMIT, Serving};
use crate::redis;
use crate::running::Data;
use crm::access;
use crm::config::Switch;
use crm::warm::{self, AskError, CONCURRENCY, MAX_CONCURRENCY, Summary, ask};
use larder::Ttl;
use reqwest::{Method, StatusCode};
use serde_json::json;
use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;
use testkit::faults::{Fault, Faulty};
use testkit::gate::Gate;
use testkit::redis::RedisServer;

#[test]
fn warmed_companies_and_pipelines_are_hits() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let token = access::operator_token(&data.database, access::ERRAND).await.unwrap();
        let mut steps = Vec::new();
        let summary =
            ask(server.address, &token, CONCURRENCY, |progress| steps.push((progress.done, progress.of)))
                .await
                .unwrap();
        assert_eq!(summary, Summary { companies: 3, loaded: 6, present: 0, failed: 0 });
        assert_eq!(steps, [(1, 3), (2, 3), (3, 3)]);
        let company = server.company().await;
        for path in [format!("/api/companies/{company}"), format!("/api/companies/{company}/pipeline")] {
            assert_eq!(server.get(&path).await.header("x-cache"), "hit-local", "{path}");
        }
        let again = ask(server.address, &token, CONCURRENCY, |_| {}).await.unwrap();
        assert_eq!(again, Summary { companies: 3, loaded: 0, present: 6, failed: 0 });
    });
}

#[test]
fn without_a_server_or_a_cache_the_reason_is_told() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::Off).await;
        let token = access::operator_token(&data.database, access::ERRAND).await.unwrap();
        let refused = ask(server.address, &token, CONCURRENCY, |_| {}).await.unwrap_err().to_string();
        assert!(refused.contains("CRM_CACHE=on"), "{refused}");
        let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert!(matches!(ask(nobody, &token, CONCURRENCY, |_| {}).await, Err(AskError::NoServer(_))));
    });
}

#[test]
fn a_number_that_cannot_be_is_refused() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        for (query, refused) in [
            ("concurrency=0", StatusCode::UNPROCESSABLE_ENTITY),
            ("concurrency=65", StatusCode::UNPROCESSABLE_ENTITY),
            ("concurency=1", StatusCode::BAD_REQUEST),
        ] {
            let answer = server.operate(Method::POST, &format!("/api/cache/warm?{query}"), None).await;
            assert_eq!(answer.status, refused, "{query}: {}", answer.text);
        }
    });
}

#[test]
fn what_is_written_behind_the_warming_of_a_company_is_shown() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let company = format!("/api/companies/{}", server.company().await);
        let gate = Gate::new("all companies but the last are warm");
        let warming = warm::run(&server.app, 1, async |progress| {
            if progress.done + 1 == progress.of {
                gate.pass().await;
            }
            true
        });
        let writing = async {
            gate.reached().await;
            let renamed = server.patch(&company, &json!({"name": "Behind it"})).await;
            assert_eq!(renamed.status, StatusCode::OK, "{}", renamed.text);
            gate.open();
        };
        let (summary, ()) = tokio::join!(warming, writing);
        assert_eq!(summary.unwrap().failed, 0);
        assert_eq!(server.get(&company).await.json()["name"], "Behind it");
    });
}

/// How many changes meet a warming.
const ROUNDS: u32 = 60;

#[test]
fn what_is_written_while_a_company_is_warmed_wins() {
    testkit::run_within(LIMIT, async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let company = format!("/api/companies/{}", server.company().await);
        for round in 0..ROUNDS {
            server.app.cache.clear().await;
            let name = format!("Round {round}");
            let renaming = json!({"name": name});
            // It commits before the loads, behind them, or while they are under way.
            let warming = warm::run(&server.app, MAX_CONCURRENCY, async |_progress| true);
            let (warmed, renamed) = tokio::join!(warming, server.patch(&company, &renaming));
            assert_eq!((warmed.unwrap().failed, renamed.status), (0, StatusCode::OK), "{}", renamed.text);
            assert_eq!(server.get(&company).await.json()["name"], name);
        }
    });
}

/// Waits until the log of a process says something.
async fn until_log_says(log: &Path, words: &str) {
    testkit::until(words, async || fs::read_to_string(log).unwrap().contains(words)).await;
}

#[test]
fn a_server_that_warms_at_its_start_serves_meanwhile() {
    testkit::run_within(LIMIT, async {
        let redis = Faulty::start().await;
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        Fault::Refusing.begin(&redis).await;
        let flags = ["--warm-at-start=on", "--redis-url", &redis.url()];
        let file = File::create(&log).unwrap();
        let serving = Serving::start_logging(directory.path(), &flags, file.into());
        // Nothing can be warmed before Redis answers, and requests are answered all the same.
        let get = async |path: &str| {
            serving.client().await.get(format!("http://{}{path}", serving.address)).send().await.unwrap()
        };
        assert_eq!(get("/readyz").await.status(), StatusCode::OK);
        assert!(!fs::read_to_string(&log).unwrap().contains("the cache is warm"));
        Fault::Refusing.end(&redis).await;
        until_log_says(&log, "the cache is warm companies=3 loaded=6 present=0 failed=0 elapsed_ms=").await;
        let me: serde_json::Value = get("/api/me").await.json().await.unwrap();
        let pipeline = get(&format!("/api/companies/{}/pipeline", me["company_id"].as_str().unwrap())).await;
        assert_eq!(pipeline.headers()["x-cache"], "hit");
        assert!(serving.terminate());
    });
}

#[test]
fn of_those_that_share_a_cache_one_warms_it() {
    testkit::run_within(LIMIT, async {
        let (data, redis) = (Data::demo().await, RedisServer::start().await);
        let other = redis::serve(&data, &redis, "").await;
        let held = other.app.cache.lock("warm-at-start", Ttl::secs(60), Duration::ZERO).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let (database, url) = (data.settings().database_url.to_string(), redis.url());
        let flags = ["--database-url", &database, "--redis-url", &url, "--warm-at-start=on"];
        let start = || Serving::start_logging(directory.path(), &flags, File::create(&log).unwrap().into());
        let serving = start();
        until_log_says(&log, "another process warms the cache that they share").await;
        assert!(serving.terminate());
        assert!(held.release().await);
        let serving = start();
        until_log_says(&log, "the cache is warm companies=3").await;
        assert!(serving.terminate());
    });
}
