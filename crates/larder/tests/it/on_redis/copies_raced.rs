//! Copies in one process against changes by others: what is told, and what is put in, at the same time.

use std::fs::File;
use std::os::unix::fs::FileExt;

use larder::{CacheService, Tag};
use testkit::redis::RedisServer;

use super::copies::cache_at;
use super::worker::{Order, Race, Row, Worker};

/// How many rows are raced for before all is quiet.
const ROWS: usize = 200;

/// How a raced row is changed, in Redis and after its row.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Change {
    Unlink,
    Tag,
    Set,
    /// Of many rows at once.
    FlushAll,
    Expiry,
    /// A removal, and now and then the end of all connections.
    UnlinkAndKill,
}

/// Of how many rows one is the last before something happens to all of them.
const MANY: usize = 50;

impl Change {
    async fn comes(self, row: usize, version: u64, other: &CacheService, server: &RedisServer) {
        let key = Race::name(row);
        match self {
            Change::Unlink => drop(server.command(&["UNLINK", &key]).await),
            Change::Tag => assert!(other.invalidate_tag(Tag::new("raced", row)).await.is_applied()),
            Change::Set => assert!(other.set(&key, Row { version }, Race::policy(row)).await.is_stored()),
            Change::FlushAll if row % MANY < MANY - 1 => {}
            Change::FlushAll => drop(server.command(&["FLUSHALL"]).await),
            Change::UnlinkAndKill => {
                server.command(&["UNLINK", &key]).await;
                if row % MANY == MANY - 1 {
                    server.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
                }
            }
            Change::Expiry => drop(server.command(&["PEXPIRE", &key, "0"]).await),
        }
    }
}

/// Races the readers of another process, who keep copies, against changes in so many batches of [`ROWS`], and answers how many
/// rows that process has in an older version than that of the row when all is quiet.
async fn race(tickets: bool, readers: usize, change: Change, batches: u64) -> usize {
    let server = RedisServer::start().await;
    let (reads, other) = (Worker::with_copies(&server, tickets).await, cache_at(&server.url()).await);
    let directory = tempfile::tempdir().expect("there is room");
    let path = directory.path().join("table");
    let table = File::create(&path).expect("there is room");
    table.write_all_at(&[0; ROWS * 8], 0).expect("there is room");
    let race = Race { table: path, rows: ROWS, readers };
    let mut stale = 0;
    for version in 1..=batches {
        reads.ask(Order::Race(race.clone())).await;
        for row in 0..ROWS {
            table.write_all_at(&version.to_le_bytes(), row as u64 * 8).expect("there is room");
            change.comes(row, version, &other, &server).await;
        }
        let rested = reads.rest().await;
        stale += rested.iter().filter(|there| there.is_some_and(|there| there != version)).count();
        other.ready().await;
    }
    stale
}

#[test]
fn no_copy_is_put_in_after_what_ended_it_was_told() {
    testkit::run(async {
        for readers in [1, 32] {
            assert_eq!(race(true, readers, Change::Unlink, 25).await, 0, "{readers} readers");
        }
    });
}

#[test]
fn no_copy_outlives_its_tag_a_set_a_flush_an_expiry_or_its_connection() {
    testkit::run(async {
        for change in [Change::Tag, Change::Set, Change::Expiry, Change::FlushAll, Change::UnlinkAndKill] {
            for readers in [1, 32] {
                assert_eq!(race(true, readers, change, 5).await, 0, "{change:?}, {readers} readers");
            }
        }
    });
}

#[test]
fn without_its_ticket_a_copy_is_put_in_after_what_ended_it_was_told() {
    testkit::run(async {
        for _ in 0..60 {
            if race(false, 32, Change::Unlink, 10).await > 0 {
                return;
            }
        }
        panic!("the race was never lost");
    });
}
