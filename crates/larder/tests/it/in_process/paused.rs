//! Time that passes as soon as nothing else can happen: only where nobody waits for a socket.

/// Runs a body on one thread whose timers fire as soon as nothing else can run.
#[track_caller]
pub(super) fn run_paused<F>(body: F)
where
    F: Future<Output = ()> + Send + 'static,
{
    testkit::run_sync(testkit::LIMIT, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime without threads needs nothing").block_on(body);
    });
}
