//! An application cache that is fast and right.
//!
//! Ordinary cache-aside has a hole: a load that began before a change stores its old value after the change was announced,
//! and there it stays until its lifetime ends. Here it cannot. **After a removal is acknowledged, no read that starts later
//! returns the older value**, whatever loads, sets and removals ran at the same time, and a hit is still a matter of
//! nanoseconds.
//!
//! The entries are in this process, or, with [`Builder::redis`], in a Redis or Valkey that processes share, under the same
//! promise. Build one [`CacheService`] and clone it everywhere:
//!
//! ```
//! use larder::{CacheService, Policy, Space, Tag, Ttl};
//!
//! // Declared once, with the reason for its policy.
//! static PIPELINE: Space<str, u64> =
//!     Space::new("pipeline:stats:{company}", "Read by every dashboard; changes with each deal; wrong sums cost trust.")
//!         .ttl(Ttl::MEDIUM)
//!         .prefix("analytics");
//!
//! # async fn sum_of_deals(_company: &str) -> Result<u64, std::fmt::Error> { Ok(42) }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cache = CacheService::builder().space(&PIPELINE).build()?;
//!
//! // A read: from the cache, or one load for all who ask. It depends on the deals of the company.
//! let deals = Tag::new("deals", "abc123");
//! let sum = cache.get_or_set(PIPELINE.key("abc123"), Policy::new().tag(deals), || sum_of_deals("abc123")).await?;
//! assert_eq!(*sum, 42);
//!
//! // A change, once it is committed: everything that depends on those deals is gone, at once.
//! cache.invalidate_tag(deals).await;
//! assert!(cache.get(PIPELINE.key("abc123")).await.is_none());
//! # Ok(())
//! # }
//! ```
//!
//! # The doors
//! | to | call |
//! |---|---|
//! | read, and load what is missing | [`get_or_set`](CacheService::get_or_set), [`read_through`](CacheService::read_through), [`get_or_set_many`](CacheService::get_or_set_many), [`get_or_set_tagged`](CacheService::get_or_set_tagged), [`get_or_permit`](CacheService::get_or_permit) |
//! | read what is there | [`get`](CacheService::get), [`lookup`](CacheService::lookup), [`get_many`](CacheService::get_many) |
//! | store data whose source is the cache | [`set`](CacheService::set), [`set_many`](CacheService::set_many), with [`Policy::nx`] |
//! | write a changed row through | [`set_versioned`](CacheService::set_versioned) |
//! | remove | [`delete`](CacheService::delete), [`delete_many`](CacheService::delete_many), [`delete_pattern`](CacheService::delete_pattern), [`invalidate_tag`](CacheService::invalidate_tag), [`invalidate`](CacheService::invalidate), [`Space::clear`], [`clear`](CacheService::clear) |
//! | limit how often | [`limit`](CacheService::limit) |
//! | have one at a time | [`lock`](CacheService::lock) |
//! | know who asks | [`session::find`] |
//! | know how it is | [`stats`](CacheService::stats), [`health`](CacheService::health), [`hit_ratio`](CacheService::hit_ratio), [`hottest_keys`](CacheService::hottest_keys) |
//!
//! # Over Redis
//! ```no_run
//! # use larder::{CacheService, Redis};
//! # fn build() -> Result<(), larder::Error> {
//! let redis = Redis::at("redis://cache.internal:6379").namespace("crm");
//! let cache = CacheService::builder().redis(redis).build()?; // it connects by itself, and again whenever it has to
//! # Ok(())
//! # }
//! ```
//! Every process that names the same server and namespace shares the entries: one loads, all find, and a removal by any of them,
//! acknowledged, holds for all. An entry lies under its plain name, as readable JSON behind a short header, so that `DEL` from
//! redis-cli is honoured too. A hit is one round trip, a miss with its fill two beside the load.
//!
//! Copies of what a process reads are kept in it, of which Redis tells when they change: a hit then takes nanoseconds, and may be older
//! than what lies in Redis by a second at most, whatever fails. [`CacheService::sync`] waits until all changes up to then are known
//! here; [`Space::local_tier`] and [`Redis::local_tier`] do without copies.
//!
//! While Redis is away, reads load, at most one for each key and process, and nothing is stored; each call fails within its limit
//! ([`Redis::operation_limit`]), and at once while there is no connection. A removal that Redis did not acknowledge says so
//! ([`Acknowledged::Pending`]), and before this process serves from Redis again it has sent it, or begun a new era, in which nothing
//! older is a hit. So it does where a server comes back that may have lost a removal: for a while the cache is cold, and not wrong. What
//! only a process knew that died is lost with it: a change whose removal it had not sent yet stays unseen until the lifetime of the
//! entry ends. `larder-outbox` records removals with the data, in SQLite or PostgreSQL, so that neither happens
//! ([`Builder::relayed`]).
//!
//! The server has to be 7.0 or newer, and a primary. `deploy/redis.conf` and `deploy/users.acl` are a configuration and a user that
//! do, with the reason for each line.
//!
//! # Names
//! Keys are `{prefix}:{entity}:{id}:{sub-entity}`, as plain strings or made by a [`Space`], which escapes what its ids contain.
//!
//! # Trouble
//! Trouble of the cache never breaks the caller: reads find nothing, sets store nothing, `get_or_set` loads. Each failure is
//! counted and logged; the `try_` forms hand it out.

mod ablation;
mod clock;
mod error;
mod policy;
mod progress;

mod key;

mod codec;
mod entry;
mod flight;
mod guess;
mod hottest;
mod lease;
mod limit;
mod lock;
mod stats;
mod tasks;
mod ticket;
mod token;

mod local;
mod remote;

mod service;

pub mod session;

mod builder;

pub use builder::Builder;
pub use clock::Clock;
pub use codec::{Blob, Value};
pub use error::{Error, ErrorKind};
pub use hottest::HotKey;
pub use key::{AsKey, AsName, Id, Key, KeyWriter, MAX_NAME_BYTES, Space, SpaceInfo, Tag};
pub use limit::{Decision, Limit};
pub use policy::{Encoding, Ttl};
pub use progress::Progress;
pub use remote::Redis;
pub use service::{
    Acknowledged, CacheService, ENTRY_OVERHEAD_BYTES, Freshness, Health, Incarnation, Invalidation,
    LocalStats, Lock, Lookup, MAX_TAGS, Permit, Place, Policy, Read, RedisHealth, Refusal, Relay, Removed,
    Round, SetOptions, Source, Stats, Status, Stored, Suspect,
};
pub use stats::Counts;

#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;

/// Aids for the tests of applications that cache.
pub mod testing {
    #[cfg(feature = "ablations")]
    #[doc(hidden)]
    pub use crate::ablation::Ablation;
    pub use crate::clock::MovableClock;
}
