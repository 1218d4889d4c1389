//! Limits: nobody asks too much, whoever guesses at passwords is stopped, and nobody else is locked out by it.

use crate::redis;
use crate::running::{Answer, Data, Running};
use crm::config::{Layer, Settings};
use crm::demo;
use larder::testing::MovableClock;
use reqwest::{Method, StatusCode};
use serde_json::json;
use testkit::redis::RedisServer;

/// These limits, and a proxy on this machine that is believed.
fn limited(data: &Data, per_user: u64, per_address: u64) -> Settings {
    let layer = Layer {
        limit_per_user: Some(per_user),
        limit_per_address: Some(per_address),
        trusted_proxies: Some("127.0.0.1".to_owned()),
        ..Layer::default()
    };
    Settings { limits: Settings::of(layer, Layer::default()).unwrap().limits, ..data.settings() }
}

async fn sign_in(server: &Running, email: &str, password: &str, from: &str, cookie: &str) -> Answer {
    let login = json!({"email": email, "password": password});
    let headers = [("authorization", ""), ("x-forwarded-for", from), ("cookie", cookie)];
    server.send(Method::POST, "/api/auth/login", Some(&login), &headers).await
}

fn device(answer: &Answer) -> String {
    let set = answer.all_of("set-cookie").into_iter().find(|set| set.starts_with("crm_device=")).unwrap();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax"), "{set}");
    set.split(';').next().unwrap().to_owned()
}

fn assert_too_often(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{}", answer.text);
    assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
    answer.wrong_fields();
}

#[test]
fn whoever_guesses_at_a_password_is_stopped_and_locks_nobody_out() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve_with(limited(&data, 0, 0)).await;
        let before = sign_in(&server, demo::ADMIN, demo::PASSWORD, "192.0.2.1", "").await;
        assert_eq!(before.status, StatusCode::OK);
        let known = device(&before);
        let mut stopped = 0;
        for attempt in 0..20 {
            let from = format!("198.51.100.{attempt}");
            let answer = sign_in(&server, demo::ADMIN, &format!("guess {attempt}"), &from, "").await;
            if answer.status != StatusCode::UNAUTHORIZED {
                assert_too_often(&answer);
                stopped += 1;
            }
        }
        assert_eq!(stopped, 11, "ten in ten minutes, of which one was the user's own");
        let guessed = sign_in(&server, demo::ADMIN, demo::PASSWORD, "198.51.100.99", "").await;
        assert_too_often(&guessed);

        let home = sign_in(&server, demo::ADMIN, demo::PASSWORD, "192.0.2.1", &known).await;
        assert_eq!(home.status, StatusCode::OK, "{}", home.text);
        assert_eq!(home.all_of("set-cookie").len(), 1, "the browser is known already");
        let other = "marijke.smit@vandam.example";
        let another = sign_in(&server, other, demo::PASSWORD, "198.51.100.1", "").await;
        assert_eq!(another.status, StatusCode::OK, "another user is not concerned");
        let not_its_own = sign_in(&server, demo::ADMIN, demo::PASSWORD, "192.0.2.1", &device(&another)).await;
        assert_too_often(&not_its_own);
        for _ in 0..9 {
            let wrong = sign_in(&server, demo::ADMIN, "wrong", "192.0.2.1", &known).await;
            assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
        }
        assert_too_often(&sign_in(&server, demo::ADMIN, demo::PASSWORD, "192.0.2.1", &known).await);
    });
}

#[test]
fn a_device_lets_nobody_in() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve_with(limited(&data, 0, 0)).await;
        let known = device(&sign_in(&server, demo::ADMIN, demo::PASSWORD, "192.0.2.1", "").await);
        let secret = known.split_once('=').unwrap().1;
        for (name, value) in [
            ("cookie", format!("crm_session={secret}")),
            ("authorization", format!("Bearer {secret}")),
            ("cookie", known.clone()),
        ] {
            let answer = server.send(Method::GET, "/api/me", None, &[(name, &value)]).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{name}");
        }
    });
}

