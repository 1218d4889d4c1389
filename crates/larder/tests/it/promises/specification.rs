//! The specification's own tests and examples, translated.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use larder::{CacheService, Policy, Refusal, Ttl};
use serde::{Deserialize, Serialize};

use super::fixture::{MOMENT, STATUS, assert_entries, cache, cache_and_clock};
use crate::loader::{Runs, brings};
use crate::observed::group;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Deal {
    id: String,
    company: String,
    title: String,
}

fn deal(id: &str, title: &str) -> Deal {
    Deal { id: id.to_owned(), company: "abc123".to_owned(), title: title.to_owned() }
}

/// The application of the examples: a table of deals behind a cache.
struct Deals {
    table: Mutex<BTreeMap<String, Deal>>,
    queries: Runs,
    cache: CacheService,
}

impl Deals {
    fn new(cache: CacheService) -> Self {
        Deals { table: Mutex::default(), queries: Runs::default(), cache }
    }

    async fn query(&self, id: &str) -> Option<Deal> {
        let row = self.table.lock().unwrap().get(id).cloned();
        self.queries.of(row).await.expect("it cannot fail")
    }

    fn commit(&self, deal: Deal) {
        self.table.lock().unwrap().insert(deal.id.clone(), deal);
    }

    /// "Use Cache Aside Pattern".
    async fn get_deal(&self, id: &str) -> Option<Deal> {
        if let Some(cached) = self.cache.get::<Deal>(format!("deal:{id}")).await {
            return Some((*cached).clone());
        }
        let deal = self.query(id).await;
        if let Some(deal) = &deal {
            self.cache.set(format!("deal:{id}"), deal.clone(), Policy::ttl(Ttl::secs(1_800))).await;
        }
        deal
    }

    /// "Event-Based (Manual Invalidation)".
    async fn update_deal(&self, id: &str, title: &str) {
        self.commit(deal(id, title));
        assert!(self.cache.delete(format!("deal:{id}")).await.is_applied());
        assert!(self.cache.delete_pattern("pipeline:stats:abc123").await.is_applied());
    }
}

#[test]
fn should_cache_and_retrieve_data() {
    testkit::run(async {
        let cache = cache().await;
        let value = serde_json::json!({ "value": 123 });
        assert!(cache.set("test", value.clone(), Policy::new()).await.is_stored());
        assert_eq!(cache.get::<serde_json::Value>("test").await.as_deref(), Some(&value));
    });
}

#[test]
fn should_handle_cache_misses() {
    testkit::run(async {
        assert_eq!(cache().await.get::<serde_json::Value>("nonexistent").await, None);
    });
}

#[test]
fn should_respect_ttl() {
    testkit::run(async {
        let (cache, clock) = cache_and_clock().await;
        cache.set("temp", "data".to_owned(), Policy::ttl(Ttl::secs(60))).await;
        clock.advance(Duration::from_secs(60) - MOMENT).await;
        assert_eq!(cache.get::<String>("temp").await.as_deref().map(String::as_str), Some("data"));
        clock.advance(MOMENT + Duration::from_millis(100)).await;
        assert_eq!(cache.get::<String>("temp").await, None);
    });
}

#[test]
fn should_invalidate_cache_on_update() {
    testkit::run(async {
        let cache = cache().await;
        let deals = Deals::new(cache.clone());
        deals.commit(deal("17", "first"));
        assert_eq!(deals.get_deal("17").await.map(|deal| deal.title).as_deref(), Some("first"));
        cache.set("pipeline:stats:abc123", 1_u32, Policy::ttl(Ttl::MEDIUM).prefix("analytics")).await;
        assert!(cache.get::<Deal>("deal:17").await.is_some());

        deals.update_deal("17", "Updated").await;
        assert_eq!(cache.get::<Deal>("deal:17").await, None);
        assert_eq!(cache.get::<u32>("pipeline:stats:abc123").await, None);
        assert_eq!(deals.get_deal("17").await.map(|deal| deal.title).as_deref(), Some("Updated"));
    });
}

#[test]
fn cache_aside_asks_the_database_once_and_keeps_nothing_of_what_is_not_there() {
    testkit::run(async {
        let deals = Deals::new(cache().await);
        deals.commit(deal("17", "first"));
        for _ in 0..3 {
            assert!(deals.get_deal("17").await.is_some());
        }
        assert_eq!(deals.queries.count(), 1);
        for _ in 0..3 {
            assert!(deals.get_deal("unknown").await.is_none());
        }
        assert_eq!(deals.queries.count(), 4);
    });
}

