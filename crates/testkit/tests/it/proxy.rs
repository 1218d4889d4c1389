//! Each fault of the proxy does what it says to a real client of a real server, and ends when it should.

use std::time::Duration;

use testkit::proxy::{Direction, FaultProxy};
use testkit::redis::{Connection, RedisServer, Reply};
use testkit::{run, until};
use tokio::time::{Instant, timeout};

/// How long silence has to last to count as such: 100 ms. An answer that comes takes well under one.
const SILENCE: Duration = Duration::from_millis(100);

/// A server, a proxy in front of it, and a client of the proxy that has been answered.
async fn answered() -> (RedisServer, FaultProxy, Connection) {
    let redis = RedisServer::start().await;
    let proxy = FaultProxy::to(redis.address()).await;
    let client = client(&proxy).await;
    (redis, proxy, client)
}

async fn client(proxy: &FaultProxy) -> Connection {
    let mut client = Connection::to(proxy.address()).await.expect("the proxy accepts");
    assert!(answers(&mut client).await);
    client
}

async fn answers(client: &mut Connection) -> bool {
    matches!(client.command(&["PING"]).await, Ok(Reply::Status(word)) if word == "PONG")
}

/// Asserts that neither an answer nor the end of the connection comes.
async fn assert_silent(client: &mut Connection) {
    let heard = timeout(SILENCE, client.receive()).await;
    assert!(heard.is_err(), "heard {heard:?}");
}

/// How many clients the server has, without the one that asks.
async fn clients(redis: &RedisServer) -> usize {
    redis.command(&["CLIENT", "LIST"]).await.text().lines().count() - 1
}

#[test]
fn a_proxy_without_faults_changes_nothing() {
    run(async {
        let (redis, proxy, mut client) = answered().await;
        assert_eq!(proxy.url(), format!("redis://{}/", proxy.address()));
        assert_eq!(redis.url_at(proxy.address()), proxy.url());
        let value: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
        assert!(client.command(&[&b"SET"[..], b"key", &value]).await.unwrap().is_ok());
        assert_eq!(redis.command(&["GET", "key"]).await.bytes(), value);
        assert_eq!(client.command(&["GET", "key"]).await.unwrap().bytes(), value);
        assert_eq!((proxy.connections(), proxy.accepted()), (1, 1));
        drop(client);
        until("the end of the connection", async || proxy.connections() == 0).await;
        until("the end of the server's side", async || clients(&redis).await == 0).await;
        assert_eq!(proxy.accepted(), 1);
    });
}

#[test]
fn a_proxy_without_a_server_closes_what_it_accepts() {
    run(async {
        let (redis, proxy, mut client) = answered().await;
        redis.kill().await;
        assert!(client.receive().await.is_err());
        let mut later = Connection::to(proxy.address()).await.unwrap();
        assert!(!answers(&mut later).await);
        redis.restart_empty().await;
        self::client(&proxy).await;
    });
}

#[test]
fn a_cut_closes_what_is_there_and_nothing_else() {
    run(async {
        let (redis, proxy, mut client) = answered().await;
        let mut other = self::client(&proxy).await;
        assert_eq!((proxy.connections(), clients(&redis).await), (2, 2));
        proxy.cut().await;
        assert_eq!(proxy.connections(), 0);
        assert!(client.receive().await.is_err());
        assert!(other.receive().await.is_err());
        until("the end of the server's side", async || clients(&redis).await == 0).await;
        self::client(&proxy).await;
    });
}

#[test]
fn a_cut_closes_also_what_was_connected_a_moment_before() {
    run(async {
        let (_redis, proxy, _client) = answered().await;
        for _ in 0..100 {
            let mut client = Connection::to(proxy.address()).await.unwrap();
            proxy.cut().await;
            assert!(!answers(&mut client).await, "a connection has outlived the cut");
        }
    });
}

#[test]
fn a_refusing_proxy_takes_no_new_connections_and_keeps_the_old() {
    run(async {
        let (_redis, proxy, mut client) = answered().await;
        proxy.refuse().await;
        proxy.refuse().await;
        let refused = Connection::to(proxy.address()).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        assert!(answers(&mut client).await);
        proxy.accept().await;
        proxy.accept().await;
        self::client(&proxy).await;
        proxy.refuse().await;
        proxy.heal().await;
        self::client(&proxy).await;
    });
}

#[test]
fn a_delay_makes_the_way_longer_and_not_narrower() {
    const DELAY: Duration = Duration::from_millis(200);
    const COMMANDS: u32 = 50;
    run(async {
        let (_redis, proxy, mut client) = answered().await;
        proxy.delay(DELAY);
        let start = Instant::now();
        for _ in 0..COMMANDS {
            client.send(&["INCR", "counter"]).await.unwrap();
            tokio::task::yield_now().await;
        }
        for n in 1..=i64::from(COMMANDS) {
            assert_eq!(client.receive().await.unwrap().int(), n);
            assert!(start.elapsed() >= DELAY, "answer {n} came after {:?}", start.elapsed());
        }
        // One delay after the other would be 10 s; half of that is time enough for a slow machine.
        assert!(start.elapsed() < DELAY * COMMANDS / 2, "{:?}", start.elapsed());
    });
}

