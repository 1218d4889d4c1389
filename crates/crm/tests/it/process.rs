//! The real command as a process of its own: the lock, the refusals, the signal to stop.

use crate::ground;
use crate::importing::Desk;
use crate::running::client;
use crm::demo;
use reqwest::header;
use serde_json::json;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use tokio::sync::OnceCell;

/// A process that starts and stops takes well under a second; a machine that is busy with builds may take longer.
pub(crate) const LIMIT: Duration = Duration::from_secs(180);

pub(crate) fn crm(directory: &std::path::Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crm"));
    command.current_dir(directory).args(arguments).env_clear().stdin(Stdio::null());
    if ground::on_postgres() {
        command.env("CRM_DATABASE_URL", ground::url_of(directory));
    }
    command
}

pub(crate) fn output(directory: &std::path::Path, arguments: &[&str]) -> Output {
    crm(directory, arguments).output().unwrap()
}

fn refused(output: &Output) -> String {
    assert!(!output.status.success());
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A client that has signed in, and is known by its cookie from then on.
pub(crate) async fn signed_in(address: &str, email: &str, password: &str) -> reqwest::Client {
    let login = json!({"email": email, "password": password});
    let answer = client().post(format!("http://{address}/api/auth/login")).json(&login).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    let headers = header::HeaderMap::from_iter([(header::COOKIE, cookie.parse().unwrap())]);
    reqwest::Client::builder().no_proxy().default_headers(headers).build().unwrap()
}

/// A serving process; killed when dropped.
pub(crate) struct Serving {
    child: Child,
    pub(crate) address: String,
    client: OnceCell<reqwest::Client>,
}

impl Serving {
    pub(crate) fn start(directory: &std::path::Path, arguments: &[&str]) -> Self {
        Self::start_logging(directory, arguments, Stdio::inherit())
    }

    pub(crate) fn start_logging(directory: &std::path::Path, arguments: &[&str], log: Stdio) -> Self {
        let mut command = crm(directory, &["serve", "--listen", "127.0.0.1:0"]);
        let mut child = command.args(arguments).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.split("http://").nth(1).unwrap().split(' ').next().unwrap().to_owned();
        Self { child, address, client: OnceCell::new() }
    }

    /// A client that has signed in as the first admin of the demo.
    pub(crate) async fn client(&self) -> &reqwest::Client {
        self.client.get_or_init(async || signed_in(&self.address, demo::ADMIN, demo::PASSWORD).await).await
    }

    pub(crate) fn terminate(mut self) -> bool {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap().success()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.child.kill().ok(); // it may have ended already
        self.child.wait().ok();
    }
}

#[test]
fn a_database_that_cannot_be_opened_is_named_with_what_to_do() {
    testkit::run_sync(LIMIT, || {
        let desk = Desk::new();
        assert!(desk.crm().arg("migrate").status().unwrap().success());
        desk.execute("UPDATE _sqlx_migrations SET version = 9999 WHERE version = 8");
        let directory = desk.directory().to_owned();
        let newer = String::from_utf8(desk.crm().arg("migrate").output().unwrap().stderr).unwrap();
        assert!(newer.contains("A newer `crm` has made its tables"), "{newer}");
        std::fs::write(directory.join("no.db"), "a text of some length, and no database".repeat(50)).unwrap();
        std::fs::create_dir(directory.join("folder.db")).unwrap();
        for (file, words) in [
            ("sqlite:no.db", "file is not a database. Name another file"),
            ("sqlite:folder.db", "unable to open database file. It must be a file"),
            ("postgres://crm:secret@127.0.0.1:1/crm", "Is it running there"),
        ] {
            let message = refused(&output(&directory, &["--database-url", file]));
            let shown = file.replace(":secret", "");
            assert!(
                message.starts_with(&format!("crm: the database {shown} cannot be opened: ")),
                "{message}"
            );
            assert!(message.contains(words) && message.lines().count() == 1, "{message}");
            assert!(!message.contains("secret"), "{message}");
        }
    });
}

#[test]
fn a_killed_process_leaves_nothing_that_is_in_the_way() {
    testkit::run_sync(LIMIT, || {
        let directory = tempfile::tempdir().unwrap();
        drop(Serving::start(directory.path(), &["--no-demo"]));
        assert!(Serving::start(directory.path(), &["--no-demo"]).terminate());
    });
}

#[test]
fn who_has_the_database_in_hand_is_the_operator() {
    testkit::run_within(LIMIT, async {
        let desk = Desk::new();
        let serving = Serving::start(desk.directory(), &[]);
        let made = desk.crm().args(["operator-token", "--minutes=1"]).output().unwrap();
        let token = String::from_utf8(made.stdout).unwrap();
        let products = format!("http://{}/api/products", serving.address);
        let read = async || -> serde_json::Value {
            client().get(&products).bearer_auth(token.trim_end()).send().await.unwrap().json().await.unwrap()
        };
        let id = read().await[0]["id"].as_str().unwrap().to_owned();
        let changed = client().patch(format!("{products}/{id}")).bearer_auth(token.trim_end());
        let changed = changed.json(&json!({"list_price_cents": 4711})).send().await.unwrap();
        assert!(changed.status().is_success(), "{}", changed.text().await.unwrap());
        assert_eq!(read().await[0]["list_price_cents"], 4711);
        assert!(serving.terminate());
        for minutes in ["0", "1441", "soon"] {
            let refused =
                refused(&desk.crm().args(["operator-token", "--minutes", minutes]).output().unwrap());
            assert!(refused.contains("--minutes <COUNT>"), "{refused}");
        }
    });
}

/// Memory that goes up by megabytes when the system gets to it looks like a leak.
#[cfg(target_os = "linux")]
#[test]
fn pages_of_memory_are_small() {
    testkit::run_sync(LIMIT, || {
        let desk = Desk::new();
        let serving = Serving::start(desk.directory(), &[]);
        let status = std::fs::read_to_string(format!("/proc/{}/status", serving.child.id())).unwrap();
        let says = status.lines().find_map(|line| line.strip_prefix("THP_enabled:"));
        assert_eq!(says.map_or("0", str::trim), "0", "a system that does not say has none");
    });
}

#[test]
fn the_password_of_the_manual_is_served_to_this_machine_only() {
    testkit::run_sync(LIMIT, || {
        let directory = tempfile::tempdir().unwrap();
        assert!(Serving::start(directory.path(), &[]).terminate());
        for address in ["0.0.0.0:0", "[::]:0"] {
            let message = refused(&output(directory.path(), &["serve", "--listen", address]));
            assert!(message.contains("crm user password") && message.contains(address), "{message}");
        }
        // Behind a proxy it is as open as by itself.
        let proxied = ["serve", "--listen=127.0.0.1:0", "--public-url=https://crm.example.com"];
        assert!(refused(&output(directory.path(), &proxied)).contains("crm user password"));
    });
}

#[test]
fn a_setting_that_does_not_exist_is_refused_and_those_that_hold_are_shown() {
    testkit::run_sync(LIMIT, || {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("crm.toml"), "listn = \"127.0.0.1:1\"\n").unwrap();
        let message = refused(&output(directory.path(), &["check-config"]));
        assert!(message.contains("crm.toml") && message.contains("listn"), "{message}");
        std::fs::write(directory.path().join("crm.toml"), "listen = \"127.0.0.1:1\"\n").unwrap();
        let mut command = crm(directory.path(), &["check-config", "--cache", "off"]);
        let shown = command.env("CRM_LISTEN", "127.0.0.1:2").env("CRM_LISTN", "a secret").output().unwrap();
        let (shown, log) =
            (String::from_utf8(shown.stdout).unwrap(), String::from_utf8(shown.stderr).unwrap());
        assert!(shown.contains("listen = \"127.0.0.1:2\"\npublic_url = \"\"\n"), "{shown}");
        assert!(shown.contains("\ncache = \"off\"\n"), "{shown}");
        assert!(log.contains("CRM_LISTN") && !log.contains("CRM_LISTEN") && !log.contains("secret"), "{log}");
    });
}

