//! Who may do what: role × verb × ownership, over HTTP, and who of another company finds nothing.

use crate::running::{Answer, Data, Running, bearer};
use crm::access;
use crm::caller::{Role, UserId};
use crm::config::Switch;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// Whose the row is that somebody wants to change.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Owner {
    Itself,
    Another,
    Nobody,
}

/// Somebody of the first company.
struct Somebody {
    role: Role,
    id: String,
    key: String,
}

impl Somebody {
    async fn of(server: &Running, role: Role) -> Self {
        let company = server.company().await;
        let new =
            json!({"name": format!("The {role}"), "email": format!("{role}@x.example"), "role": role.word()});
        let made = server.post(&format!("/api/companies/{company}/users"), &new).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        let id = made.json()["id"].as_str().unwrap().to_owned();
        let token = access::issue(&server.app.database, &UserId::named(id.as_str())).await.unwrap();
        Self { role, id, key: bearer(&token) }
    }

    async fn send(&self, server: &Running, method: Method, path: &str, body: &Value) -> Answer {
        let body = (!body.is_null()).then_some(body);
        server.send(method, path, body, &[("authorization", &self.key)]).await
    }

    /// Whether the table says that it may.
    fn may_write(&self, owner: Owner) -> bool {
        match self.role {
            Role::Viewer => false,
            Role::Rep => owner == Owner::Itself,
            Role::Manager | Role::Admin => true,
        }
    }
}

/// Adds a deal or contact of this owner, as an admin.
async fn add(server: &Running, kind: &str, owner: &Value) -> String {
    let new = match kind {
        "deals" => json!({"title": "t", "owner_id": owner, "stage": "engaging", "engaged_on": "2026-01-01"}),
        _ => json!({"name": "n", "kind": "person", "owner_id": owner}),
    };
    let made = server.post(&format!("/api/companies/{}/{kind}", server.company().await), &new).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    made.header("location").to_owned()
}

#[test]
fn each_role_writes_what_the_table_says_and_reads_all() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let company = server.company().await;
        let another = Somebody::of(&server, Role::Rep).await;
        // Only one of each role has this address: the other rep makes room.
        assert!(
            server
                .patch(&format!("/api/users/{}", another.id), &json!({"email": "r@x.example"}))
                .await
                .status
                .is_success()
        );
        let mut tried = 0;
        for role in Role::ALL {
            let somebody = Somebody::of(&server, *role).await;
            for owner in [Owner::Itself, Owner::Another, Owner::Nobody] {
                let owner_id = match owner {
                    Owner::Itself => json!(somebody.id),
                    Owner::Another => json!(another.id),
                    Owner::Nobody => Value::Null,
                };
                let expected = |success: StatusCode| {
                    if somebody.may_write(owner) { success } else { StatusCode::FORBIDDEN }
                };
                for kind in ["deals", "contacts"] {
                    let path = add(&server, kind, &owner_id).await;
                    let read = somebody.send(&server, Method::GET, &path, &Value::Null).await;
                    assert_eq!(read.status, StatusCode::OK, "{role} reads");
                    let list = format!("/api/companies/{company}/{kind}");
                    let new = match kind {
                        "deals" => json!({"title": "t", "owner_id": owner_id}),
                        _ => json!({"name": "n", "kind": "person", "owner_id": owner_id}),
                    };
                    let edit = if kind == "deals" { json!({"title": "e"}) } else { json!({"name": "e"}) };
                    let stage = json!({"stage": "won", "closed_on": "2026-02-01"});
                    let note = json!({"text": "said so"});
                    let mut verbs = vec![
                        (Method::POST, list, new, StatusCode::CREATED),
                        (Method::POST, format!("{path}/activities"), note, StatusCode::CREATED),
                        (Method::PATCH, path.clone(), edit, StatusCode::OK),
                        (Method::DELETE, path.clone(), Value::Null, StatusCode::NO_CONTENT),
                    ];
                    if kind == "deals" {
                        verbs.insert(3, (Method::POST, format!("{path}/stage"), stage, StatusCode::OK));
                    }
                    for (method, path, body, success) in verbs {
                        let mut expected = expected(success);
                        // A rep that does not say whose it is adds its own.
                        let is_list = path.starts_with("/api/companies");
                        if is_list && *role == Role::Rep && owner == Owner::Nobody {
                            expected = success;
                        }
                        let answer = somebody.send(&server, method.clone(), &path, &body).await;
                        assert_eq!(
                            answer.status, expected,
                            "{role} {method} {path} of {owner:?}: {}",
                            answer.text
                        );
                        if is_list && answer.status == success && *role == Role::Rep {
                            let made = answer.json();
                            let owner =
                                if kind == "deals" { &made["owner"]["id"] } else { &made["owner_id"] };
                            assert_eq!(owner, &json!(somebody.id));
                        }
                        tried += 1;
                    }
                }
            }
        }
        assert_eq!(tried, 4 * 3 * 9);
    });
}

