//! Rows written through by their version: in whichever order they arrive, the newest stays.

use std::time::Duration;

use larder::{CacheService, ErrorKind, Policy, Refusal, Space, Tag, Ttl};
use serde::{Deserialize, Serialize};

use super::fixture::{self, MOMENT, counted_under, is_hit, with_clock};
use crate::loader::brings;
use crate::observed::group;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    version: u64,
    text: String,
}

static ROW: Space<u32, Row> =
    Space::new("row:{id}", "Read by tests; changes by version; staleness costs a test.")
        .ttl(Ttl::LONG)
        .versioned(|row: &Row| row.version);
static PLAIN: Space<u32, Row> =
    Space::new("plain:{id}", "Read by tests; has no version; staleness costs a test.");
static STRANGE: Space<u32, Row> =
    Space::new("strange:{id}", "Registered nowhere; a test of that.").versioned(|row: &Row| row.version);

fn row(version: u64) -> Row {
    Row { version, text: format!("v{version}") }
}

async fn cache() -> CacheService {
    fixture::build(fixture::builder().space(&ROW).space(&PLAIN)).await
}

async fn loaded(cache: &CacheService, version: u64) {
    cache.get_or_set(ROW.key(&1), Policy::new(), || brings(row(version))).await.unwrap();
}

async fn there(cache: &CacheService) -> Option<u64> {
    cache.get(ROW.key(&1)).await.map(|row| row.version)
}

#[test]
fn the_newest_version_stays_in_every_order_of_arrival() {
    testkit::run(async {
        let orders = [[2, 3, 4], [2, 4, 3], [3, 2, 4], [3, 4, 2], [4, 2, 3], [4, 3, 2]];
        for order in orders {
            let cache = cache().await;
            loaded(&cache, 1).await;
            let mut newest = 1;
            for version in order {
                let stored = cache.set_versioned(ROW.key(&1), row(version)).await;
                let expected = (version <= newest).then_some(Refusal::Older);
                assert_eq!(stored.refusal, expected, "version {version} in {order:?}");
                newest = newest.max(version);
                assert_eq!(there(&cache).await, Some(newest), "after version {version} in {order:?}");
            }
            assert_eq!(cache.get(ROW.key(&1)).await.unwrap().text, "v4");
        }
    });
}

#[test]
fn the_same_version_again_is_ignored() {
    testkit::run(async {
        let cache = cache().await;
        loaded(&cache, 5).await;
        let again = Row { version: 5, text: "other".to_owned() };
        assert_eq!(cache.set_versioned(ROW.key(&1), again).await.refusal, Some(Refusal::Older));
        assert_eq!(cache.get(ROW.key(&1)).await.unwrap().text, "v5");
    });
}

#[test]
fn it_never_creates_an_entry() {
    testkit::run(async {
        let (cache, clock) = with_clock(fixture::builder().space(&ROW).space(&PLAIN)).await;
        let tag = Tag::named("t");
        let absent = || async {
            let stored = cache.set_versioned(ROW.key(&1), row(9)).await;
            assert_eq!(stored.refusal, Some(Refusal::Absent));
            assert_eq!(there(&cache).await, None);
        };
        absent().await;
        let fill = || cache.get_or_set(ROW.key(&1), Policy::new().tag(tag), || brings(row(1)));
        fill().await.unwrap();
        cache.delete(ROW.key(&1)).await;
        absent().await;
        fill().await.unwrap();
        clock.advance(Duration::from_secs(3_600)).await;
        absent().await;
        fill().await.unwrap();
        cache.invalidate_tag(tag).await;
        absent().await;
        fill().await.unwrap();
        cache.clear().await;
        absent().await;
    });
}

#[test]
fn what_was_stored_without_a_version_is_removed() {
    testkit::run(async {
        let cache = cache().await;
        // Through the bare name, nobody knows where the version of the value is.
        cache.get_or_set("row:1", Policy::new(), || brings(row(1))).await.unwrap();
        assert_eq!(cache.set_versioned(ROW.key(&1), row(2)).await.refusal, Some(Refusal::Absent));
        assert_eq!(there(&cache).await, None);
    });
}

