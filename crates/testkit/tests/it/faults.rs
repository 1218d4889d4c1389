//! Each named fault does to a bare connection what it says, and the server works afterwards.

use std::time::Duration;

use testkit::faults::{Fault, Faulty, SLOW};
use testkit::redis::{Connection, Reply};
use testkit::{run, until};
use tokio::time::{Instant, timeout};

/// How long silence has to last to count as such: 100 ms. An answer that comes takes well under one.
const SILENCE: Duration = Duration::from_millis(100);

/// What a server holds before a fault begins, and what was changed since it was to remember.
async fn prepared() -> (Faulty, Connection) {
    let faulty = Faulty::start().await;
    let mut client = connect(&faulty).await.expect("a server that has no fault accepts");
    assert!(ask(&mut client, &["MSET", "deal:42", "engaging", "deal:43", "new"]).await.is_ok());
    faulty.remember().await;
    assert!(ask(&mut client, &["SET", "deal:42", "won"]).await.is_ok());
    assert_eq!(ask(&mut client, &["DEL", "deal:43"]).await.int(), 1);
    (faulty, client)
}

/// What a new client finds: the answers to `GET deal:42` and `GET deal:43`.
async fn found(faulty: &Faulty) -> std::io::Result<[Reply; 2]> {
    let mut client = connect(faulty).await?;
    Ok([client.command(&["GET", "deal:42"]).await?, client.command(&["GET", "deal:43"]).await?])
}

/// A connection through the proxy.
async fn connect(faulty: &Faulty) -> std::io::Result<Connection> {
    Connection::to(faulty.proxy().address()).await
}

/// The answer to a command that must be answered.
async fn ask(client: &mut Connection, words: &[&str]) -> Reply {
    client.command(words).await.expect("a server that can be reached answers")
}

fn bulk(text: &str) -> Reply {
    Reply::Bulk(text.into())
}

/// Asserts that a new client can read and write, as fast as ever, and that what it writes stays.
async fn assert_works(faulty: &Faulty, fault: Fault) {
    // A machine that does other things may be slow once; a server that is slow is so each time.
    until("it answers fast", async || {
        let mut client = connect(faulty).await.expect("a healed server accepts");
        let began = Instant::now();
        assert!(ask(&mut client, &["SET", "deal:44", "new"]).await.is_ok(), "{fault}");
        assert_eq!(ask(&mut client, &["GET", "deal:44"]).await, bulk("new"), "{fault}");
        began.elapsed() < SLOW
    })
    .await;
}

/// Asserts what the fault does to a client that was there, and to one that comes.
async fn assert_faulty(faulty: &Faulty, fault: Fault, client: &mut Connection) {
    match fault {
        Fault::Killed => {
            assert!(!faulty.server().is_running());
            assert!(client.command(&["PING"]).await.is_err(), "an old connection lives");
            assert!(connect(faulty).await.is_err(), "a dead server accepts");
        }
        Fault::Refusing => {
            assert!(client.command(&["PING"]).await.is_err(), "an old connection lives");
            assert!(connect(faulty).await.is_err(), "a refusing server accepts");
        }
        Fault::Paused => {
            client.send(&["PING"]).await.expect("the system takes it");
            let heard = timeout(SILENCE, client.receive()).await;
            assert!(heard.is_err(), "a paused server said {heard:?}");
            connect(faulty).await.expect("the system accepts for a paused server");
        }
        Fault::Full => {
            assert!(ask(client, &["SET", "deal:44", "new"]).await.is_error("OOM"));
            assert_eq!(ask(client, &["GET", "deal:42"]).await, bulk("won"));
        }
        Fault::DiskFull => {
            assert!(ask(client, &["SET", "deal:44", "new"]).await.is_error("MISCONF"));
            assert!(ask(client, &["UNLINK", "deal:42"]).await.is_error("MISCONF"), "a removal is a write");
            assert_eq!(ask(client, &["GET", "deal:42"]).await, bulk("won"));
        }
        Fault::Evicting => {
            until("the eviction of a key that is read all the time", async || {
                faulty.server().command(&["GET", "deal:42"]).await.is_nil()
            })
            .await;
            assert!(ask(client, &["SET", "deal:42", "won"]).await.is_ok(), "it takes writes");
            until("its eviction once more", async || {
                faulty.server().command(&["GET", "deal:42"]).await.is_nil()
            })
            .await;
        }
        Fault::Garbage => {
            let error = client.command(&["PING"]).await.expect_err("it answers garbage");
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
            let error = connect(faulty)
                .await
                .expect("it accepts")
                .command(&["PING"])
                .await
                .expect_err("it answers garbage");
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
        }
        Fault::Flushed => assert_eq!(found(faulty).await.expect("it is back"), [Reply::Nil, Reply::Nil]),
        Fault::RestartedEmpty | Fault::RestartedWithAof | Fault::RestartedWithOldRdb => {
            assert!(client.command(&["PING"]).await.is_err(), "an old connection lives");
            let expected = match fault {
                Fault::RestartedEmpty => [Reply::Nil, Reply::Nil],
                Fault::RestartedWithAof => [bulk("won"), Reply::Nil],
                _ => [bulk("engaging"), bulk("new")],
            };
            assert_eq!(found(faulty).await.expect("it is back"), expected, "{fault}");
        }
        Fault::Slow => {
            let began = Instant::now();
            assert_eq!(ask(client, &["PING"]).await.text(), "PONG");
            assert!(began.elapsed() >= SLOW, "it took {:?}", began.elapsed());
        }
    }
}

