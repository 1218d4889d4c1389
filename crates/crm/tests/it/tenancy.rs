//! Nothing crosses: of another company a caller gets not one byte, with a cold and with a warm cache.

use crate::openapi::{self, Rows};
use crate::redis;
use crate::running::{Data, Running};
use crm::config::Switch;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use testkit::redis::RedisServer;

/// Every operation about something of a company, as the description of the API has them.
fn requests(rows: &Rows) -> Vec<(Method, String, Option<Value>)> {
    let document = openapi::document();
    let about = openapi::operations().into_iter().filter(|operation| operation.path.contains("{id}"));
    // Products are all companies', and sessions are one user's: of those the tests of `access` tell.
    let of_a_company = about.filter(|operation| {
        !["/api/products", "/api/me"].iter().any(|part| operation.path.starts_with(part))
    });
    of_a_company
        .map(|operation| {
            (operation.method.clone(), operation.about(rows), operation.example_about(&document, rows))
        })
        .collect()
}

/// Sends all of one company's requests as an admin of another, and answers what came of those that read.
async fn trespass(server: &Running, theirs: &Rows, key: &str, when: &str) {
    assert!(requests(theirs).len() >= 24);
    for (method, path, body) in requests(theirs) {
        let answer = server.send(method.clone(), &path, body.as_ref(), &[("authorization", key)]).await;
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
            let theirs = Rows::of(server, &server.other_company()).await;
            let key = server.key();
            server.app.cache.clear().await;
            trespass(server, &theirs, key, "cold").await;
            for (method, path, _) in requests(&theirs) {
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
            assert_eq!(deal.json()["version"], 1, "{}", deal.text);
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
        let ours = Rows::of(&server, &server.company().await).await;
        for (_, path, _) in requests(&ours).iter().filter(|(method, ..)| *method == Method::GET) {
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
