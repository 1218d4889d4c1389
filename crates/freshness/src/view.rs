//! The ways in which a row is read, and what a read answers.

use std::sync::Arc;

use larder::{Freshness, Read, Source};
use serde::{Deserialize, Serialize};

use crate::judge::Promise;
use crate::loader::Value;

/// A value, and what was promised of it.
pub(crate) struct Answer {
    pub(crate) value: Arc<Value>,
    pub(crate) promise: Promise,
}

/// By what name, and by which of the ways that an entry can be told of a change, a row is cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

impl From<Read<Value>> for Answer {
    fn from(read: Read<Value>) -> Self {
        let promise = match (read.freshness, read.source) {
            (Freshness::Stale { age }, _) => {
                Promise::Labelled { age_ns: age.as_nanos().try_into().unwrap_or(u64::MAX) }
            }
            (_, Source::Local) => Promise::Local,
            _ => Promise::Strict,
        };
        Answer { value: read.value, promise }
    }
}
