//! Contacts over HTTP.

use crate::running::Data;
use crm::config::Switch;
use reqwest::StatusCode;
use serde_json::{Value, json};

#[test]
fn a_contact_is_added_changed_and_removed() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let contacts = format!("/api/companies/{}/contacts", server.company().await);
        let new = json!({"kind": "person", "name": "Ib", "phone": "+45 1", "country": "DK"});
        let created = server.post(&contacts, &new).await;
        assert_eq!(created.status, StatusCode::CREATED);
        let path = created.header("location");
        let edited = server.patch(path, &json!({"phone": null, "title": "Buyer"})).await.json();
        assert_eq!((&edited["phone"], &edited["title"]), (&Value::Null, &json!("Buyer")));
        assert_eq!((&edited["country"], &edited["version"]), (&json!("DK"), &json!(2)));
        assert_eq!(server.delete(path).await.status, StatusCode::NO_CONTENT);
        assert_eq!(server.patch(path, &json!({})).await.status, StatusCode::NOT_FOUND);
    });
}

#[test]
fn pages_are_disjoint_ordered_and_complete() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let contacts = format!("/api/companies/{}/contacts", server.company().await);
        for sort in ["name", "-name", "created", "-created"] {
            let all = server.get(&format!("{contacts}?per_page=200&sort={sort}")).await.json();
            let all = all["items"].as_array().unwrap();
            let mut paged = Vec::new();
            for page in 1..=8 {
                let path = format!("{contacts}?per_page=5&page={page}&sort={sort}");
                paged.extend(server.get(&path).await.json()["items"].as_array().unwrap().clone());
            }
            assert_eq!(&paged, all, "{sort}");
        }
        let beyond = server.get(&format!("{contacts}?page=9999")).await.json();
        assert_eq!(beyond["items"], json!([]));
    });
}

#[test]
fn a_search_takes_no_wildcards() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let contacts = format!("/api/companies/{}/contacts", server.company().await);
        let wild = json!({"kind": "person", "name": "50%_x"});
        assert_eq!(server.post(&contacts, &wild).await.status, StatusCode::CREATED);
        for words in ["%25_x", "50%25", "%25"] {
            let found = server.get(&format!("{contacts}?q={words}")).await.json();
            assert_eq!(found["total"], 1, "{words}");
        }
    });
}
