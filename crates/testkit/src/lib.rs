//! What the tests of this workspace stand on: limits, gates, shared data, real servers, a fault proxy.
//!
//! - [`run`], [`run_within`] and [`run_sync`] run a test body under a limit, so that a body that hangs fails
//!   its test and names it, instead of stalling the whole run. Plain `cargo test --workspace` always ends.
//! - [`Gate`](gate::Gate) holds a task at a named place until the test lets it go on: races are forced, not
//!   hoped for, and no test sleeps.
//! - [`until`] waits, for a limited time, for what happens in another process and that nobody announces.
//! - [`redis::RedisServer`] is a real `redis-server` that a test kills, pauses, fills and brings back;
//!   [`redis::shared`] is one for tests that need only keys of their own.
//! - [`postgres::PostgresServer`] is a real PostgreSQL with as many databases as a test wants; [`postgres::shared`] is one for all.
//! - [`proxy::FaultProxy`] stands between a client and a server, and cuts, delays, swallows and garbles.
//! - [`faults::Fault`] names what befalls a Redis, from `kill -9` to an old backup, and makes it happen.
//! - [`worker::Worker`] is the test binary itself, run once more as another process, that a test asks, pauses and kills.
//! - [`shared_data`] finds real data that lies beside the repository, and says so when it is not there.
//!
//! # Examples
//!
//! ```
//! use testkit::gate::Gate;
//!
//! testkit::run(async {
//!     let load = Gate::new("load");
//!     let inside = load.clone();
//!     let writer = async {
//!         load.reached().await; // the load is under way, and stays so …
//!         load.open(); // … until we have done what should race with it
//!     };
//!     tokio::join!(inside.pass(), writer);
//! });
//! ```

pub mod faults;
pub mod gate;
mod limit;
mod port;
pub mod postgres;
mod process;
pub mod proxy;
pub mod redis;
mod shared;
mod supervisor;
mod wait;
pub mod worker;

pub use limit::{LIMIT, run, run_sync, run_within};
pub use shared::{shared_data, workspace_root};
pub use wait::until;
