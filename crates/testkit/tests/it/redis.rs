//! A real server: started, killed, paused, brought back, filled, counted.

use std::path::{Path, PathBuf};
use std::time::Duration;

use testkit::redis::{Connection, RedisServer, Reply, shared};
use testkit::{run, until};

#[test]
fn a_server_answers_on_its_address() {
    run(async {
        let redis = RedisServer::start().await;
        assert_eq!(redis.url(), format!("redis://127.0.0.1:{}/", redis.port()));
        let mut client = Connection::to(redis.address()).await.unwrap();
        assert!(client.command(&["SET", "deal:42", "won"]).await.unwrap().is_ok());
        assert_eq!(redis.command(&["GET", "deal:42"]).await, Reply::Bulk(b"won".to_vec()));
        assert!(redis.command(&["GET", "deal:43"]).await.is_nil());
        assert!(redis.command(&["GET"]).await.is_error("ERR"));
        assert_eq!(redis.cli(&["GET", "deal:42"]).await, "won\n");
        assert_eq!(
            redis.command(&["CONFIG", "GET", "dir"]).await.array()[1].text(),
            redis.dir().to_str().unwrap()
        );
        assert!(redis.log().contains("Ready to accept connections"), "{}", redis.log());
    });
}

#[test]
fn a_server_has_the_deployed_settings_and_those_of_the_test_over_them() {
    run(async {
        let redis = RedisServer::builder()
            .set("maxmemory", "64mb")
            .set("client-output-buffer-limit", "pubsub 1mb 1mb 1")
            .start()
            .await;
        let value = async |directive| redis.command(&["CONFIG", "GET", directive]).await.array()[1].text();
        assert_eq!(value("maxmemory").await, (64 * 1024 * 1024).to_string());
        assert_eq!(value("maxmemory-policy").await, "allkeys-lru");
        assert!(value("client-output-buffer-limit").await.ends_with("pubsub 1048576 1048576 1"));
        assert_eq!((value("save").await, value("appendonly").await), (String::new(), "no".to_owned()));
        assert_eq!(value("appendfsync").await, "always");
        redis.set_config("maxmemory", "32mb").await;
        assert_eq!(value("maxmemory").await, (32 * 1024 * 1024).to_string());
    });
}

#[test]
fn a_server_with_a_password_wants_it_from_others() {
    run(async {
        let redis = RedisServer::builder().set("requirepass", "sesame").start().await;
        assert_eq!(redis.url(), format!("redis://default:sesame@127.0.0.1:{}/", redis.port()));
        let mut client = Connection::to(redis.address()).await.unwrap();
        assert!(client.command(&["PING"]).await.unwrap().is_error("NOAUTH"));
        assert!(client.command(&["AUTH", "default", "sesame"]).await.unwrap().is_ok());
        assert_eq!(redis.command(&["PING"]).await.text(), "PONG");
        assert_eq!(redis.cli(&["PING"]).await, "PONG\n");
        assert!(!format!("{redis:?}").contains("sesame"));
    });
}

#[test]
fn servers_at_the_same_time_have_ports_and_data_of_their_own() {
    run(async {
        let (one, other) = tokio::join!(RedisServer::start(), RedisServer::start());
        assert_ne!(one.port(), other.port());
        assert!(one.command(&["SET", "key", "value"]).await.is_ok());
        assert!(other.command(&["GET", "key"]).await.is_nil());
    });
}

#[test]
#[should_panic(expected = "Bad directive or wrong number of arguments")]
fn a_server_that_does_not_start_says_why() {
    run(async { drop(RedisServer::builder().set("no-such-directive", "1").start().await) });
}

#[test]
fn the_shared_server_is_one() {
    let port = run(async { shared().await.port() });
    let again = run(async {
        assert_eq!(shared().await.command(&["PING"]).await, Reply::Status("PONG".to_owned()));
        shared().await.port()
    });
    assert_eq!(port, again);
}

