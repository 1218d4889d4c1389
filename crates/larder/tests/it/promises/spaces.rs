//! Declared families of names: what they own, what they refuse, and how they are registered.

use std::fmt::{self, Display};

use larder::{
    CacheService, ErrorKind, Id, Invalidation, KeyWriter, Policy, Refusal, Source, Space, Tag, Ttl,
};

use super::fixture::{self, assert_entries};
use crate::loader::{Runs, brings};
use crate::observed::group;

static USER: Space<str, u32> =
    Space::new("user:{id}", "Read by tests; loaded; staleness costs a test.").ttl(Ttl::LONG);
static PAGE: Space<(&str, u32), u32> =
    Space::new("deals:company:{company}:page:{n}", "Read by tests; in a scope; staleness costs a test.")
        .scope("company");
static BOARD: Space<str, u32> =
    Space::new("deals:company:{company}:board", "Read by tests; beside the pages; staleness costs a test.");
static DRAFT: Space<str, u32> =
    Space::new("draft:{id}", "Read by tests; only ever in the cache; losing it costs a test.")
        .cache_is_source();
static STRANGE: Space<str, u32> = Space::new("strange:{id}", "Registered nowhere; a test of that.");
static STRANGE_DRAFT: Space<str, u32> =
    Space::new("strange:draft:{id}", "Registered nowhere; a test of that.").cache_is_source();

async fn cache() -> CacheService {
    fixture::build(fixture::builder().space(&USER).space(&PAGE).space(&BOARD).space(&DRAFT)).await
}

#[test]
fn a_registered_space_refuses_bare_sets_through_every_door() {
    testkit::run(async {
        let cache = cache().await;
        cache.get_or_set(USER.key("1"), Policy::new(), || brings(1)).await.unwrap();
        let nx = || Policy::new().nx();
        let mut refused = vec![
            cache.set("user:1", 2_u32, Policy::new()).await,
            cache.set(USER.key("1"), 2, Policy::new()).await,
            cache.set("user:1", 2_u32, nx()).await,
            cache.set(USER.key("1"), 2, nx()).await,
            cache.set("user:2", 2_u32, nx()).await,
            cache.set(USER.key("2"), 2, nx()).await,
            cache.set("user:", 2_u32, Policy::new()).await,
        ];
        refused.extend(cache.set_many([("user:1", 2_u32), ("user:2", 2)], Policy::new()).await);
        refused.extend(cache.set_many([(USER.key("1"), 2), (USER.key("2"), 2)], nx()).await);
        for (at, stored) in refused.iter().enumerate() {
            assert_eq!(stored.refusal, Some(Refusal::Failed), "door {at}");
        }
        assert_eq!(cache.get(USER.key("1")).await.as_deref(), Some(&1));
        assert_eq!(cache.get(USER.key("2")).await, None);
        for error in [
            cache.try_set("user:1", 2_u32, Policy::new()).await.unwrap_err(),
            cache.try_set(USER.key("1"), 2, nx()).await.unwrap_err(),
        ] {
            assert_eq!((error.kind(), error.space()), (ErrorKind::Refused, Some("user:{id}")));
            assert!(
                error.to_string().contains("`get_or_set`") && error.to_string().contains("`cache_is_source`")
            );
        }
        assert_eq!((cache.stats().total.errors, cache.stats().total.sets), (refused.len() as u64 + 2, 1));
    });
}

#[test]
fn a_name_beside_the_form_of_a_space_is_nobodys() {
    testkit::run(async {
        let cache = cache().await;
        for name in [
            "user",
            "user:1:profile",
            "users:1",
            "User:1",
            " user:1",
            "deals:company:a:page",
            "deals:company:a",
        ] {
            assert!(cache.set(name, 1_u32, Policy::new()).await.is_stored(), "{name}");
        }
    });
}

#[test]
fn a_space_whose_source_is_the_cache_takes_bare_sets() {
    testkit::run(async {
        let cache = cache().await;
        assert!(cache.set(DRAFT.key("1"), 1, Policy::new()).await.is_stored());
        assert_eq!(cache.set(DRAFT.key("1"), 2, Policy::new().nx()).await.refusal, Some(Refusal::Exists));
        assert!(cache.set("draft:1", 3_u32, Policy::new()).await.is_stored());
        assert_eq!(cache.get(DRAFT.key("1")).await.as_deref(), Some(&3));
        DRAFT.clear(&cache).await;
        assert_eq!(cache.get(DRAFT.key("1")).await, None);
    });
}

#[test]
fn a_space_that_is_not_registered_is_loaded_and_stores_nothing() {
    testkit::run(async {
        let cache = cache().await;
        let runs = Runs::default();
        for _ in 0..2 {
            let read = cache.read_through(STRANGE.key("1"), Policy::new(), || runs.of(1)).await.unwrap();
            assert_eq!((read.source, read.stored), (Source::Loaded, false));
        }
        assert_eq!(runs.count(), 2);
        assert!(!cache.set(STRANGE.key("1"), 1, Policy::new()).await.is_stored());
        for (key, template) in
            [(STRANGE.key("1"), "strange:{id}"), (STRANGE_DRAFT.key("1"), "strange:draft:{id}")]
        {
            let error = cache.try_set(key, 1, Policy::new()).await.unwrap_err();
            assert_eq!((error.kind(), error.space()), (ErrorKind::Unregistered, Some(template)));
            assert!(error.to_string().contains("CacheService::builder().space("), "{error}");
        }
        assert_entries(&cache, 0).await;
        assert_eq!(cache.stats().total.errors, 5);
    });
}

