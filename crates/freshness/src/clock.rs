//! The time that all processes of one machine share, and how long something is tried.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::sleep;

/// `CLOCK_MONOTONIC` in nanoseconds: the same for every process of this machine, so that what one notes and another reads can
/// be compared.
pub(crate) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

/// 30 seconds, each half of one: how long something is tried, while what it depends on is away.
const START_ATTEMPTS: u32 = 60;
const START_AGAIN: Duration = Duration::from_millis(500);

/// Does something that fails while what it depends on is away.
pub(crate) async fn patiently<T, E>(start: impl AsyncFn() -> Result<T, E>) -> Result<T, E> {
    for _again in 1..START_ATTEMPTS {
        if let Ok(started) = start().await {
            return Ok(started);
        }
        sleep(START_AGAIN).await;
    }
    start().await
}
