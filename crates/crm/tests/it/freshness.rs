//! Every write of every domain: whatever was cached before, what is read after it is what the database says.

use crate::redis;
use crate::running::{Answer, Data, Running};
use crm::caller::CompanyId;
use crm::companies::{Company, CompanyEdit};
use crm::config::Switch;
use crm::written::Bulk;
use crm::{access, activities, analytics, companies, contacts, deals, products, users};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use testkit::redis::RedisServer;
use tokio::time::Instant;

/// How much older an answer from a copy may be than the request.
const STALENESS: Duration = Duration::from_secs(1);

/// The rows that the views show and the writes change.
struct Cast {
    company: String,
    other_company: String,
    deal: String,
    contact: String,
    product: String,
    owner: String,
    other_owner: String,
    task: String,
}

/// A cached read: its path, and the space that it is kept in.
struct View {
    path: String,
    space: &'static str,
}

/// All views. A space that no view reads fails [`every_space_is_read_by_a_view`].
fn views(cast: &Cast) -> Vec<View> {
    let Cast { company, other_company, deal, contact, product, owner, other_owner, task } = cast;
    let of = |company: &str, rest: &str| format!("/api/companies/{company}/{rest}");
    let deals = deals::DEALS.template();
    [
        (companies::COMPANIES.template(), "/api/companies".to_owned()),
        (companies::COMPANIES.template(), "/api/companies?sort=-created&q=a&per_page=2".to_owned()),
        (companies::COMPANY.template(), format!("/api/companies/{company}")),
        (companies::COUNTRIES.template(), "/api/countries".to_owned()),
        (users::USER.template(), format!("/api/users/{owner}")),
        (users::USERS.template(), of(company, "users")),
        (users::USERS.template(), of(company, "users?active=true&role=rep&sort=-created")),
        (users::USERS.template(), of(other_company, "users")),
        (contacts::CONTACT.template(), format!("/api/contacts/{contact}")),
        (contacts::CONTACTS.template(), of(company, "contacts")),
        (contacts::CONTACTS.template(), of(company, "contacts?kind=organisation&q=a&page=2&per_page=5")),
        (contacts::CONTACTS.template(), of(company, "contacts?country=DE&sort=-name")),
        (products::PRODUCTS.template(), "/api/products".to_owned()),
        (deals::DEAL.template(), format!("/api/deals/{deal}")),
        (deals, of(company, "deals")),
        (deals, of(company, "deals?page=2&per_page=7&sort=value")),
        (deals, of(company, "deals?stage=engaging&sort=-engaged")),
        (deals, of(company, "deals?stage=won&sort=-closed")),
        (deals, of(company, &format!("deals?owner={owner}"))),
        (deals, of(company, &format!("deals?owner={other_owner}&sort=title"))),
        (deals, of(company, &format!("deals?contact={contact}"))),
        (deals, of(company, &format!("deals?product={product}&per_page=200"))),
        (deals, of(company, "deals?q=meter")),
        (deals, of(other_company, "deals")),
        (activities::ACTIVITIES.template(), format!("/api/deals/{deal}/activities")),
        (activities::ACTIVITIES.template(), format!("/api/deals/{deal}/activities?kind=task&per_page=1")),
        (activities::ACTIVITIES.template(), format!("/api/contacts/{contact}/activities")),
        (activities::ACTIVITY.template(), format!("/api/activities/{task}")),
        (analytics::PIPELINE.template(), of(company, "pipeline")),
        (analytics::PIPELINE.template(), of(other_company, "pipeline")),
        (analytics::DASHBOARD.template(), of(company, "dashboard")),
        (analytics::DASHBOARD.template(), of(other_company, "dashboard")),
        (analytics::USER_STATS.template(), format!("/api/users/{owner}/stats")),
        (analytics::USER_STATS.template(), format!("/api/users/{other_owner}/stats")),
    ]
    .map(|(space, path)| View { path, space })
    .into()
}