#[test]
fn a_scope_takes_every_name_under_it_whatever_its_space_and_no_other() {
    testkit::run(async {
        let cache = cache().await;
        let fill = || async {
            for company in ["a", "ab", "*"] {
                cache.get_or_set(PAGE.key(&(company, 1)), Policy::new(), || brings(1)).await.unwrap();
                cache.get_or_set(BOARD.key(company), Policy::new(), || brings(1)).await.unwrap();
            }
            for name in ["deals:company:a", "deals:company:a:and:more", "deals:user:a:x", "deals:company::x"]
            {
                cache.set(name, 1_u32, Policy::new()).await;
            }
        };
        fill().await;
        let removed = cache.delete_pattern("deals:company:a:*").await;
        assert_eq!(
            (removed.is_applied(), removed.count),
            (true, None),
            "it costs the same at any size, and cannot count"
        );
        assert_eq!(cache.get(PAGE.key(&("a", 1))).await, None);
        assert_eq!(cache.get(BOARD.key("a")).await, None);
        assert_eq!(cache.get::<u32>("deals:company:a:and:more").await, None);
        for name in [
            "deals:company:a",
            "deals:user:a:x",
            "deals:company:ab:board",
            "deals:company:%2A:board",
            "deals:company::x",
        ] {
            assert!(cache.get::<u32>(name).await.is_some(), "{name}");
        }
        cache.delete_pattern("deals:company::*").await;
        assert_eq!(
            cache.get::<u32>("deals:company::x").await,
            None,
            "a bare name with nothing for a company"
        );

        fill().await;
        let removed = cache.delete_pattern("deals:company:*:*").await;
        assert_eq!(removed.count, Some(8), "a glob inside is no scope: it looks at the names");
        assert!(cache.get::<u32>("deals:company:a").await.is_some());
    });
}

#[test]
fn clearing_a_space_takes_its_names_and_no_others() {
    testkit::run(async {
        let cache = cache().await;
        let fill = || async {
            cache.get_or_set(PAGE.key(&("a", 1)), Policy::new(), || brings(1)).await.unwrap();
            cache.get_or_set("deals:company:a:page:2", Policy::new(), || brings(1_u32)).await.unwrap();
            cache.get_or_set(BOARD.key("a"), Policy::new(), || brings(1)).await.unwrap();
            cache.set("deals:company:a:page:2:x", 1_u32, Policy::new()).await;
        };
        fill().await;
        assert!(PAGE.clear(&cache).await.is_applied());
        assert_eq!(cache.get(PAGE.key(&("a", 1))).await, None);
        assert_eq!(
            cache.get(PAGE.key(&("a", 2))).await,
            None,
            "by its bare name it was of the space all the same"
        );
        assert!(cache.get(BOARD.key("a")).await.is_some());
        assert!(cache.get::<u32>("deals:company:a:page:2:x").await.is_some());
        fill().await;
        assert!(cache.get(PAGE.key(&("a", 1))).await.is_some(), "it serves again");
    });
}

#[test]
fn an_invalidation_is_the_sum_of_its_parts() {
    testkit::run(async {
        let cache = cache().await;
        let tag = Tag::named("t");
        for name in ["k:1", "k:2", "p:1", "p:2", "q:1"] {
            cache.set(name, 1, Policy::new()).await;
        }
        cache.set("tagged", 1, Policy::new().tag(tag)).await;
        let mut what = Invalidation::new().key("k:1").key("absent").pattern("p:*");
        let removed = cache.invalidate(&what).await;
        assert_eq!((removed.is_applied(), removed.count), (true, Some(3)));
        assert!(cache.get::<i32>("tagged").await.is_some());
        what.merge(Invalidation::new().tag(tag).key("k:2"));
        let removed = cache.invalidate(&what).await;
        assert_eq!((removed.is_applied(), removed.count), (true, None), "a tag cannot count");
        for name in ["k:1", "k:2", "p:1", "p:2", "tagged"] {
            assert_eq!(cache.get::<i32>(name).await, None, "{name}");
        }
        assert!(cache.get::<i32>("q:1").await.is_some());

        assert!(Invalidation::new().is_empty());
        let nothing = cache.invalidate(&Invalidation::new()).await;
        assert_eq!((nothing.is_applied(), nothing.count), (true, Some(0)));
        let too_long = cache.invalidate(&Invalidation::new().key("q:1").pattern("x".repeat(5_000))).await;
        assert!(!too_long.is_applied(), "one part that is not done is not acknowledged");
        assert_eq!(cache.get::<i32>("q:1").await, None, "but the others are done");
    });
}

