//! Deals over HTTP.

use crate::running::Data;
use crm::config::Switch;
use reqwest::StatusCode;
use serde_json::{Value, json};

#[test]
fn a_deal_goes_through_its_stages() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let deals = format!("/api/companies/{}/deals", server.company().await);
        let created = server.post(&deals, &json!({"title": "Ten pumps", "value_cents": 900})).await;
        assert_eq!((created.status, &created.json()["stage"]), (StatusCode::CREATED, &json!("prospecting")));
        assert_eq!(created.header("x-acknowledged"), "applied");
        let path = created.header("location");
        let stage = format!("{path}/stage");
        for (step, wrong) in [
            (json!({"stage": "engaging"}), vec!["engaged_on"]),
            (json!({"stage": "engaging", "engaged_on": "2026-01-10"}), vec![]),
            (json!({"stage": "won"}), vec!["closed_on"]),
            (json!({"stage": "won", "closed_on": "2026-01-09"}), vec!["closed_on"]),
            (json!({"stage": "lost", "closed_on": "2026-01-20"}), vec![]),
            (json!({"stage": "engaging"}), vec!["reopen"]),
            (json!({"stage": "engaging", "reopen": true, "value_cents": 1000}), vec![]),
            (json!({"stage": "won", "closed_on": "2026-02-10"}), vec![]),
        ] {
            let answer = server.post(&stage, &step).await;
            if wrong.is_empty() {
                assert_eq!(answer.status, StatusCode::OK, "{step}: {}", answer.text);
                assert_eq!(server.get(path).await.text, answer.text);
            } else {
                assert_eq!(answer.wrong_fields(), wrong, "{step}");
            }
        }
        let won = server.get(path).await.json();
        assert_eq!((&won["value_cents"], &won["closed_on"]), (&json!(1000), &json!("2026-02-10")));
        let gone = server.delete(path).await;
        assert_eq!((gone.status, gone.header("x-acknowledged")), (StatusCode::NO_CONTENT, "applied"));
        assert_eq!(server.get(path).await.status, StatusCode::NOT_FOUND);
    });
}

#[test]
fn a_deal_names_only_what_its_company_has() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let companies = [server.company().await, server.other_company()];
        let of = |index: usize, rest: &str| format!("/api/companies/{}/{rest}", companies[index]);
        let foreign_contact = server.first(&of(1, "contacts")).await;
        let foreign_user = server.first(&of(1, "users")).await;
        let new = json!({"title": "t", "contact_id": foreign_contact, "owner_id": foreign_user,
            "product_id": "nope"});
        let answer = server.post(&of(0, "deals"), &new).await;
        assert_eq!(answer.wrong_fields(), ["contact_id", "product_id", "owner_id"]);

        let user = server.first(&of(0, "users?role=viewer")).await;
        server.patch(&format!("/api/users/{user}"), &json!({"active": false})).await;
        let inactive = server.post(&of(0, "deals"), &json!({"title": "t", "owner_id": user})).await;
        assert_eq!(inactive.wrong_fields(), ["owner_id"]);
    });
}

#[test]
fn filters_narrow_and_orders_hold() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let deals = format!("/api/companies/{}/deals", server.company().await);
        let list = async |query: &str| {
            let list = server.get(&format!("{deals}?per_page=200&{query}")).await.json();
            list["items"].as_array().unwrap().clone()
        };
        let all = list("").await;
        let mut parts = 0;
        for stage in ["prospecting", "engaging", "won", "lost"] {
            let part = list(&format!("stage={stage}")).await;
            assert!(!part.is_empty() && part.iter().all(|deal| deal["stage"] == stage), "{stage}");
            parts += part.len();
        }
        assert_eq!(parts, all.len());
        for (sort, field) in [("value", "value_cents"), ("engaged", "engaged_on"), ("closed", "closed_on")] {
            for minus in ["", "-"] {
                let sorted = list(&format!("sort={minus}{sort}")).await;
                let (some, none): (Vec<&Value>, Vec<&Value>) =
                    sorted.iter().map(|deal| &deal[field]).partition(|value| !value.is_null());
                let ordered = |pair: &[&Value]| match (pair[0].as_str(), pair[1].as_str()) {
                    (Some(one), Some(next)) => (one <= next) == minus.is_empty() || one == next,
                    _ => (pair[0].as_i64() <= pair[1].as_i64()) == minus.is_empty() || pair[0] == pair[1],
                };
                assert!(some.windows(2).all(ordered), "{minus}{sort}");
                let tail: Vec<&Value> =
                    sorted.iter().rev().take(none.len()).map(|deal| &deal[field]).collect();
                assert!(tail.iter().all(|value| value.is_null()), "{minus}{sort}: those without come last");
            }
        }
    });
}

#[test]
fn the_demo_keeps_every_rule_and_ends_today() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let deals = format!("/api/companies/{}/deals?per_page=200", server.company().await);
        let today = crm::time::Day::today().to_string();
        for deal in server.get(&deals).await.json()["items"].as_array().unwrap() {
            let (engaged, closed) = (deal["engaged_on"].as_str(), deal["closed_on"].as_str());
            assert!(engaged.is_none_or(|day| day <= today.as_str()), "{deal}");
            assert!(closed.is_none_or(|day| day <= today.as_str() && engaged.unwrap() <= day), "{deal}");
            assert!(deal["owner"]["name"].is_string() && deal["contact"]["name"].is_string(), "{deal}");
        }
    });
}

#[test]
fn a_day_is_read_in_one_spelling_only() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let deals = format!("/api/companies/{}/deals", server.company().await);
        for day in ["-000002-06-01", "0206-06-01", "20260601", "2026-06-01T10:00:00", "2026-06-31"] {
            let new = json!({"title": "t", "stage": "engaging", "engaged_on": day});
            let answer = server.post(&deals, &new).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{day}: {}", answer.text);
            assert!(answer.text.contains("YYYY-MM-DD"), "{day}: {}", answer.text);
        }
    });
}
