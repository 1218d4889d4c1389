//! The pages over HTTP: who gets to see them, what their forms do, and how little a look costs that finds nothing new.

use crate::openapi::Rows;
use crate::running::{Answer, Data, Running};
use crm::config::Switch;
use crm::server;
use reqwest::{Method, StatusCode, header, redirect};
use serde_json::{Value, json};

/// What a browser says that it takes.
const ACCEPT: &str = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8";

/// Somebody with a browser: a client that follows nothing by itself.
struct Visitor<'a> {
    server: &'a Running,
    client: reqwest::Client,
    key: String,
}

impl<'a> Visitor<'a> {
    fn new(server: &'a Running, key: &str) -> Self {
        let client =
            reqwest::Client::builder().no_proxy().redirect(redirect::Policy::none()).build().unwrap();
        Self { server, client, key: key.to_owned() }
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method, format!("http://{}{path}", self.server.address));
        let request = request.header(header::ACCEPT, ACCEPT);
        if self.key.is_empty() { request } else { request.header(header::AUTHORIZATION, &self.key) }
    }

    async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path)).await
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body: Vec<String> =
            fields.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        let form = self
            .request(Method::POST, path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        Answer::to(form.body(body.join("&"))).await
    }
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Every page, as its description has it, about these rows.
fn every_page(rows: &Rows) -> Vec<(Method, String)> {
    let document = serde_json::to_value(server::pages()).unwrap();
    let mut pages = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let id = match path.split('/').nth(1) {
            Some("deals") => &rows.deal,
            Some("activities") => &rows.activity,
            _ => &rows.contact,
        };
        for method in item.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            pages.push((method, path.replace("{id}", id).replace("{name}", "crm.css")));
        }
    }
    assert!(pages.len() > 22, "{pages:?}");
    pages
}

/// The demo's data, a server of it, and rows of its first company.
async fn served() -> (Data, Running, Rows) {
    let data = Data::demo().await;
    let server = data.serve(Switch::On).await;
    let rows = Rows::of(&server, &server.company().await).await;
    (data, server, rows)
}

#[test]
fn who_has_not_signed_in_is_led_there_and_back() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let rows = Rows::of(&server, &server.company().await).await;
        let stranger = Visitor::new(&server, "");
        for (method, path) in every_page(&rows) {
            let answer = match method {
                Method::GET => stranger.get(&path).await,
                _ => stranger.post(&path, &[]).await,
            };
            let is_open = ["/sign-in", "/assets/crm.css"].contains(&path.as_str());
            if is_open {
                assert!(answer.header("location").is_empty(), "{path}");
                continue;
            }
            assert_eq!(answer.status, StatusCode::SEE_OTHER, "{method} {path}: {}", answer.text);
            let to = if method == Method::GET { escaped_path(&path) } else { "%2F".to_owned() };
            assert_eq!(answer.header("location"), format!("/sign-in?to={to}"));
        }
        // A program is told as programs are.
        let program = server.send(Method::GET, "/board", None, &[("authorization", "")]).await;
        assert_eq!(
            (program.status, program.header("content-type")),
            (StatusCode::UNAUTHORIZED, "application/problem+json")
        );
        let login =
            [("email", crm::demo::ADMIN), ("password", crm::demo::PASSWORD), ("to", "/deals?stage=won")];
        let answer = stranger.post("/sign-in", &login).await;
        assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/deals?stage=won"));
        let cookies = answer.all_of("set-cookie");
        assert!(
            cookies.iter().any(|cookie| cookie.starts_with("crm_session=") && cookie.contains("HttpOnly")),
            "{cookies:?}"
        );
        let wrong = [("email", crm::demo::ADMIN), ("password", "wrong")];
        let refused = stranger.post("/sign-in", &wrong).await;
        assert_eq!((refused.status, refused.all_of("set-cookie").len()), (StatusCode::UNAUTHORIZED, 0));
        assert!(!refused.text.contains("wrong\""), "a password is never shown again");
    });
}

