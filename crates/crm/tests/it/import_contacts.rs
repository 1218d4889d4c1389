//! `crm import contacts`: any CSV with a header, into one company.

use crate::importing::Desk;
use crate::process::LIMIT;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const COMPANY: &str = "Lee & Sons";

/// A desk with a company, and files beside its database.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.add_user(&["ann@x.example", "--name=Ann", "--new-company", COMPANY], "four words nobody knows");
    desk
}

fn import(desk: &Desk, file: &Path, flags: &[&str]) -> Output {
    desk.crm()
        .args(["import", "contacts"])
        .arg(file)
        .args(["--company", COMPANY])
        .args(flags)
        .output()
        .unwrap()
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// Outcome, and how many are new, were there already, and are refused.
fn counts(report: &Value) -> (String, [u64; 3]) {
    let count = |name: &str| report[name].as_u64().unwrap();
    (report["outcome"].as_str().unwrap().to_owned(), ["imported", "duplicates", "refused"].map(count))
}

fn imported(desk: &Desk, file: &Path, flags: &[&str]) -> (String, [u64; 3]) {
    let flags: Vec<&str> = flags.iter().copied().chain(["--json"]).collect();
    counts(&report(&import(desk, file, &flags)))
}

fn written(desk: &Desk, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = desk.directory().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_file_is_imported_once_and_each_row_that_is_not_is_explained() {
    testkit::run_sync(LIMIT, || {
        let desk = desk();
        let file = written(
            &desk,
            "people.csv",
            "First,Last,E-Mail,Company,Country,Shoes\n\
             Ann,Lee,ANN@x.example,Lee,Germany,38\n\
             Bob,\"Ray, jr.\",,Lee,uk,44\n\
             Ann,Other,ann@X.example,,,\n\
             Bob,\"Ray, jr.\",,Lee,FR,44\n\
             Bob,\"Ray, jr.\",,Ray,FR,44\n",
        );
        let map = ["--map", "name=First+Last"];
        let dry = import(&desk, &file, &[&map[..], &["--dry-run"]].concat());
        let text = String::from_utf8(dry.stdout).unwrap();
        for line in [
            "Nothing was written. 3 contacts would be new.",
            "Left out: Shoes.",
            "line 4: the same as line 2",
            "line 5: the same as line 3",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert_eq!(imported(&desk, &file, &map), ("imported".to_owned(), [3, 2, 0]));
        assert_eq!(imported(&desk, &file, &map), ("unchanged".to_owned(), [0, 5, 0]), "a second time");
    });
}

#[test]
fn a_row_that_cannot_be_a_contact_refuses_the_file_or_is_left_out() {
    testkit::run_sync(LIMIT, || {
        let desk = desk();
        let file = written(
            &desk,
            "bad.csv",
            format!(
                "name,email,country,kind\nGood,,,\n,a@x.example,,\nX,nowhere,,\nY,,Atlantis,\nZ,,,robot\nshort\n{},,,\n",
                "x".repeat(201)
            ),
        );
        let refused = import(&desk, &file, &[]);
        assert!(!refused.status.success());
        let text = String::from_utf8(refused.stderr).unwrap();
        for line in [
            "Nothing was imported: 6 rows are refused.",
            "line 3: name: is empty",
            "line 4: email: is not an e-mail address",
            "line 5: country: \"Atlantis\" is none of the list",
            "line 6: kind: \"robot\" is none of the choices",
            "line 7: 1 fields where the header has 4",
            "line 8: name: is too long",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        let left_out = import(&desk, &file, &["--skip-refused", "--json"]);
        assert!(left_out.status.success());
        assert_eq!(
            counts(&report(&left_out)),
            ("imported".to_owned(), [1, 0, 6]),
            "nothing of before was kept"
        );
    });
}

#[test]
fn encodings_delimiters_and_wrong_questions() {
    testkit::run_sync(LIMIT, || {
        let desk = desk();
        let latin = written(&desk, "latin.csv", b"name;country\nJos\xe9 M\xfcller;DE\n");
        let refused = import(&desk, &latin, &["--delimiter", ";"]);
        let text = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success() && text.contains("--encoding windows-1252"), "{text}");
        let flags = ["--delimiter", ";", "--encoding", "windows-1252", "--kind", "organisation"];
        assert_eq!(imported(&desk, &latin, &flags).1, [1, 0, 0]);
        let utf16: Vec<u8> = "\u{feff}name\tcountry\nJosé Müller\tDE\nZoë\tNL\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let utf16 = written(&desk, "utf16.txt", utf16);
        let flags = ["--delimiter", "tab", "--kind", "organisation"];
        assert_eq!(imported(&desk, &utf16, &flags).1, [1, 1, 0], "José is the same in both");
        let marked = written(&desk, "mark.csv", "\u{feff}name\r\nWindows\r\n");
        assert_eq!(imported(&desk, &marked, &[]).1, [1, 0, 0]);

        for (file, flags, words) in [
            ("nothing.csv", &[][..], "cannot be read"),
            ("latin.csv", &["--company", "Nobody"], "there is no company `Nobody`"),
            ("mark.csv", &["--map", "name=nome"], "there is no column `nome`"),
            ("mark.csv", &["--map", "name="], "say which with --map name=COLUMN"),
            ("mark.csv", &["--map", "nome=name"], "no field of a contact"),
        ] {
            let path = desk.directory().join(file);
            let mut command = desk.crm();
            command.args(["import", "contacts"]).arg(path).args(flags);
            if !flags.contains(&"--company") {
                command.args(["--company", COMPANY]);
            }
            let said = command.output().unwrap();
            let text = String::from_utf8(said.stderr).unwrap();
            assert!(!said.status.success() && text.contains(words), "{file} {flags:?}: {text}");
        }
    });
}

/// The bytes of a file that is compressed as its name says.
fn unpacked(path: &Path) -> Vec<u8> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => Command::new("gunzip").arg("-c").arg(path).output().unwrap().stdout,
        Some("zst") => zstd::decode_all(std::fs::File::open(path).unwrap()).unwrap(),
        _ => std::fs::read(path).unwrap(),
    }
}

/// Universities as CSV: the file is JSON.
fn as_csv(json: &[u8]) -> Vec<u8> {
    let rows: Vec<Value> = serde_json::from_slice(json).unwrap();
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["name", "country", "state"]).unwrap();
    for row in rows {
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        writer.write_record([text("name"), text("alpha_two_code"), text("state-province")]).unwrap();
    }
    writer.into_inner().unwrap()
}

