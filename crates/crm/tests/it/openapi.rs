//! The API does what its description says, and the description leaves nothing out. All that is tested here of each operation is
//! tested of one that is added tomorrow.

use crate::running::{Answer, Data, Running};
use crm::config::Switch;
use crm::server;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// One operation of the document.
pub(crate) struct Operation {
    pub(crate) method: Method,
    /// With `{id}` in it.
    pub(crate) path: String,
    described: Value,
}

pub(crate) fn document() -> Value {
    serde_json::to_value(server::api()).unwrap()
}

pub(crate) fn operations() -> Vec<Operation> {
    let document = document();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, described) in item.as_object().unwrap() {
            let Ok(method) = method.to_uppercase().parse::<Method>() else { continue };
            operations.push(Operation { method, path: path.clone(), described: described.clone() });
        }
    }
    assert!(operations.len() > 35, "{}", operations.len());
    operations
}

impl Operation {
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Whether nobody has to sign in for it.
    fn is_open(&self) -> bool {
        self.described["security"] == json!([{}])
    }

    /// Whether it is for whoever runs the service.
    fn is_operators(&self) -> bool {
        ["POST /api/cache/warm", "PATCH /api/products/{id}"].contains(&self.name().as_str())
    }

    /// Whether it changes a row that the trail tells of.
    fn changes_a_row(&self) -> bool {
        let kinds = ["companies", "users", "contacts", "deals", "activities"];
        let is_about_a_row = kinds.iter().any(|kind| self.described["tags"] == json!([kind]));
        let is_one = !self.path.ends_with("hand-over"); // that is of many, and has a test of its own
        self.method != Method::GET && is_one && (is_about_a_row || self.path == "/api/users/{id}/password")
    }

    /// The example of the body that it takes.
    pub(crate) fn example(&self, document: &Value) -> Option<Value> {
        let schema = &self.described["requestBody"]["content"]["application/json"]["schema"];
        let name = schema["$ref"].as_str()?.rsplit('/').next()?;
        let example = &document["components"]["schemas"][name]["example"];
        assert!(!example.is_null(), "{name} has no example");
        Some(example.clone())
    }

    /// The example, where it is about rows of the company.
    pub(crate) fn example_about(&self, document: &Value, rows: &Rows) -> Option<Value> {
        match self.path.as_str() {
            "/api/users/{id}/hand-over" => Some(json!({"to": rows.admin})),
            _ => self.example(document),
        }
    }

    /// The path, about rows that these are.
    pub(crate) fn about(&self, rows: &Rows) -> String {
        let kind = self.path.strip_prefix("/api/").unwrap_or_default().split('/').next().unwrap_or_default();
        let id = match kind {
            "companies" => &rows.company,
            "deals" => &rows.deal,
            "contacts" => &rows.contact,
            "users" => &rows.user,
            "activities" => &rows.activity,
            "products" => &rows.product,
            "me" => &rows.session,
            _ if !self.path.contains('{') => "",
            other => panic!("say which row {other} are about"),
        };
        self.path.replace("{id}", id)
    }
}

/// Rows of one company that any operation can be about: those that are removed are in nobody's way.
pub(crate) struct Rows {
    pub(crate) company: String,
    pub(crate) deal: String,
    pub(crate) contact: String,
    pub(crate) user: String,
    admin: String,
    pub(crate) activity: String,
    product: String,
    session: String,
}

impl Rows {
    pub(crate) async fn of(server: &Running, company: &str) -> Self {
        let first = async |rest: &str| server.first(&format!("/api/companies/{company}/{rest}")).await;
        let key = [("authorization", server.key_of(company))];
        let products = server.send(Method::GET, "/api/products", None, &key).await.json();
        let token = json!({"name": "to be ended"});
        let token = server.send(Method::POST, "/api/me/tokens", Some(&token), &key).await.json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let deal = first("deals?stage=engaging").await;
        let note = json!({"text": "called back"});
        let activities = format!("/api/deals/{deal}/activities");
        let activity = server.send(Method::POST, &activities, Some(&note), &key).await.json();
        Self {
            company: company.to_owned(),
            deal,
            activity: text(&activity["id"]),
            contact: first("contacts?kind=person").await,
            user: first("users?role=viewer").await,
            admin: first("users?role=admin").await,
            product: text(&products[0]["id"]),
            session: text(&token["id"]),
        }
    }
}

