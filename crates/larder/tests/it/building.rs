//! Building: what is refused, and where it can be done.

use std::time::Duration;

use larder::{CacheService, ErrorKind, Policy, Refusal, Space, Ttl};

static USER: Space<str, u32> =
    Space::new("user:{id}", "Read by tests; loaded; staleness costs a test.").ttl(Ttl::LONG);

#[test]
fn building_outside_of_a_runtime_is_an_error_that_says_where_to_build() {
    let error = CacheService::builder().build().expect_err("there is no runtime");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("inside a Tokio runtime"), "{error}");
}

#[test]
fn settings_of_nothing_are_refused_by_name() {
    testkit::run(async {
        let build = CacheService::builder;
        for (builder, name) in [
            (build().local_capacity_bytes(0), "local_capacity_bytes"),
            (build().default_ttl(Ttl::millis(0)), "default_ttl"),
            (build().follow_limit(Duration::ZERO), "follow_limit"),
            (build().sweep_interval(Duration::ZERO), "sweep_interval"),
        ] {
            let error = builder.build().expect_err(name);
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains(name), "{error}");
        }
        let smallest = build().local_capacity_bytes(1).local_expected_entries(0).max_value_bytes(0).build();
        let smallest = smallest.expect("small is not nothing");
        assert_eq!(smallest.set("a", 1, Policy::new()).await.refusal, Some(Refusal::TooLarge));
    });
}

#[test]
fn spaces_that_cannot_be_are_refused_when_the_service_is_built() {
    testkit::run(async {
        static ME: Space<(), u32> = Space::new("user:me", "");
        static TWO: Space<str, u32> = Space::new("user:{a}:{b}", "");
        static OPEN: Space<str, u32> = Space::new("user:{id", "");
        static STAR: Space<str, u32> = Space::new("user:{id}:*", "");
        static EMPTY: Space<(), u32> = Space::new("", "");
        static FIRST: Space<str, u32> = Space::new("{id}:x", "");
        static NO_SCOPE: Space<str, u32> = Space::new("x:{id}:y", "").scope("company");
        static LAST: Space<str, u32> = Space::new("x:{id}", "").scope("id");
        static MANY: Space<(u8, u8, u8, u8), u32> =
            Space::new("x:{a}:{b}:{c}:{d}:e", "").scope("a").scope("b").scope("c").scope("d");
        static NEVER: Space<str, u32> = Space::new("x:{id}", "").ttl(Ttl::millis(0));
        for (space, part) in [
            (CacheService::builder().space(&USER).space(&ME), "`user:{id}`; make their words differ"),
            (CacheService::builder().space(&USER).space(&USER), "make their words differ"),
            (CacheService::builder().space(&TWO), "2 placeholders and its id type fills 1"),
            (CacheService::builder().space(&OPEN), "`{id`"),
            (CacheService::builder().space(&STAR), "`*`"),
            (CacheService::builder().space(&EMPTY), "``"),
            (CacheService::builder().space(&FIRST), "first part"),
            (CacheService::builder().space(&NO_SCOPE), "`company` is no part"),
            (CacheService::builder().space(&LAST), "no name lies under it"),
            (CacheService::builder().space(&MANY), "more than 3 scopes"),
            (CacheService::builder().space(&NEVER), "lifetime is 0"),
        ] {
            let error = space.build().expect_err(part);
            assert_eq!(error.kind(), ErrorKind::Config, "{error}");
            assert!(error.to_string().contains(part), "{part}: {error}");
            let template = error.space().expect("it says which space");
            assert!(error.to_string().contains(template), "{error}");
        }
    });
}
