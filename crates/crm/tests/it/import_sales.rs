//! `crm import sales` on files that are as they should be: the known answers, and nothing twice.

use std::fs;

use serde_json::{Value, json};

use crate::importing::{Desk, sample};

/// The parts of a report that say what is in the database, without ids.
fn contents(report: &Value) -> Value {
    let names: Vec<&Value> = report["companies"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
    let mut contents = json!({ "companies": names });
    for field in ["users", "agents", "managers", "contacts", "products", "deals", "won_value_cents"] {
        contents[field] = report[field].clone();
    }
    contents
}

#[test]
fn the_real_pipeline_gives_the_known_answers_and_a_second_import_changes_nothing() {
    let Some(real) = testkit::shared_data("data/crm_maven") else { return };
    testkit::run_sync(testkit::LIMIT, move || {
        let desk = Desk::new();
        let first = desk.imported(&real);
        assert_eq!(
            contents(&first),
            json!({
                "companies": ["Central", "East", "West"],
                "users": 41, "agents": 35, "managers": 6, "contacts": 241, "products": 7,
                "deals": { "total": 8_800, "won": 4_238, "lost": 2_473, "engaging": 1_589, "prospecting": 500 },
                "won_value_cents": 1_000_553_400_i64,
            })
        );
        let repaired = json!({ "GTXPro is GTX Pro": 1_480, "technolgy is technology": 12, "Philipines is Philippines": 1 });
        assert_eq!(first["repaired"], repaired);
        assert_eq!(first["refused"], json!({}));
        assert_eq!(first["accepted"]["open deal without an account"], 1_425);
        assert_eq!(first["accepted"]["agent without a deal"], 5);
        assert_eq!(first["rows"], json!({ "created": 9_092, "changed": 0, "unchanged": 0 }));

        let before = desk.dump();
        let second = desk.imported(&real);
        assert_eq!(second["outcome"], "unchanged");
        assert_eq!(second["rows"], json!({ "created": 0, "changed": 0, "unchanged": 9_092 }));
        assert_eq!(second["companies"], first["companies"]);
        assert_eq!(contents(&second), contents(&first));
        assert!(desk.dump() == before, "the second import changed something");
    });
}

#[test]
fn the_sample_gives_its_known_answers_and_a_second_import_changes_nothing() {
    testkit::run_sync(testkit::LIMIT, || {
        let desk = Desk::new();
        let first = desk.imported(&sample());
        assert_eq!(
            contents(&first),
            json!({
                "companies": ["Coast", "Hills", "Plains"],
                "users": 11, "agents": 8, "managers": 3, "contacts": 23, "products": 5,
                "deals": { "total": 60, "won": 27, "lost": 16, "engaging": 12, "prospecting": 5 },
                "won_value_cents": 4_651_050,
            })
        );
        let repaired =
            json!({ "GTXPro is GTX Pro": 16, "technolgy is technology": 2, "Philipines is Philippines": 1 });
        assert_eq!(first["repaired"], repaired);
        assert_eq!(first["refused"], json!({}));
        assert_eq!(
            first["accepted"],
            json!({ "agent without a deal": 1, "open deal without an account": 11, "Korea taken for South Korea": 1 })
        );

        let before = desk.dump();
        assert_eq!(desk.imported(&sample())["outcome"], "unchanged");
        assert_eq!(desk.dump(), before);
    });
}

#[test]
fn every_repaired_row_is_reported_with_its_file_and_line() {
    testkit::run_sync(testkit::LIMIT, || {
        let report = Desk::new().imported(&sample());
        let mut reported = 0;
        for group in report["repaired_rows"].as_array().unwrap() {
            let text = fs::read_to_string(sample().join(group["file"].as_str().unwrap())).unwrap();
            let (wrong, _) = group["cause"].as_str().unwrap().split_once(" is ").unwrap();
            let lines =
                text.lines().zip(1_u64..).filter(|(line, _)| line.split(',').any(|field| field == wrong));
            let lines: Vec<u64> = lines.map(|(_, number)| number).collect();
            assert_eq!(group["lines"], json!(lines), "{wrong}");
            reported += lines.len();
        }
        assert_eq!(reported, 16 + 2 + 1);
    });
}

#[test]
fn a_page_for_people_says_the_same_with_examples() {
    testkit::run_sync(testkit::LIMIT, || {
        let desk = Desk::new();
        let output = desk.import(&sample(), &[]);
        let page = String::from_utf8(output.stdout).unwrap();
        for line in [
            "        3  companies                    Coast, Hills, Plains",
            "       60  deals                        27 won, 16 lost, 12 engaging, 5 prospecting; 46,510.50 USD won",
            "102 rows created, 0 changed, 0 as they were.",
            "       16  GTXPro is GTX Pro            sales_pipeline.csv, lines 2, 10, 11 and 13 more (--json lists them all)",
            "        1  Philipines is Philippines    accounts.csv, line 10",
            "       11  open deal without an account",
        ] {
            assert!(page.lines().any(|shown| shown == line), "{line}\nis not in\n{page}");
        }
        let progress = String::from_utf8(output.stderr).unwrap();
        assert_eq!(progress, "Reading …\nWriting 102 rows …\n");
        let quiet = desk.import(&sample(), &["--quiet"]);
        assert!(quiet.stderr.is_empty() && !quiet.stdout.is_empty());
        let json = desk.import(&sample(), &["--json"]);
        assert!(json.stderr.is_empty(), "a program that collects both streams sees JSON alone");
    });
}

#[test]
fn newer_files_change_what_differs_and_keep_the_rest() {
    testkit::run_sync(testkit::LIMIT, || {
        let desk = Desk::new();
        desk.imported(&sample());
        let before = desk.dump();
        // An open deal is won, and one product costs more.
        let newer = desk.sample_but("sales_pipeline.csv", |text| {
            let text = String::from_utf8(text).unwrap();
            let open = "YXG9QYMW,Lucía Ferrer,GTXPro,Amberley Foods,Engaging,2026-06-09,,\r\n";
            let won = "YXG9QYMW,Lucía Ferrer,GTXPro,Amberley Foods,Won,2026-06-09,2026-07-01,4000\r\n";
            assert!(text.contains(open));
            text.replace(open, won).into_bytes()
        });
        let products = fs::read_to_string(newer.join("products.csv")).unwrap();
        fs::write(newer.join("products.csv"), products.replace(",240\r\n", ",250\r\n")).unwrap();

        let report = desk.imported(&newer);
        assert_eq!(report["rows"], json!({ "created": 0, "changed": 2, "unchanged": 100 }));
        assert_eq!(report["won_value_cents"], 4_651_050 + 400_000);
        let after = desk.dump();
        let gone: Vec<&String> = before.iter().filter(|row| !after.contains(row)).collect();
        let (told, new): (Vec<&String>, Vec<&String>) = after
            .iter()
            .filter(|row| !before.contains(row))
            .partition(|row| row.starts_with("larder_outbox: "));
        assert_eq!(told.len(), 1, "caches are told once");
        assert_eq!((gone.len(), new.len()), (2, 2), "{gone:?}\n{new:?}");
        // Each row keeps its id, and its version is raised.
        for (old, new) in gone.iter().zip(&new) {
            assert_eq!(old.split(',').next(), new.split(',').next());
            assert!(new.contains(",2,") || new.ends_with(",2") || new.ends_with(",2)"), "{new}");
        }
    });
}
