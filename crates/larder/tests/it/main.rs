//! The behaviour of the library, through its public API.
//!
//! What every back end promises is in `promises/`, and tested once for each of them: a back end is a module here, with the
//! fixture that builds its caches and the promises read from there. What is true of one back end alone stands beside its
//! fixture, and what needs none stands here.

#![expect(clippy::unwrap_used, reason = "a test that panics has found something")]

mod loader;
mod observed;
mod property;

mod building;
mod bypass;
mod keys;

mod in_process;
mod on_redis;
