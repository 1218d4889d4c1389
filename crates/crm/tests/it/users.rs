//! Users over HTTP.

use crate::running::Data;
use crm::config::Switch;
use reqwest::StatusCode;
use serde_json::json;

#[test]
fn a_user_is_added_found_and_removed() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let users = format!("/api/companies/{}/users", server.company().await);
        let new = json!({"name": "Ada Ångström", "email": "Ada@X.example", "role": "rep"});
        let created = server.post(&users, &new).await;
        assert_eq!(created.status, StatusCode::CREATED);
        assert_eq!(created.json()["email"], "ada@x.example");
        let path = created.header("location");
        assert_eq!(server.get(path).await.text, created.text);
        let found = server.get(&format!("{users}?q=%C3%85NGSTR&active=true&role=rep")).await.json();
        assert_eq!((&found["total"], &found["items"][0]), (&json!(1), &created.json()));
        assert_eq!(server.delete(path).await.status, StatusCode::NO_CONTENT);
        assert_eq!(server.get(path).await.status, StatusCode::NOT_FOUND);
        assert_eq!(server.get(&format!("{path}/stats")).await.status, StatusCode::NOT_FOUND);
    });
}

#[test]
fn who_leaves_hands_over_and_can_be_removed() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let truth = data.serve(Switch::Off).await;
        let company = server.company().await;
        let reps = server.get(&format!("/api/companies/{company}/users?role=rep")).await.json();
        let id = |index: usize| reps["items"][index]["id"].as_str().unwrap().to_owned();
        let (from, to) = (id(0), id(1));
        let of =
            |kind: &str, owner: &str| format!("/api/companies/{company}/{kind}?owner={owner}&per_page=200");
        let deal = server.first(&of("deals", &from)).await;
        let contact = server.first(&of("contacts", &from)).await;
        let views = [
            format!("/api/deals/{deal}"),
            format!("/api/contacts/{contact}"),
            format!("/api/users/{from}/stats"),
            format!("/api/users/{to}/stats"),
            of("deals", &from),
            of("deals", &to),
            of("contacts", &from),
            of("contacts", &to),
        ];
        for view in views.iter().chain(&views) {
            assert!(server.get(view).await.status.is_success());
        }
        let total = async |path: &str| server.get(path).await.json()["total"].as_i64().unwrap();
        let (deals, contacts) = (total(&of("deals", &from)).await, total(&of("contacts", &from)).await);
        assert!(deals > 0 && contacts > 0);

        let path = format!("/api/users/{from}/hand-over");
        for nobody in [from.as_str(), "nope"] {
            assert_eq!(server.post(&path, &json!({"to": nobody})).await.wrong_fields(), ["to"]);
        }
        let handed = server.post(&path, &json!({"to": to})).await;
        assert_eq!(handed.json(), json!({"deals": deals, "contacts": contacts}), "{}", handed.text);
        for view in &views {
            assert_eq!(server.get(view).await.text, truth.get(view).await.text, "{view}");
        }
        assert_eq!(server.get(&views[0]).await.json()["owner"]["id"], to.as_str());
        let trail = server.get(&format!("/api/companies/{company}/audit?row={deal}")).await.json();
        assert_eq!(trail["items"][0]["changes"], json!({"owner_id": {"from": from, "to": to}}));
        assert_eq!(server.delete(&format!("/api/users/{from}")).await.status, StatusCode::NO_CONTENT);
    });
}

#[test]
fn an_address_belongs_to_one_user_and_a_seller_cannot_vanish() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let users = format!("/api/companies/{}/users", server.company().await);
        let rep = server.get(&format!("{users}?role=rep")).await.json()["items"][0].clone();
        let again = json!({"name": "Copy", "email": rep["email"], "role": "viewer"});
        assert_eq!(server.post(&users, &again).await.status, StatusCode::CONFLICT);
        let removal = server.delete(&format!("/api/users/{}", rep["id"].as_str().unwrap())).await;
        assert_eq!(removal.status, StatusCode::CONFLICT);
        assert!(removal.text.contains("active"), "{}", removal.text);
        let wrong = json!({"name": "", "email": "nowhere", "role": "viewer"});
        assert_eq!(server.post(&users, &wrong).await.wrong_fields(), ["email", "name"]);
    });
}