/// One write: what it is, and the request for it.
type Write = (&'static str, Method, String, Value);

fn writes(cast: &Cast, own: &Own) -> Vec<Write> {
    let mut writes = writes_of_rows(cast, own);
    writes.extend(writes_of_activities(cast, own));
    let deal = format!("/api/deals/{}", cast.deal);
    writes.push(("remove a deal with its activities", Method::DELETE, deal, Value::Null));
    writes
}

fn writes_of_rows(cast: &Cast, own: &Own) -> Vec<Write> {
    let Cast { company, deal, contact, product, owner, other_owner, .. } = cast;
    let (patch, post) = (Method::PATCH, Method::POST);
    let at = |kind: &str, id: &str| format!("/api/{kind}/{id}");
    let of = |rest: &str| format!("/api/companies/{company}/{rest}");
    let stage = at("deals", &format!("{deal}/stage"));
    vec![
        ("rename a company", patch.clone(), at("companies", company), json!({"name": "Aurora"})),
        ("move a company", patch.clone(), at("companies", company), json!({"country": "SE", "sector": null})),
        (
            "set a company up",
            patch.clone(),
            at("companies", company),
            json!({"settings": {"stale_after_days": 1}}),
        ),
        ("add a user", post.clone(), of("users"), json!({"name": "Ada Meter", "role": "rep"})),
        (
            "rename a user",
            patch.clone(),
            at("users", owner),
            json!({"name": "Zoe", "email": "zoe@x.example"}),
        ),
        ("promote a user", patch.clone(), at("users", owner), json!({"role": "admin"})),
        ("deactivate a user", patch.clone(), at("users", owner), json!({"active": false})),
        ("remove a user", Method::DELETE, at("users", &own.user), Value::Null),
        ("add a contact", post.clone(), of("contacts"), json!({"name": "A Meter", "kind": "organisation"})),
        ("rename a contact", patch.clone(), at("contacts", contact), json!({"name": "Aardvark"})),
        (
            "move a contact",
            patch.clone(),
            at("contacts", contact),
            json!({"country": "FI", "kind": "person"}),
        ),
        ("remove a contact", Method::DELETE, at("contacts", &own.contact), Value::Null),
        ("rename a product", patch.clone(), at("products", product), json!({"name": "Meter Two"})),
        ("price a product", patch.clone(), at("products", product), json!({"list_price_cents": 1})),
        (
            "add a deal",
            post.clone(),
            of("deals"),
            json!({"title": "A meter", "owner_id": other_owner, "contact_id": contact, "product_id": product,
                "stage": "engaging", "engaged_on": "2026-01-01", "value_cents": 5}),
        ),
        ("retitle a deal", patch.clone(), at("deals", deal), json!({"title": "Another meter"})),
        ("revalue a deal", patch.clone(), at("deals", deal), json!({"value_cents": 77})),
        ("redate a deal", patch.clone(), at("deals", deal), json!({"engaged_on": "2025-02-03"})),
        ("give a deal away", patch.clone(), at("deals", deal), json!({"owner_id": other_owner})),
        ("take a deal from its contact", patch.clone(), at("deals", deal), json!({"contact_id": null})),
        ("take the product out of a deal", patch, at("deals", deal), json!({"product_id": null})),
        ("step a deal back", post.clone(), stage.clone(), json!({"stage": "prospecting"})),
        ("win a deal", post.clone(), stage.clone(), json!({"stage": "won", "closed_on": "2026-02-03"})),
        ("reopen a deal", post.clone(), stage.clone(), json!({"stage": "engaging", "reopen": true})),
        ("lose a deal", post, stage, json!({"stage": "lost", "closed_on": "2026-02-04"})),
    ]
}

fn writes_of_activities(cast: &Cast, own: &Own) -> Vec<Write> {
    let Cast { deal, contact, task, .. } = cast;
    let at = |kind: &str, id: &str| format!("/api/{kind}/{id}");
    vec![
        (
            "add a note to a contact",
            Method::POST,
            at("contacts", &format!("{contact}/activities")),
            json!({"text": "called"}),
        ),
        (
            "add a task to a deal",
            Method::POST,
            at("deals", &format!("{deal}/activities")),
            json!({"kind": "task", "text": "call", "due_on": "2027-01-01"}),
        ),
        ("finish a task", Method::PATCH, at("activities", task), json!({"done": true})),
        (
            "correct a task",
            Method::PATCH,
            at("activities", task),
            json!({"text": "call twice", "due_on": null}),
        ),
        ("remove an activity", Method::DELETE, at("activities", &own.activity), Value::Null),
    ]
}

/// Writes as who may: the price list is the operator's.
async fn write(server: &Running, method: Method, path: &str, body: Option<&Value>) -> Answer {
    if path.starts_with("/api/products/") {
        return server.operate(method, path, body).await;
    }
    server.send(method, path, body, &[]).await
}

/// Rows that nothing refers to, so that they can be removed.
struct Own {
    user: String,
    contact: String,
    activity: String,
}

async fn cast(server: &Running) -> (Cast, Own) {
    let id = |row: &Value| row["id"].as_str().unwrap().to_owned();
    let (company, other_company) = (server.company().await, server.other_company());
    let of = |rest: &str| format!("/api/companies/{company}/{rest}");
    let deal = server.get(&of("deals?stage=engaging")).await.json()["items"][0].clone();
    let reps = server.get(&of("users?role=rep")).await.json();
    let reps: Vec<String> = reps["items"].as_array().unwrap().iter().map(id).collect();
    let owner = id(&deal["owner"]);
    let other_owner = reps.into_iter().find(|rep| *rep != owner).unwrap();
    let user = server.post(&of("users"), &json!({"name": "Gone", "role": "rep"})).await.json();
    let contact = server.post(&of("contacts"), &json!({"name": "Gone", "kind": "person"})).await.json();
    let (own_user, own_contact) = (id(&user), id(&contact));
    let (contact, product, deal) = (id(&deal["contact"]), id(&deal["product"]), id(&deal));
    let activities = format!("/api/deals/{deal}/activities");
    let task = id(&server.post(&activities, &json!({"kind": "task", "text": "call"})).await.json());
    let activity = id(&server.post(&activities, &json!({"text": "said no"})).await.json());
    let own = Own { user: own_user, contact: own_contact, activity };
    (Cast { company, other_company, deal, contact, product, owner, other_owner, task }, own)
}

/// Reads every view twice, so that it is cached, and answers what it shows.
async fn read_all(server: &Running, views: &[View]) -> Vec<Answer> {
    let mut answers = Vec::new();
    for View { path, .. } in views {
        let first = server.get(path).await;
        let second = server.get(path).await;
        assert_eq!(first.text, second.text, "{path}");
        if second.status.is_success() {
            assert_eq!(
                (second.header("x-cache"), second.header("x-db-queries")),
                ("hit-local", "0"),
                "{path}"
            );
        }
        answers.push(second);
    }
    answers
}

#[test]
fn after_every_write_every_view_shows_what_the_database_says() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let truth = data.serve(Switch::Off).await;
        let (cast, own) = cast(&server).await;
        let views = views(&cast);
        let mut stale = Vec::new();
        for (what, method, path, body) in writes(&cast, &own) {
            let before = read_all(&server, &views).await;
            let body = (!body.is_null()).then_some(&body);
            let answer = write(&server, method, &path, body).await;
            assert!(answer.status.is_success(), "{what}: {}", answer.text);
            let mut changed = 0;
            for (View { path, .. }, before) in views.iter().zip(before) {
                let after = server.get(path).await;
                let expected = truth.get(path).await;
                let same = (after.status, &after.text) == (expected.status, &expected.text);
                if !same || after.header("etag") != expected.header("etag") {
                    stale.push(format!("{what}: {path}"));
                }
                changed += usize::from(expected.text != before.text);
            }
            assert!(changed > 0, "{what} changed nothing that any view shows, so that it proves nothing");
        }
        assert!(
            stale.is_empty(),
            "stale, and whatever was read until something else removed it:\n{}",
            stale.join("\n")
        );
    });
}

