//! What is deployed: the settings of the specification, and a user who may do what larder does and no more.

use testkit::redis::{Connection, PASSWORD, RedisServer, Reply, USER};
use testkit::{run, workspace_root};

/// What larder sends, each in a form that Redis executes or refuses for another reason than the user's rights.
const LARDER_SENDS: &[&str] = &[
    "PING",
    "HELLO 2",
    "SELECT 0",
    "CLIENT ID",
    "CLIENT KILL ID 999999",
    "CLIENT SETINFO LIB-NAME larder",
    "CLIENT SETNAME larder",
    "CLIENT TRACKING OFF",
    "CLIENT CACHING YES",
    "INFO server",
    "TIME",
    "SET key value PX 60000 NX",
    "SET old value",
    "GETEX key PX 60000",
    "GETRANGE key 0 1",
    "PTTL key",
    "PEXPIRE key 60000",
    "PERSIST key",
    "RENAME old new",
    "EXISTS new",
    "STRLEN key",
    "TYPE key",
    "SCAN 0 MATCH k* COUNT 10",
    "EVAL return{redis.call('GETRANGE',KEYS[1],0,1),redis.call('TIME')} 1 key",
    "EVALSHA 0000000000000000000000000000000000000000 0",
    "SCRIPT LOAD return(1)",
    "WAIT 0 10",
    "UNLINK new",
];

/// What a stolen password must not be good for.
const NOT_FOR_LARDER: &[&str] = &[
    "FLUSHALL",
    "FLUSHDB",
    "CONFIG GET maxmemory",
    "CONFIG SET maxmemory 1",
    "KEYS *",
    "DEBUG SLEEP 0",
    "MONITOR",
    "SHUTDOWN NOSAVE",
    "SAVE",
    "BGREWRITEAOF",
    "REPLICAOF 127.0.0.1 1",
    "ACL LIST",
    "ACL WHOAMI",
    "MODULE LIST",
    "SCRIPT FLUSH",
    "FUNCTION FLUSH",
    "CLIENT LIST",
    "CLIENT PAUSE 1",
    "CLIENT NO-EVICT on",
    "PUBLISH news won",
    "SUBSCRIBE news",
    "DUMP key",
    "SORT key",
];

async fn send(client: &mut Connection, line: &str) -> Reply {
    let words: Vec<&str> = line.split(' ').collect();
    client.command(&words).await.expect("a server that runs answers")
}

#[test]
fn the_settings_are_those_of_the_specification() {
    run(async {
        let redis = RedisServer::start().await;
        for (directive, value) in [
            ("maxmemory", "268435456"),
            ("maxmemory-policy", "allkeys-lru"),
            ("maxmemory-clients", "33554432"),
            ("protected-mode", "yes"),
            ("stop-writes-on-bgsave-error", "no"),
            ("lazyfree-lazy-eviction", "yes"),
        ] {
            assert_eq!(redis.cli(&["CONFIG", "GET", directive]).await, format!("{directive}\n{value}\n"));
        }
        // What a server of tests does without, unless it is asked to keep its data.
        let deployed = std::fs::read_to_string(workspace_root().join("deploy/redis.conf")).unwrap();
        for line in ["save 900 1", "save 300 10", "save 60 10000", "appendonly yes", "appendfsync everysec"] {
            assert!(deployed.lines().any(|deployed| deployed == line), "`{line}` is not deployed");
        }
    });
}

#[test]
fn larder_may_do_what_it_does_and_no_more() {
    run(async {
        // DEBUG is allowed to those who may use it, so that its refusal is one of the user's rights.
        let redis = RedisServer::builder().users().set("enable-debug-command", "yes").start().await;
        assert_eq!(redis.url(), format!("redis://{USER}:{PASSWORD}@127.0.0.1:{}/", redis.port()));
        let mut client = Connection::to(redis.address()).await.unwrap();
        assert!(send(&mut client, "PING").await.is_error("NOAUTH"));
        assert!(client.command(&["AUTH", USER, "not the password"]).await.unwrap().is_error("WRONGPASS"));
        assert!(client.command(&["AUTH", USER, PASSWORD]).await.unwrap().is_ok());
        for line in LARDER_SENDS {
            let reply = send(&mut client, line).await;
            assert!(!reply.is_error("NOPERM"), "{line}: {reply:?}");
        }
        // Scripts run with the rights of who sends them, not with all.
        let reply =
            send(&mut client, "EVAL return{redis.call('TIME'),redis.call('STRLEN',KEYS[1])} 1 key").await;
        assert_eq!(reply.array()[1], Reply::Int(5));
        for line in NOT_FOR_LARDER {
            let reply = send(&mut client, line).await;
            assert!(reply.is_error("NOPERM"), "{line}: {reply:?}");
        }
        let reply = send(&mut client, "EVAL return(redis.call('FLUSHALL')) 0").await;
        assert!(matches!(reply, Reply::Error(_)), "{reply:?}");
        assert_eq!(redis.command(&["DBSIZE"]).await.int(), 1);
    });
}

#[test]
fn as_deployed_nobody_gets_in_before_there_is_a_password() {
    run(async {
        let redis = RedisServer::start().await;
        let deployed = std::fs::read_to_string(workspace_root().join("deploy/users.acl")).unwrap();
        // The last one first: when `default` is off, nobody is left to add users.
        for line in deployed.lines().rev() {
            let rules = line.split_whitespace().skip(1);
            let words: Vec<&str> = ["ACL", "SETUSER"].into_iter().chain(rules).collect();
            assert_eq!(redis.cli(&words).await, "OK\n", "{line}");
        }
        let mut client = Connection::to(redis.address()).await.unwrap();
        assert!(send(&mut client, "PING").await.is_error("NOAUTH"));
        for password in ["", "larder", PASSWORD] {
            assert!(client.command(&["AUTH", USER, password]).await.unwrap().is_error("WRONGPASS"));
        }
    });
}
