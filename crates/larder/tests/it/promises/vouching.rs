//! Who may take what another caller loads: nobody gets news that are older than its own arrival.

use std::convert::Infallible;

use larder::{CacheService, Lookup, Policy, Tag};
use testkit::gate::Gate;

use super::fixture::cache;
use crate::observed::joins;

/// Runs a load up to its gate, then what happens meanwhile, then a read that comes afterwards: only once it has joined, or
/// has its answer, the load may end. Answers what both got.
async fn joins_late<L, J>(
    cache: &CacheService,
    gate: &Gate,
    load: impl Future<Output = L>,
    meanwhile: impl Future<Output = ()>,
    read: impl Future<Output = J>,
) -> (L, J) {
    let read = async {
        gate.reached().await;
        meanwhile.await;
        joins(cache, gate, read).await
    };
    tokio::join!(load, read)
}

/// A load of the old row without tags, during which the tag is invalidated and a reader comes who declares it.
async fn with_a_tag_that_the_load_ignored<J>(cache: &CacheService, read: impl Future<Output = J>) -> J {
    let gate = Gate::new("the old row is read");
    let load = cache.get_or_set("key", Policy::new(), || async {
        gate.pass().await;
        Ok::<_, Infallible>("old".to_owned())
    });
    let invalidate = async {
        cache.invalidate_tag(Tag::named("rates")).await;
    };
    joins_late(cache, &gate, load, invalidate, read).await.1
}

#[test]
fn a_load_without_the_tag_that_a_reader_declares_vouches_for_nothing_to_it() {
    testkit::run(async {
        let policy = || Policy::new().tag(Tag::named("rates"));
        let cache = cache().await;
        let new = || async { Ok::<_, Infallible>("new".to_owned()) };
        let Ok(value) =
            with_a_tag_that_the_load_ignored(&cache, cache.get_or_set("key", policy(), new)).await;
        assert_eq!(*value, "new", "a closure");

        let cache = self::cache().await;
        let Lookup::Permit(_) =
            with_a_tag_that_the_load_ignored(&cache, cache.get_or_permit::<String>("key", policy())).await
        else {
            panic!("a permit");
        };

        let cache = self::cache().await;
        let new = |missing: Vec<&'static str>| async {
            Ok::<_, Infallible>(missing.into_iter().map(|id| (id, "new".to_owned())))
        };
        let batch = cache.get_or_set_many(&["key"], |id| *id, policy(), new);
        let Ok(values) = with_a_tag_that_the_load_ignored(&cache, batch).await;
        assert_eq!(values[0].as_deref().map(String::as_str), Some("new"), "a batch");
    });
}

/// What a loader says of a row that is not there.
#[derive(Clone, Debug, PartialEq)]
struct NotFound;

/// A load that finds no row, during which the row is created and announced and a reader comes.
async fn while_a_row_is_created<J>(cache: &CacheService, read: impl Future<Output = J>) -> J {
    let gate = Gate::new("there is no row");
    let load = cache.get_or_set("key", Policy::new(), || async {
        gate.pass().await;
        Err::<String, _>(NotFound)
    });
    let announce = async {
        cache.delete("key").await;
    };
    let (led, joined) = joins_late(cache, &gate, load, announce, read).await;
    assert_eq!(led, Err(NotFound));
    joined
}

#[test]
fn an_error_from_before_a_change_does_not_reach_who_comes_after_it() {
    testkit::run(async {
        let cache = cache().await;
        let new = || async { Ok::<_, NotFound>("new".to_owned()) };
        let value = while_a_row_is_created(&cache, cache.get_or_set("key", Policy::new(), new)).await;
        assert_eq!(value.as_deref().map(String::as_str), Ok("new"), "a closure");

        let cache = self::cache().await;
        let new = |missing: Vec<&'static str>| async {
            Ok::<_, NotFound>(missing.into_iter().map(|id| (id, "new".to_owned())))
        };
        let batch = cache.get_or_set_many(&["key"], |id| *id, Policy::new(), new);
        let values = while_a_row_is_created(&cache, batch).await.expect("the row is there now");
        assert_eq!(values[0].as_deref().map(String::as_str), Some("new"), "a batch");

        let cache = self::cache().await;
        let new = || async { Ok::<_, NotFound>(("new".to_owned(), vec![])) };
        let tagged = cache.get_or_set_tagged("key", Policy::new(), new);
        let value = while_a_row_is_created(&cache, tagged).await.map(|read| read.value);
        assert_eq!(value.as_deref().map(String::as_str), Ok("new"), "a closure that tells its tags");
    });
}