/// How another server on the same Redis is asked after a write.
#[derive(Clone, Copy, PartialEq)]
enum Asked {
    /// For the latest.
    Strictly,
    /// As it comes: it may be a second old.
    AsItComes,
}

/// Reads every view until it is answered from a copy in the process.
async fn copy_all(server: &Running, views: &[View]) {
    for View { path, .. } in views {
        let is_copied = async || {
            let answer = server.get(path).await;
            !answer.status.is_success() || answer.header("x-cache") == "hit-local"
        };
        testkit::until(&format!("{path} is copied"), is_copied).await;
    }
}

/// The views that another server shows wrongly after some write of one server.
async fn stale_across(asked: Asked) -> Vec<String> {
    let (data, redis) = (Data::demo().await, RedisServer::start().await);
    let (one, other) = (redis::serve(&data, &redis, "").await, redis::serve(&data, &redis, "").await);
    let truth = data.serve(Switch::Off).await;
    let (cast, own) = cast(&one).await;
    let views = views(&cast);
    let mut stale = Vec::new();
    for (what, method, path, body) in writes(&cast, &own) {
        copy_all(&other, &views).await;
        let body = (!body.is_null()).then_some(&body);
        let answer = write(&one, method, &path, body).await;
        assert!(answer.status.is_success(), "{what}: {}", answer.text);
        let written = Instant::now();
        for View { path, .. } in &views {
            let expected = truth.get(path).await;
            let is_right = |answer: &Answer| {
                (answer.status, &answer.text, answer.header("etag"))
                    == (expected.status, &expected.text, expected.header("etag"))
            };
            let mut answer = match asked {
                Asked::Strictly => other.get_latest(path).await,
                Asked::AsItComes => other.get(path).await,
            };
            while asked == Asked::AsItComes && !is_right(&answer) && written.elapsed() < STALENESS {
                answer = other.get(path).await;
            }
            if !is_right(&answer) {
                stale.push(format!("{what}: {path}"));
            }
        }
    }
    stale
}