fn escaped_path(path: &str) -> String {
    path.replace('/', "%2F")
}

#[test]
fn of_another_company_no_page_shows_anything() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let theirs = Rows::of(&server, &server.other_company()).await;
        let owner = Visitor::new(&server, server.key_of(&theirs.company));
        let fields = [
            ("version", "1"),
            ("title", "x"),
            ("name", "x"),
            ("kind", "person"),
            ("what", "note"),
            ("stage", "lost"),
            ("text", "x"),
        ];
        let mut tried = 0;
        for when in ["cold", "warm"] {
            let stranger = Visitor::new(&server, server.key());
            for (method, path) in every_page(&theirs) {
                if ![&theirs.deal, &theirs.contact, &theirs.activity]
                    .iter()
                    .any(|id| path.contains(id.as_str()))
                {
                    continue;
                }
                tried += 1;
                let answer = match method {
                    Method::GET => stranger.get(&path).await,
                    _ => stranger.post(&path, &fields).await,
                };
                assert_eq!(answer.status, StatusCode::NOT_FOUND, "{when} {method} {path}: {}", answer.text);
                if method == Method::GET {
                    assert_eq!(owner.get(&path).await.status, StatusCode::OK, "{path}");
                }
            }
            let ours = Rows::of(&server, &server.company().await).await;
            let contact = format!("/deals/new?contact={}", theirs.contact);
            assert_eq!(stranger.get(&contact).await.status, StatusCode::NOT_FOUND);
            for named in [("contact_now_id", &theirs.contact), ("owner_id", &theirs.user)] {
                let fields = [
                    ("title", "x"),
                    ("contact_now", "x"),
                    ("contact_id", "x"),
                    ("stage", "prospecting"),
                    (named.0, named.1),
                ];
                let answer = stranger.post("/deals", &fields).await;
                assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{named:?}");
            }
            assert_eq!(stranger.get(&format!("/deals/{}", ours.deal)).await.status, StatusCode::OK);
        }
        assert_eq!(tried, 2 * 11);
        let deal = format!("/api/deals/{}", theirs.deal);
        let key = [("authorization", server.key_of(&theirs.company))];
        assert_eq!(
            server.send(Method::GET, &deal, None, &key).await.json()["version"],
            1,
            "nothing has changed"
        );
    });
}

/// A user of the company, signed in.
async fn user(server: &Running, role: &str) -> (String, String) {
    let company = server.company().await;
    let new = json!({"name": role, "email": format!("{role}@pages.example"), "role": role});
    let made = server.post(&format!("/api/companies/{company}/users"), &new).await.json();
    let id = made["id"].as_str().unwrap().to_owned();
    let token =
        crm::access::issue(&server.app.database, &crm::caller::UserId::named(id.as_str())).await.unwrap();
    (id, crate::running::bearer(&token))
}

#[test]
fn pages_offer_what_one_may_do_and_refuse_the_rest() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let rows = Rows::of(&server, &server.company().await).await;
        let deal = format!("/deals/{}", rows.deal);
        let contact = format!("/contacts/{}", rows.contact);
        for (role, writes, sees_the_cache) in
            [("viewer", false, false), ("rep", false, false), ("manager", true, false), ("admin", true, true)]
        {
            let (_, key) = user(&server, role).await;
            let visitor = Visitor::new(&server, &key);
            for page in [&deal, &contact, &"/board".to_owned()] {
                let shown = visitor.get(page).await.text;
                let forms = shown.matches("<form").count() - 1; // that by which one signs out
                assert_eq!(forms > 0, writes, "{role} {page}: {forms} forms");
            }
            let board = visitor.get("/board").await.text;
            assert_eq!(board.contains("/deals/new"), role != "viewer", "{role}");
            assert_eq!(board.contains("href=\"/cache\""), sees_the_cache, "{role}");
            let cache = visitor.get("/cache").await;
            let expected = if sees_the_cache { StatusCode::OK } else { StatusCode::FORBIDDEN };
            assert_eq!(
                (cache.status, cache.header("content-type")),
                (expected, "text/html; charset=utf-8"),
                "{role}"
            );
            let note =
                visitor.post(&format!("{deal}/activities"), &[("what", "note"), ("text", "mine")]).await;
            let expected = if writes { StatusCode::SEE_OTHER } else { StatusCode::FORBIDDEN };
            assert_eq!(note.status, expected, "{role}");
        }
    });
}

