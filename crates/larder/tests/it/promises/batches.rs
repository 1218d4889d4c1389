//! Many keys at once: their order, one call of the loader with only what is missing, and other callers' loads.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder::{CacheService, Policy, Refusal, Space, Ttl};
use testkit::gate::Gate;

use super::fixture::{self, assert_entries, cache};
use crate::loader::brings;
use crate::observed::{followers, group};

pub(super) static USER: Space<u32, String> =
    Space::new("user:{id}", "Read by tests; loaded; staleness costs a test.").ttl(Ttl::LONG);

async fn users() -> CacheService {
    fixture::build(fixture::builder().space(&USER)).await
}

type Brings = std::future::Ready<Result<Vec<(u32, String)>, Infallible>>;

/// Keeps what each call of the loader was asked for.
#[derive(Clone, Default)]
pub(super) struct Asked(Arc<Mutex<Vec<Vec<u32>>>>);

impl Asked {
    /// A loader that knows every id but those above 100.
    fn load(&self) -> impl FnMut(Vec<u32>) -> Brings + use<> {
        let asked = self.0.clone();
        move |missing| {
            asked.lock().unwrap().push(missing.clone());
            let known = missing.into_iter().rev().filter(|id| *id <= 100);
            std::future::ready(Ok(known.map(|id| (id, format!("user {id}"))).collect()))
        }
    }

    pub(super) fn take(&self) -> Vec<Vec<u32>> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

pub(super) async fn get(cache: &CacheService, ids: &[u32], asked: &Asked) -> Vec<Option<String>> {
    let values = cache.get_or_set_many(ids, |id| USER.key(id), Policy::new(), asked.load()).await.unwrap();
    values.into_iter().map(|value| value.as_deref().cloned()).collect()
}

pub(super) fn named(ids: &[u32]) -> Vec<Option<String>> {
    ids.iter().map(|id| (*id <= 100).then(|| format!("user {id}"))).collect()
}

#[test]
fn the_loader_is_called_once_with_only_what_is_missing_and_the_answer_is_in_order() {
    testkit::run(async {
        let (cache, asked) = (users().await, Asked::default());
        assert_eq!(get(&cache, &[5, 3, 9], &asked).await, named(&[5, 3, 9]));
        assert_eq!(asked.take(), [[5, 3, 9]], "in the order of the ids");
        assert_eq!(get(&cache, &[1, 9, 2, 5, 3, 4], &asked).await, named(&[1, 9, 2, 5, 3, 4]));
        assert_eq!(asked.take(), [[1, 2, 4]]);
        assert_eq!(get(&cache, &[4, 3, 2, 1], &asked).await, named(&[4, 3, 2, 1]));
        assert_eq!(asked.take(), Vec::<Vec<u32>>::new(), "nothing is missing");
        let counts = group(&cache, "user");
        assert_eq!((counts.hits, counts.misses, counts.loads, counts.sets), (7, 6, 2, 6));
    });
}

#[test]
fn no_ids_are_no_load() {
    testkit::run(async {
        let (cache, asked) = (users().await, Asked::default());
        assert_eq!(get(&cache, &[], &asked).await, named(&[]));
        assert_eq!(asked.take(), Vec::<Vec<u32>>::new());
    });
}

#[test]
fn an_id_that_stands_twice_is_loaded_once_and_answered_twice() {
    testkit::run(async {
        let (cache, asked) = (users().await, Asked::default());
        assert_eq!(get(&cache, &[7, 8, 7, 7, 8, 101, 101], &asked).await, named(&[7, 8, 7, 7, 8, 101, 101]));
        assert_eq!(asked.take(), [[7, 8, 101]]);
        assert_eq!(get(&cache, &[7, 7, 6], &asked).await, named(&[7, 7, 6]));
        assert_eq!(asked.take(), [[6]]);
    });
}

#[test]
fn two_ids_with_one_key_share_one_value() {
    testkit::run(async {
        let cache = cache().await;
        let ids = ["Ada", "ADA"];
        let calls = Asked::default();
        let load = |missing: Vec<&'static str>| {
            calls.0.lock().unwrap().push(vec![missing.len() as u32]);
            brings(missing.into_iter().map(|id| (id, id.to_owned())).collect::<Vec<_>>())
        };
        let values = cache.get_or_set_many(&ids, |id| id.to_lowercase(), Policy::new(), load).await.unwrap();
        assert_eq!(values[0], values[1]);
        assert_eq!(calls.take(), [[1]], "it neither waits for itself nor loads twice");
    });
}

