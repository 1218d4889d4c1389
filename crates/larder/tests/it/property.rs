//! Properties that hold for whatever is drawn.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// Runs a property on one thread, within the limit of a test.
#[track_caller]
pub(crate) fn holds<S>(
    cases: u32,
    strategy: impl FnOnce() -> S + Send + 'static,
    property: impl Fn(S::Value, &tokio::runtime::Runtime) -> Result<(), TestCaseError> + Send + 'static,
) where
    S: Strategy,
{
    testkit::run_sync(testkit::LIMIT, move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // A failure shows its smallest input, which belongs into a test of its own: no file remembers seeds.
        let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
        let tested = TestRunner::new(config).run(&strategy(), |input| property(input, &runtime));
        tested.unwrap_or_else(|failure| panic!("{failure}"));
    });
}
