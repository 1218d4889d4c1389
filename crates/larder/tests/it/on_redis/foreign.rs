//! What others put under a name, and what others see there.

use larder::{CacheService, Encoding, Policy, Redis, Refusal, Space, Ttl};
use serde::{Deserialize, Serialize};
use testkit::redis::{RedisServer, Reply};

use super::worker::cache_over;
use crate::loader::{Runs, brings};
use crate::observed::group;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Deal {
    id: u32,
    name: String,
}

fn deal() -> Deal {
    Deal { id: 17, name: "größer".to_owned() }
}

static DEAL: Space<u32, Deal> =
    Space::new("deal:{id}", "Seen from outside by these tests.").ttl(Ttl::secs(60));

static RAW: Space<u32, Deal> =
    Space::new("raw:{id}", "Read by others in these tests.").ttl(Ttl::secs(60)).raw();

static PACKED: Space<u32, Deal> = Space::new("deal:{id}", "The same names, written another way.")
    .ttl(Ttl::secs(60))
    .encoding(Encoding::MessagePack);

/// What lies under a key, and of which type it is.
async fn lies(server: &RedisServer, key: &str) -> (String, Reply) {
    let kind = server.command(&["TYPE", key]).await;
    let Reply::Status(kind) = kind else { panic!("{kind:?}") };
    (kind, server.command(&["DUMP", key]).await)
}

/// Everything that can lie under a name and is no entry: how it comes there, with `KEY` for the name.
fn foreign(entry: &[u8]) -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let words = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
    let string = |bytes: &[u8]| vec![b"SET".to_vec(), b"KEY".to_vec(), bytes.to_vec()];
    let mut newer = entry.to_vec();
    newer[24] |= 0x80; // a flag that nobody knows yet
    let mut kind = entry.to_vec();
    kind[1] = b'X';
    let mut long_lease = entry[..23].to_vec();
    long_lease[1] = b'L';
    vec![
        ("a list", words(&["RPUSH", "KEY", "a"])),
        ("a hash", words(&["HSET", "KEY", "field", "a"])),
        ("a set", words(&["SADD", "KEY", "a"])),
        ("a sorted set", words(&["ZADD", "KEY", "1", "a"])),
        ("a stream", words(&["XADD", "KEY", "*", "field", "a"])),
        ("nothing", string(b"")),
        ("a number", string(b"1")),
        ("a byte", string(b"\xFE")),
        ("the JSON of another program", string(br#"{"id":17,"name":"theirs"}"#)),
        ("a header cut short", string(&entry[..30])),
        ("a word alone", string(&entry[..14])),
        ("a lease with more in it", string(&long_lease)),
        ("an entry of a newer form", string(&newer)),
        ("an entry of another kind", string(&kind)),
    ]
}

#[test]
fn what_is_foreign_is_left_alone_by_a_look_and_replaced_by_a_load() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let cache = cache_over(&server, CacheService::builder().space(&DEAL)).await;
        let Ok(_) = cache.get_or_set(DEAL.key(&1), Policy::new(), || brings(deal())).await;
        let entry = server.command(&["GET", "deal:1"]).await.bytes().to_vec();
        for (what, mut command) in foreign(&entry) {
            command[1] = b"deal:2".to_vec();
            server.command(&["DEL", "deal:2"]).await;
            let put = server.command(&command).await;
            assert!(!matches!(put, Reply::Error(_)), "{what}: {put:?}");
            let there = lies(&server, "deal:2").await;
            let before = group(&cache, "deal");

            assert_eq!(cache.get(DEAL.key(&2)).await, None, "{what}");
            assert_eq!(lies(&server, "deal:2").await, there, "{what} is left alone");
            let looked = group(&cache, "deal");
            assert_eq!(looked.foreign, before.foreign + 1, "{what}");

            let runs = Runs::default();
            let Ok(read) = cache.read_through(DEAL.key(&2), Policy::new(), || runs.of(deal())).await;
            assert!(*read.value == deal() && read.stored && runs.count() == 1, "{what}: {read:?}");
            assert_eq!(group(&cache, "deal").foreign, looked.foreign + 1, "{what}");
            assert_eq!(cache.get(DEAL.key(&2)).await.as_deref(), Some(&deal()), "{what}");
            assert_eq!(group(&cache, "deal").errors, before.errors, "{what} is no trouble of the cache");
        }
    });
}

static ROW: Space<u32, Deal> =
    Space::new("row:{id}", "Written through.").versioned(|deal: &Deal| u64::from(deal.id));

