//! The README's five minutes, its commands and its settings, run as printed.

use crate::process::{LIMIT, Serving, crm, output};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use testkit::redis::RedisServer;

fn readme() -> String {
    std::fs::read_to_string(testkit::workspace_root().join("README.md")).unwrap()
}

/// The text of a section, without its heading.
fn section<'a>(readme: &'a str, heading: &str) -> &'a str {
    let start = readme.find(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no section {heading}"));
    let text = &readme[start + heading.len() + 5..];
    &text[..text.find("\n## ").unwrap_or(text.len())]
}

/// The shell blocks of a section.
fn blocks(section: &str) -> Vec<&str> {
    let after = section.split("```sh\n").skip(1);
    after.map(|block| block.split("\n```").next().unwrap()).collect()
}

/// Runs the lines of a block in one shell, and answers what each of them printed.
fn run(directory: &Path, lines: &[String]) -> Vec<String> {
    const MARK: &str = "<<end of line>>";
    let mut script = String::from("set -eu\n");
    for line in lines {
        writeln!(script, "{line}\necho '{MARK}'").unwrap();
    }
    // As far west as a clock can be set: the CRM's days are those of UTC, wherever its reader sits.
    let mut shell = Command::new("bash");
    let ran = shell
        .args(["-c", &script])
        .env("TZ", "WEST+24")
        .env("no_proxy", "*")
        .current_dir(directory)
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&ran.stdout); // an entry in Redis begins with bytes that are no text
    assert!(ran.status.success(), "{script}\n{printed}\n{}", String::from_utf8_lossy(&ran.stderr));
    printed.split(MARK).take(lines.len()).map(str::to_owned).collect()
}

#[test]
fn the_five_minutes_go_as_printed() {
    testkit::run_sync(LIMIT, || {
        let directory = tempfile::tempdir().unwrap();
        let readme = readme();
        let blocks = blocks(section(&readme, "Five minutes"));
        assert_eq!(blocks[0], "cargo run --release", "the first command serves");
        let serving = Serving::start(directory.path(), &[]);
        let requests: Vec<&str> =
            blocks.iter().filter(|block| block.contains("curl")).flat_map(|block| block.lines()).collect();
        assert!(requests.len() >= 6, "{requests:?}");
        let as_run: Vec<String> = requests
            .iter()
            .map(|line| {
                line.replace("127.0.0.1:8080", &serving.address)
                    .replace("curl -s", "curl --fail-with-body -s")
            })
            .collect();
        for (line, printed) in requests.iter().zip(run(directory.path(), &as_run)) {
            as_the_comment_says(line, &printed);
        }
        assert!(serving.terminate());
    });
}

fn as_the_comment_says(line: &str, printed: &str) {
    let printed = printed.to_lowercase();
    if let Some((_, expected)) = line.split_once("# X-Cache: ") {
        let expected = expected.split([' ', ':', ',']).next().unwrap();
        assert!(printed.contains(&format!("x-cache: {expected}\r\n")), "{line}\n{printed}");
    } else if line.starts_with("curl") {
        assert!(printed.trim_start().starts_with(['{', '[']), "{line}\n{printed}");
    }
}

#[test]
fn two_processes_grow_to_redis_as_printed() {
    testkit::run_within(LIMIT, async {
        let redis = RedisServer::start().await; // by deploy/redis.conf, as printed
        let directory = tempfile::tempdir().unwrap();
        let readme = readme();
        let blocks = blocks(section(&readme, "Grow to Redis"));
        let commands: Vec<&str> = blocks[0].lines().collect();
        let serve = "CRM_REDIS_URL=redis://127.0.0.1 cargo run --release";
        let second = format!("{serve} -- serve --listen 127.0.0.1:8081");
        assert_eq!(commands, ["redis-server deploy/redis.conf", serve, &second]);
        let start = || Serving::start(directory.path(), &["--redis-url", &redis.url()]);
        let (one, other) = (start(), start());
        let as_printed: Vec<&str> = blocks[1].lines().collect();
        let as_run: Vec<String> = as_printed
            .iter()
            .map(|line| {
                line.replace("127.0.0.1:8080", &one.address)
                    .replace("127.0.0.1:8081", &other.address)
                    .replace("curl -s", "curl --fail-with-body -s")
                    .replace("redis-cli", &format!("redis-cli -p {}", redis.port()))
            })
            .collect();
        for (line, printed) in as_printed.iter().zip(run(directory.path(), &as_run)) {
            as_the_comment_says(line, &printed);
            for (part, expected) in [
                ("--raw GET", "{\"owner\":\""),
                ("--raw GET", ",\"json\":{\""),
                ("--scan", "\ndashboard:"),
                ("health", "\"status\":\"connected\""),
            ] {
                assert!(!line.contains(part) || printed.contains(expected), "{line}\n{printed}");
            }
        }
        assert!(one.terminate() && other.terminate());
    });
}

