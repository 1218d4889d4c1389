//! Lists as files of CSV.

use crate::running::Data;
use crm::config::Switch;
use reqwest::{Method, StatusCode};
use serde_json::json;

/// The records of a file, without the names of its columns.
fn records(text: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let columns = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let rows = reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect());
    (columns, rows.collect())
}

#[test]
fn a_file_has_all_that_the_list_has() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let company = server.company().await;
        for (kind, filter) in [
            ("deals", ""),
            ("deals", "stage=won&q=meter"),
            ("contacts", ""),
            ("contacts", "kind=person"),
            ("users", "active=true"),
        ] {
            let file = server.get(&format!("/api/companies/{company}/{kind}.csv?{filter}")).await;
            assert_eq!(file.status, StatusCode::OK, "{}", file.text);
            assert_eq!(file.header("content-type"), "text/csv; charset=utf-8");
            assert_eq!(file.header("content-disposition"), format!("attachment; filename=\"{kind}.csv\""));
            let (columns, rows) = records(&file.text);
            assert_eq!(columns[0], "id");
            let list =
                server.get(&format!("/api/companies/{company}/{kind}?per_page=200&{filter}")).await.json();
            let mut listed: Vec<&str> =
                list["items"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect();
            listed.sort_unstable();
            assert!(!listed.is_empty(), "{kind}?{filter}");
            assert_eq!(rows.iter().map(|row| row[0].as_str()).collect::<Vec<_>>(), listed, "{kind}?{filter}");
        }
        for refused in ["page=2", "sort=name", "nope=1"] {
            let answer = server.get(&format!("/api/companies/{company}/users.csv?{refused}")).await;
            assert!(answer.status.is_client_error(), "{refused}: {}", answer.status);
        }
    });
}

#[test]
fn a_long_file_comes_in_batches_and_no_cell_is_a_formula() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let company = server.company().await;
        let list = format!("/api/companies/{company}/contacts");
        let evil = json!({"name": "=HYPERLINK(\"http://evil.example\")", "kind": "person", "title": "a, \"b\"", "phone": "+49 30"});
        assert_eq!(server.post(&list, &evil).await.status, StatusCode::CREATED);
        let mut change = data.database.change().await.unwrap();
        let id = crm::caller::CompanyId::named(company.as_str());
        for number in 0..2_500 {
            let new = crm::contacts::NewContact {
                external_id: None,
                kind: crm::contacts::ContactKind::Person,
                name: format!("Number {number}"),
                organisation: None,
                title: None,
                email: None,
                phone: None,
                country: None,
                owner_id: None,
            };
            let contact = crm::contacts::Contact::new(&id, &new).unwrap();
            let written = crm::contacts::insert(&mut change, contact).await.unwrap();
            written.in_bulk(&mut crm::written::Bulk::new());
        }
        change.commit_bulk(crm::written::Bulk::new()).await.unwrap();
        let file = server.get(&format!("/api/companies/{company}/contacts.csv")).await;
        let (columns, rows) = records(&file.text);
        assert_eq!(rows.len(), 36 + 1 + 2_500);
        assert!(rows.is_sorted_by(|one, other| one[0] < other[0]), "each once");
        let at = |name: &str| columns.iter().position(|column| column == name).unwrap();
        let evil = rows.iter().find(|row| row[at("name")].contains("HYPERLINK")).unwrap();
        assert_eq!(evil[at("name")], "'=HYPERLINK(\"http://evil.example\")");
        assert_eq!((evil[at("title")].as_str(), evil[at("phone")].as_str()), ("a, \"b\"", "+49 30"));
    });
}

#[test]
fn a_deal_is_written_as_people_write_it() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let company = server.company().await;
        let deals = format!("/api/companies/{company}/deals");
        let new = json!({"title": "Ten pumps, cheap", "value_cents": 120_005, "stage": "won", "engaged_on": "2026-01-02",
            "closed_on": "2026-02-03"});
        let deal = server.post(&deals, &new).await.json();
        let file = server.send(Method::GET, &format!("{deals}.csv?q=ten+pumps"), None, &[]).await;
        let (columns, rows) = records(&file.text);
        assert_eq!(
            columns.join(" "),
            "id title stage value currency engaged_on closed_on contact product owner created_at"
        );
        let id = deal["id"].as_str().unwrap();
        let expected =
            [id, "Ten pumps, cheap", "won", "1200.05", "EUR", "2026-01-02", "2026-02-03", "", "", ""];
        assert_eq!(rows[0][..10], expected);
    });
}
