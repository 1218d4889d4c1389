//! Removals and sets during a load: none of them may leave the older value behind.
//!
//! Each race is forced: the load has read the old row and waits at a gate while the row is changed and the removal is
//! acknowledged, and only then stores what it read. `ablations` shows that these races can be lost.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use larder::{Builder, CacheService, Invalidation, Lookup, Policy, Space, Tag, Ttl};
use serde::{Deserialize, Serialize};
use testkit::gate::Gate;

use super::fixture::{self, ROUNDS};
use crate::observed::joins;

#[derive(Debug, Serialize, Deserialize)]
struct Row {
    version: u64,
}

static PAGE: Space<(u64, u64), Row> =
    Space::new("deals:company:{company}:page:{n}", "Raced for by these tests.")
        .scope("company")
        .versioned(|row: &Row| row.version)
        .cache_is_source();

#[derive(Clone, Copy, Debug)]
pub(super) enum Reader {
    Closure,
    Batch,
    Permit,
}

pub(super) const READERS: [Reader; 3] = [Reader::Closure, Reader::Batch, Reader::Permit];

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Removal {
    Delete,
    DeleteMany,
    LiteralPattern,
    Glob,
    Scope,
    Tag,
    Invalidation,
    ClearSpace,
    ClearAll,
    Set,
    SetVersioned,
}

pub(super) const REMOVALS: [Removal; 11] = [
    Removal::Delete,
    Removal::DeleteMany,
    Removal::LiteralPattern,
    Removal::Glob,
    Removal::Scope,
    Removal::Tag,
    Removal::Invalidation,
    Removal::ClearSpace,
    Removal::ClearAll,
    Removal::Set,
    Removal::SetVersioned,
];

impl Removal {
    /// Announces that the row of this company is now of this version.
    async fn announce(self, cache: &CacheService, company: u64, version: u64) {
        let key = PAGE.key(&(company, 1));
        let acknowledged = match self {
            Removal::Delete => cache.delete(&key).await.is_applied(),
            Removal::DeleteMany => cache.delete_many(["another", key.as_str()]).await.is_applied(),
            Removal::LiteralPattern => cache.delete_pattern(key.as_str()).await.is_applied(),
            Removal::Glob => cache.delete_pattern(format!("deals:*:{company}:page:[0-9]")).await.is_applied(),
            Removal::Scope => cache.delete_pattern(format!("deals:company:{company}:*")).await.is_applied(),
            Removal::Tag => cache.invalidate_tag(Tag::new("deals", company)).await.is_applied(),
            Removal::Invalidation => cache.invalidate(&Invalidation::new().key(&key)).await.is_applied(),
            Removal::ClearSpace => PAGE.clear(cache).await.is_applied(),
            Removal::ClearAll => cache.clear().await.is_applied(),
            Removal::Set => cache.set(&key, Row { version }, Ttl::SHORT).await.is_stored(),
            Removal::SetVersioned => {
                // Nothing is there to replace: it acts as a removal, which needs no answer of yes.
                cache.set_versioned(key, Row { version }).await;
                true
            }
        };
        assert!(acknowledged, "{self:?}");
    }
}

/// One read of a company's page: what is in the cache, or the row, which is read before the gate and stored after it.
async fn read(cache: &CacheService, reader: Reader, company: u64, row: &AtomicU64, gate: &Gate) -> u64 {
    let query = || async {
        let version = row.load(Ordering::SeqCst);
        gate.pass().await;
        Row { version }
    };
    let policy = Policy::new().tag(Tag::new("deals", company));
    let key = PAGE.key(&(company, 1));
    match reader {
        Reader::Closure => {
            let Ok(row) =
                cache.get_or_set(key, policy, || async { Ok::<_, Infallible>(query().await) }).await;
            row.version
        }
        Reader::Batch => {
            let load = |missing: Vec<(u64, u64)>| async move {
                assert_eq!(missing, [(company, 1)]);
                Ok::<_, Infallible>([((company, 1), query().await)])
            };
            let Ok(rows) = cache.get_or_set_many(&[(company, 1)], |id| PAGE.key(id), policy, load).await;
            rows[0].as_ref().expect("the loader answered it").version
        }
        Reader::Permit => match cache.get_or_permit(key, policy).await {
            Lookup::Hit(read) => read.value.version,
            Lookup::Permit(permit) => permit.fill(query().await).await.value.version,
        },
    }
}