#[test]
fn set_takes_a_lifetime_and_a_prefix_that_does_not_change_the_name() {
    testkit::run(async {
        let (cache, clock) = cache_and_clock().await;
        let user = deal("123", "a user, for that matter");
        cache.set("user:123", user.clone(), Policy::ttl(Ttl::secs(1_800)).prefix("people")).await;
        assert_eq!(cache.get::<Deal>("user:123").await.as_deref(), Some(&user));
        assert_eq!(cache.get::<Deal>("people:user:123").await, None);
        clock.advance(Duration::from_secs(1_800)).await;
        assert_eq!(cache.get::<Deal>("user:123").await, None);
    });
}

#[test]
fn delete_removes_one_key_and_delete_pattern_all_that_match() {
    testkit::run(async {
        let cache = cache().await;
        for name in ["user:123", "user:124", "user:", "users:1", "user"] {
            cache.set(name, 1, Policy::new()).await;
        }
        assert_eq!(cache.delete("user:123").await.count, Some(1));
        assert_eq!(cache.delete("user:123").await.count, Some(0));
        assert_eq!(cache.get::<i32>("user:123").await, None);
        assert_eq!(cache.delete_pattern("user:*").await.count, Some(2));
        assert_eq!(cache.get::<i32>("user:124").await, None);
        assert_eq!(cache.get::<i32>("users:1").await.as_deref(), Some(&1));
        assert_eq!(cache.get::<i32>("user").await.as_deref(), Some(&1));
    });
}

#[test]
fn the_patterns_of_the_specification_remove_what_it_says_and_no_more() {
    testkit::run(async {
        let cache = cache().await;
        for (glob, gone, kept) in [
            (
                "deals:company:abc123:*",
                vec!["deals:company:abc123:pipeline", "deals:company:abc123:page:1"],
                vec!["deals:company:abc123", "deals:company:abc1234:pipeline", "deals:company:xyz:pipeline"],
            ),
            (
                "user:*:stats:*",
                vec!["user:xyz789:stats:abc123", "user:a:stats:b"],
                vec!["user:xyz789", "user:xyz789:profile", "other:user:a:stats:b"],
            ),
            ("pipeline:stats:abc123", vec!["pipeline:stats:abc123"], vec!["pipeline:stats:abc1234"]),
        ] {
            for name in gone.iter().chain(&kept) {
                cache.set(*name, 1, Policy::new()).await;
            }
            assert_eq!(cache.delete_pattern(glob).await.count, Some(gone.len() as u64), "{glob}");
            for name in gone {
                assert_eq!(cache.get::<i32>(name).await, None, "{name} after {glob}");
            }
            for name in kept {
                assert!(cache.get::<i32>(name).await.is_some(), "{name} after {glob}");
            }
        }
    });
}

#[test]
fn get_or_set_fetches_and_caches_if_there_is_nothing() {
    testkit::run(async {
        let (cache, clock) = cache_and_clock().await;
        let queries = Runs::default();
        let find_many = || async {
            let deals = cache
                .get_or_set("deals:company:abc123", Policy::ttl(Ttl::secs(1_800)).prefix("deals"), || {
                    queries.of(vec![deal("1", "x")])
                })
                .await;
            assert_eq!(*deals.unwrap(), [deal("1", "x")]);
        };
        find_many().await;
        find_many().await;
        assert_eq!(queries.count(), 1);
        clock.advance(Duration::from_secs(1_800)).await;
        find_many().await;
        assert_eq!(queries.count(), 2);
        let counts = group(&cache, "deals");
        assert_eq!((counts.hits, counts.misses, counts.sets, counts.loads), (1, 2, 2, 2));
    });
}

#[test]
fn what_is_false_in_typescript_is_a_value_here() {
    testkit::run(async {
        let cache = cache().await;
        let runs = Runs::default();
        for _ in 0..2 {
            assert_eq!(cache.get_or_set("zero", Policy::new(), || runs.of(0)).await.as_deref(), Ok(&0));
            assert_eq!(
                cache.get_or_set("false", Policy::new(), || runs.of(false)).await.as_deref(),
                Ok(&false)
            );
            let empty = cache.get_or_set("empty", Policy::new(), || runs.of(String::new())).await;
            assert_eq!(empty.unwrap().as_str(), "");
            let none = cache.get_or_set("none", Policy::new(), || runs.of(None::<u32>)).await;
            assert_eq!(none.as_deref(), Ok(&None));
        }
        assert_eq!(runs.count(), 4, "each was loaded once");
    });
}

