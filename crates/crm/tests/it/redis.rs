//! The application over a real Redis: what stands in it, who sees what, and how it goes on without it.

use crate::process::{LIMIT, Serving, output};
use crate::running::{Answer, Data, Running, client};
use crm::companies::{self, CompanyEdit, CompanyId};
use crm::config::{Layer, Settings};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Mutex;
use testkit::redis::RedisServer;

/// The settings of some data, with its cache in this Redis.
fn over(data: &Data, redis: &RedisServer, namespace: &str) -> Settings {
    let layer = Layer {
        redis_url: Some(redis.url().into()),
        redis_namespace: Some(namespace.to_owned()),
        ..Layer::default()
    };
    let settings = Settings::of(layer, Layer::default()).unwrap();
    Settings { redis: settings.redis, ..data.settings() }
}

async fn serve(data: &Data, redis: &RedisServer, namespace: &str) -> Running {
    let server = data.serve_with(over(data, redis, namespace)).await;
    until_health_says(&server, "connected").await;
    server
}

async fn until_health_says(server: &Running, status: &str) -> Value {
    let latest = Mutex::new(Value::Null);
    let look = || async {
        let health = server.get("/api/health").await.json();
        let says = health["cache"]["status"] == status;
        *latest.lock().unwrap() = health;
        says
    };
    testkit::until(&format!("health that says {status}"), look).await;
    latest.into_inner().unwrap()
}

/// Whether an answer came from the cache, wherever that is.
fn is_hit(answer: &Answer) -> bool {
    ["hit", "hit-local"].contains(&answer.header("x-cache"))
}

