//! Access: who gets in, who does not, and how all of it ends everywhere at once.

use crate::importing::Desk;
use crate::process::{LIMIT, Serving, signed_in};
use crate::redis;
use crate::running::{Answer, Data, Running, bearer};
use crm::access;
use crm::caller::UserId;
use crm::config::{Layer, Settings, Switch};
use crm::database::Statements;
use crm::demo;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::proxy::FaultProxy;
use testkit::redis::RedisServer;
use tokio::time::Instant;

/// One user of the demo's first company by name, who is neither its admin nor the only one of its role.
struct Rep {
    id: String,
    email: String,
    key: String,
}

impl Rep {
    async fn of(server: &Running) -> Self {
        let users = format!("/api/companies/{}/users?role=rep", server.company().await);
        let rep = server.get(&users).await.json()["items"][0].clone();
        let (id, email) = (rep["id"].as_str().unwrap().to_owned(), rep["email"].as_str().unwrap().to_owned());
        let token = access::issue(&server.app.database, &UserId::named(id.as_str())).await.unwrap();
        Self { id, email, key: bearer(&token) }
    }

    async fn is_known_to(&self, server: &Running) -> bool {
        let headers = [("authorization", self.key.as_str()), ("cache-control", "no-cache")];
        let answer = server.send(Method::GET, "/api/me", None, &headers).await;
        assert!([StatusCode::OK, StatusCode::UNAUTHORIZED].contains(&answer.status), "{}", answer.text);
        answer.status == StatusCode::OK
    }
}

async fn sign_in(server: &Running, email: &str, password: &str) -> Answer {
    let login = json!({"email": email, "password": password});
    server.send(Method::POST, "/api/auth/login", Some(&login), &[("authorization", "")]).await
}

/// What a browser sends from now on.
fn cookie(answer: &Answer) -> String {
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}

#[test]
fn who_signs_in_is_known_until_it_signs_out() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let answer = sign_in(&server, " Jana.Petersen@NORDLICHT.example ", demo::PASSWORD).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let set = answer.header("set-cookie");
        assert!(set.starts_with("crm_session=") && !set.contains("Secure"), "{set}");
        assert!(
            ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=2592000"].iter().all(|word| set.contains(word)),
            "{set}"
        );
        assert_eq!(answer.header("cache-control"), "no-store");
        let me = answer.json();
        assert_eq!((&me["name"], &me["role"]), (&json!("Jana Petersen"), &json!("admin")));
        assert!(!answer.text.contains("hash") && !answer.text.contains("argon"), "{}", answer.text);

        let cookie = cookie(&answer);
        let headers = [("cookie", cookie.as_str())];
        assert_eq!(server.send(Method::GET, "/api/me", None, &headers).await.json(), me);
        let mine = server.send(Method::GET, "/api/companies", None, &headers).await.json();
        assert_eq!((&mine["total"], &mine["items"][0]["id"]), (&json!(1), &me["company_id"]));
        let out = server.send(Method::POST, "/api/auth/logout", None, &headers).await;
        assert_eq!((out.status, out.header("x-acknowledged")), (StatusCode::NO_CONTENT, "applied"));
        assert!(out.header("set-cookie").contains("Max-Age=0"), "{}", out.header("set-cookie"));
        let after = server.send(Method::GET, "/api/me", None, &headers).await;
        assert_eq!((after.status, after.header("www-authenticate")), (StatusCode::UNAUTHORIZED, "Bearer"));
        after.wrong_fields();
    });
}

#[test]
fn over_tls_the_cookie_goes_no_other_way() {
    testkit::run(async {
        let data = Data::demo().await;
        let layer = Layer { public_url: Some("https://crm.example.com".to_owned()), ..Layer::default() };
        let public_url = Settings::of(layer, Layer::default()).unwrap().public_url;
        let server = data.serve_with(Settings { public_url, ..data.settings() }).await;
        let answer = sign_in(&server, demo::ADMIN, demo::PASSWORD).await;
        let set = answer.header("set-cookie");
        assert!(set.starts_with("__Host-crm_session=") && set.contains("; Secure"), "{set}");
        let cookie = cookie(&answer);
        let page = [("cookie", cookie.as_str()), ("origin", "https://crm.example.com")];
        assert_eq!(
            server.send(Method::POST, "/api/auth/logout", None, &page).await.status,
            StatusCode::NO_CONTENT
        );
    });
}

