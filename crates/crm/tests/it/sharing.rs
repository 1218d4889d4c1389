//! Processes on one database: those with the same Redis share it, and nobody else comes between. No Redis runs here: what
//! it holds is the business of another file, and all of them serve without.

use crate::importing::sample;
use crate::process::{LIMIT, Serving, crm, output};
use crate::running::client;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;

/// Nobody listens there.
const REDIS: &str = "redis://larder:secret@127.0.0.1:1/2";

fn refused(directory: &Path, arguments: &[&str]) -> String {
    let output = output(directory, arguments);
    assert!(!output.status.success(), "{arguments:?}");
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(!message.contains("secret"), "{message}");
    message
}

fn serve<'a>(flags: &[&'a str]) -> Vec<&'a str> {
    [&["serve", "--listen=127.0.0.1:0"], flags].concat()
}

async fn companies(serving: &Serving) -> String {
    let response = client().get(format!("http://{}/api/companies", serving.address)).send().await.unwrap();
    assert!(response.status().is_success());
    response.text().await.unwrap()
}

#[test]
fn processes_with_one_redis_share_a_database_and_nobody_else_comes_between() {
    testkit::run_within(LIMIT, async {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let first = Serving::start(directory, &["--redis-url", REDIS]);
        let second = Serving::start(directory, &["--redis-url", "redis://127.0.0.1:1/2"]);
        assert_eq!(companies(&first).await, companies(&second).await);
        let sample = sample();
        for (arguments, words) in [
            (serve(&[]), "share the cache in Redis at 127.0.0.1:1/2 by crm "),
            (serve(&["--redis-url", REDIS, "--cache=off"]), "with the same CRM_REDIS_URL and its cache on"),
            (serve(&["--redis-url=redis://:secret@127.0.0.1:1/3"]), "one at 127.0.0.1:1/3"),
            (serve(&["--redis-url", REDIS, "--redis-namespace=crm"]), "at 127.0.0.1:1/2, namespace crm"),
            (vec!["migrate", "--redis-url", REDIS], "stop them first"),
            (vec!["import", "sales", sample.to_str().unwrap(), "--redis-url", REDIS], "stop them first"),
        ] {
            let message = refused(directory, &arguments);
            assert!(message.contains("`crm` processes have the database crm.db open"), "{message}");
            assert!(
                message.contains(words) && message.lines().last().unwrap().contains("CRM_REDIS_URL"),
                "{message}"
            );
        }
        assert!(first.terminate());
        assert!(refused(directory, &["migrate"]).contains("127.0.0.1:1/2"), "the second still has it");
        drop(second); // killed
        for flags in [&["--redis-url=redis://127.0.0.1:1/3"][..], &[], &["--cache=off"]] {
            assert!(Serving::start(directory, flags).terminate(), "{flags:?}");
        }
    });
}

#[test]
fn beside_a_process_that_has_the_database_alone_nobody_starts() {
    testkit::run_sync(LIMIT, || {
        let directory = tempfile::tempdir().unwrap();
        for alone in [&["--cache=on"][..], &["--cache=off", "--redis-url", REDIS]] {
            let serving = Serving::start(directory.path(), alone);
            let message = refused(directory.path(), &serve(&["--redis-url", REDIS]));
            assert!(message.contains("another `crm` process has the database crm.db open"), "{message}");
            assert!(message.contains("start both with the same CRM_REDIS_URL"), "{message}");
            assert!(serving.terminate());
        }
    });
}

#[test]
fn processes_that_start_at_once_fill_an_empty_database_once() {
    testkit::run_within(LIMIT, async {
        let directory = tempfile::tempdir().unwrap();
        let servers: Vec<Serving> = std::thread::scope(|scope| {
            let start = || Serving::start(directory.path(), &["--redis-url", REDIS]);
            let starting: Vec<_> = (0..4).map(|_| scope.spawn(start)).collect();
            starting.into_iter().map(|server| server.join().unwrap()).collect()
        });
        for server in &servers {
            let shown: serde_json::Value = serde_json::from_str(&companies(server).await).unwrap();
            assert_eq!(shown["total"], 3, "{shown}");
        }
    });
}

#[test]
fn a_server_says_where_its_cache_is_and_never_the_password() {
    testkit::run_sync(LIMIT, || {
        let directory = tempfile::tempdir().unwrap();
        for (flags, words) in [
            (
                &["--redis-url", REDIS, "--redis-namespace=crm"][..],
                "in Redis at 127.0.0.1:1/2, namespace crm.",
            ),
            (&["--cache=off", "--redis-url", REDIS], "The cache is off."),
            (&[], "The cache is in this process."),
        ] {
            let mut command = crm(directory.path(), &serve(flags));
            let command = command.env("CRM_LOG", "trace").stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            let mut said = Vec::new();
            let mut out = child.stdout.take().unwrap();
            // Its last words before it is told to stop; with its log unread it would stop by itself at some time.
            let log = std::thread::scope(|scope| {
                let mut err = child.stderr.take().unwrap();
                let log = scope.spawn(move || {
                    let mut log = String::new();
                    err.read_to_string(&mut log).unwrap();
                    log
                });
                while !said.ends_with(b"Ctrl-C.\n") {
                    let mut byte = [0];
                    out.read_exact(&mut byte).unwrap();
                    said.push(byte[0]);
                }
                child.kill().unwrap();
                child.wait().unwrap();
                log.join().unwrap()
            });
            let said = String::from_utf8(said).unwrap();
            assert!(said.contains(words), "{said}");
            assert!(!said.contains("secret") && !log.contains("secret"), "{said}\n{log}");
            assert_eq!(
                log.contains("the cache is off: redis_url is not used"),
                flags.contains(&"--cache=off")
            );
        }
        let shown = output(directory.path(), &["check-config", "--redis-url", REDIS]);
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert!(shown.contains("redis_url = \"redis://larder:***@127.0.0.1:1/2\"\n"), "{shown}");
        let mut help = crm(directory.path(), &["serve", "--help"]);
        let help = String::from_utf8(help.env("CRM_REDIS_URL", REDIS).output().unwrap().stdout).unwrap();
        assert!(help.contains("CRM_REDIS_URL") && !help.contains("secret"), "{help}");
    });
}

#[test]
fn settings_of_redis_that_cannot_be_are_refused_before_anything_is_opened() {
    testkit::run_sync(LIMIT, || {
        let directory = tempfile::tempdir().unwrap();
        for (flags, words) in [
            (&["--redis-url=redis://:secret@h:port"][..], "write it as redis://"),
            (&["--redis-url=redis://:secret@h", "--redis-ca-file=ca.pem"], "begin it with `rediss://`"),
            (&["--redis-url=rediss://:secret@h", "--redis-client-cert-file=c.pem"], "name both files"),
            (&["--redis-url", REDIS, "--database-url=sqlite::memory:"], "name a file"),
            (&["--redis-url", REDIS, "--redis-timeout-ms=0"], "from 1 to 650"),
        ] {
            let message = refused(directory.path(), &serve(flags));
            assert!(message.contains(words) && message.lines().count() == 1, "{message}");
        }
        let missing = ["--redis-url=rediss://:secret@h", "--redis-ca-file=missing.pem"];
        for arguments in [[&["check-config"], &missing[..]].concat(), serve(&missing)] {
            let message = refused(directory.path(), &arguments);
            assert!(message.contains("redis_ca_file: missing.pem cannot be read"), "{message}");
        }
        assert!(!directory.path().join("crm.db").exists());
    });
}