#[test]
fn the_command_warms_a_running_server() {
    testkit::run_sync(LIMIT, || {
        let directory = tempfile::tempdir().unwrap();
        let serving = Serving::start(directory.path(), &["--warm"]);
        // A proxy for the world outside is not asked for what is on this machine.
        let mut warm = crm(directory.path(), &["warm", "--listen", &serving.address]);
        let warmed = warm.env("http_proxy", "http://127.0.0.1:1").output().unwrap();
        let text = String::from_utf8(warmed.stdout).unwrap();
        assert!(text.starts_with("warmed 3 companies in "), "{text}");
        assert!(text.contains("0 entries loaded, 6 were there already"), "{text}");
        let address = serving.address.clone();
        assert!(serving.terminate());
        let message = refused(&output(directory.path(), &["warm", "--listen", &address]));
        assert!(message.contains("start `crm serve` first"), "{message}");
    });
}

#[test]
fn a_cache_that_is_off_is_not_said_to_be_warm() {
    testkit::run_sync(LIMIT, || {
        let directory = tempfile::tempdir().unwrap();
        let mut command = crm(directory.path(), &["serve", "--listen=127.0.0.1:0", "--warm", "--cache=off"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut String::new()).unwrap();
        child.kill().unwrap();
        let log = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
        assert!(log.contains("the cache is off") && !log.contains("the cache is warm"), "{log}");
    });
}

#[test]
fn the_address_that_is_taken_is_named() {
    testkit::run_sync(LIMIT, || {
        let directory = tempfile::tempdir().unwrap();
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let message = refused(&output(directory.path(), &["serve", "--listen", &address]));
        assert!(message.contains(&address) && message.contains("--listen"), "{message}");
    });
}

#[test]
fn a_request_under_way_is_answered_after_the_signal_to_stop() {
    testkit::run_sync(LIMIT, || {
        use std::io::Write;
        let directory = tempfile::tempdir().unwrap();
        let serving = Serving::start(directory.path(), &[]);
        let mut client = std::net::TcpStream::connect(&serving.address).unwrap();
        // The head says that a body of two bytes follows; the server has the request and waits for them.
        let head = "POST /api/auth/login HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                    expect: 100-continue\r\ncontent-length: 2\r\n\r\n";
        client.write_all(head.as_bytes()).unwrap();
        let mut continued = [0; 25];
        client.read_exact(&mut continued).unwrap();
        assert_eq!(&continued[..12], b"HTTP/1.1 100");
        let pid = serving.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        // Draining has begun when nobody can connect any more.
        while std::net::TcpStream::connect(&serving.address).is_ok() {
            std::thread::yield_now();
        }
        client.write_all(b"{}").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 422"), "{answer}");
    });
}
