//! Test bodies under a limit.

use std::future::pending;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use testkit::{run, run_sync, run_within};

const SHORT: Duration = Duration::from_millis(50);

/// The message with which `body` panics.
fn panic_of(body: impl FnOnce() + Send + 'static) -> String {
    let thread = thread::Builder::new().name("the_test_that_hangs".to_owned()).spawn(body);
    let panic = thread.expect("a thread starts").join().expect_err("the body must panic");
    panic.downcast_ref::<String>().expect("a formatted message").clone()
}

#[test]
fn a_hanging_async_body_fails_by_its_limit_and_is_named() {
    let message = panic_of(|| run_within(SHORT, pending::<()>()));
    assert!(message.contains("`the_test_that_hangs`"), "{message}");
    assert!(message.contains("50ms"), "{message}");
    assert!(message.contains("limit.rs"), "{message}");
}

#[test]
fn a_body_that_blocks_its_runtime_fails_by_its_limit() {
    let message = panic_of(|| {
        run_within(SHORT, async {
            let (_never_sends, receiver) = mpsc::channel::<()>();
            receiver.recv().unwrap();
        });
    });
    assert!(message.contains("`the_test_that_hangs`"), "{message}");
}

#[test]
fn a_blocking_task_left_behind_fails_by_the_limit() {
    let message = panic_of(|| {
        run_within(SHORT, async {
            drop(tokio::task::spawn_blocking(|| {
                let (_never_sends, receiver) = mpsc::channel::<()>();
                receiver.recv().unwrap();
            }));
        });
    });
    assert!(message.contains("did not end within its limit"), "{message}");
}

#[test]
fn a_hanging_sync_body_fails_by_its_limit_and_is_named() {
    let message = panic_of(|| {
        run_sync(SHORT, || {
            let (_never_sends, receiver) = mpsc::channel::<()>();
            receiver.recv().unwrap();
        });
    });
    assert!(message.contains("`the_test_that_hangs`"), "{message}");
    assert!(message.contains("limit.rs"), "{message}");
}

#[test]
#[should_panic(expected = "the deal 42 is stale")]
fn the_message_of_a_panic_in_an_async_body_comes_through() {
    run(async { panic!("the deal {} is stale", 42) });
}

#[test]
#[should_panic(expected = "the deal 42 is stale")]
fn the_message_of_a_panic_in_a_sync_body_comes_through() {
    run_sync(testkit::LIMIT, || panic!("the deal {} is stale", 42));
}

#[test]
fn values_come_back() {
    assert_eq!(run(async { "value".to_owned() }), "value");
    assert_eq!(run_sync(testkit::LIMIT, || 7), 7);
}

#[test]
fn tasks_of_a_body_run_at_the_same_time() {
    // Each blocks its worker until the other has come: on one thread this would hang, and fail by the limit.
    run(async {
        let meeting = std::sync::Arc::new(std::sync::Barrier::new(2));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..2 {
            let meeting = meeting.clone();
            tasks.spawn(async move { meeting.wait() });
        }
        tasks.join_all().await;
    });
}