#[test]
fn a_refusal_may_say_the_version_of_the_row_and_does_not_have_to() {
    let problem = &document()["components"]["schemas"]["Problem"];
    assert_eq!(problem["properties"]["current_version"]["type"], "integer", "{problem}");
    let required = problem["required"].as_array().unwrap();
    assert!(
        required.contains(&json!("detail")) && !required.contains(&json!("current_version")),
        "{problem}"
    );
}

/// All that refers to something in the document.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                found.insert(reference.clone());
            }
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn the_document_is_whole() {
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for reference in &found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} is not there");
    }
    assert!(found.len() > 20, "{found:?}");
    for operation in operations() {
        let (name, described) = (operation.name(), &operation.described);
        let says = |member: &str| described[member].as_str().is_some_and(|text| text.len() > 8);
        assert!(says("summary"), "{name} does not say what it does");
        let responses = described["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{name} never succeeds");
        assert!(operation.is_open() || responses.contains_key("401"), "{name} is refused to nobody");
        assert_eq!(
            operation.path.contains("{id}"),
            described["parameters"].to_string().contains("\"path\""),
            "{name}"
        );
    }
}

/// Holds an answer against the document: its status, its type, and each member of its body.
fn check(document: &Value, operation: &Operation, answer: &Answer) {
    let name = operation.name();
    let status = answer.status.as_u16().to_string();
    let described = &operation.described["responses"][&status];
    assert!(described.is_object(), "{name}: {status} is not described: {}", answer.text);
    let Some(content) = described["content"].as_object() else {
        assert_eq!(answer.text, "", "{name}");
        return;
    };
    let (kind, described) = content.iter().next().unwrap();
    assert_eq!(answer.header("content-type"), kind, "{name}");
    let lines: Vec<Value> = match kind.as_str() {
        "application/x-ndjson" => {
            answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        }
        kind if kind.ends_with("json") => vec![answer.json()],
        _ => return,
    };
    let mut schema = document.clone();
    let mut parts = BTreeSet::new();
    parts_of_wholes(document, &mut parts);
    for (name, schema) in schema["components"]["schemas"].as_object_mut().unwrap() {
        if !parts.contains(&format!("#/components/schemas/{name}")) {
            nothing_else(schema);
        }
    }
    let mut expected = described["schema"].clone();
    nothing_else(&mut expected);
    schema["components"]["schemas"]["Expected"] = expected;
    schema["$ref"] = json!("#/components/schemas/Expected");
    let schema = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    for line in lines {
        let wrong: Vec<String> =
            schema.iter_errors(&line).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(wrong.is_empty(), "{name}: {}\n{line}", wrong.join("\n"));
    }
}

/// The schemas of which others are put together: they are complete as a whole only.
fn parts_of_wholes(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            if let Some(parts) = members.get("allOf") {
                references(parts, found);
            }
            members.values().for_each(|member| parts_of_wholes(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| parts_of_wholes(item, found)),
        _ => {}
    }
}