#[test]
fn who_is_refused_is_not_told_why() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let rep = Rep::of(&server).await;
        let path = format!("/api/users/{}", rep.id);
        assert!(server.patch(&path, &json!({"active": false})).await.status.is_success());
        let without = json!({"name": "No Password", "email": "none@x.example", "role": "rep"});
        let users = format!("/api/companies/{}/users", server.company().await);
        assert!(server.post(&users, &without).await.status.is_success());
        let mut said = Vec::new();
        for (email, password) in [
            (demo::ADMIN, "wrong"),
            ("nobody@x.example", demo::PASSWORD),
            (&rep.email, demo::PASSWORD),
            ("none@x.example", ""),
            ("\u{0}", "\u{0}"),
            ("", ""),
        ] {
            let answer = sign_in(&server, email, password).await;
            assert_eq!(
                (answer.status, answer.header("set-cookie")),
                (StatusCode::UNAUTHORIZED, ""),
                "{email}"
            );
            said.push(answer.text);
        }
        said.dedup();
        assert_eq!(said.len(), 1, "{said:?}");
    });
}

#[test]
fn a_page_of_another_site_changes_nothing() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let cookie = cookie(&sign_in(&server, demo::ADMIN, demo::PASSWORD).await);
        let host = server.address.to_string();
        let (own, foreign) = (format!("http://{host}"), "https://evil.example".to_owned());
        for (name, value, status) in [
            ("sec-fetch-site", "cross-site", StatusCode::FORBIDDEN),
            ("sec-fetch-site", "same-site", StatusCode::FORBIDDEN),
            ("origin", &foreign, StatusCode::FORBIDDEN),
            ("origin", "null", StatusCode::FORBIDDEN),
            ("origin", &own, StatusCode::NOT_FOUND),
            ("sec-fetch-site", "same-origin", StatusCode::NOT_FOUND),
        ] {
            for (method, path) in [
                (Method::DELETE, "/api/deals/nope"),
                (Method::PATCH, "/api/deals/nope"),
                (Method::POST, "/api/deals/nope/stage"),
            ] {
                let headers = [("cookie", cookie.as_str()), (name, value)];
                let body = json!({"stage": "won"});
                let body = if method == Method::PATCH { json!({}) } else { body };
                let answer = server.send(method, path, Some(&body), &headers).await;
                assert_eq!(answer.status, status, "{name}: {value}: {}", answer.text);
            }
            let login = json!({"email": demo::ADMIN, "password": demo::PASSWORD});
            let headers = [("authorization", ""), (name, value)];
            let login = server.send(Method::POST, "/api/auth/login", Some(&login), &headers).await;
            assert_eq!(login.status == StatusCode::FORBIDDEN, status == StatusCode::FORBIDDEN, "{value}");
        }
        let read = [("cookie", cookie.as_str()), ("sec-fetch-site", "cross-site")];
        assert_eq!(server.send(Method::GET, "/api/me", None, &read).await.status, StatusCode::OK, "a link");
    });
}

#[test]
fn another_role_password_or_activity_ends_all_sessions_in_every_process_at_once() {
    testkit::run(async {
        let (data, redis) = (Data::demo().await, RedisServer::start().await);
        let (one, other) = (redis::serve(&data, &redis, "").await, redis::serve(&data, &redis, "").await);
        let id = Rep::of(&one).await.id;
        let user = format!("/api/users/{id}");
        for (what, method, path, body) in [
            ("another role", Method::PATCH, user.clone(), json!({"role": "manager"})),
            ("no longer active", Method::PATCH, user.clone(), json!({"active": false})),
            ("another password", Method::POST, format!("{user}/password"), Value::Null),
            ("removed", Method::DELETE, user.clone(), Value::Null),
        ] {
            if what == "another password" {
                assert!(one.patch(&user, &json!({"active": true, "role": "rep"})).await.status.is_success());
            }
            if what == "removed" {
                give_all_away(&one, &id).await;
            }
            let token = access::issue(&data.database, &UserId::named(id.as_str())).await.unwrap();
            let rep = Rep { id: id.clone(), email: String::new(), key: bearer(&token) };
            for server in [&one, &other] {
                for _ in 0..2 {
                    assert!(rep.is_known_to(server).await, "{what}");
                }
            }
            let body = (!body.is_null()).then_some(&body);
            let changed = one.send(method, &path, body, &[]).await;
            assert!(changed.status.is_success(), "{what}: {}", changed.text);
            assert_eq!(changed.header("x-acknowledged"), "applied");
            for server in [&one, &other] {
                assert!(!rep.is_known_to(server).await, "{what}");
            }
        }
    });
}

