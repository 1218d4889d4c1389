//! One load for each key, whatever becomes of the caller that runs it.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use larder::{CacheService, Lookup, Policy, Source};
use testkit::gate::Gate;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::fixture;
use crate::observed::{followers, joins};

/// A cache whose followers wait for longer than any test may take: what wakes them is never the limit.
async fn cache() -> CacheService {
    fixture::build(fixture::builder().follow_limit(Duration::from_secs(3_600))).await
}

/// A cache whose followers lose their patience early.
async fn impatient_cache() -> CacheService {
    fixture::build(fixture::builder().follow_limit(Duration::from_secs(2))).await
}

/// Work of so many milliseconds.
async fn work(ms: u64) {
    timeout(Duration::from_millis(ms), pending::<()>()).await.expect_err("it never ends by itself");
}

/// Spawns callers of one key, each with a loader that counts itself and then does `load`.
fn spawn_callers<Fut>(
    tasks: &mut JoinSet<Result<Arc<u64>, String>>,
    cache: &CacheService,
    loads: &Arc<AtomicUsize>,
    callers: usize,
    load: impl Fn() -> Fut + Clone + Send + 'static,
) where
    Fut: Future<Output = Result<u64, String>> + Send + 'static,
{
    for _ in 0..callers {
        let (cache, loads, load) = (cache.clone(), Arc::clone(loads), load.clone());
        tasks.spawn(async move {
            let counted = || async move {
                loads.fetch_add(1, Ordering::SeqCst);
                load().await
            };
            cache.get_or_set("key", Policy::new(), counted).await
        });
    }
}

#[test]
fn a_thousand_callers_of_a_cold_key_cause_one_load_a_hundred_times_out_of_a_hundred() {
    testkit::run(async {
        let cache = cache().await;
        for _ in 0..100 {
            let loads = Arc::new(AtomicUsize::new(0));
            let mut tasks = JoinSet::new();
            spawn_callers(&mut tasks, &cache, &loads, 1_000, || async {
                work(50).await;
                Ok(7)
            });
            for value in tasks.join_all().await {
                assert_eq!(value.as_deref(), Ok(&7));
            }
            assert_eq!(loads.load(Ordering::SeqCst), 1);
            cache.delete("key").await;
        }
        let total = cache.stats().total;
        assert_eq!((total.loads, total.sets), (100, 100));
        assert_eq!(total.hits + total.misses, 100_000);
    });
}

/// A leader waits at the gate within its load, 100 others follow, then the leader's task ends as `end` says. Answers the
/// followers' values and how many loads there were.
async fn after_the_leader(
    end: impl FnOnce(&tokio::task::AbortHandle, &Gate),
    load: impl Fn(Gate) -> u64 + Clone + Send + Sync + 'static,
) -> (Vec<Result<Arc<u64>, String>>, usize) {
    let cache = cache().await;
    let loads = Arc::new(AtomicUsize::new(0));
    let gate = Gate::new("the leader loads");
    let mut leading = JoinSet::new();
    let inside = gate.clone();
    let leader = leading.spawn({
        let (cache, loads) = (cache.clone(), Arc::clone(&loads));
        async move {
            let counted = || async move {
                loads.fetch_add(1, Ordering::SeqCst);
                inside.pass().await;
                Ok::<_, String>(load(inside))
            };
            cache.get_or_set("key", Policy::new(), counted).await
        }
    });
    gate.reached().await;
    let mut tasks = JoinSet::new();
    spawn_callers(&mut tasks, &cache, &loads, 100, || async { Ok(2) });
    followers(&cache, 100).await;
    end(&leader, &gate);
    let values = tasks.join_all().await;
    while leading.join_next().await.is_some() {}
    assert_eq!(cache.stats().local.loading, 0, "no flight is left behind");
    (values, loads.load(Ordering::SeqCst))
}

#[test]
fn one_follower_takes_over_when_the_leader_is_dropped() {
    testkit::run(async {
        let (values, loads) = after_the_leader(|leader, _| leader.abort(), |_| 1).await;
        assert!(values.iter().all(|value| value.as_deref() == Ok(&2)));
        assert_eq!(loads, 2, "the leader's, and that of the one that took over");
    });
}