#[test]
fn a_card_that_somebody_else_has_moved_is_not_moved_over() {
    testkit::run(async {
        let (_data, server, rows) = served().await;
        let visitor = Visitor::new(&server, server.key());
        let path = format!("/deals/{}/stage", rows.deal);
        let step = |stage, version| [("stage", stage), ("version", version), ("from", "board")];
        let moved = visitor.post(&path, &step("won", "1")).await;
        assert_eq!(moved.status, StatusCode::SEE_OTHER, "{}", moved.text);
        assert_eq!(moved.header("location"), format!("/board?moved={0}#deal-{0}", rows.deal));
        let late = visitor.post(&path, &step("lost", "1")).await;
        assert_eq!(late.status, StatusCode::CONFLICT);
        assert!(
            late.text.contains("role=\"alert\"") && late.text.contains("changed by somebody else"),
            "{}",
            late.text
        );
        let deal = server.get(&format!("/api/deals/{}", rows.deal)).await.json();
        assert_eq!((&deal["stage"], &deal["version"]), (&json!("won"), &json!(2)));
        assert_eq!(
            deal["closed_on"],
            json!(crm::time::Day::today().to_string()),
            "today, since nobody said otherwise"
        );
        // A closed deal is opened again by moving it; from won to lost leads no way.
        assert_eq!(visitor.post(&path, &step("lost", "2")).await.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(visitor.post(&path, &step("engaging", "2")).await.status, StatusCode::SEE_OTHER);
        let deal = server.get(&format!("/api/deals/{}", rows.deal)).await.json();
        assert_eq!((&deal["stage"], &deal["closed_on"]), (&json!("engaging"), &Value::Null));
    });
}

#[test]
fn a_look_that_finds_nothing_new_asks_no_database_and_sends_nothing() {
    testkit::run(async {
        let (_data, server, rows) = served().await;
        let visitor = Visitor::new(&server, server.key());
        let deal = format!("/deals/{}", rows.deal);
        for page in ["/board", "/deals", "/contacts", "/dashboard", &deal] {
            let first = visitor.get(page).await;
            let etag = first.header("etag").to_owned();
            assert!(
                first.text.contains(&format!("data-live=\"{}\"", etag.replace('"', "&quot;"))),
                "{page}: {etag}"
            );
            let look = async || {
                // As the script asks.
                let request = visitor.request(Method::GET, page).header(header::IF_NONE_MATCH, &etag);
                Answer::to(request.header(header::CACHE_CONTROL, "no-store")).await
            };
            let again = look().await;
            assert_eq!((again.status, again.text.as_str()), (StatusCode::NOT_MODIFIED, ""), "{page}");
            assert_eq!(again.header("x-db-queries"), "0", "{page}");
            let (_, key) = user(&server, "manager").await;
            let other = Visitor::new(&server, &key);
            let theirs =
                Answer::to(other.request(Method::GET, page).header(header::IF_NONE_MATCH, &etag)).await;
            assert_eq!(theirs.status, StatusCode::OK, "{page}: of another user it is another page");
            let removed =
                server.get(&format!("/api/companies/{}/users?q=pages.example", rows.company)).await.json();
            let id = removed["items"][0]["id"].as_str().unwrap().to_owned();
            assert_eq!(server.delete(&format!("/api/users/{id}")).await.status, StatusCode::NO_CONTENT);
        }
        let etag = visitor.get("/board").await.header("etag").to_owned();
        let edit = json!({"title": "Another title"});
        assert_eq!(server.patch(&format!("/api/deals/{}", rows.deal), &edit).await.status, StatusCode::OK);
        let changed =
            Answer::to(visitor.request(Method::GET, "/board").header(header::IF_NONE_MATCH, &etag)).await;
        assert_eq!(changed.status, StatusCode::OK);
    });
}

#[test]
fn a_page_loads_nothing_from_elsewhere_and_cannot_be_framed() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let visitor = Visitor::new(&server, server.key());
        for page in ["/board", "/sign-in", "/deals/nope"] {
            let answer = visitor.get(page).await;
            let policy = answer.header("content-security-policy");
            for part in ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self'"] {
                assert!(policy.contains(part), "{page}: {policy}");
            }
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
            assert!(!answer.text.contains("http://") && !answer.text.contains("https://"), "{page}");
            assert!(!answer.header("x-request-id").is_empty(), "{page}");
        }
        // A page of another site sends nobody's forms.
        let foreign = visitor.request(Method::POST, "/sign-out").header("sec-fetch-site", "cross-site");
        assert_eq!(Answer::to(foreign).await.status, StatusCode::FORBIDDEN);
        // What pages name is kept for ever; the same by another name may be that of another program.
        let page = visitor.get("/sign-in").await.text;
        let script = page.split_once("<script src=\"").unwrap().1.split('"').next().unwrap();
        for (path, lasts) in [(script, true), ("/assets/crm.js", false), ("/assets/crm.js?of-another", false)]
        {
            let asset = visitor.get(path).await;
            assert_eq!(asset.header("cache-control").contains("immutable"), lasts, "{path}");
        }
        assert_eq!(visitor.get("/assets/nothing").await.status, StatusCode::NOT_FOUND);
    });
}