#[test]
fn what_one_server_writes_another_shows_to_who_asks_for_the_latest() {
    testkit::run(async {
        assert_eq!(stale_across(Asked::Strictly).await, [""; 0]);
    });
}

#[test]
fn what_one_server_writes_another_shows_within_a_second() {
    testkit::run(async {
        assert_eq!(stale_across(Asked::AsItComes).await, [""; 0]);
    });
}

#[test]
fn every_space_is_read_by_a_view() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let (cast, _own) = cast(&server).await;
        let read: BTreeSet<&str> = views(&cast).iter().map(|view| view.space).collect();
        let declared = server.app.cache.spaces().into_iter().map(|space| space.template());
        let exempt = [
            analytics::MONTHLY.template(), // may lag behind, and has tests of its own
            // No views, but what tells whose one is, and who asks.
            "deal:{id}:company",
            "contact:{id}:company",
            "user:{id}:company",
            "activity:{id}:company",
            access::SESSION.template(),
        ];
        let declared: BTreeSet<&str> = declared.filter(|space| !exempt.contains(space)).collect();
        assert_eq!(read, declared);
    });
}

#[test]
fn a_write_that_is_not_announced_is_found_by_the_same_comparison() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let truth = data.serve(Switch::Off).await;
        let (cast, _own) = cast(&server).await;
        let path = format!("/api/companies/{}", cast.company);
        read_all(&server, &[View { path: path.clone(), space: companies::COMPANY.template() }]).await;

        let mut change = data.database.change().await.unwrap();
        let id = CompanyId::named(cast.company);
        let company: Company = companies::find(&mut change, &id).await.unwrap().unwrap();
        let edit = CompanyEdit { name: Some("Behind your back".to_owned()), ..CompanyEdit::default() };
        let edited = company.edited(&edit).unwrap();
        companies::save(&mut change, edited).await.unwrap().in_bulk(&mut Bulk::new()); // of which nobody is told
        change.commit_bulk(Bulk::new()).await.unwrap();

        assert_ne!(server.get(&path).await.text, truth.get(&path).await.text);
    });
}

#[test]
fn a_load_that_began_before_a_write_does_not_store_what_the_write_made_untrue() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let truth = data.serve(Switch::Off).await;
        let (cast, _own) = cast(&server).await;
        let path = format!("/api/companies/{}/pipeline", cast.company);
        let deal = format!("/api/deals/{}", cast.deal);
        for value in 0..100 {
            let edit = json!({"value_cents": value});
            let (read, written) = tokio::join!(server.get(&path), server.patch(&deal, &edit));
            assert!(read.status.is_success() && written.status.is_success());
            assert_eq!(server.get(&path).await.text, truth.get(&path).await.text, "after write {value}");
        }
    });
}
