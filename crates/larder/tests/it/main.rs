//! The behaviour of the library, through its public API.

#![expect(clippy::unwrap_used, reason = "a test that panics has found something")]

mod allocations;
mod batches;
mod fixture;
mod flights;
mod lifecycle;
mod locks;
mod model;
mod names;
mod permits;
mod policy;
mod races;
mod replay;
mod spaces;
mod specification;
mod tagged;
mod trouble;
mod versions;
mod vouching;
mod weight;