#[test]
fn a_copy_of_a_session_outlives_its_end_by_a_second_at_most_whatever_is_between_redis_and_its_process() {
    testkit::run_within(LIMIT, async {
        for is_cut_off in [false, true] {
            let (data, redis) = (Data::demo().await, RedisServer::start().await);
            let way = FaultProxy::to(redis.address()).await;
            let (one, other) =
                (redis::serve(&data, &redis, "").await, redis::serve_by(&data, way.url(), "").await);
            let rep = Rep::of(&one).await;
            let asked = async || {
                let since = Instant::now();
                let headers = [("authorization", rep.key.as_str())];
                (since, other.send(Method::GET, "/api/me", None, &headers).await.status)
            };
            assert_eq!(asked().await.1, StatusCode::OK);
            if is_cut_off {
                way.half_open(); // it hears no more of Redis, and nothing tells it so
            }
            let ended = one.patch(&format!("/api/users/{}", rep.id), &json!({"active": false})).await;
            assert!(ended.status.is_success(), "{}", ended.text);
            let acknowledged = Instant::now();
            loop {
                let (since, status) = asked().await;
                if status == StatusCode::UNAUTHORIZED {
                    break;
                }
                assert_eq!(status, StatusCode::OK);
                let late = since.duration_since(acknowledged);
                assert!(
                    late <= Duration::from_secs(1),
                    "let in {late:?} after its end, cut off: {is_cut_off}"
                );
            }
        }
    });
}

/// Gives the deals and contacts of a user to nobody.
async fn give_all_away(server: &Running, user: &str) {
    let company = server.company().await;
    for kind in ["deals", "contacts"] {
        let list = format!("/api/companies/{company}/{kind}?owner={user}&per_page=200");
        for row in server.get(&list).await.json()["items"].as_array().unwrap() {
            let path = format!("/api/{kind}/{}", row["id"].as_str().unwrap());
            assert!(server.patch(&path, &json!({"owner_id": null})).await.status.is_success());
        }
    }
}

#[test]
fn a_change_that_concerns_nobodys_access_signs_nobody_out() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let rep = Rep::of(&server).await;
        let renamed = server.patch(&format!("/api/users/{}", rep.id), &json!({"name": "Renamed"})).await;
        assert!(renamed.status.is_success());
        assert!(rep.is_known_to(&server).await);
    });
}

#[test]
fn who_changes_its_password_stays_and_everybody_else_with_the_old_one_goes() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let (here, elsewhere) = (
            cookie(&sign_in(&server, demo::ADMIN, demo::PASSWORD).await),
            cookie(&sign_in(&server, demo::ADMIN, demo::PASSWORD).await),
        );
        let new = "a few words that make a good one";
        let put = async |cookie: &str, current: &str, new: &str| {
            let body = json!({"current": current, "new": new});
            server.send(Method::PUT, "/api/me/password", Some(&body), &[("cookie", cookie)]).await
        };
        assert_eq!(put(&here, "wrong", new).await.wrong_fields(), ["current"]);
        assert_eq!(put(&here, demo::PASSWORD, "short").await.wrong_fields(), ["new"]);
        assert_eq!(put(&here, demo::PASSWORD, "Jana Petersen").await.wrong_fields(), ["new"]);
        assert_eq!(put(&here, demo::PASSWORD, demo::PASSWORD).await.wrong_fields(), ["new"]);
        let changed = put(&here, demo::PASSWORD, new).await;
        assert_eq!(changed.status, StatusCode::NO_CONTENT, "{}", changed.text);
        let me = async |cookie: &str| {
            server.send(Method::GET, "/api/me", None, &[("cookie", cookie)]).await.status
        };
        assert_eq!(me(&cookie(&changed)).await, StatusCode::OK);
        assert_eq!(
            (me(&here).await, me(&elsewhere).await),
            (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED)
        );
        assert_eq!(sign_in(&server, demo::ADMIN, demo::PASSWORD).await.status, StatusCode::UNAUTHORIZED);
        assert_eq!(sign_in(&server, demo::ADMIN, new).await.status, StatusCode::OK);
    });
}

