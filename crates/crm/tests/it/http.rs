//! HTTP as all routes speak it: refusals, conditional reads, and the headers of every read.

use crate::running::{Data, Running, client};
use crm::app::App;
use crm::config::{Settings, Switch};
use crm::http::edge;
use larder::testing::MovableClock;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

#[test]
fn every_refusal_is_a_problem_document() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let company = server.company().await;
        let deals = format!("/api/companies/{company}/deals");
        let one = format!("/api/companies/{company}");
        let long = "x".repeat(70_000);
        let overlong = format!("/api/deals/{}", "x".repeat(200));
        let (none, get, post, patch) = (None, Method::GET, Method::POST, Method::PATCH);
        for (method, path, body, status) in [
            (get.clone(), "/nope", none.clone(), 404),
            (get.clone(), "/api/companies/nope", none.clone(), 404),
            (get.clone(), "/api/companies/nope/deals", none.clone(), 404),
            (get.clone(), "/api/companies/%FF", none.clone(), 400),
            (get.clone(), "/api/deals/nope", none.clone(), 404),
            (get.clone(), overlong.as_str(), none.clone(), 400),
            (Method::PUT, "/api/companies", none.clone(), 405),
            (Method::DELETE, one.as_str(), none.clone(), 405),
            (get.clone(), "/api/companies?nope=1", none.clone(), 400),
            (get.clone(), "/api/products?q=1", none.clone(), 400),
            (get.clone(), "/api/companies?page=0", none.clone(), 422),
            (get.clone(), "/api/companies?per_page=201", none.clone(), 422),
            (get.clone(), "/api/companies?page=1&page=2", none.clone(), 422),
            (get.clone(), "/api/companies?sort=colour", none.clone(), 422),
            (get.clone(), "/api/companies?q=%00", none.clone(), 422),
            (patch.clone(), one.as_str(), none.clone(), 415),
            (patch.clone(), one.as_str(), Some(json!({"nope": 1})), 422),
            (patch.clone(), one.as_str(), Some(json!({"name": 1})), 422),
            (patch.clone(), one.as_str(), Some(json!({"name": " "})), 422),
            (patch.clone(), one.as_str(), Some(json!({"name": long})), 413),
            (patch, one.as_str(), Some(json!({"country": "XX"})), 422),
            (post.clone(), deals.as_str(), Some(json!({"title": "t", "stage": "sold"})), 422),
            (
                post.clone(),
                deals.as_str(),
                Some(json!(["t", null, null, null, "prospecting", 0, null, null])),
                422,
            ),
            (post, deals.as_str(), Some(json!({})), 422),
        ] {
            let answer = server.send(method, path, body.as_ref(), &[]).await;
            assert_eq!(answer.status.as_u16(), status, "{path} {body:?}: {}", answer.text);
            answer.wrong_fields();
            let problem = answer.json();
            assert!(problem["type"].as_str().unwrap().starts_with("urn:crm:problem:"), "{path}");
            assert!(problem["detail"].as_str().unwrap().len() > 10, "{path}");
        }
        let put = server.send(Method::PUT, "/api/companies", None, &[]).await;
        assert_eq!(put.header("allow"), "GET,HEAD");
    });
}

#[test]
fn a_body_that_is_no_json_is_refused_with_the_place() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let url = format!("http://{}/api/companies/{}", server.address, server.company().await);
        let request = client().patch(url).header("authorization", server.key());
        let request = request.header("content-type", "application/json");
        let response = request.body("{\"name\": \"a\",}").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert!(response.text().await.unwrap().contains("line 1 column 14"));
    });
}

#[test]
fn a_reader_who_has_the_answer_is_told_so() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let path = format!("/api/companies/{}/pipeline", server.company().await);
        let first = server.get(&path).await;
        assert_eq!((first.header("x-cache"), first.header("age")), ("miss", "0"));
        let etag = first.header("etag");
        assert!(etag.starts_with('"') && etag.len() > 20, "{etag}");
        for condition in [etag, "*", &format!("\"other\", {etag}"), &format!("W/{etag}")] {
            let again = server.send(Method::GET, &path, None, &[("if-none-match", condition)]).await;
            assert_eq!((again.status, again.text.as_str()), (StatusCode::NOT_MODIFIED, ""), "{condition}");
            assert_eq!((again.header("etag"), again.header("x-cache")), (etag, "hit-local"));
        }
        let other = server.send(Method::GET, &path, None, &[("if-none-match", "\"other\"")]).await;
        assert_eq!(other.text, first.text);
    });
}

#[test]
fn an_answer_says_how_old_it_is_and_ends_with_its_lifetime() {
    testkit::run(async {
        let data = Data::demo().await;
        let clock = MovableClock::new();
        let server = data.serve_at(clock.clock(), data.settings()).await;
        let company = server.company().await;
        for (path, lifetime_seconds) in [("deals", 300), ("pipeline", 1_800), ("analytics/monthly", 3_600)] {
            let path = format!("/api/companies/{company}/{path}");
            let first = server.get(&path).await;
            assert_eq!((first.header("x-cache"), first.header("age")), ("miss", "0"), "{path}");
            clock.advance(Duration::from_secs(lifetime_seconds - 1));
            let headers = [("if-none-match", first.header("etag"))];
            for answer in [server.get(&path).await, server.send(Method::GET, &path, None, &headers).await] {
                let age = (lifetime_seconds - 1).to_string();
                assert_eq!((answer.header("x-cache"), answer.header("age")), ("hit-local", &*age), "{path}");
            }
            clock.advance(Duration::from_secs(1));
            let after = server.get(&path).await;
            assert_eq!((after.header("x-cache"), after.header("age")), ("miss", "0"), "{path}");
        }
    });
}

