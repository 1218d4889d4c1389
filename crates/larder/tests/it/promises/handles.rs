//! A service as one holds it: its clones, what it shows of itself, its end.

use larder::Policy;

use super::fixture::cache;
use crate::loader::brings;

#[test]
fn clones_are_the_same_cache() {
    testkit::run(async {
        let cache = cache().await;
        cache.clone().set("a", 1, Policy::new()).await;
        assert_eq!(cache.get::<i32>("a").await.as_deref(), Some(&1));
        let other = self::cache().await;
        assert_eq!(other.get::<i32>("a").await, None);
    });
}

#[test]
fn what_a_service_shows_of_itself_fits_on_a_screen_and_shows_no_value() {
    testkit::run(async {
        let cache = cache().await;
        cache.set("a", "top secret".to_owned(), Policy::new()).await;
        let shown = format!("{cache:?}");
        assert!(shown.len() < 500 && !shown.contains("secret"), "{shown}");
    });
}

#[test]
fn a_cache_that_was_shut_down_breaks_nobody() {
    testkit::run(async {
        let cache = cache().await;
        cache.shutdown().await;
        cache.shutdown().await;
        assert_eq!(cache.get_or_set("b", Policy::new(), || brings(2)).await.as_deref(), Ok(&2));
    });
}