/// Lets no member be there that a schema does not name.
fn nothing_else(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            for (name, member) in &mut *members {
                if name != "allOf" {
                    nothing_else(member);
                }
            }
            if members.get("properties").is_some_and(Value::is_object) || members.contains_key("allOf") {
                members.insert("unevaluatedProperties".to_owned(), json!(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(nothing_else),
        _ => {}
    }
}

/// The latest entry of the trail tells of a change, by whom it was made, and no secret.
async fn is_in_the_trail(server: &Running, operation: &Operation, path: &str, answer: &Answer) {
    let company = server.first("/api/companies").await;
    let trail = server.get(&format!("/api/companies/{company}/audit?per_page=1")).await;
    let latest = &trail.json()["items"][0];
    let name = operation.name();
    let made = answer.header("location").rsplit('/').next().unwrap_or_default().to_owned();
    let row = if made.is_empty() { path.split('/').nth(3).unwrap().to_owned() } else { made };
    assert_eq!(
        (&latest["row_id"], &latest["user_name"]),
        (&json!(row), &json!("Jana Petersen")),
        "{name}: {latest}"
    );
    let verb = match operation.method {
        Method::DELETE => "removed",
        _ if answer.status == StatusCode::CREATED => "added",
        _ => "changed",
    };
    assert_eq!(latest["verb"], verb, "{name}: {latest}");
    assert!(!latest["changes"].as_object().unwrap().is_empty(), "{name}: {latest}");
    assert!(!latest.to_string().contains("$argon2"), "{name}: {latest}");
}

#[test]
fn each_example_runs_and_is_answered_as_described() {
    testkit::run(async {
        let document = document();
        for operation in operations() {
            let data = Data::demo().await;
            let server = data.serve(Switch::On).await;
            let nordlicht = server.company_of(crm::demo::ADMIN).await;
            let server = server.asked_by_admin_of(&nordlicht);
            let rows = Rows::of(&server, &nordlicht).await;
            let (path, body) = (operation.about(&rows), operation.example_about(&document, &rows));
            let answer = match operation.is_operators() {
                true => server.operate(operation.method.clone(), &path, body.as_ref()).await,
                false => server.send(operation.method.clone(), &path, body.as_ref(), &[]).await,
            };
            assert!(answer.status.is_success(), "{}: {}", operation.name(), answer.text);
            check(&document, &operation, &answer);
            if operation.changes_a_row() {
                is_in_the_trail(&server, &operation, &path, &answer).await;
            }
        }
    });
}

#[test]
fn refusals_are_as_described_too() {
    testkit::run(async {
        let (document, data) = (document(), Data::demo().await);
        let server = data.serve(Switch::On).await;
        let rows = Rows::of(&server, &server.company().await).await;
        for operation in operations() {
            let path = operation.about(&rows);
            let body = operation.example_about(&document, &rows);
            let method = || operation.method.clone();
            if !operation.is_open() {
                let answer = server.send(method(), &path, body.as_ref(), &[("authorization", "")]).await;
                assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", operation.name());
                check(&document, &operation, &answer);
            }
            let unknown = server.send(method(), &format!("{path}?nope=1"), body.as_ref(), &[]).await;
            let expected =
                if operation.is_operators() { StatusCode::FORBIDDEN } else { StatusCode::BAD_REQUEST };
            if !path.ends_with('z') {
                assert_eq!(unknown.status, expected, "{}: {}", operation.name(), unknown.text);
                check(&document, &operation, &unknown);
            }
            if body.is_some() && !operation.is_operators() {
                for wrong in [json!({}), json!({"nope": 1}), json!([])] {
                    let answer = server.send(method(), &path, Some(&wrong), &[]).await;
                    check(&document, &operation, &answer);
                }
            }
        }
    });
}

#[test]
fn no_route_is_left_out() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let shown = server.send(Method::GET, "/api/openapi.json", None, &[("authorization", "")]).await;
        assert_eq!((shown.status, shown.json()), (StatusCode::OK, document()));
        let page = server.send(Method::GET, "/api/docs/", None, &[("authorization", "")]).await;
        assert_eq!(page.status, StatusCode::OK);
        // Nothing of the page comes from elsewhere.
        let mut parts = 0;
        for attribute in ["src=\"", "href=\""] {
            for part in page.text.split(attribute).skip(1) {
                let part = part.split('"').next().unwrap();
                assert!(!part.contains("//"), "{part}");
                let path = format!("/api/docs/{}", part.trim_start_matches("./"));
                let part = server.send(Method::GET, &path, None, &[("authorization", "")]).await;
                assert_eq!(part.status, StatusCode::OK, "{path}");
                parts += 1;
            }
        }
        assert!(parts >= 4, "{}", page.text);
    });
}
