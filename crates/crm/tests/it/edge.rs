//! The edge: what holds for every request, whatever it asks.

use crate::process::Serving;
use crate::running::{Answer, Data, unlimited};
use crm::config::{Layer, Settings, Switch};
use reqwest::{Method, StatusCode};
use serde_json::json;
use std::process::Stdio;

/// The settings of some data, over which these are laid.
fn with(data: &Data, layer: Layer) -> Settings {
    let url = data.settings().database_url;
    Settings { database_url: url, ..Settings::of(layer, unlimited()).unwrap() }
}

#[test]
fn each_request_has_a_name_of_its_own_or_that_of_a_proxy() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let (one, other) = (server.get("/api/products").await, server.get("/nope").await);
        assert!(
            one.header("x-request-id").len() == 36
                && one.header("x-request-id") != other.header("x-request-id")
        );
        for (given, kept) in
            [("proxy-17.a_b", true), ("", false), ("a b", false), ("a\"b", false), (&"x".repeat(65), false)]
        {
            let answer = server.send(Method::GET, "/api/products", None, &[("x-request-id", given)]).await;
            assert_eq!(answer.header("x-request-id") == given, kept, "{given}");
        }
    });
}

#[test]
fn more_requests_than_there_is_room_for_are_told_to_come_back() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve_with(with(&data, Layer { max_requests: Some(1), ..Layer::default() })).await;
        let held = server.app.hold_a_request().await;
        let full = server.get("/api/products").await;
        assert_eq!((full.status, full.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"));
        full.wrong_fields();
        for watch in ["/livez", "/readyz"] {
            assert_eq!(server.get(watch).await.status, StatusCode::OK, "{watch}");
        }
        drop(held);
        assert_eq!(server.get("/api/products").await.status, StatusCode::OK);
    });
}

#[test]
fn a_page_of_a_site_that_is_named_uses_the_api_with_a_token_and_no_other_does() {
    testkit::run(async {
        let data = Data::demo().await;
        let layer = Layer { cors_origins: Some("https://app.example".to_owned()), ..Layer::default() };
        let server = data.serve_with(with(&data, layer)).await;
        let company = format!("/api/companies/{}", server.company().await);
        let asked = async |origin: &str| {
            let headers = [
                ("origin", origin),
                ("access-control-request-method", "PATCH"),
                ("access-control-request-headers", "authorization,content-type"),
                ("authorization", ""),
            ];
            server.send(Method::OPTIONS, &company, None, &headers).await
        };
        let allowed = asked("https://app.example").await;
        assert_eq!(
            (allowed.status, allowed.header("access-control-allow-origin")),
            (StatusCode::OK, "https://app.example")
        );
        assert_eq!(allowed.header("access-control-allow-credentials"), "", "no cookies");
        assert_eq!(asked("https://evil.example").await.header("access-control-allow-origin"), "");
        let patched = async |origin: &str| {
            let headers =
                [("origin", origin), ("sec-fetch-site", "cross-site"), ("authorization", server.key())];
            server.send(Method::PATCH, &company, Some(&json!({"sector": "s"})), &headers).await
        };
        let done = patched("https://app.example").await;
        assert_eq!(
            (done.status, done.header("access-control-allow-origin")),
            (StatusCode::OK, "https://app.example")
        );
        assert!(
            done.header("access-control-expose-headers").contains("etag"),
            "{}",
            done.header("access-control-expose-headers")
        );
        assert_eq!(patched("https://evil.example").await.status, StatusCode::FORBIDDEN);
        // A browser sends a cookie by itself, from a sibling of the site too: that is not the word of its user.
        let token = server.key().strip_prefix("Bearer ").unwrap();
        let cookie = format!("crm_session={token}");
        let headers =
            [("origin", "https://app.example"), ("sec-fetch-site", "same-site"), ("cookie", &*cookie)];
        let by_cookie = server.send(Method::POST, "/api/auth/logout", None, &headers).await;
        assert_eq!(by_cookie.status, StatusCode::FORBIDDEN, "{}", by_cookie.text);
    });
}

#[test]
fn the_log_of_requests_says_what_was_asked_and_nothing_of_anybody() {
    testkit::run(async {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("access.log");
        let file = std::fs::File::create(&log).unwrap();
        let serving = Serving::start_logging(directory.path(), &["--access-log=on"], Stdio::from(file));
        let client = serving.client().await;
        let get = async |path: &str| {
            let request = client.get(format!("http://{}{path}", serving.address));
            Answer::to(request.header("x-request-id", "find-me")).await
        };
        let company = get("/api/me").await.json()["company_id"].as_str().unwrap().to_owned();
        assert_eq!(get(&format!("/api/companies/{company}/deals?q=secretword")).await.status, StatusCode::OK);
        assert!(serving.terminate());
        let log = std::fs::read_to_string(&log).unwrap();
        let line = log.lines().find(|line| line.contains("/api/companies/{id}/deals")).unwrap();
        for part in [
            "method=GET",
            "status=200",
            "cache=\"miss\"",
            "address=\"127.0.0.1\"",
            "request=\"find-me\"",
            "took_us=",
        ] {
            assert!(line.contains(part), "{part}: {line}");
        }
        for secret in ["secretword", &company, "crm_session", "demo-password", "jana.petersen"] {
            assert!(!log.contains(secret), "{secret}: {log}");
        }
    });
}

/// What a server answers to these bytes, until it closes the connection.
async fn raw(address: std::net::SocketAddr, bytes: &[u8]) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok(); // it may be reset as well
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_client_that_sends_its_headers_for_ever_or_endless_ones_is_cut_off() {
    testkit::run(async {
        let data = Data::demo().await;
        let layer = Layer { header_limit_ms: Some(2_000), ..Layer::default() };
        let server = data.serve_with(with(&data, layer)).await;
        let half = raw(server.address, b"GET /livez HTTP/1.1\r\nHost: localhost\r\n").await;
        assert!(!half.contains("alive"), "{half}");
        let whole = raw(server.address, b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        assert!(whole.starts_with("HTTP/1.1 200") && whole.ends_with("alive\n"), "{whole}");
        let endless = format!("GET /livez HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(200_000));
        let many = format!("GET /livez HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: y\r\n".repeat(200));
        for too_large in [endless, many] {
            let answer = raw(server.address, too_large.as_bytes()).await;
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
        }
        assert_eq!(server.get("/api/products").await.status, StatusCode::OK);
    });
}