#[test]
fn the_entry_goes_on_depending_on_its_tags() {
    testkit::run(async {
        let cache = cache().await;
        let tag = Tag::named("t");
        let policy = || Policy::new().tag(tag);
        cache.get_or_set(ROW.key(&1), policy(), || brings(row(1))).await.unwrap();
        assert!(cache.set_versioned(ROW.key(&1), row(2)).await.is_stored());
        let read = cache.read_through(ROW.key(&1), policy(), || brings(row(3))).await.unwrap();
        assert_eq!((read.value.version, is_hit(read.source)), (2, true), "the tag is among its own");
        cache.invalidate_tag(tag).await;
        assert_eq!(there(&cache).await, None);

        cache.get_or_set(ROW.key(&1), policy(), || brings(row(1))).await.unwrap();
        assert!(cache.set_versioned(ROW.key(&1), row(2)).await.is_stored());
        ROW.clear(&cache).await;
        assert_eq!(there(&cache).await, None, "its space is a tag, too");

        cache.get_or_set(ROW.key(&1), policy(), || brings(row(1))).await.unwrap();
        assert!(cache.set_versioned(ROW.key(&1), row(2)).await.is_stored());
        cache.clear().await;
        assert_eq!(there(&cache).await, None, "and so is everything");
    });
}

#[test]
fn its_life_begins_anew() {
    testkit::run(async {
        let (cache, clock) = with_clock(fixture::builder().space(&ROW)).await;
        let at_its_end = Duration::from_secs(3_600) - MOMENT;
        loaded(&cache, 1).await;
        clock.advance(at_its_end).await;
        assert!(cache.set_versioned(ROW.key(&1), row(2)).await.is_stored());
        clock.advance(at_its_end).await;
        let read = cache.lookup(ROW.key(&1)).await.unwrap();
        assert_eq!((read.value.version, read.age), (2, at_its_end));
        clock.advance(MOMENT).await;
        assert_eq!(there(&cache).await, None);
    });
}

#[test]
fn a_row_that_grew_too_large_leaves_nothing_older_behind() {
    testkit::run(async {
        let cache = fixture::build(fixture::builder().space(&ROW).max_value_bytes(1_000)).await;
        loaded(&cache, 1).await;
        let large = Row { version: 2, text: "x".repeat(2_000) };
        assert_eq!(cache.set_versioned(ROW.key(&1), large).await.refusal, Some(Refusal::TooLarge));
        assert_eq!(there(&cache).await, None);
        let old_and_large = Row { version: 3, text: "x".repeat(2_000) };
        loaded(&cache, 4).await;
        assert_eq!(cache.set_versioned(ROW.key(&1), old_and_large).await.refusal, Some(Refusal::Older));
        assert_eq!(there(&cache).await, Some(4), "an older row takes nothing away, whatever its size");
    });
}

#[test]
fn a_space_without_versions_and_one_that_is_not_registered_say_so() {
    testkit::run(async {
        let cache = cache().await;
        cache.get_or_set(PLAIN.key(&1), Policy::new(), || brings(row(1))).await.unwrap();
        let error = cache.try_set_versioned(PLAIN.key(&1), row(2)).await.unwrap_err();
        assert_eq!((error.kind(), error.space()), (ErrorKind::Refused, Some("plain:{id}")));
        assert!(error.to_string().contains("`versioned`"), "{error}");
        assert_eq!(cache.get(PLAIN.key(&1)).await, None, "nothing older is left behind");

        let error = cache.try_set_versioned(STRANGE.key(&1), row(2)).await.unwrap_err();
        assert_eq!((error.kind(), error.space()), (ErrorKind::Unregistered, Some("strange:{id}")));
        assert_eq!(cache.set_versioned(STRANGE.key(&1), row(2)).await.refusal, Some(Refusal::Failed));
        assert_eq!(cache.get(STRANGE.key(&1)).await, None);
    });
}

#[test]
fn a_row_written_through_lives_as_long_as_it_was_loaded_to_live() {
    testkit::run(async {
        let (cache, clock) = with_clock(fixture::builder().space(&ROW)).await;
        let policy = Policy::ttl(Ttl::secs(60)).prefix("short");
        cache.get_or_set(ROW.key(&1), policy, || brings(row(1))).await.unwrap();
        clock.advance(Duration::from_secs(40)).await;
        assert!(cache.set_versioned(ROW.key(&1), row(2)).await.is_stored());
        clock.advance(Duration::from_secs(60) - MOMENT).await;
        assert_eq!(there(&cache).await, Some(2), "its minute began anew");
        clock.advance(MOMENT).await;
        assert_eq!(there(&cache).await, None, "and are not the hour of its space");
        assert_eq!(group(&cache, counted_under("short", "row")).hits, 1, "it is counted where it was");
    });
}

#[test]
fn a_failure_is_counted_once_through_either_form() {
    testkit::run(async {
        let cache = cache().await;
        cache.try_set_versioned(PLAIN.key(&1), row(2)).await.unwrap_err();
        assert_eq!(cache.stats().total.errors, 1);
        cache.set_versioned(PLAIN.key(&1), row(2)).await;
        assert_eq!(cache.stats().total.errors, 2);
    });
}