/// Forces the race so often, and answers how often the old row was still served afterwards.
pub(super) async fn stale_after(cache: &CacheService, reader: Reader, removal: Removal, rounds: u64) -> u64 {
    let mut stale = 0;
    for company in 0..rounds {
        let row = AtomicU64::new(1);
        let gate = Gate::new("the old row is read and not yet stored");
        let race = async {
            gate.reached().await;
            row.store(2, Ordering::SeqCst);
            removal.announce(cache, company, 2).await;
            gate.open();
        };
        let (loaded, ()) = tokio::join!(read(cache, reader, company, &row, &gate), race);
        assert_eq!(loaded, 1, "the reader's own load overlaps the change: it returns what it read");
        let stored = cache.get(PAGE.key(&(company, 1))).await.map(|row| row.version);
        if removal == Removal::Set {
            assert!(stored.is_some(), "what was set stays");
        }
        let read = read(cache, reader, company, &row, &gate).await;
        stale += u64::from(stored == Some(1) || read == 1);
    }
    stale
}

/// The settings of a cache to race for.
pub(super) fn builder() -> Builder {
    fixture::builder().space(&PAGE)
}

#[test]
fn no_removal_during_a_load_leaves_the_old_value() {
    testkit::run(async {
        for reader in READERS {
            for removal in REMOVALS {
                let stale = stale_after(&fixture::build(builder()).await, reader, removal, ROUNDS).await;
                assert_eq!(stale, 0, "{reader:?} against {removal:?}");
            }
        }
    });
}

/// A reader that comes while a load of the old row is under way, after its removal was acknowledged. Answers how often it got
/// the old row.
pub(super) async fn stale_joiners(
    cache: &CacheService,
    reader: Reader,
    removal: Removal,
    rounds: u64,
) -> u64 {
    let mut stale = 0;
    for company in 0..rounds {
        let row = AtomicU64::new(1);
        let gate = Gate::new("the old row is read and not yet stored");
        let leader = read(cache, Reader::Closure, company, &row, &gate);
        let joiner = async {
            gate.reached().await;
            row.store(2, Ordering::SeqCst);
            removal.announce(cache, company, 2).await;
            let open = Gate::new("the joiner loads for itself");
            open.open();
            joins(cache, &gate, read(cache, reader, company, &row, &open)).await
        };
        let (_, joined) = tokio::join!(leader, joiner);
        stale += u64::from(joined == 1);
    }
    stale
}

#[test]
fn who_joins_after_a_removal_never_gets_the_old_value() {
    testkit::run(async {
        for reader in READERS {
            for removal in REMOVALS {
                let stale = stale_joiners(&fixture::build(builder()).await, reader, removal, ROUNDS).await;
                assert_eq!(stale, 0, "{reader:?} joins after {removal:?}");
            }
        }
    });
}

/// A writer and readers on threads of their own, without gates: the windows between two instructions. The writer commits a
/// version, announces it, and then raises the floor; a reader that notes the floor and then gets less has a stale value.
/// Answers how many did.
async fn stale_under_stress(cache: &CacheService, removal: Removal, writes: u64) -> u64 {
    let row = Arc::new(AtomicU64::new(1));
    let floor = Arc::new(AtomicU64::new(1));
    let runtime = tokio::runtime::Handle::current();
    let mut threads = tokio::task::JoinSet::new();
    for reader in READERS {
        let (cache, row, floor, runtime) =
            (cache.clone(), Arc::clone(&row), Arc::clone(&floor), runtime.clone());
        threads.spawn_blocking(move || {
            let open = Gate::new("nobody waits here");
            open.open();
            let mut stale = 0;
            loop {
                let at_least = floor.load(Ordering::SeqCst);
                let version = runtime.block_on(read(&cache, reader, 0, &row, &open));
                stale += u64::from(version < at_least);
                if at_least > writes {
                    return stale;
                }
            }
        });
    }
    let cache = cache.clone();
    threads.spawn_blocking(move || {
        for version in 2..=writes + 1 {
            row.store(version, Ordering::SeqCst);
            runtime.block_on(removal.announce(&cache, 0, version));
            floor.store(version, Ordering::SeqCst);
        }
        0
    });
    threads.join_all().await.into_iter().sum()
}

#[test]
fn threads_that_read_and_remove_at_once_find_no_stale_value() {
    testkit::run(async {
        for removal in REMOVALS {
            let stale = stale_under_stress(&fixture::build(builder()).await, removal, 5 * ROUNDS).await;
            assert_eq!(stale, 0, "{removal:?}");
        }
    });
}

#[test]
fn two_writers_whose_sets_arrive_in_reverse_leave_the_newer_row() {
    testkit::run(async {
        let cache = fixture::build(builder()).await;
        for company in 0..ROUNDS {
            let key = || PAGE.key(&(company, 1));
            let Ok(_) = cache
                .get_or_set(key(), Policy::new(), || async { Ok::<_, Infallible>(Row { version: 1 }) })
                .await;
            assert!(cache.set_versioned(key(), Row { version: 3 }).await.is_stored());
            assert!(!cache.set_versioned(key(), Row { version: 2 }).await.is_stored());
            assert_eq!(cache.get(key()).await.map(|row| row.version), Some(3));
        }
    });
}