#[test]
fn a_killed_server_is_gone_and_comes_back_with_its_log_of_writes() {
    run(async {
        let redis = RedisServer::builder().aof().start().await;
        let (address, pid) = (redis.address(), redis.pid());
        redis.command(&["SET", "deal:42", "won"]).await;
        let mut client = Connection::to(address).await.unwrap();
        redis.kill().await;
        assert!(!redis.is_running());
        assert!(client.command(&["PING"]).await.is_err(), "an old connection still works");
        assert!(Connection::to(address).await.is_err(), "somebody still listens");
        redis.restart_with_data().await;
        assert_eq!(redis.command(&["GET", "deal:42"]).await.text(), "won");
        assert_eq!(redis.address(), address);
        assert_ne!(redis.pid(), pid);
        // It runs: it is stopped first.
        redis.restart_with_data().await;
        assert_eq!(redis.command(&["GET", "deal:42"]).await.text(), "won");
        redis.restart_empty().await;
        assert_eq!(redis.command(&["DBSIZE"]).await.int(), 0);
    });
}

#[test]
fn a_stopped_server_saves_what_it_was_told_to_save() {
    run(async {
        let redis = RedisServer::builder().set("save", "3600 1").start().await;
        redis.command(&["SET", "deal:42", "won"]).await;
        redis.pause().await;
        redis.stop().await;
        assert!(redis.log().contains("bye bye"), "{}", redis.log());
        redis.restart_with_data().await;
        assert_eq!(redis.command(&["GET", "deal:42"]).await.text(), "won");
    });
}

#[test]
#[should_panic(expected = "nothing to start with")]
fn a_server_without_anything_on_its_disk_cannot_come_back_with_it() {
    run(async { RedisServer::start().await.restart_with_data().await });
}

#[test]
fn a_snapshot_brings_back_an_earlier_moment() {
    run(async {
        for builder in [RedisServer::builder(), RedisServer::builder().aof()] {
            let redis = builder.start().await;
            redis.command(&["SET", "deal:42", "engaging"]).await;
            let snapshot = redis.snapshot().await;
            redis.command(&["SET", "deal:42", "won"]).await;
            redis.command(&["SET", "deal:43", "new"]).await;
            redis.restart_with_snapshot(&snapshot).await;
            assert_eq!(redis.command(&["GET", "deal:42"]).await.text(), "engaging");
            assert_eq!(redis.command(&["DBSIZE"]).await.int(), 1);
            // It goes on from there.
            redis.command(&["SET", "deal:42", "lost"]).await;
            redis.snapshot().await;
            redis.restart_with_data().await;
            assert_eq!(redis.command(&["GET", "deal:42"]).await.text(), "lost");
        }
    });
}

#[test]
fn a_paused_server_answers_nothing_until_it_goes_on() {
    run(async {
        let redis = RedisServer::start().await;
        let mut client = Connection::to(redis.address()).await.unwrap();
        client.command(&["PING"]).await.unwrap();
        redis.pause().await;
        assert!(redis.is_running());
        client.send(&["PING"]).await.unwrap();
        // The system accepts for it. An answer would come in well under a millisecond.
        let mut later = Connection::to(redis.address()).await.unwrap();
        let answer = tokio::time::timeout(Duration::from_millis(100), client.receive()).await;
        assert!(answer.is_err(), "a paused server answered {answer:?}");
        redis.resume().await;
        assert_eq!(client.receive().await.unwrap().text(), "PONG");
        assert_eq!(later.command(&["PING"]).await.unwrap().text(), "PONG");
    });
}

#[test]
fn a_full_server_refuses_writes_and_answers_reads_until_it_is_freed() {
    run(async {
        let redis = RedisServer::start().await;
        redis.command(&["SET", "deal:42", "won"]).await;
        let before = redis.command(&["CONFIG", "GET", "maxmemory*"]).await;
        redis.fill_memory().await;
        let mut clients = Vec::new();
        for n in 0..50 {
            let mut client = Connection::to(redis.address()).await.unwrap();
            let reply = client.command(&["SET", &format!("key:{n}"), "x"]).await.unwrap();
            assert!(reply.is_error("OOM"), "write {n}: {reply:?}");
            clients.push(client);
        }
        drop(clients); // what their buffers took is free again, and still nothing fits
        assert!(redis.command(&["SET", "key", "x"]).await.is_error("OOM"));
        assert_eq!(redis.command(&["GET", "deal:42"]).await.text(), "won");
        assert_eq!(redis.command(&["UNLINK", "deal:42"]).await.int(), 1);
        redis.free_memory().await;
        assert!(redis.command(&["SET", "key", "x"]).await.is_ok());
        assert_eq!(redis.command(&["DBSIZE"]).await.int(), 1);
        assert_eq!(redis.command(&["CONFIG", "GET", "maxmemory*"]).await, before);
    });
}