/// What a hidden field of a page says.
fn hidden<'a>(page: &'a str, name: &str) -> &'a str {
    let field = format!("name=\"{name}\" value=\"");
    page.split_once(&field).unwrap_or_else(|| panic!("no {name}: {page}")).1.split('"').next().unwrap()
}

#[test]
fn whoever_was_overtaken_sees_by_what_and_may_save_all_the_same() {
    testkit::run(async {
        let (_data, server, rows) = served().await;
        let visitor = Visitor::new(&server, server.key());
        let path = format!("/deals/{}", rows.deal);
        let page = visitor.get(&path).await;
        let engaged_on = page.text.split_once("name=\"engaged_on\"").unwrap().1;
        let engaged_on = engaged_on.split_once("value=\"").unwrap().1.split('"').next().unwrap().to_owned();
        let edit = json!({"title": "Theirs", "value_cents": 550_000});
        let theirs = server.patch(&format!("/api{path}"), &edit).await;
        assert_eq!(theirs.status, StatusCode::OK, "{}", theirs.text);

        let version = hidden(&page.text, "version").to_owned();
        let mine = |version| {
            [("title", "Mine"), ("value_cents", "7"), ("engaged_on", &*engaged_on), ("version", version)]
        };
        let refused = visitor.post(&path, &mine(&version)).await;
        assert_eq!(refused.status, StatusCode::CONFLICT);
        for part in
            ["Somebody else has changed it", "Now: Theirs", "Now: 5500", "value=\"Mine\"", "value=\"7\""]
        {
            assert!(refused.text.contains(part), "{part}: {}", refused.text);
        }
        assert!(!refused.text.contains(&format!("Now: {engaged_on}")), "what is the same is not said");
        let again = hidden(&refused.text, "version").to_owned();
        assert_eq!(visitor.post(&path, &mine(&again)).await.status, StatusCode::SEE_OTHER);
        let deal = server.get(&format!("/api{path}")).await.json();
        assert_eq!((&deal["title"], &deal["value_cents"]), (&json!("Mine"), &json!(700)));
    });
}

