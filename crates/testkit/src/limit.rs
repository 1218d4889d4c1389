//! Test bodies that fail by a limit instead of hanging.

use std::panic::{Location, resume_unwind};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// How long a test may take when it does not say otherwise: 3 minutes.
///
/// The slowest honest tests take some ten seconds on two busy cores; ten times that is not slowness but a hang,
/// and that is short enough to wait for the name of the test that hangs.
pub const LIMIT: Duration = Duration::from_secs(180);

/// Worker threads of a test's runtime: 4.
///
/// More than the cores of a small CI machine, so that the operating system also interrupts tasks in places
/// where the runtime never would.
const WORKERS: usize = 4;

/// Runs an asynchronous test body on its own multi-threaded runtime and returns what it returns.
///
/// The body fails the test when it takes longer than [`LIMIT`]. Dropping the runtime, which waits for blocking
/// tasks that the body left behind, counts too.
///
/// # Panics
///
/// With the body's own panic, or, when the limit is over, with a message that names the test.
///
/// # Examples
///
/// ```
/// let sum = testkit::run(async { tokio::join!(async { 1 }, async { 2 }) });
/// assert_eq!(sum, (1, 2));
/// ```
#[track_caller]
pub fn run<F>(body: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    run_within(LIMIT, body)
}

/// [`run`] with a limit of its own, for a test that has a reason to take longer, or to end sooner.
///
/// # Panics
///
/// With the body's own panic, or, when the limit is over, with a message that names the test.
#[track_caller]
pub fn run_within<F>(limit: Duration, body: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let workers = format!("{} worker", test_name());
    run_sync(limit, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name(workers)
            .enable_all()
            .build()
            .expect("the operating system gives a test its threads and an event queue");
        runtime.block_on(body)
    })
}

/// Runs a synchronous test body under a limit, in a thread of its own, and returns what it returns.
///
/// A thread cannot be stopped from outside: one that hangs is left behind and ends with the test process.
///
/// # Panics
///
/// With the body's own panic, or, when the limit is over, with a message that names the test.
#[track_caller]
pub fn run_sync<T, F>(limit: Duration, body: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let caller = Location::caller();
    let test = test_name();
    let (running, ended) = mpsc::channel::<()>();
    let thread = thread::Builder::new()
        .name(test.clone())
        .spawn(move || {
            let _running = running; // dropped at the end, by return or by panic: that is the signal
            body()
        })
        .expect("the operating system gives a test its thread");

    // Nothing is ever sent: either the sender is dropped, or the limit is over.
    if ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
        panic!("test `{test}` did not end within its limit of {limit:?} (started at {caller}): it hangs");
    }
    match thread.join() {
        Ok(value) => value,
        Err(panic) => resume_unwind(panic),
    }
}

/// The name of the test: libtest gives its thread that name, except under `--test-threads=1`.
fn test_name() -> String {
    thread::current().name().unwrap_or("unnamed").to_owned()
}