#[test]
fn commands_time_and_bytes_are_counted_from_the_reset() {
    run(async {
        let redis = RedisServer::start().await;
        redis.command(&["SET", "key", &"x".repeat(10_000)]).await;
        redis.reset_stats().await;
        assert_eq!(redis.calls().await.len(), 0);
        let mut client = Connection::to(redis.address()).await.unwrap();
        for _ in 0..3 {
            client.command(&["GET", "key"]).await.unwrap();
        }
        client
            .command(&["EVAL", "for i = 1, 5 do redis.call('GETRANGE', KEYS[1], 0, 1) end", "1", "key"])
            .await
            .unwrap();
        client.command(&["CLIENT", "ID"]).await.unwrap();
        let calls = redis.calls().await;
        let count = |name: &str| calls.get(name).map_or(0, |calls| calls.count);
        assert_eq!(
            (count("get"), count("getrange"), count("client|id"), count("set")),
            (3, 5, 1, 0),
            "{calls:?}"
        );
        assert!(calls["eval"].time_us > 0, "{calls:?}");
        let traffic = redis.traffic().await;
        assert!((30_000..40_000).contains(&traffic.output_bytes), "{traffic:?}");
        assert!((100..2_000).contains(&traffic.input_bytes), "{traffic:?}");
    });
}

#[test]
fn a_dropped_server_is_gone_with_its_folder() {
    run(async {
        let redis = RedisServer::start().await;
        let (pid, dir, address) = (redis.pid(), redis.dir(), redis.address());
        redis.pause().await;
        drop(redis);
        assert!(!exists(pid), "{pid} lives on");
        assert!(!dir.parent().unwrap().exists(), "{} is left", dir.display());
        assert!(Connection::to(address).await.is_err());
    });
}

/// Set for a process that starts servers and then waits to be killed: the file in which it says which.
const VICTIM: &str = "TESTKIT_VICTIM";

/// The life of such a process: one server that runs, one that is paused.
async fn be_killed(file: PathBuf) {
    let (running, paused) = tokio::join!(RedisServer::start(), RedisServer::start());
    paused.pause().await;
    let line = |redis: &RedisServer| format!("{} {}\n", redis.pid(), redis.dir().display());
    let part = file.with_extension("part");
    std::fs::write(&part, line(&running) + &line(&paused)).expect("a file can be written");
    std::fs::rename(part, file).expect("a file can be renamed");
    std::future::pending().await
}

#[test]
fn no_server_outlives_a_process_that_was_killed() {
    if let Some(file) = std::env::var_os(VICTIM) {
        return run(be_killed(file.into()));
    }
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("servers");
        let mut victim = tokio::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "redis::no_server_outlives_a_process_that_was_killed"])
            .env(VICTIM, &file)
            .stdout(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        until("the start of servers in another process", async || file.exists()).await;
        let said = std::fs::read_to_string(&file).unwrap();
        let servers = said.lines().map(|line| line.split_once(' ').unwrap());
        let servers: Vec<(u32, &Path)> =
            servers.map(|(pid, dir)| (pid.parse().unwrap(), Path::new(dir))).collect();
        assert_eq!(servers.len(), 2);
        assert!(servers.iter().all(|(pid, _)| exists(*pid)), "{said}");
        victim.kill().await.unwrap(); // SIGKILL
        for (pid, dir) in servers {
            until("the end of a server whose test was killed", async || !exists(pid)).await;
            until("the removal of its folder", async || !dir.parent().unwrap().exists()).await;
        }
    });
}

/// Whether there is a `redis-server` with this process id.
fn exists(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("redis-server"))
}
