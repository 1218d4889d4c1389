//! The ways in which a row is read, and what a read answers.

use std::sync::Arc;
use std::time::Duration;

use larder::{Freshness, Read, Source};
use serde::{Deserialize, Serialize};

use crate::judge::{Origin, Promise};
use crate::loader::Value;

/// A value, and what was promised of it.
pub(crate) struct Answer {
    pub(crate) value: Arc<Value>,
    pub(crate) promise: Promise,
    pub(crate) origin: Origin,
}

/// By what name, and by which of the ways that an entry can be told of a change, a row is cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum View {
    /// By its key, with copies in the process.
    Kept,
    /// By its key, in Redis alone.
    Strict,
    /// By a tag, for two seconds.
    Tagged,
    /// By a scope of its name.
    Scoped,
    /// By its key, in Redis alone, 8 kB.
    Large,
    /// By its key, and served while Redis is away, with a label.
    Degraded,
    /// Among others, on a page of the CRM.
    Listed,
}

/// 30 seconds: for how long after its last certain moment [`View::Degraded`] is served.
pub(crate) const DEGRADED: Duration = Duration::from_secs(30);

impl Answer {
    /// What larder answered to a read of this view. What it says of itself holds as far as it may be said of that view; else it is held to
    /// everything.
    pub(crate) fn of(view: View, read: Read<Value>) -> Self {
        let origin = match read.source {
            Source::Local => Origin::Process,
            Source::Remote => Origin::Redis,
            _ => Origin::Loaded,
        };
        let is_in_redis_alone = matches!(view, View::Strict | View::Large);
        let promise = match (read.freshness, origin) {
            (Freshness::Stale { age }, _) if view == View::Degraded && age <= DEGRADED => {
                Promise::Labelled { age_ns: age.as_nanos().try_into().unwrap_or(u64::MAX) }
            }
            (Freshness::Fresh, Origin::Process) if !is_in_redis_alone => Promise::Local,
            _ => Promise::Strict,
        };
        Answer { value: read.value, promise, origin }
    }
}