#[test]
fn only_an_admin_manages_users_and_the_company() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let company = server.company().await;
        for role in Role::ALL {
            let somebody = Somebody::of(&server, *role).await;
            let new = json!({"name": "New", "role": "rep", "email": format!("new.{role}@x.example")});
            let user = server
                .post(
                    &format!("/api/companies/{company}/users"),
                    &json!({"name": "Gone", "role": "rep", "email": format!("gone.{role}@x.example")}),
                )
                .await;
            let user = user.header("location").to_owned();
            for (method, path, body, success) in [
                (Method::PATCH, format!("/api/companies/{company}"), json!({"sector": "s"}), StatusCode::OK),
                (Method::POST, format!("/api/companies/{company}/users"), new, StatusCode::CREATED),
                (Method::PATCH, user.clone(), json!({"name": "n"}), StatusCode::OK),
                (Method::POST, format!("{user}/password"), Value::Null, StatusCode::OK),
                (Method::DELETE, user.clone(), Value::Null, StatusCode::NO_CONTENT),
            ] {
                let expected = if *role == Role::Admin { success } else { StatusCode::FORBIDDEN };
                let answer = somebody.send(&server, method.clone(), &path, &body).await;
                assert_eq!(answer.status, expected, "{role} {method} {path}: {}", answer.text);
            }
            let trail = format!("/api/companies/{company}/audit");
            let trail = somebody.send(&server, Method::GET, &trail, &Value::Null).await.status;
            assert_eq!(trail == StatusCode::OK, *role >= Role::Manager, "{role} sees the trail: {trail}");
            for path in ["", "/users", "/deals", "/contacts", "/pipeline", "/dashboard", "/analytics/monthly"]
            {
                let path = format!("/api/companies/{company}{path}");
                let read = somebody.send(&server, Method::GET, &path, &Value::Null).await;
                assert_eq!(read.status, StatusCode::OK, "{role} reads {path}");
            }
        }
    });
}

#[test]
fn a_rep_gives_nothing_away_and_takes_nothing() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let rep = Somebody::of(&server, Role::Rep).await;
        let admin =
            server.first(&format!("/api/companies/{}/users?role=admin", server.company().await)).await;
        for kind in ["deals", "contacts"] {
            let own = add(&server, kind, &json!(rep.id)).await;
            for owner in [json!(admin), Value::Null] {
                let answer = rep.send(&server, Method::PATCH, &own, &json!({"owner_id": owner})).await;
                assert_eq!(answer.status, StatusCode::FORBIDDEN, "{owner}: {}", answer.text);
            }
            let others = add(&server, kind, &json!(admin)).await;
            let taken = rep.send(&server, Method::PATCH, &others, &json!({"owner_id": rep.id})).await;
            assert_eq!(taken.status, StatusCode::FORBIDDEN);
            let unchanged = server.get_latest(&others).await.json();
            let owner = if kind == "deals" { &unchanged["owner"]["id"] } else { &unchanged["owner_id"] };
            assert_eq!(owner, &json!(admin));
        }
    });
}