#[test]
fn one_follower_takes_over_when_the_leader_panics() {
    testkit::run(async {
        let (values, loads) =
            after_the_leader(|_, gate| gate.open(), |_| panic!("a loader that panics, on purpose")).await;
        assert!(values.iter().all(|value| value.as_deref() == Ok(&2)));
        assert_eq!(loads, 2);
    });
}

#[test]
fn followers_share_what_the_leader_loaded() {
    testkit::run(async {
        let (values, loads) = after_the_leader(|_, gate| gate.open(), |_| 1).await;
        assert!(values.iter().all(|value| value.as_deref() == Ok(&1)));
        assert_eq!(loads, 1);
    });
}

#[test]
fn an_error_reaches_everyone_as_it_is_and_is_not_stored() {
    testkit::run(async {
        let cache = cache().await;
        let loads = Arc::new(AtomicUsize::new(0));
        let gate = Gate::new("the leader loads");
        let mut tasks = JoinSet::new();
        let inside = gate.clone();
        spawn_callers(&mut tasks, &cache, &loads, 50, move || {
            let inside = inside.clone();
            async move {
                inside.pass().await;
                Err("no such table".to_owned())
            }
        });
        followers(&cache, 49).await;
        gate.open();
        for value in tasks.join_all().await {
            assert_eq!(value, Err("no such table".to_owned()));
        }
        assert_eq!(loads.load(Ordering::SeqCst), 1);
        assert_eq!(cache.get::<u64>("key").await, None);
        let again = cache.get_or_set("key", Policy::new(), || async { Ok::<u64, String>(3) }).await;
        assert_eq!(again.as_deref(), Ok(&3));
    });
}

#[test]
fn errors_of_another_type_do_not_reach_a_caller_who_has_none() {
    testkit::run(async {
        let cache = cache().await;
        let gate = Gate::new("the leader loads");
        let leader = cache.get_or_set("key", Policy::new(), || async {
            gate.pass().await;
            Err::<u64, _>("text".to_owned())
        });
        let follower = async {
            gate.reached().await;
            let follow =
                cache.get_or_set("key", Policy::new(), || async { Ok::<u64, std::num::ParseIntError>(5) });
            joins(&cache, &gate, follow).await
        };
        let (led, followed) = tokio::join!(leader, follower);
        assert_eq!(led, Err("text".to_owned()));
        assert_eq!(followed.as_deref(), Ok(&5));
    });
}

#[test]
fn a_loader_may_ask_for_its_own_key() {
    testkit::run(async {
        let cache = cache().await;
        let inner = || async { Ok::<u64, Infallible>(1) };
        let outer = || async {
            let Ok(inner) = cache.get_or_set("key", Policy::new(), inner).await;
            Ok::<u64, Infallible>(*inner + 10)
        };
        let Ok(read) = cache.read_through("key", Policy::new(), outer).await;
        assert_eq!((*read.value, read.source), (11, Source::Loaded));
        assert_eq!(cache.get::<u64>("key").await.as_deref(), Some(&11), "the outer load ended last");

        // Through another key, and by a batch.
        let through = || async {
            let load = |missing: Vec<&'static str>| async move {
                assert_eq!(missing, ["a", "b"]);
                Ok::<_, Infallible>([("a", 1_u64), ("b", 2)])
            };
            let Ok(both) = cache.get_or_set_many(&["a", "b"], |id| *id, Policy::new(), load).await;
            Ok::<u64, Infallible>(both.into_iter().flatten().map(|value| *value).sum())
        };
        let Ok(value) = cache.get_or_set("a", Policy::new(), through).await;
        assert_eq!(*value, 3);
    });
}

#[test]
fn loads_that_need_each_other_do_not_wait_for_ever() {
    testkit::run(async {
        let cache = impatient_cache().await;
        let both = Gate::new("both loads are under way");
        let needs = |own: &'static str, other: &'static str| {
            let (cache, both) = (cache.clone(), both.clone());
            async move {
                let load = || async {
                    both.pass().await;
                    let Ok(value) =
                        cache.get_or_set(other, Policy::new(), || async { Ok::<u64, Infallible>(1) }).await;
                    Ok::<u64, Infallible>(*value + 1)
                };
                let Ok(value) = cache.get_or_set(own, Policy::new(), load).await;
                *value
            }
        };
        let open = async {
            both.reached_by(2).await;
            both.open();
        };
        let (a, b, ()) = tokio::join!(needs("a", "b"), needs("b", "a"), open);
        assert!(a <= 3 && b <= 3, "each has the other's value, or one that it loaded itself: {a} and {b}");
    });
}

