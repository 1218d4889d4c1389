//! `crm import sales` on files that are broken: refused with file and line, and the database is as it was.

use std::fs;
use std::path::Path;

use crate::ground;
use crate::importing::{Desk, sample};

const PIPELINE: &str = "sales_pipeline.csv";

/// The line of the sample's pipeline that the cases below break, and what stands on it.
const LINE: u64 = 5;
const ROW: &str = "63XMW41N,Paulo Quintela,GTX Pro,Hanok Kitchens,Won,2026-01-06,2026-03-23,4331\r\n";

/// A way to break a file, and the cause and line that the report must name.
struct Case {
    what: &'static str,
    file: &'static str,
    edit: fn(Vec<u8>) -> Vec<u8>,
    cause: &'static str,
    line: Option<u64>,
}

fn replace(text: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains(from), "{from:?} is not in the sample");
    text.replacen(from, to, 1).into_bytes()
}

/// The pipeline with another row on [`LINE`].
fn row(text: Vec<u8>, row: &str) -> Vec<u8> {
    replace(text, ROW, &format!("{row}\r\n"))
}

/// The file up to and with these words.
fn cut_at(text: &[u8], after: &str) -> Vec<u8> {
    let at = text.windows(after.len()).position(|window| window == after.as_bytes()).unwrap();
    text[..at + after.len()].to_vec()
}

