//! The outbox, on real databases, with and without a real Redis.
//!
//! What it promises is in `promises/`, and tested once for each kind of database and pool: a module here, with the fixture that opens
//! its databases.

#![expect(clippy::unwrap_used, reason = "a test that panics has found something")]

mod fixture;

mod databases;
mod in_process;
mod killed;
mod over_redis;
mod triggers;