#[test]
fn a_leader_that_never_ends_is_given_up_and_one_loads_in_its_place() {
    testkit::run(async {
        let cache = impatient_cache().await;
        let loads = Arc::new(AtomicUsize::new(0));
        let mut leading = JoinSet::new();
        spawn_callers(&mut leading, &cache, &loads, 1, pending);
        while loads.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let mut tasks = JoinSet::new();
        spawn_callers(&mut tasks, &cache, &loads, 100, || async { Ok(2) });
        for value in tasks.join_all().await {
            assert_eq!(value.as_deref(), Ok(&2));
        }
        assert_eq!(loads.load(Ordering::SeqCst), 2);
        leading.shutdown().await;
        assert_eq!(cache.stats().local.loading, 0);
    });
}

#[test]
fn a_permit_that_is_dropped_hands_the_load_to_one_who_waits() {
    testkit::run(async {
        let cache = cache().await;
        let Lookup::Permit(permit) = cache.get_or_permit::<u64>("key", Policy::new()).await else {
            panic!("nothing is there yet");
        };
        let loads = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        spawn_callers(&mut tasks, &cache, &loads, 100, || async { Ok(2) });
        followers(&cache, 100).await;
        assert_eq!(loads.load(Ordering::SeqCst), 0, "they wait for the permit");
        drop(permit);
        for value in tasks.join_all().await {
            assert_eq!(value.as_deref(), Ok(&2));
        }
        assert_eq!(loads.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_permit_that_is_filled_serves_those_who_wait() {
    testkit::run(async {
        let cache = cache().await;
        let Lookup::Permit(permit) = cache.get_or_permit::<u64>("key", Policy::new()).await else {
            panic!("nothing is there yet");
        };
        let loads = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        spawn_callers(&mut tasks, &cache, &loads, 100, || async { Ok(2) });
        followers(&cache, 100).await;
        assert!(permit.fill(1).await.stored);
        for value in tasks.join_all().await {
            assert_eq!(value.as_deref(), Ok(&1));
        }
        assert_eq!(loads.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn batches_with_crossing_keys_wait_for_each_other_and_not_for_ever() {
    testkit::run(async {
        let cache = cache().await;
        let loads = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        for caller in 0..100_u64 {
            let (cache, loads) = (cache.clone(), Arc::clone(&loads));
            tasks.spawn(async move {
                let ids: Vec<u64> = (0..20).map(|i| (caller * 7 + i * (1 + caller % 2 * 18)) % 20).collect();
                let load = |missing: Vec<u64>| {
                    loads.fetch_add(missing.len(), Ordering::SeqCst);
                    async move {
                        work(5).await;
                        Ok::<_, Infallible>(missing.into_iter().map(|id| (id, id * 10)))
                    }
                };
                let Ok(values) =
                    cache.get_or_set_many(&ids, |id| format!("row:{id}"), Policy::new(), load).await;
                for (id, value) in ids.iter().zip(values) {
                    assert_eq!(value.as_deref(), Some(&(id * 10)));
                }
            });
        }
        tasks.join_all().await;
        assert_eq!(loads.load(Ordering::SeqCst), 20, "each row is loaded once");
    });
}

#[test]
fn a_row_that_a_batch_did_not_find_is_loaded_by_the_one_who_waits_for_it() {
    testkit::run(async {
        let cache = cache().await;
        let gate = Gate::new("the batch loads");
        let load = |_missing: Vec<u64>| async {
            gate.pass().await;
            Ok::<[(u64, u64); 0], Infallible>([])
        };
        let batch = cache.get_or_set_many(&[1_u64], |id| format!("row:{id}"), Policy::new(), load);
        let waiting = async {
            gate.reached().await;
            let single = cache.get_or_set("row:1", Policy::new(), || async { Ok::<u64, Infallible>(5) });
            let open = async {
                followers(&cache, 1).await;
                gate.open();
            };
            tokio::join!(single, open).0
        };
        let (Ok(batch), Ok(single)) = tokio::join!(batch, waiting);
        assert_eq!(batch, [None]);
        assert_eq!(*single, 5);
    });
}
