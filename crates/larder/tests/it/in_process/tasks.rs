//! The tasks of a service, the runtimes that it may live in, and what a panic leaves behind.

use std::convert::Infallible;
use std::time::Duration;

use larder::{Policy, Ttl};
use tokio::task::JoinSet;

use super::fixture::{cache, cache_and_clock};
use crate::loader::brings;

fn alive_tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// Waits until no task is left; the limit of the test ends this.
async fn until_all_have_ended() {
    while alive_tasks() > 0 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn the_sweep_ends_with_the_last_clone() {
    testkit::run(async {
        let cache = cache().await;
        let clone = cache.clone();
        drop(cache);
        clone.set("a", 1, Policy::new()).await;
        assert_eq!(alive_tasks(), 1);
        drop(clone);
        until_all_have_ended().await;
    });
}

#[test]
fn shutdown_ends_the_tasks_and_the_cache_goes_on_answering() {
    testkit::run(async {
        let (cache, clock) = cache_and_clock().await;
        cache.set("a", 1, Ttl::secs(1)).await;
        assert_eq!(alive_tasks(), 1);
        cache.shutdown().await;
        cache.shutdown().await;
        until_all_have_ended().await; // the runtime counts one a moment longer than it takes to join it
        assert_eq!(cache.get::<i32>("a").await.as_deref(), Some(&1));
        assert_eq!(cache.get_or_set("b", Policy::new(), || brings(2)).await.as_deref(), Ok(&2));
        clock.advance(Duration::from_secs(1)).await;
        assert_eq!(cache.get::<i32>("a").await, None);
        assert_eq!(cache.sweep().await, 1, "by hand it still sweeps");
    });
}

#[test]
fn a_cache_may_outlive_the_runtime_that_it_was_built_in() {
    let cache = testkit::run(async {
        let cache = cache().await;
        cache.set("a", 1, Policy::new()).await;
        cache
    });
    testkit::run(async move {
        assert_eq!(cache.get::<i32>("a").await.as_deref(), Some(&1));
        assert_eq!(cache.get_or_set("b", Policy::new(), || brings(2)).await.as_deref(), Ok(&2));
        cache.shutdown().await;
    });
}

/// A value that cannot even be dropped.
#[derive(serde::Serialize, serde::Deserialize)]
struct Explosive;

impl Drop for Explosive {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "a destructor that panics");
    }
}

#[test]
fn a_panic_in_the_destructor_of_what_is_replaced_leaves_no_flight_behind() {
    testkit::run(async {
        let cache = cache().await;
        cache.set("key", Explosive, Policy::new()).await;
        let replaces = cache.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let tag = Policy::new().tag(larder::Tag::named("not among those of the entry"));
            replaces.get_or_set("key", tag, || async { Ok::<u64, Infallible>(1) }).await
        });
        assert!(task.join_next().await.expect("one task").is_err_and(|error| error.is_panic()));
        assert_eq!(cache.stats().local.loading, 0);
    });
}
