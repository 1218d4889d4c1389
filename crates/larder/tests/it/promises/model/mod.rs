//! Random operations against a plain `HashMap` model: after each step every answer, every name and all counters agree.

mod batch;
mod driver;
mod op;
mod oracle;

use proptest::collection::vec;
use proptest::prelude::*;

use super::fixture::cases;
use crate::property::holds;
pub(super) use driver::Driver;
pub(super) use op::Op;

/// Operations of one case: enough for entries to be made, changed, read and removed in turn.
const STEPS: usize = 40;

/// The operations of one case.
pub(super) fn any_ops() -> impl Strategy<Value = Vec<Op>> {
    vec(op::any_op(), 1..=STEPS)
}

#[test]
fn random_operations_agree_with_a_map() {
    holds(cases(400), any_ops, |ops, runtime| {
        runtime.block_on(async {
            let mut driver = Driver::new().await;
            for op in &ops {
                driver.step(op).await?;
                driver.compare_everything().await?;
            }
            Ok(())
        })
    });
}
