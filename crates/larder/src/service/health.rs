//! How the cache is doing.

use std::collections::BTreeMap;
use std::time::Duration;

use super::CacheService;
use crate::hottest::HotKey;
use crate::remote::Report;
use crate::stats::Counts;

/// What happened since the service was built, and what the cache holds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// All groups together.
    pub total: Counts,
    /// By group: the prefix that a policy or a space names, else the first word of the name. Removals by tag, scope, space
    /// and of everything stand under `(tags)`, what is beyond the first 256 groups under `(other)`.
    pub by_prefix: BTreeMap<String, Counts>,
    /// The in-process tier.
    pub local: LocalStats,
}

/// What the in-process tier holds.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LocalStats {
    /// Entries in memory, including those that are no hits any more and are not yet swept.
    pub entries: u64,
    /// The sum of their weights.
    pub weight: u64,
    /// The most that the weights add up to.
    pub capacity: u64,
    /// Tags, scopes and spaces that something depends on, or has lately.
    pub tags: u64,
    /// Loads that are under way.
    pub loading: u64,
    /// Callers that wait for somebody else's load.
    pub following: u64,
}

/// Whether and how the cache works.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Health {
    /// In one word.
    pub status: Status,
    /// Why it is not as it should be, for people to read; `None` where it is.
    pub trouble: Option<String>,
    /// The counters.
    pub stats: Stats,
    /// What Redis says of itself; `None` without one, and while it does not answer.
    pub redis: Option<RedisHealth>,
}

/// What Redis says of itself. What its user may not ask is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisHealth {
    /// Its version, such as `7.0.15`.
    pub version: Option<String>,
    /// How long its process has been running, in whole seconds.
    pub uptime: Option<Duration>,
    /// How many clients are connected to it.
    pub connected_clients: Option<u64>,
    /// How much memory its data takes, as it writes it: `2.50M`.
    pub used_memory: Option<String>,
    /// How long this question took, there and back.
    pub round_trip: Duration,
}

/// The state of the cache in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// It works, within this process alone.
    InProcess,
    /// It works, over Redis.
    Connected,
    /// It works over Redis, with less than it should: [`Health::trouble`] says what is missing.
    Degraded,
    /// Redis cannot be used now: reads load, and nothing is stored.
    Disconnected,
    /// It is switched off.
    Bypass,
}

impl Status {
    /// The word for a health page.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::InProcess => "in-process",
            Status::Connected => "connected",
            Status::Degraded => "degraded",
            Status::Disconnected => "disconnected",
            Status::Bypass => "bypass",
        }
    }
}

impl CacheService {
    /// All counters, and what the cache holds.
    pub fn stats(&self) -> Stats {
        let (total, by_prefix) = self.inner.counters.snapshot();
        let local = &self.inner.local;
        let local = LocalStats {
            entries: local.entries() as u64,
            weight: local.weight(),
            capacity: local.capacity(),
            tags: local.tags() as u64,
            loading: self.inner.flights.len() as u64,
            following: self.inner.flights.following() as u64,
        };
        Stats { total, by_prefix, local }
    }

    /// The names that are read most lately, the hottest first, at most so many; 128 are known at most. It is an estimate from a
    /// sample of the reads, in memory of a fixed size.
    ///
    /// ```
    /// # use larder::CacheService;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), larder::Error> {
    /// let cache = CacheService::builder().build()?;
    /// for read in 0..10_000 {
    ///     cache.get::<u32>(if read % 2 == 0 { "company:1" } else { "company:2" }).await;
    ///     cache.get::<u32>(format!("deal:{read}")).await;
    /// }
    /// let hottest = cache.hottest_keys(2);
    /// assert!(hottest.iter().all(|hot| hot.name.starts_with("company:")), "{hottest:?}");
    /// # Ok(())
    /// # }
    /// ```
    pub fn hottest_keys(&self, count: usize) -> Vec<HotKey> {
        self.inner.hottest.top(count, self.inner.now_ms())
    }

    /// Hits among all reads, from 0 to 1; 0 before the first read.
    pub fn hit_ratio(&self) -> f64 {
        self.stats().total.hit_ratio()
    }

    /// Whether and how the cache works.
    ///
    /// # Cancel safety
    /// It changes nothing.
    pub async fn health(&self) -> Health {
        let stats = self.stats();
        let without = |status| Health { status, trouble: None, stats: stats.clone(), redis: None };
        let Some(remote) = &self.inner.remote else {
            return without(if self.inner.settings.bypass { Status::Bypass } else { Status::InProcess });
        };
        match remote.report().await {
            Err(trouble) => Health { trouble: Some(trouble.to_string()), ..without(Status::Disconnected) },
            Ok(report) => {
                let trouble = trouble_of(&report).map(str::to_owned);
                let status = if trouble.is_some() { Status::Degraded } else { Status::Connected };
                Health { trouble, redis: Some(RedisHealth::of(&report)), ..without(status) }
            }
        }
    }
}

/// What is wrong with a server that answers.
fn trouble_of(report: &Report) -> Option<&'static str> {
    let number = |name| report.field(name).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let (used, most) = (number("used_memory"), number("maxmemory"));
    if !report.is_known {
        Some(
            "Redis does not say which server it is, since its user may not run INFO: each connection begins with an empty cache, and a failover behind a connection that survives it goes unnoticed. deploy/users.acl has the rights that are needed",
        )
    } else if !report.tells_of_changes {
        Some(
            "Redis, or a proxy before it, does not tell of changes, so that copies in this process are kept for a second: let its user run CLIENT TRACKING, by RESP3; or say `local_tier(false)`",
        )
    } else if most > 0 && used >= most && report.field("maxmemory_policy") == Some("noeviction") {
        Some(
            "Redis is full and may not evict, so that nothing new is stored: raise maxmemory, or set maxmemory-policy allkeys-lfu",
        )
    } else {
        None
    }
}

impl RedisHealth {
    fn of(report: &Report) -> RedisHealth {
        let text = |name| report.field(name).map(str::to_owned);
        let number = |name| report.field(name).and_then(|text| text.parse().ok());
        RedisHealth {
            version: text("redis_version"),
            uptime: number("uptime_in_seconds").map(Duration::from_secs),
            connected_clients: number("connected_clients"),
            used_memory: text("used_memory_human"),
            round_trip: report.round_trip,
        }
    }
}