/// What each file has was counted with another program, in another language.
#[test]
fn the_real_files_are_imported_as_they_are_known_to_be() {
    let Some(real) = testkit::shared_data("data/contacts") else { return };
    testkit::run_sync(4 * LIMIT, move || {
        let organisations = ["--kind", "organisation"];
        for (file, flags, known) in [
            ("northwind_customers.csv", &[][..], [91, 0, 0]),
            ("adventureworks_stores.csv", &organisations, [699, 2, 0]),
            (
                "adventureworks_store_contacts.csv",
                &["--map", "name=email", "--map", "title=contact_type"],
                [909, 0, 0],
            ),
            ("adventureworks_people_email_phone.csv.gz", &["--map", "name=email"], [19_972, 0, 0]),
            // 85 names come twice; 5 are in XK, which ISO 3166-1 does not have; 4 hold control characters where quotes were.
            (
                "world_universities_and_domains.json.zst",
                &["--kind", "organisation", "--skip-refused"],
                [10_157, 85, 9],
            ),
        ] {
            let desk = desk();
            let bytes = unpacked(&real.join(file));
            let bytes = if file.contains(".json") { as_csv(&bytes) } else { bytes };
            let path = written(&desk, "real.csv", bytes);
            assert_eq!(imported(&desk, &path, flags), ("imported".to_owned(), known), "{file}");
            let again = imported(&desk, &path, flags);
            assert_eq!(again, ("unchanged".to_owned(), [0, known[0] + known[1], known[2]]), "{file}, again");
        }
    });
}
