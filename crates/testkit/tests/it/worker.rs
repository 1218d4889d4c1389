//! The test binary as another process: it answers, stands still, dies.

use std::pin::pin;

use testkit::worker::{Worker, serve, settings};

const NAME: &str = "worker::worker";

/// The other process of the tests here.
#[test]
fn worker() {
    let Some(settings) = settings() else { return };
    testkit::run(serve(move |order| {
        let settings = settings.clone();
        async move { if order == "wait" { std::future::pending().await } else { format!("{settings} {order}") } }
    }));
}

#[test]
fn a_worker_answers_several_at_once() {
    testkit::run(async {
        let worker = Worker::start(NAME, "so");
        let waits = worker.try_ask("wait");
        let answers = async { tokio::join!(worker.try_ask("one"), worker.try_ask("two words")) };
        tokio::select! {
            _ = waits => panic!("nobody answers that"),
            answers = answers => assert_eq!(answers, (Some("so one".to_owned()), Some("so two words".to_owned()))),
        }
    });
}

#[test]
fn a_worker_that_is_killed_answers_nothing_and_one_that_is_paused_later() {
    testkit::run(async {
        let worker = Worker::start(NAME, "so");
        assert!(worker.try_ask("one").await.is_some());
        worker.pause().await;
        let mut asked = pin!(worker.try_ask("two"));
        tokio::select! { biased;
            _ = &mut asked => panic!("it stands still"),
            () = tokio::task::yield_now() => {}
        }
        worker.resume().await;
        assert_eq!(asked.await.as_deref(), Some("so two"));
        let (answer, ()) = tokio::join!(worker.try_ask("wait"), worker.kill());
        assert_eq!(answer, None);
        assert_eq!(worker.try_ask("three").await, None);
    });
}
