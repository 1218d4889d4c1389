//! Random operations against a plain `HashMap` model: after each step every answer, every name, the memory and all
//! counters agree.

mod batch;
mod driver;
mod op;
mod oracle;

use proptest::collection::vec;

use crate::names::holds;
use driver::Driver;

/// Operations of one case: enough for entries to be made, changed, read and removed in turn.
const STEPS: usize = 40;

#[test]
fn random_operations_agree_with_a_map() {
    holds(
        400,
        || vec(op::any_op(), 1..=STEPS),
        |ops, runtime| {
            runtime.block_on(async {
                let mut driver = Driver::new();
                for op in &ops {
                    driver.step(op).await?;
                    driver.compare_everything().await?;
                }
                driver.sweep().await
            })
        },
    );
}
