//! Backups: what is in them, what is put back, and what a cache that has seen more must not show then.

use crate::ground;
use crate::process::{LIMIT, Serving, crm, output};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use testkit::postgres;
use testkit::redis::RedisServer;

/// The company of the caller, not older than this request.
async fn company(caller: &reqwest::Client, serving: &Serving) -> (Value, String) {
    let request = caller.get(format!("http://{}/api/companies", serving.address));
    let answer = request.header("cache-control", "no-cache").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let source = answer.headers()["x-cache"].to_str().unwrap().to_owned();
    (answer.json::<Value>().await.unwrap()["items"][0].clone(), source)
}

async fn name(serving: &Serving) -> String {
    company(serving.client().await, serving).await.0["name"].as_str().unwrap().to_owned()
}

async fn rename(serving: &Serving, name: &str) {
    let (company, _) = company(serving.client().await, serving).await;
    let url = format!("http://{}/api/companies/{}", serving.address, company["id"].as_str().unwrap());
    let answer = serving.client().await.patch(url).json(&json!({"name": name})).send().await.unwrap();
    assert!(answer.status().is_success());
}

#[track_caller]
fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn refused(output: &Output, words: &str) {
    let message = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains(words) && message.lines().count() == 1, "{words}: {message}");
}

/// What the words for PostgreSQL say, done: a program of it with the database's URL.
fn of_postgres(program: &str, arguments: &[&str]) {
    let run = Command::new(postgres::programs().unwrap().join(program)).args(arguments).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

/// Saves the database of a directory, as the help or the refusal says.
fn save(directory: &Path) {
    if ground::on_postgres() {
        let file = format!("--file={}", directory.join("saved").display());
        refused(&output(directory, &["backup", "saved"]), "pg_dump --format=custom");
        of_postgres("pg_dump", &["--format=custom", &file, &ground::url_of(directory)]);
    } else {
        let told = done(&output(directory, &["backup", "saved"]));
        assert!(told.contains("which is whole") && told.contains("companies"), "{told}");
    }
}

/// Puts it back, as the help or the refusal says. Answers what was printed.
fn put_back(directory: &Path) -> String {
    if !ground::on_postgres() {
        return done(&output(directory, &["restore", "saved", "--replace"]));
    }
    let url = ground::url_of(directory);
    refused(
        &output(directory, &["restore", "saved"]),
        "then run `crm restored`".replace("then", "Then").as_str(),
    );
    of_postgres("psql", &["--quiet", "-c", "DROP SCHEMA public CASCADE; CREATE SCHEMA public", &url]);
    let (to, from) = (format!("--dbname={url}"), directory.join("saved"));
    of_postgres("pg_restore", &["--exit-on-error", "--single-transaction", &to, from.to_str().unwrap()]);
    done(&output(directory, &["restored"]))
}

#[test]
fn what_is_put_back_is_what_was_saved_and_no_redis_is_believed_that_has_seen_more() {
    testkit::run_within(4 * LIMIT, async {
        let redis = RedisServer::start().await;
        let url = redis.url();
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let over_redis = || Serving::start(directory, &["--redis-url", &url]);

        let serving = over_redis();
        rename(&serving, "AAA Saved").await;
        save(directory);
        rename(&serving, "AAA Later").await;
        assert_eq!(name(&serving).await, "AAA Later");
        testkit::until("the later name in Redis", async || {
            company(serving.client().await, &serving).await.1.starts_with("hit")
        })
        .await;
        let session = serving.client().await.clone();
        assert!(serving.terminate());

        let told = put_back(directory);
        assert!(told.contains("All sessions and tokens are ended"), "{told}");
        // Until the record of changes is as long as the one that Redis has heard of: where it has come to lies within it.
        let past = Serving::start(directory, &[]);
        assert_eq!(name(&past).await, "AAA Saved");
        for change in 0..8 {
            let contact = json!({"name": format!("Number {change}"), "kind": "person"});
            let id = company(past.client().await, &past).await.0["id"].as_str().unwrap().to_owned();
            let url = format!("http://{}/api/companies/{id}/contacts", past.address);
            let answer = past.client().await.post(url).json(&contact).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::CREATED, "{}", answer.text().await.unwrap());
        }
        assert!(past.terminate());

        for serving in [over_redis(), over_redis()] {
            assert_eq!(name(&serving).await, "AAA Saved");
            let asked = session.get(format!("http://{}/api/me", serving.address)).send().await.unwrap();
            assert_eq!(asked.status(), StatusCode::UNAUTHORIZED, "a session of before");
        }
    });
}

