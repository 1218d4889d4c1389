//! How far long work has come, for whoever waits for it.

use std::ops::ControlFlow;

/// How far a removal by pattern has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// How many entries or keys were looked at, about.
    pub looked_at: u64,
    /// Of how many there are to look at, about; `None` where Redis does not say it to this user.
    pub of: Option<u64>,
    /// How many were removed.
    pub removed: u64,
}

/// Who watches, and may stop it.
pub(crate) type Watching = Box<dyn FnMut(Progress) -> ControlFlow<()> + Send>;