#[test]
fn what_the_loader_leaves_out_is_nothing_and_is_asked_for_again() {
    testkit::run(async {
        let (cache, asked) = (users().await, Asked::default());
        for _ in 0..2 {
            assert_eq!(get(&cache, &[200, 1, 201], &asked).await, named(&[200, 1, 201]));
        }
        assert_eq!(asked.take(), [vec![200, 1, 201], vec![200, 201]]);
        assert_eq!(cache.stats().local.loading, 0);
        assert_entries(&cache, 1).await;
    });
}

#[test]
fn what_the_loader_brings_unasked_is_not_stored() {
    testkit::run(async {
        let cache = users().await;
        let load = |_missing| brings([(1, "user 1".to_owned()), (2, "unasked".to_owned())]);
        let values = cache.get_or_set_many(&[1], |id| USER.key(id), Policy::new(), load).await.unwrap();
        assert_eq!(values.len(), 1);
        assert_eq!(cache.get(USER.key(&2)).await, None);
    });
}

#[test]
fn the_loaders_error_is_the_callers_and_stores_nothing() {
    testkit::run(async {
        let (cache, asked) = (users().await, Asked::default());
        get(&cache, &[1], &asked).await;
        let failed = cache
            .get_or_set_many(
                &[1, 2],
                |id| USER.key(id),
                Policy::new(),
                |_| async { Err::<Vec<(u32, String)>, _>("the database is gone") },
            )
            .await;
        assert_eq!(failed.unwrap_err(), "the database is gone");
        assert_eq!(cache.stats().local.loading, 0);
        assert_entries(&cache, 1).await;
        assert_eq!(cache.stats().total.errors, 0);
        asked.take();
        assert_eq!(get(&cache, &[1, 2], &asked).await, named(&[1, 2]));
        assert_eq!(asked.take(), [[2]]);
    });
}

#[test]
fn a_batch_that_is_dropped_while_it_loads_leaves_nothing_behind() {
    testkit::run(async {
        let (cache, asked) = (users().await, Asked::default());
        let loading = Gate::new("the batch loads");
        let at = loading.clone();
        let batch = cache.get_or_set_many(
            &[1, 2],
            |id| USER.key(id),
            Policy::new(),
            |_| async {
                at.pass().await;
                Ok::<_, Infallible>(vec![(1, String::new())])
            },
        );
        tokio::select! {
            _ = batch => panic!("nobody opened the gate"),
            () = loading.reached() => {}
        }
        assert_eq!(cache.stats().local.loading, 0);
        assert_entries(&cache, 0).await;
        assert_eq!(get(&cache, &[1, 2], &asked).await, named(&[1, 2]));
    });
}

#[test]
fn a_batch_loads_its_own_first_and_then_takes_what_another_caller_loads() {
    testkit::run(async {
        let (cache, asked) = (users().await, Asked::default());
        let theirs = Gate::new("another caller loads user 1");
        let at = theirs.clone();
        let other = cache.get_or_set(USER.key(&1), Policy::new(), || async {
            at.pass().await;
            Ok::<_, Infallible>("their user 1".to_owned())
        });
        let batch = async {
            theirs.reached().await;
            let mut load = asked.load();
            let load = |missing| {
                theirs.open(); // only now can the other load end: a batch that waited first would wait for ever
                load(missing)
            };
            cache.get_or_set_many(&[1, 2], |id| USER.key(id), Policy::new(), load).await
        };
        let (other, batch) = tokio::join!(other, batch);
        assert_eq!(other.unwrap().as_str(), "their user 1");
        let batch = batch.unwrap();
        assert_eq!(asked.take(), [[2]]);
        assert_eq!(batch[0].as_deref().map(String::as_str), Some("their user 1"));
        assert_eq!(batch[1].as_deref().map(String::as_str), Some("user 2"));
        assert_eq!(group(&cache, "user").joined, 1);
    });
}