#[test]
fn nothing_is_put_back_under_a_server_that_runs() {
    testkit::run_within(LIMIT, async {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let serving = Serving::start(directory, &[]);
        rename(&serving, "AAA Served").await;
        save(directory);
        refused(&output(directory, &["restored"]), "is in use: stop all servers");
        if !ground::on_postgres() {
            refused(&output(directory, &["restore", "saved", "--replace"]), "is in use: stop all servers");
        }
        let me = serving.client().await.get(format!("http://{}/api/me", serving.address)).send().await;
        assert_eq!(me.unwrap().status(), StatusCode::OK, "nobody was signed out");
        assert_eq!(name(&serving).await, "AAA Served");
    });
}

#[test]
fn a_backup_is_one_state_of_a_database_that_is_written() {
    if ground::on_postgres() {
        return; // whose own programs do it
    }
    testkit::run_within(2 * LIMIT, async {
        let directory = tempfile::tempdir().unwrap();
        let serving = Serving::start(directory.path(), &["--limit-per-user=0"]);
        rename(&serving, "Renamed 0").await;
        let (stop, mut stopped) = tokio::sync::oneshot::channel();
        let renaming = async {
            let mut number = 0;
            while stopped.try_recv().is_err() {
                number += 1;
                rename(&serving, &format!("Renamed {number}")).await;
            }
            number
        };
        let saving = async {
            let mut seen = Vec::new();
            for round in 0..5 {
                let before = number_of(&name(&serving).await);
                let file = directory.path().join(format!("saved-{round}"));
                let (path, argument) = (directory.path().to_owned(), file.display().to_string());
                let run = tokio::task::spawn_blocking(move || output(&path, &["backup", &argument]));
                done(&run.await.unwrap());
                assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
                seen.push((before, file, number_of(&name(&serving).await)));
            }
            stop.send(()).unwrap();
            seen
        };
        let (renamed, saved) = tokio::join!(renaming, saving);
        assert!(renamed > 20, "{renamed} changes meanwhile");
        assert!(serving.terminate());
        for (before, file, after) in saved {
            let elsewhere = tempfile::tempdir().unwrap();
            done(&output(elsewhere.path(), &["restore", file.to_str().unwrap()]));
            let saved = number_of(&name(&Serving::start(elsewhere.path(), &[])).await);
            assert!(before <= saved && saved <= after, "{before} <= {saved} <= {after}");
        }
        let left: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| !name.to_string_lossy().contains("unfinished")), "{left:?}");
    });
}

fn number_of(name: &str) -> u32 {
    name.strip_prefix("Renamed ").unwrap().parse().unwrap()
}

#[test]
fn what_cannot_be_a_backup_is_refused_and_the_database_stays_what_it_is() {
    if ground::on_postgres() {
        return;
    }
    testkit::run_within(LIMIT, async {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        done(&output(directory, &["migrate"]));
        done(&output(directory, &["backup", "saved"]));
        let saved = fs::read(directory.join("saved")).unwrap();
        let mut damaged = saved.clone();
        let half = damaged.len() / 2;
        damaged[half..].fill(0xA5);
        fs::write(directory.join("damaged"), damaged).unwrap();
        fs::write(directory.join("cut"), &saved[..half]).unwrap();
        fs::write(directory.join("text"), "a text of some length, and no database".repeat(50)).unwrap();
        fs::write(directory.join("empty"), "").unwrap();
        fs::create_dir(directory.join("folder")).unwrap();
        with_sql(&directory.join("foreign"), "CREATE TABLE deals (id TEXT)").await;
        fs::write(directory.join("newer"), &saved).unwrap();
        with_sql(&directory.join("newer"), "UPDATE _sqlx_migrations SET version = 9999 WHERE version = 8")
            .await;
        let before = fs::read(directory.join("crm.db")).unwrap();
        for (file, words) in [
            ("damaged", "damaged is damaged"),
            ("cut", "cut is damaged"),
            ("text", "it is no SQLite file"),
            ("empty", "its tables are made by another program"),
            ("foreign", "its tables are made by another program"),
            ("newer", "a newer `crm` has made the tables"),
            ("folder", "there is no file folder"),
            ("missing", "there is no file missing"),
        ] {
            refused(&output(directory, &["restore", file, "--replace"]), words);
        }
        refused(&output(directory, &["restore", "saved"]), "--replace puts the backup in its place");
        refused(&output(directory, &["backup", "saved"]), "is there already, and is not written over");
        refused(&output(directory, &["backup", "no/such/folder"]), "no/such cannot be used");
        refused(
            &output(directory, &["backup", "x", "--database-url", "sqlite:none.db"]),
            "there is no database none.db",
        );
        refused(&output(directory, &["backup", "x", "--database-url", "sqlite::memory:"]), "nothing to save");
        let secret = "postgres://crm:secret@127.0.0.1:1/crm";
        refused(
            &output(directory, &["backup", "x", "--database-url", secret]),
            "'postgres://crm@127.0.0.1:1/crm'",
        );
        assert_eq!(fs::read(directory.join("crm.db")).unwrap(), before);
        let kept: Vec<_> = fs::read_dir(directory).unwrap().map(|file| file.unwrap().file_name()).collect();
        let kept: Vec<_> =
            kept.iter().map(|name| name.to_string_lossy()).filter(|name| name.contains("replaced")).collect();
        assert!(kept.is_empty(), "{kept:?}");
    });
}

