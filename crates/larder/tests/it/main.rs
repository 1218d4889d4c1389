//! The behaviour of the library, through its public API.

#![expect(clippy::unwrap_used, reason = "a test that panics has found something")]

mod batches;
mod fixture;
mod lifecycle;
mod locks;
mod model;
mod names;
mod permits;
mod policy;
mod spaces;
mod specification;
mod trouble;
mod versions;