#[test]
fn one_address_tries_so_many_sign_ins_and_others_are_not_concerned() {
    testkit::run(async {
        let data = Data::demo().await;
        // What was spent comes back with time: it stands still.
        let server = data.serve_at(MovableClock::new().clock(), limited(&data, 0, 0)).await;
        let mut tried = 0;
        loop {
            let answer = sign_in(&server, &format!("{tried}@x.example"), "guess", "2001:db8::1", "").await;
            if answer.status != StatusCode::UNAUTHORIZED {
                assert_too_often(&answer);
                break;
            }
            tried += 1;
        }
        assert_eq!(tried, 30);
        let same_network = sign_in(&server, demo::ADMIN, demo::PASSWORD, "2001:db8::2", "").await;
        assert_too_often(&same_network);
        let another = sign_in(&server, demo::ADMIN, demo::PASSWORD, "2001:db8:1::1", "").await;
        assert_eq!(another.status, StatusCode::OK);
    });
}

#[test]
fn a_user_asks_so_much_over_all_processes_and_is_told_what_is_left() {
    testkit::run(async {
        let (data, redis) = (Data::demo().await, RedisServer::start().await);
        let over = |settings: Settings| {
            let layer = Layer { redis_url: Some(redis.url().into()), ..Layer::default() };
            Settings { redis: Settings::of(layer, Layer::default()).unwrap().redis, ..settings }
        };
        let one = data.serve_with(over(limited(&data, 40, 0))).await;
        let other = data.serve_with(over(limited(&data, 40, 0))).await;
        for server in [&one, &other] {
            redis::until_health_says(server, "connected").await;
        }
        let key = one.key().to_owned();
        let ask = async |server: &Running| {
            server.send(Method::GET, "/api/products", None, &[("authorization", &key)]).await
        };
        let first = ask(&one).await;
        assert_eq!(first.header("ratelimit-policy"), "\"user\";q=40;w=60");
        assert_eq!(first.header("ratelimit"), "\"user\";r=9;t=2");
        let mut allowed = 1;
        let denied = loop {
            let answer = ask([&one, &other][allowed % 2]).await;
            if answer.status != StatusCode::OK {
                break answer;
            }
            allowed += 1;
        };
        // Ten at once, and one more each 1.5 seconds that this takes.
        assert!((10..20).contains(&allowed), "{allowed}");
        assert_too_often(&denied);
        assert!(denied.header("ratelimit").starts_with("\"user\";r=0;t="), "{}", denied.header("ratelimit"));
        let as_another = [("authorization", one.key_of(&one.other_company()))];
        let another = one.send(Method::GET, "/api/products", None, &as_another);
        assert_eq!(another.await.status, StatusCode::OK, "another user is not concerned");

        redis.kill().await;
        for server in [&one, &other] {
            redis::until_health_says(server, "disconnected").await;
            let mut allowed = 0;
            while ask(server).await.status == StatusCode::OK {
                allowed += 1;
                assert!(allowed < 30, "without Redis there is no limit");
            }
        }
    });
}

#[test]
fn an_address_asks_so_much_signed_in_or_not() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve_at(MovableClock::new().clock(), limited(&data, 0, 40)).await;
        let ask = async |path: &str, from: &str| {
            server
                .send(Method::GET, path, None, &[("authorization", "Bearer x"), ("x-forwarded-for", from)])
                .await
        };
        let mut asked = 0;
        while ask(["/api/me", "/api/docs/", "/api/products"][asked % 3], "192.0.2.1").await.status
            != StatusCode::TOO_MANY_REQUESTS
        {
            asked += 1;
            assert!(asked < 20, "there is no limit");
        }
        assert_eq!(asked, 10);
        assert_too_often(&ask("/api/me", "192.0.2.1").await);
        assert_eq!(ask("/api/docs/", "192.0.2.2").await.status, StatusCode::OK);
        assert_eq!(ask("/livez", "192.0.2.1").await.status, StatusCode::OK, "who watches over the process");
        // Whoever believes what a client says of itself has no limit: the last of these was added by the proxy.
        assert_too_often(&ask("/api/me", "192.0.2.3, 192.0.2.1").await);
    });
}
