//! The behaviour of the library, through its public API.

mod batches;
mod fixture;
mod lifecycle;
mod locks;

mod names;
mod permits;
mod policy;
mod spaces;
mod specification;
mod trouble;
mod versions;