#[test]
fn a_password_that_an_admin_made_is_changed_before_anything_else() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let rep = Rep::of(&server).await;
        let reset = format!("/api/users/{}/password", rep.id);
        let by_itself = server.send(Method::POST, &reset, None, &[("authorization", &rep.key)]).await;
        assert_eq!(by_itself.status, StatusCode::FORBIDDEN);
        let made = server.send(Method::POST, &reset, None, &[]).await;
        assert_eq!(
            (made.status, made.header("cache-control")),
            (StatusCode::OK, "no-store"),
            "{}",
            made.text
        );
        let password = made.json()["password"].as_str().unwrap().to_owned();
        assert_eq!(sign_in(&server, &rep.email, demo::PASSWORD).await.status, StatusCode::UNAUTHORIZED);

        let signed_in = sign_in(&server, &rep.email, &password).await;
        assert_eq!(signed_in.json()["must_change_password"], true, "{}", signed_in.text);
        let temporary = cookie(&signed_in);
        let headers = [("cookie", temporary.as_str())];
        assert_eq!(server.send(Method::GET, "/api/me", None, &headers).await.status, StatusCode::OK);
        let refused = server.send(Method::GET, "/api/companies", None, &headers).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        assert!(refused.text.contains("password-change-needed"), "{}", refused.text);
        let body = json!({"current": password, "new": "chosen by herself alone"});
        let changed = server.send(Method::PUT, "/api/me/password", Some(&body), &headers).await;
        let own = cookie(&changed);
        assert_eq!(
            server.send(Method::GET, "/api/companies", None, &[("cookie", &own)]).await.status,
            StatusCode::OK
        );
        let nameless = json!({"name": "No Address", "role": "rep"});
        let users = format!("/api/companies/{}/users", server.company().await);
        let nameless = server.post(&users, &nameless).await.json()["id"].as_str().unwrap().to_owned();
        let refused = server.send(Method::POST, &format!("/api/users/{nameless}/password"), None, &[]).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    });
}

#[test]
fn a_program_acts_by_a_token_until_that_is_ended() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let rep = Rep::of(&server).await;
        let as_rep = [("authorization", rep.key.as_str())];
        let wrong = json!({"name": " ", "days": 367});
        let refused = server.send(Method::POST, "/api/me/tokens", Some(&wrong), &as_rep).await;
        assert_eq!(refused.wrong_fields(), ["name", "days"]);
        let made =
            server.send(Method::POST, "/api/me/tokens", Some(&json!({"name": "exports"})), &as_rep).await;
        assert_eq!((made.status, made.header("cache-control")), (StatusCode::CREATED, "no-store"));
        let made = made.json();
        let key = format!("bearer {}", made["token"].as_str().unwrap());
        let as_program = [("authorization", key.as_str())];
        let me = server.send(Method::GET, "/api/me", None, &as_program).await;
        assert_eq!(me.json()["user_id"], rep.id.as_str(), "{}", me.text);

        let list = server.send(Method::GET, "/api/me/sessions", None, &as_rep).await;
        assert!(!list.text.contains(made["token"].as_str().unwrap()) && !list.text.contains("digest"));
        let sessions = list.json().as_array().unwrap().clone();
        let shown =
            |session: &Value| (session["kind"].clone(), session["name"].clone(), session["current"].clone());
        assert_eq!(
            sessions.iter().map(shown).collect::<Vec<_>>(),
            [(json!("token"), json!("exports"), json!(false)), (json!("browser"), Value::Null, json!(true))]
        );
        assert_eq!(sessions[0]["id"], made["id"]);
        let path = format!("/api/me/sessions/{}", made["id"].as_str().unwrap());
        assert_eq!(server.delete(&path).await.status, StatusCode::NOT_FOUND, "not the admin's to end");
        assert_eq!(server.send(Method::DELETE, &path, None, &as_rep).await.status, StatusCode::NO_CONTENT);
        let after = server.send(Method::GET, "/api/me", None, &as_program).await;
        assert_eq!(after.status, StatusCode::UNAUTHORIZED);

        let token = access::issue(&data.database, &UserId::named(rep.id.as_str())).await.unwrap();
        let elsewhere = Rep { key: bearer(&token), ..Rep::of(&server).await };
        assert!(elsewhere.is_known_to(&server).await);
        let ended = server.send(Method::DELETE, "/api/me/sessions", None, &as_rep).await;
        assert_eq!(ended.status, StatusCode::NO_CONTENT);
        assert!(rep.is_known_to(&server).await && !elsewhere.is_known_to(&server).await);
    });
}