#[test]
fn postgres_is_one_setting_as_printed() {
    testkit::run_within(LIMIT, async {
        let readme = readme();
        let blocks = blocks(section(&readme, "Grow to PostgreSQL"));
        let serve = "CRM_DATABASE_URL=postgres://localhost/crm cargo run --release";
        assert_eq!(blocks[0].lines().collect::<Vec<_>>(), ["createdb crm", serve]);
        let directory = tempfile::tempdir().unwrap();
        let url = testkit::postgres::shared().await.database().await; // empty, as `createdb` makes it
        assert!(Serving::start(directory.path(), &["--database-url", &url]).terminate());
    });
}

#[test]
fn the_sample_is_imported_and_served_as_printed() {
    testkit::run_sync(LIMIT, || {
        let directory = tempfile::tempdir().unwrap();
        let readme = readme();
        let blocks = blocks(section(&readme, "Five minutes"));
        let commands = blocks.iter().find(|block| block.contains("import sales")).unwrap();
        let samples = testkit::workspace_root().join("crates/crm/samples");
        let mut imports = 0;
        for line in commands.lines() {
            let line = line.replace("crates/crm/samples", samples.to_str().unwrap());
            let arguments: Vec<&str> =
                line.strip_prefix("cargo run --release -- ").unwrap().split(' ').collect();
            match arguments[0] {
                "import" => {
                    let imported = output(directory.path(), &arguments);
                    assert!(
                        imported.status.success(),
                        "{line}\n{}",
                        String::from_utf8_lossy(&imported.stderr)
                    );
                    imports += 1;
                }
                "serve" => assert!(Serving::start(directory.path(), &arguments[1..]).terminate()),
                other => panic!("unknown command {other}"),
            }
        }
        assert!(imports > 0);
    });
}

#[test]
fn every_command_and_setting_of_the_tables_exists() {
    testkit::run_sync(LIMIT, || {
        let directory = tempfile::tempdir().unwrap();
        let help = |arguments: &[&str]| {
            let said = crm(directory.path(), arguments).output().unwrap();
            String::from_utf8(said.stdout).unwrap()
        };
        let readme = readme();
        let first_cell = |row: &str| row.split('`').nth(1).unwrap_or_default().to_owned();
        let rows = |heading| {
            section(&readme, heading).lines().filter(|line| line.starts_with("| `")).collect::<Vec<_>>()
        };
        for row in rows("The commands of `crm`") {
            let cell = first_cell(row);
            let words: Vec<&str> = cell
                .split(' ')
                .skip(1)
                .take_while(|word| word.chars().all(|c| c.is_lowercase() || c == '-'))
                .collect();
            let said = help(&[&words[..], &["--help"]].concat());
            assert!(said.contains("Usage: crm"), "{cell}: {said}");
        }
        let serve = help(&["serve", "--help"]);
        let settings = rows("Settings");
        assert!(settings.len() >= 15, "{settings:?}");
        for row in settings {
            let (flag, variable) = (first_cell(row), row.split('`').nth(3).unwrap());
            assert!(
                serve.contains(&flag) && serve.contains(variable),
                "{flag} or {variable} is not in:\n{serve}"
            );
        }
    });
}
