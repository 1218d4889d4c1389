//! Processes on one database: each hears of what the others write, whatever its cache is.

use crate::process::{LIMIT, Serving, crm, output};
use crate::running::client;
use crm::access;
use crm::config::DatabaseUrl;
use crm::database::Database;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use testkit::redis::RedisServer;

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
    let response =
        serving.client().await.get(format!("http://{}/api/companies", serving.address)).send().await.unwrap();
    assert!(response.status().is_success());
    response.text().await.unwrap()
}

/// The name of the first company, in one of the processes.
async fn rename(serving: &Serving, name: &str) {
    let listed: serde_json::Value = serde_json::from_str(&companies(serving).await).unwrap();
    let url =
        format!("http://{}/api/companies/{}", serving.address, listed["items"][0]["id"].as_str().unwrap());
    let answer =
        serving.client().await.patch(url).json(&serde_json::json!({"name": name})).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

#[test]
fn processes_share_a_database_with_one_redis_with_several_and_without() {
    testkit::run_within(LIMIT, async {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let (redis, other) = (RedisServer::start().await, RedisServer::start().await);
        let flags: [&[&str]; 6] = [
            &[],
            &["--cache=off"],
            &["--redis-url", &redis.url()],
            &["--redis-url", &redis.url()],
            &["--redis-url", &other.url(), "--redis-namespace=crm"],
            &["--redis-url", REDIS],
        ];
        let servers: Vec<Serving> = flags.iter().map(|flags| Serving::start(directory, flags)).collect();
        for (index, writer) in servers.iter().enumerate() {
            for server in &servers {
                companies(server).await;
            }
            let name = format!("AAA {index}");
            rename(writer, &name).await;
            assert!(companies(writer).await.contains(&name), "{:?} read its own write", flags[index]);
            for (server, flags) in servers.iter().zip(flags) {
                testkit::until(&format!("{name} at {flags:?}"), async || {
                    companies(server).await.contains(&name)
                })
                .await;
            }
        }
    });
}

#[test]
fn processes_that_start_at_once_fill_an_empty_database_once() {
    testkit::run_within(LIMIT, async {
        let directory = tempfile::tempdir().unwrap();
        let servers: Vec<Serving> = std::thread::scope(|scope| {
            let start = || Serving::start(directory.path(), &[]);
            crate::ground::url_of(directory.path()); // once, before several ask at the same time
            let starting: Vec<_> = (0..4).map(|_| scope.spawn(start)).collect();
            starting.into_iter().map(|server| server.join().unwrap()).collect()
        });
        let settings = DatabaseUrl::parse(&crate::ground::url_of(directory.path())).unwrap();
        let token =
            access::operator_token(&Database::open(&settings).await.unwrap(), access::ERRAND).await.unwrap();
        for server in &servers {
            let url = format!("http://{}/api/companies", server.address);
            let shown = client().get(url).bearer_auth(token.expose()).send().await.unwrap();
            let shown: serde_json::Value = shown.json().await.unwrap();
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
