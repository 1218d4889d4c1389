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
