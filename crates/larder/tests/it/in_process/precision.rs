//! Lifetimes to the millisecond: elsewhere time passes while one looks.

use std::time::Duration;

use larder::Policy;

use super::fixture::cache_and_clock;
use super::policy::assert_lives;

#[test]
fn a_lifetime_is_rounded_up_to_milliseconds_and_never_to_nothing() {
    testkit::run(async {
        let (cache, clock) = cache_and_clock().await;
        cache.set("short", 1_u32, Policy::ttl(Duration::from_nanos(1))).await;
        assert_lives(&cache, &clock, "short", Duration::from_millis(1)).await;
        cache.set("odd", 1_u32, Policy::ttl(Duration::from_micros(2_001))).await;
        assert_lives(&cache, &clock, "odd", Duration::from_millis(3)).await;
    });
}