#[test]
fn a_deal_that_is_lost_and_opened_again_is_worth_what_it_was() {
    testkit::run(async {
        let (_data, server, rows) = served().await;
        let visitor = Visitor::new(&server, server.key());
        let deal = format!("/api/deals/{}", rows.deal);
        let worth = server.get(&deal).await.json()["value_cents"].clone();
        for (stage, expected, of_lost) in
            [("lost", json!(0), worth.clone()), ("engaging", worth.clone(), Value::Null)]
        {
            let moved = visitor.post(&format!("/deals/{}/stage", rows.deal), &[("stage", stage)]).await;
            assert_eq!(moved.status, StatusCode::SEE_OTHER, "{}", moved.text);
            let row = server.get(&deal).await.json();
            assert_eq!((&row["value_cents"], &row["lost_value_cents"]), (&expected, &of_lost), "{stage}");
        }
    });
}

#[test]
fn a_task_is_ticked_off_and_an_activity_removed_where_they_are_shown() {
    testkit::run(async {
        let (_data, server, rows) = served().await;
        let visitor = Visitor::new(&server, server.key());
        let page = format!("/deals/{}", rows.deal);
        let task = [("what", "task"), ("text", "Send the offer"), ("due_on", "2026-12-01")];
        assert_eq!(visitor.post(&format!("{page}/activities"), &task).await.status, StatusCode::SEE_OTHER);
        let activities = server.get(&format!("/api{page}/activities")).await.json();
        let task = format!("/activities/{}", activities["items"][0]["id"].as_str().unwrap());
        for (step, shown, gone) in
            [("done", "due 2026-12-01, done", "done\">"), ("delete", "called back", "Send the offer")]
        {
            assert!(visitor.get(&page).await.text.contains(&format!("{task}/{step}")), "{step} is offered");
            let answer = visitor.post(&format!("{task}/{step}"), &[]).await;
            assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
            assert_eq!(answer.header("location"), format!("{page}#activities"));
            let text = visitor.get(&page).await.text;
            assert!(text.contains(shown) && !text.contains(gone), "{step}: {text}");
        }
    });
}

#[test]
fn whoever_goes_back_to_where_a_form_was_sent_is_led_to_its_page() {
    testkit::run(async {
        let (_data, server, rows) = served().await;
        let visitor = Visitor::new(&server, server.key());
        let deal = format!("/deals/{}", rows.deal);
        for (sent_to, page) in [(format!("{deal}/stage"), deal.as_str()), ("/sign-out".to_owned(), "/")] {
            let answer = visitor.get(&sent_to).await;
            assert_eq!(
                (answer.status, answer.header("location")),
                (StatusCode::SEE_OTHER, page),
                "{sent_to}"
            );
        }
        let once =
            [("current", crm::demo::PASSWORD), ("new", "a new password"), ("again", "another password")];
        let refused = visitor.post("/password", &once).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(refused.text.contains("type the new password twice"), "{}", refused.text);
    });
}

#[test]
fn a_contact_keeps_an_owner_who_is_no_longer_active() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let rows = Rows::of(&server, &server.company().await).await;
        let (owner, _) = user(&server, "rep").await;
        let contact = format!("/api/contacts/{}", rows.contact);
        assert!(server.patch(&contact, &json!({"owner_id": owner})).await.status.is_success());
        assert!(
            server.patch(&format!("/api/users/{owner}"), &json!({"active": false})).await.status.is_success()
        );
        let visitor = Visitor::new(&server, server.key());
        let page = visitor.get(&format!("/contacts/{}", rows.contact)).await.text;
        assert!(page.contains(&format!("<option value=\"{owner}\" selected>")), "{page}");
        let odd = [("name", "x"), ("kind", "person"), ("owner_id", "a\0b")];
        let refused = visitor.post(&format!("/contacts/{}", rows.contact), &odd).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.text);
    });
}