#[test]
fn a_batch_loads_itself_what_another_caller_gave_up() {
    testkit::run(async {
        let (cache, asked) = (users().await, Asked::default());
        let theirs = Gate::new("another caller loads user 1");
        let at = theirs.clone();
        let other = cache.get_or_set(USER.key(&1), Policy::new(), || async {
            at.pass().await;
            Ok::<_, Infallible>(String::new())
        });
        let gives_up = async {
            tokio::select! {
                _ = other => panic!("nobody opened the gate"),
                () = asked_once(&asked) => {}
            }
        };
        let batch = async {
            theirs.reached().await;
            get(&cache, &[1, 2], &asked).await
        };
        let ((), batch) = tokio::join!(gives_up, batch);
        assert_eq!(batch, named(&[1, 2]));
        assert_eq!(asked.take(), [[2], [1]]);
    });
}

/// Ends once the loader has been called.
async fn asked_once(asked: &Asked) {
    while asked.0.lock().unwrap().is_empty() {
        tokio::task::yield_now().await; // the limit of the test ends this
    }
}

#[test]
fn others_wait_for_what_a_batch_loads() {
    testkit::run(async {
        let cache = users().await;
        let loading = Gate::new("the batch loads users 1 and 2");
        let batch = cache.get_or_set_many(
            &[1, 2],
            |id| USER.key(id),
            Policy::new(),
            |missing| async {
                loading.pass().await;
                Ok::<_, Infallible>(
                    missing.into_iter().map(|id| (id, format!("user {id}"))).collect::<Vec<_>>(),
                )
            },
        );
        let alone = |id| {
            let (cache, loading) = (&cache, &loading);
            async move {
                loading.reached().await;
                cache.get_or_set(USER.key(&id), Policy::new(), || brings("loaded twice".to_owned())).await
            }
        };
        let opens = async {
            followers(&cache, 2).await;
            loading.open();
        };
        let (batch, one, two, ()) = tokio::join!(batch, alone(1), alone(2), opens);
        batch.unwrap();
        assert_eq!((one.unwrap().as_str(), two.unwrap().as_str()), ("user 1", "user 2"));
        assert_eq!(group(&cache, "user").joined, 2);
    });
}

#[test]
fn two_batches_that_cross_do_not_wait_for_each_other_for_ever() {
    testkit::run(async {
        let (cache, asked) = (users().await, Asked::default());
        let both = Gate::new("both batches load");
        let batch = |ids: [u32; 2]| {
            let (cache, both, mut load) = (&cache, &both, asked.load());
            async move {
                let load = |missing| {
                    let loaded = load(missing);
                    async move {
                        both.pass().await;
                        loaded.await
                    }
                };
                cache.get_or_set_many(&ids, |id| USER.key(id), Policy::new(), load).await.unwrap()
            }
        };
        let opens = async {
            both.reached().await;
            both.open();
        };
        let (one, two, ()) = tokio::join!(batch([1, 2]), batch([2, 1]), opens);
        assert_eq!((one[0].as_ref(), one[1].as_ref()), (two[1].as_ref(), two[0].as_ref()));
        assert_eq!(asked.take().concat().len(), 2, "each was loaded once");
    });
}

#[test]
fn a_batch_within_the_load_of_one_of_its_keys_loads_it_within() {
    testkit::run(async {
        let (cache, asked) = (users().await, Asked::default());
        let value = cache
            .get_or_set(USER.key(&1), Policy::new(), || async {
                let within = get(&cache, &[1, 2], &asked).await;
                Ok::<_, Infallible>(format!("{} and more", within[0].clone().unwrap_or_default()))
            })
            .await;
        assert_eq!(value.unwrap().as_str(), "user 1 and more");
        assert_eq!(asked.take(), [[1, 2]]);
    });
}