async fn with_sql(file: &Path, sql: &'static str) {
    use sqlx::{ConnectOptions, Connection};
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::query(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// A server whose database was saved, and changed after that.
async fn saved_and_changed(directory: &Path) -> Serving {
    let serving = Serving::start(directory, &[]);
    rename(&serving, "AAA Saved").await;
    save(directory);
    rename(&serving, "AAA Later").await;
    serving
}

#[test]
fn what_was_replaced_is_kept_and_can_be_put_back() {
    if ground::on_postgres() {
        return;
    }
    testkit::run_within(2 * LIMIT, async {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let serving = saved_and_changed(directory).await;
        // Killed, so that the last change lies in SQLite's log alone; and what a restore that died has left.
        drop(serving);
        assert!(fs::metadata(directory.join("crm.db-wal")).unwrap().len() > 0);
        fs::write(directory.join("crm.db.restoring"), "half a copy").unwrap();
        fs::write(directory.join("crm.db.restoring-journal"), "and its journal").unwrap();

        let told = done(&output(directory, &["restore", "saved", "--replace"]));
        assert!(told.contains("crm.db.replaced-1 now"), "{told}");
        let serving = Serving::start(directory, &[]);
        assert_eq!(name(&serving).await, "AAA Saved");
        assert!(serving.terminate());
        done(&output(directory, &["restore", "crm.db.replaced-1", "--replace"]));
        let serving = Serving::start(directory, &[]);
        assert_eq!(name(&serving).await, "AAA Later");
        assert!(serving.terminate());
        assert!(!directory.join("crm.db.restoring").exists() && directory.join("crm.db.replaced-2").exists());

        // Of one that was moved away, what it had not yet taken in is kept, and nobody else reads what was put back.
        fs::remove_file(directory.join("crm.db")).unwrap();
        fs::write(directory.join("crm.db-wal"), "its last commits").unwrap();
        done(&output(directory, &["restore", "saved"]));
        assert_eq!(fs::read_to_string(directory.join("crm.db.replaced-3-wal")).unwrap(), "its last commits");
        assert_eq!(fs::metadata(directory.join("crm.db")).unwrap().permissions().mode() & 0o777, 0o600);
    });
}

#[test]
fn a_restore_that_is_killed_leaves_the_one_database_or_the_other() {
    if ground::on_postgres() {
        return;
    }
    testkit::run_within(4 * LIMIT, async {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let serving = saved_and_changed(directory).await;
        assert!(serving.terminate());
        fs::copy(directory.join("crm.db"), directory.join("later")).unwrap();
        let mut later = 0;
        // At once, when its copy is begun, when the database has its second name, and when it has ended.
        let steps = [None, Some("crm.db.restoring"), Some("crm.db.replaced-1"), Some("")];
        for step in steps.into_iter().cycle().take(5 * steps.len()) {
            fs::copy(directory.join("later"), directory.join("crm.db")).unwrap();
            fs::remove_file(directory.join("crm.db.replaced-1")).ok(); // that of the round before
            let mut restoring = crm(directory, &["restore", "saved", "--replace"]).spawn().unwrap();
            if let Some(file) = step {
                let is_reached = || {
                    let has_ended = restoring.try_wait().unwrap().is_some();
                    let is_there = !file.is_empty() && directory.join(file).exists();
                    std::future::ready(has_ended || is_there)
                };
                testkit::until(&format!("the restore comes to {file:?}"), is_reached).await;
            }
            restoring.kill().ok(); // it may have ended already
            restoring.wait().unwrap();
            let serving = Serving::start(directory, &[]);
            let name = name(&serving).await;
            let is_whole = name == "AAA Saved" || name == "AAA Later" && step != Some("");
            assert!(is_whole, "{name}, killed at {step:?}");
            later += usize::from(name == "AAA Later");
            assert!(serving.terminate());
        }
        assert!(later > 0, "it was never killed before its end");
    });
}