#[test]
fn what_is_foreign_is_counted_by_whatever_sets_over_it() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let cache = cache_over(&server, CacheService::builder().space(&ROW)).await;
        for key in ["other:1", "row:1"] {
            server.command(&["RPUSH", key, "a"]).await;
        }
        assert!(cache.set("other:1", 1, Policy::new().nx()).await.is_stored());
        assert_eq!(group(&cache, "other").foreign, 1);
        let stored = cache.set_versioned(ROW.key(&1), deal()).await;
        assert_eq!(stored.refusal, Some(Refusal::Absent), "it never creates");
        assert_eq!(group(&cache, "row").foreign, 1);
        assert_eq!(server.command(&["EXISTS", "row:1"]).await.int(), 0, "nothing stays that might be older");
    });
}

/// The lifetime that Redis has for a key, in milliseconds.
async fn assert_lives_a_minute(server: &RedisServer, key: &str) {
    let left = server.command(&["PTTL", key]).await.int();
    assert!((1..=60_000).contains(&left), "{left}");
}

#[test]
fn an_entry_is_the_key_of_its_name_and_ends_with_its_json() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let cache = cache_over(&server, CacheService::builder().space(&DEAL)).await;
        let Ok(_) = cache.get_or_set(DEAL.key(&17), Policy::new(), || brings(deal())).await;
        let bytes = server.command(&["GETRANGE", "deal:17", "0", "-1"]).await.bytes().to_vec();
        let json = r#"{"id":17,"name":"größer"}"#.as_bytes();
        assert!(bytes.ends_with(json), "{}", bytes.escape_ascii());
        assert!(bytes.starts_with(b"\xFEV"), "{}", bytes.escape_ascii());
        assert_lives_a_minute(&server, "deal:17").await;

        // A namespace stands before the name.
        let redis = Redis::at(server.url()).namespace("crm");
        let named =
            CacheService::builder().space(&DEAL).redis(redis).build().expect("the settings fit together");
        named.ready().await;
        let Ok(_) = named.get_or_set(DEAL.key(&18), Policy::new(), || brings(deal())).await;
        assert!(server.command(&["GET", "crm:deal:18"]).await.bytes().ends_with(json));
    });
}

#[test]
fn a_raw_space_holds_the_json_alone() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let cache = cache_over(&server, CacheService::builder().space(&RAW)).await;
        let Ok(_) = cache.get_or_set(RAW.key(&17), Policy::new(), || brings(deal())).await;
        let json = r#"{"id":17,"name":"größer"}"#.as_bytes();
        assert_eq!(server.command(&["GET", "raw:17"]).await.bytes(), json);
        assert_lives_a_minute(&server, "raw:17").await;

        server.command(&["SET", "raw:17", r#"{"name":"theirs","id":18}"#]).await;
        let theirs = cache.get(RAW.key(&17)).await.expect("what others write is read");
        assert_eq!((theirs.id, theirs.name.as_str()), (18, "theirs"));
    });
}

#[test]
fn a_removal_by_another_client_is_honoured_by_the_next_read() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let cache = cache_over(&server, CacheService::builder().space(&DEAL)).await;
        for removal in ["DEL", "UNLINK"] {
            let Ok(_) = cache.get_or_set(DEAL.key(&17), Policy::new(), || brings(deal())).await;
            assert_eq!(server.command(&[removal, "deal:17"]).await.int(), 1);
            assert_eq!(cache.get(DEAL.key(&17)).await, None);
            let newer = Deal { id: 18, ..deal() };
            let Ok(read) = cache.get_or_set(DEAL.key(&17), Policy::new(), || brings(newer.clone())).await;
            assert_eq!(*read, newer);
            server.command(&[removal, "deal:17"]).await;
        }
    });
}

#[test]
fn values_are_read_by_either_encoding_whatever_wrote_them() {
    testkit::run(async {
        let server = RedisServer::start().await;
        let packs = cache_over(&server, CacheService::builder().space(&PACKED)).await;
        let writes = cache_over(&server, CacheService::builder().space(&DEAL)).await;
        let Ok(read) = packs.get_or_set(PACKED.key(&1), Policy::new(), || brings(deal())).await;
        assert_eq!(*read, deal());
        let Ok(_) = writes.get_or_set(DEAL.key(&2), Policy::new(), || brings(deal())).await;
        let packed = server.command(&["GET", "deal:1"]).await.bytes().to_vec();
        let json = server.command(&["GET", "deal:2"]).await.bytes().to_vec();
        assert!(packed.len() < json.len() && !packed.ends_with(b"}") && json.ends_with(b"}"));
        for id in [1, 2] {
            assert_eq!(packs.get(PACKED.key(&id)).await.as_deref(), Some(&deal()), "{id}");
            assert_eq!(writes.get(DEAL.key(&id)).await.as_deref(), Some(&deal()), "{id}");
        }
    });
}
