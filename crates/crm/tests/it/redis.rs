//! The application over a real Redis: what stands in it, who sees what, and how it goes on without it.

use crate::http::health_of_three_reads;
use crate::running::{Answer, Data, Running};
use crm::caller::CompanyId;
use crm::companies::{self, CompanyEdit};
use crm::config::{Layer, Settings};
use crm::written::Bulk;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::sync::Mutex;
use testkit::redis::{RedisServer, Reply};

const MINUTE_MS: i64 = 60_000;
/// Where the number of its tags stands in a stored entry: the last byte of a header of a fixed length.
const TAGS_AT: usize = 54;
/// What each of them takes, before the JSON begins.
const TAG_BYTES: usize = 16;

/// The settings of some data, with its cache in the Redis at this URL.
fn over(data: &Data, url: String, namespace: &str) -> Settings {
    let layer = Layer {
        redis_url: Some(url.into()),
        redis_namespace: Some(namespace.to_owned()),
        ..Layer::default()
    };
    let settings = Settings::of(layer, Layer::default()).unwrap();
    Settings { redis: settings.redis, ..data.settings() }
}

/// A server whose cache is in this Redis, and connected.
pub(crate) async fn serve(data: &Data, redis: &RedisServer, namespace: &str) -> Running {
    serve_by(data, redis.url(), namespace).await
}

/// The same, by a way of its own.
pub(crate) async fn serve_by(data: &Data, url: String, namespace: &str) -> Running {
    let server = data.serve_with(over(data, url, namespace)).await;
    until_health_says(&server, "connected").await;
    server
}

/// Asks as the operator, whom no limit concerns.
pub(crate) async fn until_health_says(server: &Running, status: &str) -> Value {
    let latest = Mutex::new(Value::Null);
    let look = || async {
        let health = server.operate(Method::GET, "/api/health", None).await.json();
        let says = health["cache"]["status"] == status;
        *latest.lock().unwrap() = health;
        says
    };
    testkit::until(&format!("health that says {status}"), look).await;
    latest.into_inner().unwrap()
}

/// What kind of value stands in each field.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), shape(value))).collect(),
        Value::Number(_) => json!("number"),
        Value::String(_) => json!("text"),
        other => other.clone(),
    }
}

/// Whether an answer came from the cache, wherever that is.
pub(crate) fn is_hit(answer: &Answer) -> bool {
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
        other.get("/api/products").await; // from now on it knows who asks
        let there = other.get(&path).await;
        assert_eq!((there.header("x-cache"), there.header("x-db-queries")), ("hit", "0"));
        assert_eq!((&there.text, there.header("etag")), (&first.text, first.header("etag")));
        let headers = [("if-none-match", first.header("etag"))];
        let again = other.send(Method::GET, &path, None, &headers).await;
        assert_eq!((again.status, again.header("x-cache")), (StatusCode::NOT_MODIFIED, "hit-local"));

        let stored = redis.cli(&["GET", &format!("pipeline:stats:{company}")]).await;
        let etag = first.header("etag").trim_matches('"');
        let expected = format!(r#"{{"owner":"{company}","etag":"\"{etag}\"","json":{}}}"#, first.text);
        assert!(stored.trim_end().ends_with(&expected), "{stored}");
    });
}

