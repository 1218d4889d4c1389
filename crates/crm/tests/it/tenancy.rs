//! Nothing crosses: of another company a caller gets not one byte, with a cold and with a warm cache.

use crate::redis;
use crate::running::{Data, Running};
use crm::config::Switch;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use testkit::redis::RedisServer;

/// The ids of one company's rows.
struct Rows {
    company: String,
    deal: String,
    contact: String,
    user: String,
}

impl Rows {
    async fn of(server: &Running, company: String) -> Self {
        let first = async |rest: &str| server.first(&format!("/api/companies/{company}/{rest}")).await;
        let (deal, contact, user) = (first("deals").await, first("contacts").await, first("users").await);
        Self { company, deal, contact, user }
    }

    /// Every route with an id in it.
    fn requests(&self) -> Vec<(Method, String, Value)> {
        let Self { company, deal, contact, user } = self;
        let get = |path: String| (Method::GET, path, Value::Null);
        let of = |rest: &str| format!("/api/companies/{company}{rest}");
        vec![
            get(of("")),
            get(of("/deals")),
            get(of("/deals?stage=won&sort=value")),
            get(of("/contacts")),
            get(of("/contacts?q=a")),
            get(of("/users")),
            get(of("/pipeline")),
            get(of("/dashboard")),
            get(of("/analytics/monthly")),
            (Method::POST, of("/analytics/refresh"), Value::Null),
            (Method::PATCH, of(""), json!({"name": "taken"})),
            (Method::POST, of("/deals"), json!({"title": "taken"})),
            (Method::POST, of("/contacts"), json!({"name": "taken", "kind": "person"})),
            (Method::POST, of("/users"), json!({"name": "taken", "role": "admin"})),
            get(format!("/api/deals/{deal}")),
            (Method::PATCH, format!("/api/deals/{deal}"), json!({"title": "taken"})),
            (Method::POST, format!("/api/deals/{deal}/stage"), json!({"stage": "prospecting"})),
            (Method::DELETE, format!("/api/deals/{deal}"), Value::Null),
            get(format!("/api/contacts/{contact}")),
            (Method::PATCH, format!("/api/contacts/{contact}"), json!({"name": "taken"})),
            (Method::DELETE, format!("/api/contacts/{contact}"), Value::Null),
            get(format!("/api/users/{user}")),
            get(format!("/api/users/{user}/stats")),
            (Method::PATCH, format!("/api/users/{user}"), json!({"name": "taken"})),
            (Method::POST, format!("/api/users/{user}/password"), Value::Null),
            (Method::DELETE, format!("/api/users/{user}"), Value::Null),
        ]
    }
}

/// Sends all of one company's requests as an admin of another, and answers what came of those that read.
async fn trespass(server: &Running, theirs: &Rows, key: &str, when: &str) {
    for (method, path, body) in theirs.requests() {
        let body = (!body.is_null()).then_some(&body);
        let answer = server.send(method.clone(), &path, body, &[("authorization", key)]).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{when}: {method} {path}: {}", answer.text);
        assert_eq!(answer.header("etag"), "", "{when}: {path}");
        let problem = answer.json();
        let members: BTreeSet<&str> = problem.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, BTreeSet::from(["detail", "status", "title", "type"]), "{when}: {path}");
        let same = server.send(Method::GET, "/api/deals/nope", None, &[("authorization", key)]).await.json();
        assert_eq!(problem["type"], same["type"], "{when}: {path}: as for what is not there");
    }
}

#[test]
fn of_another_company_nothing_is_there_cold_or_warm_in_process_and_over_redis() {
    testkit::run(async {
        let (data, redis) = (Data::demo().await, RedisServer::start().await);
        let in_process = data.serve(Switch::On).await;
        let over_redis = redis::serve(&data, &redis, "").await;
        for server in [&in_process, &over_redis] {
            let theirs = Rows::of(server, server.other_company()).await;
            let key = server.key();
            server.app.cache.clear().await;
            trespass(server, &theirs, key, "cold").await;
            for (method, path, _) in theirs.requests() {
                if method == Method::GET {
                    for _ in 0..2 {
                        assert_eq!(
                            server
                                .send(method.clone(), &path, None, &theirs_key(server, &theirs))
                                .await
                                .status,
                            StatusCode::OK,
                            "{path}"
                        );
                    }
                }
            }
            trespass(server, &theirs, key, "warm").await;
            // And that nothing has changed, by who may see it.
            let deal = server
                .send(Method::GET, &format!("/api/deals/{}", theirs.deal), None, &theirs_key(server, &theirs))
                .await;
            assert_eq!(deal.status, StatusCode::OK);
            assert!(!deal.text.contains("taken"), "{}", deal.text);
        }
    });
}

/// What an admin of that company sends.
fn theirs_key<'a>(server: &'a Running, rows: &Rows) -> [(&'static str, &'a str); 1] {
    [("authorization", server.key_of(&rows.company))]
}

#[test]
fn an_id_of_any_shape_reaches_nothing_else() {
    testkit::run(async {
        let (data, redis) = (Data::demo().await, RedisServer::start().await);
        let server = redis::serve(&data, &redis, "").await;
        let ours = Rows::of(&server, server.company().await).await;
        for (_, path, _) in ours.requests().iter().filter(|(method, ..)| *method == Method::GET) {
            assert!(server.get(path).await.status.is_success());
        }
        let keys = redis.command(&["DBSIZE"]).await.int();
        let long = "x".repeat(10_000);
        let nasty = [
            "%3A",
            "*",
            "%2A",
            "%7B%7D",
            "%7Bdeal%7D",
            "%25",
            "%0A",
            "%0D%0A",
            "%00",
            "%FF",
            "%C3%28",
            "..%2F..",
            "a%3Ab%3Ac",
            "%3F",
            "%5B%5D",
            "1%20OR%201%3D1",
            "'%3B--",
            &long,
        ];
        for id in nasty {
            for template in [
                "deals/{}",
                "contacts/{}",
                "users/{}",
                "users/{}/stats",
                "companies/{}",
                "companies/{}/deals",
                "companies/{}/pipeline",
            ] {
                let path = format!("/api/{}", template.replace("{}", id));
                let answer = server.get(&path).await;
                let expected = [StatusCode::NOT_FOUND, StatusCode::BAD_REQUEST];
                assert!(expected.contains(&answer.status), "{path:.100}: {} {}", answer.status, answer.text);
                answer.wrong_fields();
            }
            for suffix in [":company", "%3Acompany", "*"] {
                let path = format!("/api/deals/{}{suffix}", ours.deal);
                assert_eq!(server.get(&path).await.status, StatusCode::NOT_FOUND, "{path}");
            }
        }
        let deals = format!("/api/companies/{}/deals", ours.company);
        for id in ["", "\u{0}", "a:b", "*", "\n", &long] {
            for field in ["contact_id", "product_id", "owner_id"] {
                let answer = server.post(&deals, &json!({"title": "t", field: id})).await;
                assert_eq!(
                    answer.status,
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "{field} {id:.9?}: {}",
                    answer.text
                );
            }
        }
        assert_eq!(redis.command(&["DBSIZE"]).await.int(), keys, "nothing of it is kept");
    });
}
