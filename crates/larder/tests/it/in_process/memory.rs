//! The memory of this process beside the model: after each random operation, what is held weighs what it should.

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::fixture::cases;
use super::model::{Driver, Op, any_ops};
use crate::property::holds;

#[test]
fn entries_and_weights_agree_with_a_map() {
    holds(cases(400), any_ops, |ops, runtime| {
        runtime.block_on(async {
            let mut driver = Driver::new().await;
            for op in &ops {
                match op {
                    Op::Sweep => sweep(&mut driver).await?,
                    _ => driver.step(op).await?,
                }
                driver.compare_everything().await?;
                compare_memory(&driver)?;
            }
            sweep(&mut driver).await
        })
    });
}

/// What is no hit any more is freed, and nothing else.
async fn sweep(driver: &mut Driver) -> TestCaseResult {
    let pair = &mut driver.pair;
    prop_assert_eq!(pair.cache.sweep().await, pair.model.sweep());
    Ok(())
}

/// How many entries are held, and what they weigh together.
fn compare_memory(driver: &Driver) -> TestCaseResult {
    let (local, entries) = (driver.pair.cache.stats().local, &driver.pair.model.entries);
    let weights = entries.iter().map(|(name, entry)| {
        let value = serde_json::to_vec(&entry.row).expect("it can be written").len();
        (value + name.len()) as u64 + larder::ENTRY_OVERHEAD_BYTES
    });
    prop_assert_eq!((local.entries, local.weight), (entries.len() as u64, weights.sum()));
    Ok(())
}
