//! Activities and the trail of changes over HTTP.

use crate::running::Data;
use crm::config::Switch;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

#[test]
fn a_task_is_added_finished_and_removed_and_goes_with_its_deal() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let deal = server.first(&format!("/api/companies/{}/deals", server.company().await)).await;
        let list = format!("/api/deals/{deal}/activities");
        let note = server.post(&list, &json!({"text": "  first line\nsecond line "})).await;
        assert_eq!(note.status, StatusCode::CREATED, "{}", note.text);
        assert_eq!(
            (&note.json()["kind"], &note.json()["text"]),
            (&json!("note"), &json!("first line\nsecond line"))
        );
        let task = json!({"kind": "task", "text": "send the offer", "due_on": "2027-01-15"});
        let task = server.post(&list, &task).await;
        let path = task.header("location").to_owned();
        assert_eq!(server.get(&path).await.text, task.text);
        let shown = server.get(&list).await.json();
        let ids: Vec<&Value> =
            shown["items"].as_array().unwrap().iter().map(|activity| &activity["id"]).collect();
        assert_eq!(ids, [&task.json()["id"], &note.json()["id"]], "the newest first");
        let tasks = server.get(&format!("{list}?kind=task")).await.json();
        assert_eq!((&tasks["total"], &tasks["items"][0]), (&json!(1), &task.json()));

        let stale = server.patch(&path, &json!({"version": 7, "done": true})).await;
        assert_eq!(stale.status, StatusCode::CONFLICT);
        let done = server.patch(&path, &json!({"version": 1, "done": true})).await;
        assert_eq!((&done.json()["done"], &done.json()["version"]), (&json!(true), &json!(2)));
        for (path, body, wrong) in [
            (&list, json!({"text": " "}), "text"),
            (&list, json!({"text": "x".repeat(4_001)}), "text"),
            (&list, json!({"text": "a\u{0}"}), "text"),
            (&list, json!({"text": "a", "due_on": "2027-01-01"}), "due_on"),
            (&note.header("location").to_owned(), json!({"done": true}), "done"),
        ] {
            let method = if path == &list { Method::POST } else { Method::PATCH };
            let answer = server.send(method, path, Some(&body), &[]).await;
            assert_eq!(answer.wrong_fields(), [wrong], "{body:.60}");
        }
        assert_eq!(server.delete(note.header("location")).await.status, StatusCode::NO_CONTENT);
        assert_eq!(server.get(&list).await.json()["total"], 1);
        assert_eq!(server.delete(&format!("/api/deals/{deal}")).await.status, StatusCode::NO_CONTENT);
        for gone in [&list, &path] {
            assert_eq!(server.get(gone).await.status, StatusCode::NOT_FOUND, "{gone}");
        }
    });
}

#[test]
fn the_trail_says_who_changed_what_from_what_to_what_and_outlives_both() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let company = server.company().await;
        let new = json!({"name": "Passing Through", "email": "passing@x.example", "role": "manager"});
        let user = server.post(&format!("/api/companies/{company}/users"), &new).await;
        let user = user.json()["id"].as_str().unwrap().to_owned();
        let token =
            crm::access::issue(&data.database, &crm::caller::UserId::named(user.as_str())).await.unwrap();
        let key = crate::running::bearer(&token);
        let by_user = [("authorization", key.as_str())];
        let deal = server.first(&format!("/api/companies/{company}/deals?stage=engaging")).await;
        let path = format!("/api/deals/{deal}");
        let before = server.get(&path).await.json();
        let edit = json!({"title": "Renamed", "contact_id": null});
        assert!(server.send(Method::PATCH, &path, Some(&edit), &by_user).await.status.is_success());
        assert!(server.send(Method::PATCH, &path, Some(&edit), &by_user).await.status.is_success());
        assert!(server.send(Method::DELETE, &path, None, &by_user).await.status.is_success());
        assert!(server.delete(&format!("/api/users/{user}")).await.status.is_success());

        let trail = format!("/api/companies/{company}/audit");
        let of_deal = server.get(&format!("{trail}?row={deal}")).await.json();
        let entries = of_deal["items"].as_array().unwrap();
        let verbs: Vec<&Value> = entries.iter().map(|entry| &entry["verb"]).collect();
        assert_eq!(verbs, ["removed", "changed"], "a change of nothing is none");
        let changed = json!({
            "title": {"from": before["title"], "to": "Renamed"},
            "contact_id": {"from": before["contact"]["id"]},
        });
        assert_eq!(entries[1]["changes"], changed);
        assert_eq!(entries[0]["changes"]["title"], json!({"from": "Renamed"}));
        assert!(
            entries.iter().all(|entry| entry["user_name"] == "Passing Through" && entry["kind"] == "deal")
        );
        let of_user = server.get(&format!("{trail}?user={user}")).await.json();
        assert_eq!(of_user["total"], 2, "{of_user}");
        let page = server.get(&format!("{trail}?per_page=1&page=2")).await.json();
        assert_eq!(
            page["items"][0]["row_id"],
            deal.as_str(),
            "the newest first: the user was removed after the deal"
        );
    });
}

#[test]
fn a_change_that_is_refused_leaves_no_trace() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let company = server.company().await;
        let trail = format!("/api/companies/{company}/audit");
        let rep =
            server.get(&format!("/api/companies/{company}/users?role=rep")).await.json()["items"][0].clone();
        let path = format!("/api/users/{}", rep["id"].as_str().unwrap());
        assert_eq!(server.delete(&path).await.status, StatusCode::CONFLICT, "it owns deals");
        let admin = server.get(&format!("/api/companies/{company}/users?role=admin")).await.json()["items"]
            [0]
        .clone();
        let taken = server.patch(&path, &json!({"email": admin["email"]})).await;
        assert_eq!(taken.status, StatusCode::CONFLICT);
        assert_eq!(server.get(&trail).await.json()["total"], 0);
    });
}

#[test]
fn an_activity_loses_its_author_with_that_user_and_shows_it_at_once() {
    testkit::run(async {
        let data = Data::demo().await;
        let (server, truth) = (data.serve(Switch::On).await, data.serve(Switch::Off).await);
        let company = server.company().await;
        let new = json!({"name": "Passing Through", "email": "passing@x.example", "role": "manager"});
        let user = server.post(&format!("/api/companies/{company}/users"), &new).await.json();
        let id = crm::caller::UserId::named(user["id"].as_str().unwrap());
        let key = crate::running::bearer(&crm::access::issue(&data.database, &id).await.unwrap());
        let deal = server.first(&format!("/api/companies/{company}/deals")).await;
        let list = format!("/api/deals/{deal}/activities");
        let note =
            server.send(Method::POST, &list, Some(&json!({"text": "t"})), &[("authorization", &key)]).await;
        let one = note.header("location").to_owned();
        for path in [&list, &one, &list, &one] {
            assert!(server.get(path).await.text.contains(id.as_str()), "{path}");
        }
        assert_eq!(server.delete(&format!("/api/users/{id}")).await.status, StatusCode::NO_CONTENT);
        for path in [&list, &one] {
            let shown = server.get(path).await;
            assert_eq!(shown.text, truth.get(path).await.text, "{path}");
            assert!(
                !shown.text.contains(id.as_str()) && shown.text.contains("Passing Through"),
                "{}",
                shown.text
            );
        }
    });
}