#[test]
fn every_fault_does_what_it_says_and_heals() {
    run(async {
        for fault in Fault::ALL {
            let (faulty, mut client) = prepared().await;
            assert_works(&faulty, fault).await;
            fault.begin(&faulty).await;
            assert_faulty(&faulty, fault, &mut client).await;
            fault.end(&faulty).await;
            assert_works(&faulty, fault).await;
        }
    });
}

#[test]
fn what_a_killed_server_acknowledged_is_there_when_it_is_back() {
    run(async {
        let (faulty, _client) = prepared().await;
        Fault::Killed.begin(&faulty).await;
        Fault::Killed.end(&faulty).await;
        assert_eq!(found(&faulty).await.unwrap(), [bulk("won"), Reply::Nil]);
    });
}

#[test]
fn a_paused_server_answers_in_the_end_what_it_was_asked() {
    run(async {
        let (faulty, mut client) = prepared().await;
        Fault::Paused.begin(&faulty).await;
        client.send(&["GET", "deal:42"]).await.unwrap();
        Fault::Paused.end(&faulty).await;
        assert_eq!(client.receive().await.unwrap(), bulk("won"));
    });
}

#[test]
fn settings_and_keys_are_in_the_end_what_they_were() {
    run(async {
        for fault in [Fault::Full, Fault::Evicting] {
            let (faulty, _client) = prepared().await;
            let limits = async || faulty.server().command(&["CONFIG", "GET", "maxmemory*"]).await;
            let before = limits().await;
            fault.begin(&faulty).await;
            assert_ne!(limits().await, before, "{fault}");
            fault.end(&faulty).await;
            assert_eq!(limits().await, before, "{fault}");
            let left = faulty.server().command(&["KEYS", "testkit:*"]).await;
            assert!(left.array().is_empty(), "{fault} leaves {left:?}");
        }
    });
}

#[test]
fn an_end_without_a_beginning_changes_nothing() {
    run(async {
        let (faulty, mut client) = prepared().await;
        for fault in Fault::ALL {
            fault.end(&faulty).await;
            assert_eq!(ask(&mut client, &["GET", "deal:42"]).await, bulk("won"), "{fault}");
        }
    });
}

#[test]
#[should_panic(expected = "`remember()` was called before")]
fn a_server_that_remembers_nothing_cannot_go_back() {
    run(async { Fault::RestartedWithOldRdb.begin(&Faulty::start().await).await });
}

#[test]
fn each_fault_has_a_name_of_its_own() {
    let names: std::collections::BTreeSet<&str> = Fault::ALL.iter().map(|fault| fault.name()).collect();
    assert_eq!(names.len(), Fault::ALL.len());
    assert!(names.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-')), "{names:?}");
}
