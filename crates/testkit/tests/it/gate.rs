//! Gates hold, open, and fail by name.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use testkit::gate::Gate;
use testkit::run;
use tokio::task::JoinSet;

#[test]
fn a_task_passes_only_after_the_gate_is_open() {
    run(async {
        let gate = Gate::new("in the middle");
        let opened = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        tasks.spawn({
            let (gate, opened) = (gate.clone(), opened.clone());
            async move {
                gate.pass().await;
                opened.load(Ordering::SeqCst)
            }
        });
        gate.reached().await;
        assert!(tasks.try_join_next().is_none(), "the task went through a closed gate");
        opened.store(true, Ordering::SeqCst);
        gate.open();
        assert_eq!(tasks.join_all().await, [true]);
    });
}

#[test]
fn an_open_gate_holds_nobody() {
    run(async {
        let gate = Gate::new("open");
        gate.open();
        gate.pass().await;
        gate.reached().await;
        assert_eq!(gate.arrived(), 1);
    });
}

#[test]
fn many_tasks_are_counted_and_let_through_together() {
    run(async {
        let gate = Gate::new("many");
        let mut tasks = JoinSet::new();
        for _ in 0..100 {
            let gate = gate.clone();
            tasks.spawn(async move { gate.pass().await });
        }
        gate.reached_by(100).await;
        gate.open();
        assert_eq!(tasks.join_all().await.len(), 100);
    });
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "gate `never opened` was not opened within 20s")]
async fn a_gate_that_nobody_opens_fails_with_its_name() {
    Gate::new("never opened").pass().await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "gate `never reached` was not reached within 20s")]
async fn a_gate_that_nobody_reaches_fails_with_its_name() {
    Gate::new("never reached").reached().await;
}