#[test]
fn what_one_process_has_loaded_others_read_and_redis_cli_shows() {
    testkit::run(async {
        let (data, redis) = (Data::demo().await, RedisServer::start().await);
        let (one, other) = (serve(&data, &redis, "").await, serve(&data, &redis, "").await);
        let company = one.company().await;
        let path = format!("/api/companies/{company}/pipeline");
        let first = one.get(&path).await;
        assert_eq!(first.header("x-cache"), "miss");
        let there = other.get(&path).await;
        assert_eq!((there.header("x-cache"), there.header("x-db-queries")), ("hit", "0"));
        assert_eq!((&there.text, there.header("etag")), (&first.text, first.header("etag")));
        let headers = [("if-none-match", first.header("etag"))];
        let again = other.send(Method::GET, &path, None, &headers).await;
        assert_eq!((again.status, again.header("x-cache")), (StatusCode::NOT_MODIFIED, "hit"));

        let stored = redis.cli(&["GET", &format!("pipeline:stats:{company}")]).await;
        let etag = first.header("etag").trim_matches('"');
        let expected = format!(r#"{{"company":"{company}","etag":"\"{etag}\"","json":{}}}"#, first.text);
        assert!(stored.trim_end().ends_with(&expected), "{stored}");
    });
}

#[test]
fn what_one_process_writes_every_other_shows() {
    testkit::run(async {
        let (data, redis) = (Data::demo().await, RedisServer::start().await);
        let (one, other) = (serve(&data, &redis, "").await, serve(&data, &redis, "").await);
        let company = one.company().await;
        let deal = one.first(&format!("/api/companies/{company}/deals?stage=engaging")).await;
        let (view, pipeline) = (format!("/api/deals/{deal}"), format!("/api/companies/{company}/pipeline"));
        for value in 1..20 {
            let (writer, reader) = if value % 2 == 0 { (&one, &other) } else { (&other, &one) };
            for path in [&view, &pipeline] {
                reader.get(path).await;
                assert!(is_hit(&reader.get(path).await), "{path}");
            }
            let before = reader.get(&pipeline).await.text;
            let changed = writer.patch(&view, &json!({"value_cents": value})).await;
            assert!(changed.status.is_success(), "{}", changed.text);
            assert_eq!(reader.get(&view).await.json()["value_cents"], value);
            assert_ne!(reader.get(&pipeline).await.text, before);
        }
    });
}

#[test]
fn a_namespace_stands_before_every_key() {
    testkit::run(async {
        let (data, redis) = (Data::demo().await, RedisServer::start().await);
        let server = serve(&data, &redis, "crm").await;
        server.get("/api/products").await;
        let keys = redis.cli(&["--scan"]).await;
        assert!(keys.lines().any(|key| key == "crm:reference:products"), "{keys}");
        assert!(keys.lines().all(|key| key.starts_with("crm:") || key.starts_with("!crm:")), "{keys}");
    });
}

#[test]
fn health_is_that_of_the_specification_and_goes_on_without_redis() {
    testkit::run(async {
        let (data, redis) = (Data::demo().await, RedisServer::start().await);
        let server = serve(&data, &redis, "").await;
        for _ in 0..3 {
            server.get("/api/products").await;
        }
        let health = server.get("/api/health").await.json();
        let cache = health["cache"].as_object().unwrap();
        assert_eq!(cache.keys().collect::<Vec<_>>(), ["hitRatio", "redis", "stats", "status"]);
        assert_eq!((&cache["status"], &cache["hitRatio"]), (&json!("connected"), &json!("66.67%")));
        assert_eq!(cache["stats"], json!({"hits": 2, "misses": 1, "sets": 1, "deletes": 0, "errors": 0}));
        let facts = cache["redis"].as_object().unwrap();
        assert_eq!(
            facts.keys().collect::<Vec<_>>(),
            ["connected_clients", "uptime", "used_memory", "version"]
        );
        assert!(facts["version"].as_str().unwrap().split('.').count() == 3, "{facts:?}");
        for number in ["uptime", "connected_clients"] {
            facts[number].as_str().unwrap().parse::<u64>().unwrap();
        }
        assert!(facts["used_memory"].as_str().unwrap().ends_with(['B', 'K', 'M', 'G']), "{facts:?}");
        assert_eq!(health["redis"]["place"], format!("{}/0", redis.address()));
        assert!(health["redis"]["round_trip_ms"].as_f64().unwrap() > 0.0 && health["trouble"].is_null());

        redis.kill().await;
        let health = until_health_says(&server, "disconnected").await;
        assert!(health["cache"]["redis"].is_null() && health["redis"]["round_trip_ms"].is_null());
        assert!(health["trouble"].is_string(), "{health}");
        assert_eq!(server.get("/readyz").await.status, StatusCode::OK);
        let without = server.get("/api/products").await;
        assert!(without.status.is_success() && !is_hit(&without), "{}", without.header("x-cache"));

        redis.restart_empty().await;
        until_health_says(&server, "connected").await;
        server.get("/api/products").await;
        assert!(is_hit(&server.get("/api/products").await));
    });
}

#[test]
fn a_row_that_was_written_while_redis_was_away_is_shown_by_all_when_it_is_back() {
    testkit::run(async {
        let (data, redis) = (Data::demo().await, RedisServer::builder().aof().start().await);
        let (one, other) = (serve(&data, &redis, "").await, serve(&data, &redis, "").await);
        let path = format!("/api/companies/{}", one.company().await);
        one.get(&path).await;
        assert!(is_hit(&other.get(&path).await));
        redis.kill().await;
        let renamed = one.patch(&path, &json!({"name": "Renamed meanwhile"})).await;
        assert!(renamed.status.is_success(), "{}", renamed.text);
        assert_eq!(other.get(&path).await.json()["name"], "Renamed meanwhile");
        redis.restart_with_data().await;
        for server in [&one, &other] {
            until_health_says(server, "connected").await;
        }
        assert_eq!(other.get(&path).await.json()["name"], "Renamed meanwhile");
    });
}

async fn names(serving: &Serving) -> (Vec<String>, String) {
    let answer = client().get(format!("http://{}/api/companies", serving.address)).send().await.unwrap();
    let source = answer.headers()["x-cache"].to_str().unwrap().to_owned();
    let answer: Value = answer.json().await.unwrap();
    let names = answer["items"].as_array().unwrap().iter();
    (names.map(|company| company["name"].as_str().unwrap().to_owned()).collect(), source)
}

async fn rename(serving: &Serving, company: &str, name: &str) {
    let url = format!("http://{}/api/companies/{company}", serving.address);
    let answer = client().patch(url).json(&json!({"name": name})).send().await.unwrap();
    assert!(answer.status().is_success());
}

async fn first_id(serving: &Serving) -> String {
    let answer = client().get(format!("http://{}/api/companies", serving.address)).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    answer["items"][0]["id"].as_str().unwrap().to_owned()
}

fn note(directory: &Path) -> String {
    std::fs::read_to_string(directory.join("crm.db.lock")).unwrap()
}

#[test]
fn a_restart_finds_its_cache_again_unless_somebody_wrote_past_it() {
    testkit::run_within(LIMIT, async {
        let redis = RedisServer::start().await;
        let url = redis.url();
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let over_redis = || Serving::start(directory, &["--redis-url", &url]);

        let first = over_redis();
        assert!(note(directory).contains("which has heard of every change"), "{}", note(directory));
        let (shown, _) = names(&first).await;
        assert!(first.terminate());
        let again = over_redis();
        assert_eq!(names(&again).await, (shown, "hit".to_owned()));
        let company = first_id(&again).await;
        assert!(again.terminate());

        for (flag, name) in [("--cache=on", "AAA One"), ("--cache=off", "AAA Two")] {
            let past = Serving::start(directory, &[flag]);
            rename(&past, &company, name).await;
            assert!(past.terminate());
            let serving = over_redis();
            let (shown, source) = names(&serving).await;
            assert!(shown.contains(&name.to_owned()) && source == "miss", "{flag}: {shown:?} {source}");
            assert!(serving.terminate());
        }

        let sample = testkit::workspace_root().join("crates/crm/samples/sales");
        let imported = output(directory, &["import", "sales", sample.to_str().unwrap(), "--redis-url", &url]);
        assert!(imported.status.success());
        let serving = over_redis();
        assert_eq!(names(&serving).await.0.len(), 6, "three of the demo and three of the sample");
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
fn tls_and_passwords_are_spoken_as_the_settings_say() {
    testkit::run(async {
        let data = Data::demo().await;
        let redis = RedisServer::builder().tls_with_client_certificates().users().start().await;
        let tls = redis.tls();
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, pem: &str| {
            std::fs::write(directory.path().join(name), pem).unwrap();
            Some(directory.path().join(name))
        };
        let layer = Layer {
            redis_url: Some(redis.url().into()),
            redis_ca_file: file("ca.pem", &tls.ca_pem),
            redis_client_cert_file: file("client.pem", &tls.client_cert_pem),
            redis_client_key_file: file("client.key", &tls.client_key_pem),
            ..Layer::default()
        };
        let settings = Settings::of(layer, Layer::default()).unwrap();
        let server = data.serve_with(Settings { redis: settings.redis, ..data.settings() }).await;
        until_health_says(&server, "connected").await;
        server.get("/api/products").await;
        assert!(is_hit(&server.get("/api/products").await));
    });
}

#[test]
fn a_write_that_redis_does_not_hear_of_is_found_by_the_same_comparison() {
    testkit::run(async {
        let (data, redis) = (Data::demo().await, RedisServer::start().await);
        let server = serve(&data, &redis, "").await;
        let id = CompanyId::named(server.company().await);
        let path = format!("/api/companies/{id}");
        let before = server.get(&path).await.text;
        let mut change = data.database.change().await.unwrap();
        let company = companies::find(&mut change, &id).await.unwrap().unwrap();
        let edit = CompanyEdit { name: Some("Behind your back".to_owned()), ..CompanyEdit::default() };
        let edited = company.edited(&edit).unwrap();
        companies::save(&mut change, edited).await.unwrap().alone(&data.lock);
        change.commit_alone(&data.lock).await.unwrap();
        assert_eq!(server.get(&path).await.text, before, "the tests above would find a cache that is none");
    });
}