#[test]
fn without_the_cache_the_same_bytes_come_from_the_database() {
    testkit::run(async {
        let data = Data::demo().await;
        let cached = data.serve(Switch::On).await;
        let bypass = data.serve(Switch::Off).await;
        let path = format!("/api/companies/{}/deals?q=gateway", cached.company().await);
        for _ in 0..2 {
            let (one, other) = (cached.get(&path).await, bypass.get(&path).await);
            assert_eq!((one.text.as_str(), one.header("etag")), (other.text.as_str(), other.header("etag")));
            assert_eq!((other.header("x-cache"), other.header("x-db-queries")), ("bypass", "2"));
        }
        assert_eq!(bypass.get("/api/health").await.json()["cache"]["status"], "bypass");
    });
}

#[test]
fn one_list_in_two_spellings_is_one_entry() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let deals = format!("/api/companies/{}/deals", server.company().await);
        server.get(&deals).await;
        server.get(&format!("{deals}?stage=won&q=Meter")).await;
        for same in ["?page=1&per_page=50", "?sort=-created&q=", "?q=meter&stage=won", "?q=+METER+&stage=won"]
        {
            assert_eq!(server.get(&format!("{deals}{same}")).await.header("x-cache"), "hit-local", "{same}");
        }
    });
}

#[test]
fn an_entry_weighs_what_it_takes_whatever_was_searched_for() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let deals = format!("/api/companies/{}/deals?per_page=200", server.company().await);
        let weight =
            async || server.get("/api/health").await.json()["memory"]["weight_bytes"].as_u64().unwrap();
        let (long, other) = ("%2A".repeat(100), "%2A".repeat(99));
        let searches =
            [String::new(), format!("&q={long}"), format!("&q={other}&owner={long}&contact={long}")];
        for search in searches {
            let before = weight().await;
            let answer = server.get(&format!("{deals}{search}")).await;
            assert_eq!(answer.header("x-cache"), "miss", "{search}");
            let beside = weight().await - before - answer.text.len() as u64;
            assert!((400..1_000).contains(&beside), "{search}: {beside} bytes beside the JSON");
        }
    });
}

/// Reads one view three times, and answers the health after it: one load and two hits more, and a hit for who asks with each
/// request, of which reading health is one.
pub(crate) async fn health_of_three_reads(server: &Running) -> Value {
    let before = server.get("/api/health").await.json()["cache"]["stats"].clone();
    for _ in 0..3 {
        server.get("/api/products").await;
    }
    let health = server.get("/api/health").await.json();
    let stats = &health["cache"]["stats"];
    let more = |count: &str| stats[count].as_u64().unwrap() - before[count].as_u64().unwrap();
    let counts = ["hits", "misses", "sets", "deletes", "errors"];
    assert_eq!(counts.map(more), [2 + 4, 1, 1, 0, 0], "{before} {stats}");
    let (hits, misses) = (stats["hits"].as_f64().unwrap(), stats["misses"].as_f64().unwrap());
    assert_eq!(health["cache"]["hitRatio"], format!("{:.2}%", 100.0 * hits / (hits + misses)), "{stats}");
    health
}

#[test]
fn health_is_the_document_of_the_specification_and_more_beside_it() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let health = health_of_three_reads(&server).await;
        let cache = &health["cache"];
        assert_eq!((&cache["status"], &cache["redis"]), (&json!("in-process"), &json!(null)));
        assert_eq!(cache.as_object().unwrap().len(), 4, "{cache}");
        assert_eq!(health["database"], json!({"status": "connected", "kind": data.database.kind().name()}));
        assert_eq!(health["memory"]["entries"], 2, "the price list, and who asks");
        // Other tests of this PostgreSQL may hold the horizon back for a moment, behind which all is known to be seen.
        let outbox = json!({"depth": 0, "lag_ms": 0, "applied": 0, "replayed": 0, "eras": 0});
        testkit::until("a look at everything", async || {
            server.get("/api/health").await.json()["outbox"] == outbox
        })
        .await;
        assert_eq!(server.get("/livez").await.text, "alive\n");
        assert_eq!(server.get("/readyz").await.text, "ready\n");
        data.database.close().await;
        let health = server.get("/api/health").await.json();
        assert_eq!(
            (&health["database"]["status"], &health["outbox"]),
            (&json!("disconnected"), &json!(null))
        );
        let ready = server.get("/readyz").await;
        assert_eq!((ready.status, ready.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"));
        assert!(!ready.text.contains("PoolClosed") && !ready.text.contains("closed pool"), "{}", ready.text);
        assert_eq!(server.get("/api/products").await.header("x-cache"), "hit-local");
    });
}

#[test]
fn panics_and_slow_requests_are_answered_with_problem_documents() {
    testkit::run(async {
        let data = Data::demo().await;
        let limit = Duration::from_millis(50);
        let settings = Settings { request_limit: limit, ..data.settings() };
        let cache = larder::CacheService::bypass();
        let outbox = data.database.tell(&cache).await.unwrap();
        let app = App::new(data.database.clone(), cache, outbox, settings);
        let routes = axum::Router::new()
            .route("/panics", axum::routing::get(async || -> &'static str { panic!("a secret") }))
            .route("/hangs", axum::routing::get(std::future::pending::<()>));
        let router = edge::around(routes, app);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        for (path, status, words) in [("panics", 500, "internal"), ("hangs", 503, "timed-out")] {
            let response = client().get(format!("http://{address}/{path}")).send().await.unwrap();
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(response.headers()["content-type"], "application/problem+json");
            let text = response.text().await.unwrap();
            assert!(text.contains(words) && !text.contains("secret"), "{text}");
        }
    });
}