#[test]
fn a_session_that_is_used_lasts_longer_and_one_that_has_expired_is_none() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let rep = Rep::of(&server).await;
        assert!(rep.is_known_to(&server).await, "and is cached");
        let expires_at = async || {
            let mut snapshot = data.database.snapshot().await.unwrap();
            let sql = "SELECT expires_at_ms FROM sessions WHERE user_id = $1";
            let expires: i64 =
                sqlx::query_scalar(sql).bind(&rep.id).fetch_one(snapshot.statement()).await.unwrap();
            expires
        };
        let set = async |expires_at_ms: i64| {
            let mut change = data.database.change().await.unwrap();
            let sql = "UPDATE sessions SET expires_at_ms = $2 WHERE user_id = $1";
            let query = sqlx::query(sql).bind(&rep.id).bind(expires_at_ms);
            query.execute(change.statement()).await.unwrap();
            change.commit_bulk(crm::written::Bulk::new()).await.unwrap();
            // As nobody has heard of it.
            server.app.cache.clear().await;
        };
        let now = expires_at().await;
        let (hour, week) = (3_600_000, 7 * 24 * 3_600_000);
        set(now - week + hour).await;
        testkit::until("a session of an hour lasts for a week again", async || {
            assert!(rep.is_known_to(&server).await);
            expires_at().await >= now
        })
        .await;
        set(now - week - 1_000).await;
        assert!(!rep.is_known_to(&server).await);
    });
}

#[test]
fn a_cached_session_ends_by_the_clock_too() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let rep = Rep::of(&server).await;
        let mut change = data.database.change().await.unwrap();
        let soon = crm::time::Moment::now().plus(std::time::Duration::from_secs(1));
        // A program's token does not slide.
        let sql = "UPDATE sessions SET expires_at_ms = $2, kind = 'token' WHERE user_id = $1";
        sqlx::query(sql).bind(&rep.id).bind(soon).execute(change.statement()).await.unwrap();
        change.commit_bulk(crm::written::Bulk::new()).await.unwrap();
        let before = server.app.cache.stats().total.misses;
        testkit::until("it has expired", async || !rep.is_known_to(&server).await).await;
        let loads = server.app.cache.stats().total.misses - before;
        assert!(loads <= 1, "it was cached, and {loads} times not");
    });
}

#[test]
fn the_last_admin_of_a_company_stays() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let users = format!("/api/companies/{}/users", server.company().await);
        let admin = format!("/api/users/{}", server.first(&format!("{users}?role=admin")).await);
        for edit in [json!({"role": "manager"}), json!({"active": false})] {
            let answer = server.patch(&admin, &edit).await;
            assert_eq!(answer.status, StatusCode::CONFLICT, "{edit}: {}", answer.text);
        }
        assert_eq!(server.delete(&admin).await.status, StatusCode::CONFLICT);
        let new = json!({"name": "Second", "email": "second@x.example", "role": "admin"});
        assert_eq!(server.post(&users, &new).await.status, StatusCode::CREATED);
        assert_eq!(server.patch(&admin, &json!({"role": "manager"})).await.status, StatusCode::OK);
    });
}

#[test]
fn the_operator_and_users_keep_to_their_own() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let company = server.company().await;
        let all = server.operate(Method::GET, "/api/companies?sort=-name", None).await.json();
        assert_eq!(all["total"], 3);
        assert_eq!(server.operate(Method::GET, "/api/health", None).await.status, StatusCode::OK);
        for path in [
            format!("/api/companies/{company}"),
            format!("/api/companies/{company}/deals"),
            "/api/me".to_owned(),
        ] {
            assert_eq!(
                server.operate(Method::GET, &path, None).await.status,
                StatusCode::FORBIDDEN,
                "{path}"
            );
        }
        let warm = server.send(Method::POST, "/api/cache/warm", None, &[]).await;
        assert_eq!(warm.status, StatusCode::FORBIDDEN, "{}", warm.text);
        for (what, key) in [("nobody", String::new()), ("made up", format!("Bearer {}", "0".repeat(64)))] {
            let answer = server.send(Method::GET, "/api/companies", None, &[("authorization", &key)]).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{what}");
        }
    });
}

