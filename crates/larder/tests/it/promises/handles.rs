//! A service as one holds it: its clones, and what it shows of itself.

use larder::Policy;

use super::fixture::cache;

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