#[test]
fn the_lifetime_classes_are_those_of_the_specification() {
    testkit::run(async {
        let (cache, clock) = cache_and_clock().await;
        let classes = [
            ("live-stats", Ttl::SHORT, 300),
            ("deals-list", Ttl::MEDIUM, 1_800),
            ("company-info", Ttl::LONG, 3_600),
            ("countries-list", Ttl::DAY, 86_400),
        ];
        for (name, ttl, secs) in classes {
            assert_eq!(ttl, Ttl::secs(secs));
            cache.set(name, 1, ttl).await;
            clock.advance(Duration::from_secs(secs) - MOMENT).await;
            assert!(cache.get::<i32>(name).await.is_some(), "{name}");
            clock.advance(MOMENT).await;
            assert!(cache.get::<i32>(name).await.is_none(), "{name}");
        }
    });
}

#[test]
fn a_write_through_is_read_back_at_once() {
    testkit::run(async {
        let cache = cache().await;
        for title in ["first", "second"] {
            cache.set("user:1", deal("1", title), Policy::ttl(Ttl::secs(3_600))).await;
            assert_eq!(cache.get::<Deal>("user:1").await.as_deref(), Some(&deal("1", title)));
        }
    });
}

#[test]
fn warming_fills_companies_and_their_pipeline_statistics() {
    testkit::run(async {
        let (cache, clock) = cache_and_clock().await;
        for company in ["a", "b", "c"] {
            cache.set(format!("company:{company}"), company.to_owned(), Policy::ttl(Ttl::secs(3_600))).await;
            cache.set(format!("pipeline:stats:{company}"), 7_u64, Policy::ttl(Ttl::secs(1_800))).await;
        }
        assert_eq!(cache.stats().total.sets, 6);
        for company in ["a", "b", "c"] {
            let warm = cache.get::<String>(format!("company:{company}")).await;
            assert_eq!(warm.as_deref().map(String::as_str), Some(company));
        }
        clock.advance(Duration::from_secs(1_800)).await;
        assert!(cache.get::<String>("company:a").await.is_some());
        assert!(cache.get::<u64>("pipeline:stats:a").await.is_none());
    });
}

#[test]
fn the_numbers_of_the_health_page_are_counted_as_they_stand_there() {
    testkit::run(async {
        let cache = cache().await;
        for i in 0..400 {
            cache.set(format!("user:{i}"), i, Policy::new()).await;
        }
        for i in 0..1_250 {
            assert!(cache.get::<i32>(format!("user:{}", i % 400)).await.is_some());
        }
        for i in 0..350 {
            assert!(cache.get::<i32>(format!("nobody:{i}")).await.is_none());
        }
        for i in 0..50 {
            cache.delete(format!("user:{i}")).await;
        }
        let health = cache.health().await;
        assert_eq!(health.status.as_str(), STATUS);
        let total = health.stats.total;
        let counted = (total.hits, total.misses, total.sets, total.deletes, total.errors);
        assert_eq!(counted, (1_250, 350, 400, 50, 0));
        assert_eq!(total.hit_percentage(), "78.13%");
        assert!((cache.hit_ratio() - 0.781_25).abs() < 1e-12);
        assert_eq!((group(&cache, "user").misses, group(&cache, "nobody").misses), (0, 350));
        assert_entries(&cache, 350).await;
    });
}

#[test]
fn the_locking_pattern_lets_one_in_until_it_is_done_or_its_time_is_over() {
    testkit::run(async {
        let (cache, clock) = cache_and_clock().await;
        let lock = || cache.set("lock:report", "1".to_owned(), Policy::ttl(Ttl::secs(60)).nx());
        assert!(lock().await.is_stored());
        assert_eq!(lock().await.refusal, Some(Refusal::Exists));
        assert!(!bool::from(lock().await));

        cache.delete("lock:report").await;
        assert!(lock().await.is_stored(), "it was released");
        clock.advance(Duration::from_secs(60) - MOMENT).await;
        assert!(!lock().await.is_stored(), "a refused attempt does not prolong it, nor end it");
        clock.advance(MOMENT).await;
        assert!(lock().await.is_stored(), "its time is over");
    });
}

#[test]
fn several_users_are_had_in_one_call() {
    testkit::run(async {
        let cache = cache().await;
        cache.set_many([("user:1", 1), ("user:3", 3)], Policy::ttl(Ttl::LONG)).await;
        let users = cache.get_many::<i32, _>(["user:3", "user:2", "user:1"]).await;
        assert_eq!(
            users.iter().map(|user| user.as_deref().copied()).collect::<Vec<_>>(),
            [Some(3), None, Some(1)]
        );
    });
}

#[test]
fn trouble_of_the_cache_is_a_miss_and_the_application_goes_on() {
    testkit::run(async {
        let cache = cache().await;
        cache.set("key", "no number".to_owned(), Policy::new()).await;
        assert_eq!(cache.get::<u64>("key").await, None);
        assert_eq!(cache.get_or_set("key", Policy::new(), || brings(7_u64)).await.as_deref(), Ok(&7));
    });
}