#[test]
fn whoever_has_the_database_adds_the_first_admin_and_helps_one_who_is_locked_out() {
    testkit::run_within(LIMIT, async {
        let desk = Desk::new();
        let said = |arguments: &[&str]| {
            let output = desk.crm().args(["user"]).args(arguments).output().unwrap();
            let (out, err) =
                (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
            (output.status.success(), out + &err)
        };
        let (added, text) =
            said(&["add", "ann@x.example", "--name=Ann Lee", "--new-company=Lee & Sons", "--currency=SEK"]);
        assert!(added && text.starts_with("ann@x.example is a admin now."), "{text}");
        let password = text.trim_end().rsplit(' ').next().unwrap().to_owned();
        for (arguments, words) in [
            (&["add", "bob@x.example", "--name=Bob"][..], "--company"),
            (&["add", "bob@x.example", "--name=Bob", "--company=Nobody"], "there is no company `Nobody`"),
            (
                &["add", "ann@x.example", "--name=Bob", "--company=Lee & Sons"],
                "another user has this e-mail address",
            ),
            (
                &["add", "ann@x.example", "--name=Bob", "--new-company=Half"],
                "another user has this e-mail address",
            ),
            (&["add", "bob", "--name=Bob", "--company=Lee & Sons"], "name@example.com"),
            (&["add", "bob@x.example", "--name=Bob", "--company=Half"], "there is no company `Half`"),
            (&["password", "bob@x.example"], "no user has the e-mail address bob@x.example"),
        ] {
            let (done, text) = said(arguments);
            assert!(!done && text.contains(words), "{arguments:?}: {text}");
        }
        desk.add_user(
            &["bob@x.example", "--name=Bob", "--role=rep", "--company=Lee & Sons"],
            "another few good words",
        );

        let serving = Serving::start(desk.directory(), &["--no-demo"]);
        let me = async |client: &reqwest::Client| {
            Answer::to(client.get(format!("http://{}/api/me", serving.address))).await
        };
        let ann = signed_in(&serving.address, "ann@x.example", &password).await;
        assert_eq!(me(&ann).await.json()["must_change_password"], true);
        let bob = signed_in(&serving.address, "bob@x.example", "another few good words").await;
        assert_eq!(me(&bob).await.json()["role"], "rep");
        let (changed, text) = said(&["password", "bob@x.example"]);
        assert!(changed, "{text}");
        testkit::until("bob is signed out", async || me(&bob).await.status == StatusCode::UNAUTHORIZED).await;
        assert!(serving.terminate());
    });
}

#[test]
fn what_was_ended_makes_nothing_that_outlives_it() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let here = cookie(&sign_in(&server, demo::ADMIN, demo::PASSWORD).await);
        let headers = [("cookie", here.as_str())];
        let make =
            async || server.send(Method::POST, "/api/me/tokens", Some(&json!({"name": "n"})), &headers).await;
        let made = make().await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        let by_token = format!("Bearer {}", made.json()["token"].as_str().unwrap());
        let by_token = [("authorization", by_token.as_str())];
        let child = server.send(Method::POST, "/api/me/tokens", Some(&json!({"name": "n"})), &by_token).await;
        assert_eq!(child.status, StatusCode::FORBIDDEN, "{}", child.text);

        // Ended, and this process has not heard of it.
        let mut change = data.database.change().await.unwrap();
        let sql = "DELETE FROM sessions WHERE kind = 'browser'";
        sqlx::query(sql).execute(change.statement()).await.unwrap();
        change.commit_bulk(crm::written::Bulk::new()).await.unwrap();
        assert_eq!(
            server.send(Method::GET, "/api/companies", None, &headers).await.status,
            StatusCode::OK,
            "cached"
        );
        assert_eq!(make().await.status, StatusCode::UNAUTHORIZED);
        let change = json!({"current": demo::PASSWORD, "new": "four words nobody knows"});
        let changed = server.send(Method::PUT, "/api/me/password", Some(&change), &headers).await;
        assert_eq!(changed.status, StatusCode::UNAUTHORIZED, "{}", changed.text);
        assert_eq!(sign_in(&server, demo::ADMIN, demo::PASSWORD).await.status, StatusCode::OK, "as it was");
    });
}

#[test]
fn who_has_a_session_guesses_at_its_password_no_faster_than_a_stranger() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let here = cookie(&sign_in(&server, demo::ADMIN, demo::PASSWORD).await);
        let guess = json!({"current": "a guess", "new": "four words nobody knows"});
        let mut guesses = 0;
        loop {
            let headers = [("cookie", here.as_str())];
            let answer = server.send(Method::PUT, "/api/me/password", Some(&guess), &headers).await;
            if answer.status == StatusCode::TOO_MANY_REQUESTS {
                break;
            }
            assert_eq!(answer.wrong_fields(), ["current"]);
            guesses += 1;
        }
        assert_eq!(guesses, 10);
    });
}