#[test]
fn answers_keep_their_order_when_a_delay_ends() {
    run(async {
        let (redis, proxy, mut client) = answered().await;
        proxy.delay(Duration::from_millis(200));
        client.send(&["INCR", "counter"]).await.unwrap();
        until("the first command", async || redis.command(&["EXISTS", "counter"]).await.int() == 1).await;
        proxy.heal().await;
        assert_eq!(client.command(&["INCR", "counter"]).await.unwrap().int(), 1);
        assert_eq!(client.receive().await.unwrap().int(), 2);
        assert!(answers(&mut client).await);
    });
}

#[test]
fn a_half_open_connection_is_silent_and_nothing_of_it_arrives() {
    run(async {
        let (redis, proxy, mut client) = answered().await;
        let mut idle = self::client(&proxy).await;
        proxy.half_open();
        client.send(&["INCR", "counter"]).await.unwrap();
        let mut later = Connection::to(proxy.address()).await.unwrap();
        later.send(&["INCR", "counter"]).await.unwrap();
        assert_silent(&mut client).await;
        assert_silent(&mut later).await;
        assert!(redis.command(&["GET", "counter"]).await.is_nil(), "a swallowed command has arrived");
        until("the third connection", async || proxy.connections() == 3).await;
        assert_eq!(clients(&redis).await, 2, "the server sees the connection that was made in silence");

        proxy.heal().await;
        self::client(&proxy).await;
        assert!(answers(&mut idle).await, "a connection of which nothing was lost is broken");
        client.send(&["INCR", "counter"]).await.unwrap();
        later.send(&["INCR", "counter"]).await.unwrap();
        assert_silent(&mut client).await;
        assert_silent(&mut later).await;
        assert!(redis.command(&["GET", "counter"]).await.is_nil(), "a broken connection works again");
        proxy.cut().await;
        assert!(client.receive().await.is_err());
        assert!(later.receive().await.is_err());
    });
}

#[test]
fn in_silence_neither_side_learns_that_the_other_is_gone() {
    run(async {
        let (redis, proxy, mut client) = answered().await;
        let other = self::client(&proxy).await;
        proxy.half_open();
        drop(other);
        // The client's end was seen by the proxy when silence has lasted this long, and not by the server.
        assert_silent(&mut client).await;
        assert_eq!(clients(&redis).await, 2, "the server was told");
        redis.kill().await;
        assert_silent(&mut client).await;
        proxy.heal().await;
        assert!(client.receive().await.is_err(), "nobody was told when the silence ended");
    });
}

#[test]
fn one_way_to_the_client_executes_what_nobody_is_answered() {
    run(async {
        let (redis, proxy, mut client) = answered().await;
        proxy.one_way(Direction::ToClient);
        let mut later = Connection::to(proxy.address()).await.unwrap();
        for client in [&mut client, &mut later] {
            client.send(&["INCR", "counter"]).await.unwrap();
            assert_silent(client).await;
        }
        until("both are executed", async || redis.command(&["GET", "counter"]).await.text() == "2").await;
    });
}

#[test]
fn one_way_to_the_server_lets_only_the_server_speak() {
    run(async {
        let (redis, proxy, mut client) = answered().await;
        client.command(&["SUBSCRIBE", "news"]).await.unwrap();
        let mut other = self::client(&proxy).await;
        proxy.one_way(Direction::ToServer);
        assert_eq!(redis.command(&["PUBLISH", "news", "won"]).await.int(), 1);
        assert_eq!(client.receive().await.unwrap().array()[2].text(), "won");
        other.send(&["INCR", "counter"]).await.unwrap();
        assert_silent(&mut other).await;
        assert!(redis.command(&["GET", "counter"]).await.is_nil());
    });
}

#[test]
fn garbled_answers_are_no_answers_and_commands_are_executed() {
    run(async {
        let (redis, proxy, mut client) = answered().await;
        proxy.garble();
        let garbage = client.command(&["INCR", "counter"]).await.unwrap_err();
        assert_eq!(garbage.kind(), std::io::ErrorKind::InvalidData);
        assert_eq!(redis.command(&["GET", "counter"]).await.text(), "1");
        proxy.heal().await;
        self::client(&proxy).await;
    });
}

#[test]
fn a_dropped_proxy_closes_everything() {
    run(async {
        let (redis, proxy, mut client) = answered().await;
        let address = proxy.address();
        proxy.half_open();
        client.send(&["PING"]).await.unwrap();
        drop(proxy);
        assert!(client.receive().await.is_err());
        until("the end of listening", async || Connection::to(address).await.is_err()).await;
        until("the end of the server's side", async || clients(&redis).await == 0).await;
    });
}

#[test]
fn commands_that_crumble_arrive_whole_piece_by_piece() {
    run(async {
        let (_redis, proxy, mut client) = answered().await;
        proxy.crumble(1, Duration::from_millis(1));
        let began = Instant::now();
        assert!(answers(&mut client).await);
        assert!(began.elapsed() >= Duration::from_millis(10), "a PING has more bytes than that");
        proxy.heal().await;
        assert!(answers(&mut client).await);
    });
}