#[test]
fn get_many_and_set_many_answer_in_order_with_duplicates() {
    testkit::run(async {
        let cache = cache().await;
        let entries = [("a", 1), ("b", 2), ("a", 3)];
        let stored = cache.set_many(entries, Policy::new().nx()).await;
        let refusals: Vec<_> = stored.iter().map(|stored| stored.refusal).collect();
        assert_eq!(refusals, [None, None, Some(Refusal::Exists)]);
        let values = cache.get_many::<i32, _>(["b", "x", "a", "b"]).await;
        let values: Vec<_> = values.iter().map(|value| value.as_deref().copied()).collect();
        assert_eq!(values, [Some(2), None, Some(1), Some(2)]);
        cache.set_many(entries, Policy::new()).await;
        assert_eq!(cache.get::<i32>("a").await.as_deref(), Some(&3), "the last one wins");
        assert_eq!(cache.delete_many(["a", "x", "a", "b"]).await.count, Some(2));
        assert_eq!(cache.stats().total.deletes, 4);
    });
}

#[test]
fn a_read_of_a_batch_is_counted_as_a_hit_or_a_miss_and_never_as_both() {
    testkit::run(async {
        let cache = cache().await;
        let gate = Gate::new("another caller loads");
        let theirs = cache.get_or_set("row:1", Policy::new(), || async {
            gate.pass().await;
            cache.set("row:1", 2, Policy::new()).await;
            Ok::<_, Infallible>(1)
        });
        let batch = async {
            gate.reached().await;
            let load = |_missing: Vec<&'static str>| brings(Vec::new());
            let batch = cache.get_or_set_many(&["row:1"], |id| *id, Policy::new(), load);
            let opens = async {
                followers(&cache, 1).await;
                gate.open();
            };
            tokio::join!(batch, opens).0
        };
        let (Ok(theirs), Ok(batch)) = tokio::join!(theirs, batch);
        assert_eq!((*theirs, batch[0].as_deref()), (1, Some(&2)), "what was set during the load");
        let counts = group(&cache, "row");
        assert_eq!((counts.hits, counts.misses), (1, 1), "the batch hit, the other missed");
    });
}

#[test]
fn what_others_never_bring_is_loaded_with_one_call_once_the_limit_is_over() {
    testkit::run(async {
        let builder = fixture::builder().space(&USER).follow_limit(Duration::from_millis(100));
        let cache = fixture::build(builder).await;
        let (ids, asked) = ([1, 2, 3, 4, 5], Asked::default());
        let loading = Gate::new("a batch loads and never ends");
        let stuck = |_missing| async {
            loading.pass().await;
            Ok::<Vec<(u32, String)>, Infallible>(Vec::new())
        };
        let stuck = cache.get_or_set_many(&ids, |id| USER.key(id), Policy::new(), stuck);
        let waits = async {
            loading.reached().await;
            get(&cache, &ids, &asked).await
        };
        tokio::select! { biased;
            _ = stuck => panic!("nobody opened the gate"),
            values = waits => assert_eq!(values, named(&ids)),
        }
        assert_eq!(asked.take().len(), 1, "what was given up is loaded with one call");
    });
}

#[test]
fn a_name_that_stands_twice_is_set_in_the_order_of_the_batch() {
    testkit::run(async {
        let cache = cache().await;
        for round in 0..100 {
            let name = format!("again:{round}");
            let entries = || ["first", "second", "third"].map(|value| (&*name, value.to_owned()));
            let stored = cache.set_many(entries(), Policy::new().nx()).await;
            let refusals: Vec<_> = stored.iter().map(|stored| stored.refusal).collect();
            assert_eq!(refusals, [None, Some(Refusal::Exists), Some(Refusal::Exists)]);
            assert_eq!(cache.get::<String>(&name).await.as_deref().map(String::as_str), Some("first"));
            let stored = cache.set_many(entries(), Policy::new()).await;
            assert!(stored.iter().all(|stored| stored.is_stored()));
            assert_eq!(cache.get::<String>(&name).await.as_deref().map(String::as_str), Some("third"));
        }
    });
}