#[test]
fn the_registered_spaces_can_be_read_back() {
    testkit::run(async {
        let cache = cache().await;
        let mut templates: Vec<_> = cache.spaces().iter().map(|space| space.template()).collect();
        templates.sort_unstable();
        let expected =
            ["deals:company:{company}:board", "deals:company:{company}:page:{n}", "draft:{id}", "user:{id}"];
        assert_eq!(templates, expected);
        let user = cache.spaces().into_iter().find(|space| space.template() == "user:{id}").unwrap();
        assert_eq!((user.ttl(), user.version()), (Some(Ttl::LONG), 1));
        assert!(user.reason().contains("staleness costs a test"));
    });
}

#[test]
fn the_groups_of_registered_spaces_are_not_crowded_out_by_other_names() {
    testkit::run(async {
        let cache = cache().await;
        for i in 0..1_000 {
            cache.get::<u32>(format!("stray{i}")).await;
        }
        cache.get_or_set(USER.key("1"), Policy::new(), || brings(1)).await.unwrap();
        assert_eq!(group(&cache, "user").loads, 1);
        assert!(cache.stats().by_prefix.len() <= 257);
        assert_eq!(cache.stats().total.misses, 1_001);
    });
}

/// An id that writes what it is told to, whatever it announces.
struct Odd(&'static [&'static str]);

impl Id for Odd {
    const SEGMENTS: usize = 2;
    fn write(&self, key: &mut KeyWriter<'_>) {
        self.0.iter().for_each(|part| key.segment(part));
    }
}

/// Something that cannot be shown.
struct Unshowable;

impl Display for Unshowable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("half")?;
        Err(fmt::Error)
    }
}

struct UnshowableId(&'static str);

impl Id for UnshowableId {
    const SEGMENTS: usize = 2;
    fn write(&self, key: &mut KeyWriter<'_>) {
        key.segment(self.0);
        key.segment(Unshowable);
    }
}

#[test]
fn an_id_that_does_not_fill_its_template_is_never_stored() {
    testkit::run(async {
        static ODD: Space<Odd, u32> = Space::new("odd:{a}:{b}", "A test of ids that lie.");
        static UNSHOWABLE: Space<UnshowableId, u32> =
            Space::new("unshowable:{a}:{b}", "A test of ids that fail.");
        static LONGER: Space<(u8, u8, u8), u32> =
            Space::new("odd:{a}:{b}:{c}", "Where a longer id might end up.");
        let cache = fixture::build(fixture::builder().space(&ODD).space(&UNSHOWABLE).space(&LONGER)).await;
        assert!(
            cache.read_through(ODD.key(&Odd(&["a", "b"])), Policy::new(), || brings(1)).await.unwrap().stored
        );
        for parts in [&[][..], &["a"], &["a", "b", "c"], &["a", "b", "c", "d"]] {
            let read = cache.read_through(ODD.key(&Odd(parts)), Policy::new(), || brings(2)).await.unwrap();
            assert!(!read.stored, "{parts:?} became {:?}", ODD.key(&Odd(parts)));
        }
        let key = UNSHOWABLE.key(&UnshowableId("a"));
        let read = cache.read_through(key.clone(), Policy::new(), || brings(2)).await.unwrap();
        assert!(!read.stored, "two ids that cannot be shown would share {key:?}");
    });
}

#[test]
fn a_pattern_of_an_odd_id_takes_what_is_under_it_and_nothing_else() {
    testkit::run(async {
        static PAGE: Space<(&str, u32), u32> =
            Space::new("page:of:{owner}:{n}", "Read by tests; never changes; staleness costs a test.")
                .scope("owner");
        let cache = fixture::build(fixture::builder().space(&PAGE)).await;
        let owners = ["plain", "Acme Corp", "a:b", "*", "", "a%3Ab"];
        for removed in owners {
            for owner in owners {
                cache.get_or_set(PAGE.key(&(owner, 1)), Policy::new(), || brings(1)).await.unwrap();
            }
            assert!(cache.delete_pattern(PAGE.under(&removed)).await.is_applied());
            for owner in owners {
                let there = cache.get(PAGE.key(&(owner, 1))).await.is_some();
                assert_eq!(there, owner != removed, "{owner:?} after the removal of {removed:?}");
            }
        }
    });
}

#[test]
fn a_raw_space_is_cleared_and_forgets_what_is_deleted() {
    static RAW: Space<u32, String> = Space::new("raw:{id}", "A test.").raw();
    testkit::run(async {
        let cache = fixture::build(fixture::builder().space(&RAW)).await;
        for clears in [true, false] {
            let value = cache.get_or_set(RAW.key(&1), Policy::new(), || brings("v".to_owned())).await;
            assert_eq!(value.as_deref().map(String::as_str), Ok("v"));
            assert!(cache.get(RAW.key(&1)).await.is_some());
            let removed = if clears { RAW.clear(&cache).await } else { cache.delete(RAW.key(&1)).await };
            assert!(removed.is_applied());
            assert_eq!(cache.get(RAW.key(&1)).await, None);
        }
    });
}
