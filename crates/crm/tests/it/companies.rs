//! Companies, countries and products over HTTP.

use crate::running::Data;
use crm::config::Switch;
use reqwest::{Method, StatusCode};
use serde_json::json;

#[test]
fn a_company_is_changed_field_by_field() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let path = format!("/api/companies/{}", server.company().await);
        let before = server.get(&path).await.json();
        let edit = json!({"name": " Aurora ", "sector": null, "settings": {"stale_after_days": 30}});
        let answer = server.patch(&path, &edit).await;
        let after = answer.json();
        assert_eq!((&after["name"], &after["sector"]), (&json!("Aurora"), &json!(null)));
        assert_eq!((&after["country"], &after["version"]), (&before["country"], &json!(2)));
        let read = server.get(&path).await;
        assert_eq!((read.text.as_str(), read.header("etag")), (answer.text.as_str(), answer.header("etag")));
    });
}

#[test]
fn whoever_saw_an_older_row_is_refused() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let path = format!("/api/companies/{}", server.company().await);
        let seen = server.get(&path).await.header("etag").to_owned();
        let edit = json!({"name": "One"});
        let send = async |body, etag: &str| {
            server.send(Method::PATCH, &path, Some(&body), &[("if-match", etag)]).await
        };
        assert_eq!(send(edit.clone(), &seen).await.status, StatusCode::OK);
        for older in [seen.clone(), format!("W/{seen}")] {
            let refused = send(edit.clone(), &older).await;
            assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED);
            assert_eq!(refused.json()["current_version"], 2, "{}", refused.text);
        }
        assert_eq!(send(edit, "*").await.status, StatusCode::OK);
        let stale = server.patch(&path, &json!({"name": "Two", "version": 1})).await;
        assert_eq!(stale.status, StatusCode::CONFLICT);
        assert!(stale.text.contains("version 3"), "{}", stale.text);
        // With it the change is repeated, and is not refused.
        let current = stale.json()["current_version"].clone();
        assert_eq!(current, 3);
        let repeated = server.patch(&path, &json!({"name": "Two", "version": current})).await;
        assert_eq!(repeated.status, StatusCode::OK, "{}", repeated.text);
        let invalid = server.patch(&path, &json!({"name": "", "version": 4})).await;
        assert_eq!(invalid.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(invalid.json().get("current_version").is_none(), "{}", invalid.text);
    });
}

#[test]
fn the_currency_of_a_company_cannot_be_changed() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let path = format!("/api/companies/{}", server.company().await);
        let answer = server.patch(&path, &json!({"currency": "USD"})).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    });
}

#[test]
fn all_countries_are_listed_by_name() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let countries = server.get("/api/countries").await.json();
        let countries = countries.as_array().unwrap();
        assert_eq!(countries.len(), 249);
        assert!(countries.contains(&json!({"code": "GB", "name": "United Kingdom"})));
    });
}

#[test]
fn a_product_keeps_its_rules() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let products = server.get("/api/products").await.json();
        let path = format!("/api/products/{}", products[0]["id"].as_str().unwrap());
        let edit = json!({"list_price_cents": 100});
        assert_eq!(server.patch(&path, &edit).await.status, StatusCode::FORBIDDEN, "it is of all companies");
        let taken = server.operate(Method::PATCH, &path, Some(&json!({"name": products[1]["name"]}))).await;
        assert_eq!(taken.status, StatusCode::CONFLICT);
        let negative =
            server.operate(Method::PATCH, &path, Some(&json!({"list_price_cents": -1, "name": ""}))).await;
        assert_eq!(negative.wrong_fields(), ["name", "list_price_cents"]);
        let priced = server.operate(Method::PATCH, &path, Some(&edit)).await.json();
        assert_eq!(priced["list_price_cents"], 100);
    });
}