#[test]
fn keys_are_those_of_the_specification_and_live_as_long_as_it_says() {
    testkit::run(async {
        let (data, redis) = (Data::demo().await, RedisServer::start().await);
        let server = serve(&data, &redis, "").await;
        let company = server.company().await;
        let of = |rest: &str| format!("/api/companies/{company}/{rest}");
        let (user, deal) =
            (server.first(&of("users?role=rep")).await, server.first(&of("deals?page=2")).await);
        let contact = server.first(&of("contacts?page=2&per_page=1")).await;
        let (short, medium, long, day) = (5 * MINUTE_MS, 30 * MINUTE_MS, 60 * MINUTE_MS, 24 * 60 * MINUTE_MS);
        for (path, key, ttl_ms) in [
            (of("deals"), format!("deals:company:{company}:page:1:per_page=50,sort=-created"), short),
            (format!("/api/deals/{deal}"), format!("deal:{deal}"), medium),
            (of("pipeline"), format!("pipeline:stats:{company}"), medium),
            (of("dashboard"), format!("dashboard:{company}"), medium),
            (of("contacts"), format!("contacts:company:{company}:page:1:per_page=50,sort=name"), medium),
            (format!("/api/contacts/{contact}"), format!("contact:{contact}"), medium),
            (of("users"), format!("users:company:{company}:page:1:per_page=50,sort=name"), medium),
            (format!("/api/users/{user}"), format!("user:{user}"), long),
            (format!("/api/users/{user}/stats"), format!("user:{user}:stats:{company}"), medium),
            (format!("/api/companies/{company}"), format!("company:{company}"), long),
            (of("analytics/monthly"), format!("analytics:company:{company}:monthly"), long),
            ("/api/products".to_owned(), "reference:products".to_owned(), day),
            ("/api/countries".to_owned(), "reference:countries".to_owned(), day),
        ] {
            assert_eq!(redis.command(&["EXISTS", &key]).await.int(), 0, "{key}");
            let shown = server.get(&path).await;
            let left_ms = redis.command(&["PTTL", &key]).await.int();
            assert!((ttl_ms - MINUTE_MS..=ttl_ms).contains(&left_ms), "{key} lives for {left_ms} ms more");
            let tags = redis.command(&["GETRANGE", &key, &TAGS_AT.to_string(), &TAGS_AT.to_string()]).await;
            let Reply::Bulk(tags) = tags else { panic!("{key}: {tags:?}") };
            let payload_at = TAGS_AT + 1 + TAG_BYTES * usize::from(tags[0]);
            let stored = redis.command(&["GETRANGE", &key, &payload_at.to_string(), "-1"]).await.text();
            let stored: Value = serde_json::from_str(&stored).unwrap();
            assert_eq!(
                (&stored["json"], &stored["etag"]),
                (&shown.json(), &json!(shown.header("etag"))),
                "{key}"
            );
        }
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
                // More than once where a relay makes good, late, for what was removed before.
                testkit::until(&format!("{path} from the cache"), || async {
                    is_hit(&reader.get(path).await)
                })
                .await;
            }
            let before = reader.get_latest(&pipeline).await.text;
            let changed = writer.patch(&view, &json!({"value_cents": value})).await;
            assert!(changed.status.is_success(), "{}", changed.text);
            assert_eq!(reader.get_latest(&view).await.json()["value_cents"], value);
            assert_ne!(reader.get(&pipeline).await.text, before, "what one request has heard all know");
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

/// The example of the specification.
fn specified() -> Value {
    json!({
        "status": "connected",
        "stats": {"hits": 1250, "misses": 350, "sets": 400, "deletes": 50, "errors": 0},
        "hitRatio": "78.13%",
        "redis": {"version": "7.0.0", "uptime": "3600", "connected_clients": "5", "used_memory": "2.5M"}
    })
}

#[test]
fn health_is_that_of_the_specification_and_goes_on_without_redis() {
    testkit::run(async {
        let (data, redis) = (Data::demo().await, RedisServer::start().await);
        let server = serve(&data, &redis, "").await;
        let health = health_of_three_reads(&server).await;
        let cache = &health["cache"];
        assert_eq!(shape(cache), shape(&specified()), "{health}");
        assert_eq!(cache["status"], "connected");
        let facts = &cache["redis"];
        assert!(facts["version"].as_str().unwrap().split('.').count() == 3, "{facts:?}");
        for number in ["uptime", "connected_clients"] {
            facts[number].as_str().unwrap().parse::<u64>().unwrap();
        }
        assert!(facts["used_memory"].as_str().unwrap().ends_with(['B', 'K', 'M', 'G']), "{facts:?}");
        assert_eq!(health["redis"]["place"], format!("{}/0", redis.address()));
        assert!(health["redis"]["round_trip_ms"].as_f64().unwrap() > 0.0 && health["trouble"].is_null());
        let company = format!("/api/companies/{}", server.company().await);
        assert!(server.patch(&company, &json!({"name": "Renamed"})).await.status.is_success());
        let health = server.get("/api/health").await.json();
        assert!(health["cache"]["stats"]["deletes"].as_u64() > Some(0), "{health}");

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
        assert_eq!((renamed.status, renamed.header("x-acknowledged")), (StatusCode::OK, "durable"));
        assert_eq!(other.get_latest(&path).await.json()["name"], "Renamed meanwhile");
        redis.restart_with_data().await;
        for server in [&one, &other] {
            until_health_says(server, "connected").await;
        }
        assert_eq!(other.get(&path).await.json()["name"], "Renamed meanwhile");
        let again = one.patch(&path, &json!({"name": "Renamed again"})).await;
        assert_eq!((again.status, again.header("x-acknowledged")), (StatusCode::OK, "applied"));
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
        companies::save(&mut change, edited).await.unwrap().in_bulk(&mut Bulk::new()); // of which nobody is told
        change.commit_bulk(Bulk::new()).await.unwrap();
        assert_eq!(server.get(&path).await.text, before, "the tests above would find a cache that is none");
    });
}