/// Latin-1, where it can say it.
fn latin_1(text: Vec<u8>) -> Vec<u8> {
    String::from_utf8(text).unwrap().chars().filter_map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

fn utf_16(text: Vec<u8>) -> Vec<u8> {
    let text = format!("\u{feff}{}", String::from_utf8(text).unwrap());
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn structure() -> Vec<Case> {
    let case = |what, file, edit, cause, line| Case { what, file, edit, cause, line };
    vec![
        case("missing column", PIPELINE, |t| replace(t, ",close_value", ""), "missing column", Some(1)),
        case(
            "misspelt column",
            "accounts.csv",
            |t| replace(t, "sector", "branch"),
            "missing column",
            Some(1),
        ),
        case(
            "further column",
            "products.csv",
            |t| replace(t, "price", "price,colour"),
            "unknown column",
            Some(1),
        ),
        case(
            "short row",
            PIPELINE,
            |t| row(t, "63XMW41N,Paulo Quintela,GTX Pro"),
            "wrong number of fields",
            Some(LINE),
        ),
        case(
            "long row",
            PIPELINE,
            |t| row(t, "63XMW41N,a,b,c,d,e,f,g,h"),
            "wrong number of fields",
            Some(LINE),
        ),
        case("cut in a row", PIPELINE, |t| cut_at(&t, "63XMW41N,Paulo"), "cut off", Some(LINE)),
        case("cut in the last field", PIPELINE, |t| cut_at(&t, "2026-03-23,43"), "cut off", Some(LINE)),
        case(
            "cut in a quoted field",
            "accounts.csv",
            |t| cut_at(&t, "\"Gardner, P"),
            "broken quotes",
            Some(8),
        ),
        case(
            "cut in a letter",
            PIPELINE,
            |mut t| {
                t.truncate(cut_at(&t, "Luc").len() + 1);
                t
            },
            "cut off",
            Some(4),
        ),
        case("header only", PIPELINE, |t| cut_at(&t, "close_value\r\n"), "no rows", Some(1)),
        case("empty", PIPELINE, |_| Vec::new(), "no rows", None),
        case("Latin-1", PIPELINE, latin_1, "wrong encoding", Some(4)),
        case("UTF-16", PIPELINE, utf_16, "wrong encoding", Some(1)),
        case("zero byte", PIPELINE, |t| row(t, "63X\0W41N,,,,,,,"), "wrong encoding", Some(LINE)),
        case("open quote", PIPELINE, |t| row(t, "63XMW41N,\"Paulo,b,c,d,e,f,g"), "broken quotes", Some(LINE)),
    ]
}

fn rows() -> Vec<Case> {
    let case = |what, edit, cause| Case { what, file: PIPELINE, edit, cause, line: Some(LINE) };
    let elsewhere = |what, file, edit, cause, line| Case { what, file, edit, cause, line: Some(line) };
    vec![
        case("bad date", |t| replace(t, "2026-01-06,2026-03-23", "2026-01-06,2026-02-30"), "bad date"),
        case("date the other way", |t| replace(t, "2026-01-06,", "06/01/2026,"), "bad date"),
        case("unknown stage", |t| replace(t, "Won,2026-01-06", "Sold,2026-01-06"), "unknown stage"),
        case("unknown agent", |t| replace(t, "63XMW41N,Paulo", "63XMW41N,Paula"), "unknown agent"),
        case("unknown product", |t| replace(t, "GTX Pro,Hanok", "GTX Pr,Hanok"), "unknown product"),
        case("unknown account", |t| replace(t, "GTX Pro,Hanok", "GTX Pro,Hanuk"), "unknown account"),
        case("duplicate id", |t| replace(t, "63XMW41N", "B6JAXJVT"), "duplicate"),
        case("no id", |t| replace(t, "63XMW41N", ""), "empty field"),
        case("bad number", |t| replace(t, ",4331\r", ",4k\r"), "bad number"),
        case("negative value", |t| replace(t, ",4331\r", ",-4331\r"), "negative value"),
        case("won for nothing said", |t| replace(t, ",4331\r", ",\r"), "empty field"),
        case("lost with a value", |t| replace(t, "Won,2026-01-06", "Lost,2026-01-06"), "impossible value"),
        case(
            "open with a close date",
            |t| replace(t, "Won,2026-01-06", "Engaging,2026-01-06"),
            "impossible dates",
        ),
        case("closed before engaged", |t| replace(t, "2026-01-06", "2026-03-24"), "impossible dates"),
        case(
            "closed without an account",
            |t| replace(t, "GTX Pro,Hanok Kitchens", "GTX Pro,"),
            "empty field",
        ),
        case("space at the end", |t| replace(t, "63XMW41N,", "63XMW41N ,"), "bad text"),
        elsewhere(
            "agent twice",
            "sales_teams.csv",
            |t| replace(t, "Yuki Tanabe", "Ines Okafor"),
            "duplicate",
            4,
        ),
        elsewhere(
            "unknown parent",
            "accounts.csv",
            |t| replace(t, "Cobalt Bakeries\r", "Cobalt\r"),
            "unknown account",
            6,
        ),
        elsewhere("unknown country", "accounts.csv", |t| replace(t, "Norway", "Norge"), "unknown country", 7),
        elsewhere("bad price", "products.csv", |t| replace(t, ",18750", ",18.750.-"), "bad number", 5),
        elsewhere("bad head count", "accounts.csv", |t| replace(t, ",1930,", ",1.9k,"), "bad number", 2),
    ]
}

/// Each case is refused, once, where it was broken, and `desk` keeps what it has.
fn all_refused(desk: &Desk, cases: Vec<Case>) {
    let before = desk.dump();
    for Case { what, file, edit, cause, line } in cases {
        let broken = desk.sample_but(file, edit);
        let report = desk.refused(&broken);
        let refused = report["refused_rows"].as_array().unwrap();
        assert_eq!(refused.len(), 1, "{what}: {refused:?}");
        assert_eq!(refused[0]["cause"], cause, "{what}: {refused:?}");
        assert_eq!((&refused[0]["file"], refused[0]["line"].as_u64()), (&file.into(), line), "{what}");
        assert!(!refused[0]["message"].as_str().unwrap().is_empty());
        assert_eq!(report["refused"][cause], 1);
        assert_eq!(report["deals"]["total"], 0);
        assert_eq!(desk.dump(), before, "{what}");
    }
}

#[test]
fn a_file_that_cannot_be_trusted_is_refused_with_its_line() {
    testkit::run_sync(testkit::LIMIT, || {
        let desk = Desk::new();
        desk.imported(&sample());
        all_refused(&desk, structure());
    });
}

#[test]
fn a_row_that_cannot_be_true_is_refused_with_its_line() {
    testkit::run_sync(testkit::LIMIT, || {
        let desk = Desk::new();
        desk.imported(&sample());
        all_refused(&desk, rows());
    });
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    testkit::run_sync(testkit::LIMIT, || {
        let desk = Desk::new();
        let broken = desk.sample_but(PIPELINE, |text| {
            let text = replace(text, "2026-01-12", "12.01.2026");
            replace(text, "Lucía Ferrer,Crate", "Lucia Ferrer,Crate")
        });
        let products = fs::read_to_string(broken.join("products.csv")).unwrap();
        fs::write(broken.join("products.csv"), products.replace(",3980", ",3,980")).unwrap();
        let output = desk.import(&broken, &["--quiet"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stdout.is_empty());
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            "The import was refused; the database is as it was.\n\
             \n\
             bad date: 1\n  \
               sales_pipeline.csv:3: engage_date is \"12.01.2026\": write a day of the calendar as YYYY-MM-DD, from 1900 on\n\
             \n\
             unknown agent: 1\n  \
               sales_pipeline.csv:4: sales_agent is \"Lucia Ferrer\": sales_teams.csv has no such row: correct the \
             name, or add the row\n\
             \n\
             wrong number of fields: 1\n  \
               products.csv:4: 4 fields where the header has 3: quote a field that holds a comma, complete a row \
             that was cut\n"
        );
        assert!(
            !desk.directory().join("crm.db").exists(),
            "a refused import does not even create a database"
        );
    });
}

#[test]
fn a_missing_file_or_directory_is_named() {
    testkit::run_sync(testkit::LIMIT, || {
        let desk = Desk::new();
        let directory = desk.sample_but(PIPELINE, |text| text);
        fs::remove_file(directory.join("products.csv")).unwrap();
        let report = desk.refused(&directory);
        assert_eq!(report["refused"], serde_json::json!({ "unreadable file": 1 }));
        assert_eq!(report["refused_rows"][0]["file"], "products.csv");

        let output = desk.import(Path::new("nowhere"), &[]);
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8(output.stderr).unwrap().contains("nowhere is not a directory"));
    });
}

#[test]
fn a_row_that_the_database_does_not_take_undoes_all_before_it() {
    testkit::run_sync(testkit::LIMIT, || {
        let desk = Desk::new();
        desk.imported(&sample());
        // Rows before it are changed and created; the last one of the last company fails.
        desk.execute("DELETE FROM deals WHERE stage = 'won'");
        desk.execute(if ground::on_postgres() {
            "CREATE FUNCTION is_full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'the disk is full'; END $$; \
             CREATE TRIGGER full_disk BEFORE UPDATE ON deals FOR EACH ROW WHEN (NEW.external_id = 'YXG9QYMW') \
             EXECUTE FUNCTION is_full()"
        } else {
            "CREATE TRIGGER full_disk BEFORE UPDATE ON deals WHEN NEW.external_id = 'YXG9QYMW' \
             BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        });
        let before = desk.dump();
        let newer = desk.sample_but(PIPELINE, |text| {
            replace(text, "YXG9QYMW,Lucía Ferrer,GTXPro", "YXG9QYMW,Lucía Ferrer,Crate Rental")
        });
        let products = fs::read_to_string(newer.join("products.csv")).unwrap();
        fs::write(newer.join("products.csv"), products.replace(",240\r\n", ",250\r\n")).unwrap();
        let output = desk.import(&newer, &["--quiet"]);
        assert_eq!(output.status.code(), Some(1));
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains("the database is as it was: the deal \"YXG9QYMW\": "), "{message}");
        assert!(message.contains("the disk is full"), "{message}");
        assert_eq!(desk.dump(), before);
    });
}
