//! The door: settings in, running [`CacheService`] out.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::TryCurrentError;
use xxhash_rust::xxh3::xxh3_64;

use crate::ablation::Ablations;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::key::{Id, Registry, Space, SpaceInfo};
use crate::local::{Local, Size};
use crate::policy::Ttl;
use crate::remote::{Redis, Remote};
use crate::service::{CacheService, Relayed, Settings};
use crate::tasks::{Errands, Tasks};

/// 64 MiB: enough for the hot data of a small service, and no surprise in its memory.
const DEFAULT_CAPACITY_BYTES: u64 = 64 << 20;

/// 1 MiB: the specification advises against caching anything larger.
const DEFAULT_MAX_VALUE_BYTES: u64 = 1 << 20;

/// What an entry is taken to weigh when nothing is said about how many are expected, in bytes.
const EXPECTED_ENTRY_BYTES: u64 = 1 << 10;

/// 10 seconds: longer than a load that anybody waits for, shorter than the patience of a caller.
const DEFAULT_FOLLOW_LIMIT: Duration = Duration::from_secs(10);

/// 30 seconds: expired entries are no hits at once; this is only how long their memory may lie idle.
const DEFAULT_SWEEP_INTERVAL: Duration = Duration::from_secs(30);

/// Settings of a [`CacheService`]; every one has a default that is right for a small service.
#[derive(Clone, Debug)]
pub struct Builder {
    spaces: Vec<SpaceInfo>,
    capacity_bytes: u64,
    expected_entries: Option<usize>,
    max_value_bytes: u64,
    default_ttl: Ttl,
    follow_limit: Duration,
    sweep_interval: Duration,
    clock: Clock,
    redis: Option<Redis>,
    relayed: bool,
    program: u16,
    ablations: Ablations,
}

impl CacheService {
    /// Begins the settings of a service.
    pub fn builder() -> Builder {
        Builder {
            spaces: Vec::new(),
            capacity_bytes: DEFAULT_CAPACITY_BYTES,
            expected_entries: None,
            max_value_bytes: DEFAULT_MAX_VALUE_BYTES,
            default_ttl: Ttl::MEDIUM,
            follow_limit: DEFAULT_FOLLOW_LIMIT,
            sweep_interval: DEFAULT_SWEEP_INTERVAL,
            clock: Clock::system(),
            redis: None,
            relayed: false,
            program: 0,
            ablations: Ablations::default(),
        }
    }

    /// A service that caches nothing: reads find nothing, sets store nothing, every `get_or_set` loads, alone. To compare
    /// with, and to take the cache out of a search for an error.
    ///
    /// # Panics
    /// Never: it has nothing to set up that could fail.
    pub fn bypass() -> CacheService {
        let built = CacheService::builder().relayed().finish(true); // it can have an outbox, which others read
        built.unwrap_or_else(|error| unreachable!("a service without spaces and tasks: {error}"))
    }
}

impl Builder {
    /// Registers a space. From then on it owns the names of its form.
    #[must_use]
    pub fn space<K: Id + ?Sized, V>(mut self, space: &Space<K, V>) -> Self {
        self.spaces.push(*space.info());
        self
    }

    /// The most that the weights of all entries in this process add up to. By default 64 MiB.
    #[must_use]
    pub fn local_capacity_bytes(mut self, bytes: u64) -> Self {
        self.capacity_bytes = bytes;
        self
    }

    /// How many entries are expected to be in memory at once, within a factor of ten; by default one for each KiB of
    /// capacity. It decides how many names of evicted entries are remembered.
    #[must_use]
    pub fn local_expected_entries(mut self, entries: usize) -> Self {
        self.expected_entries = Some(entries);
        self
    }

    /// The largest weight of one entry; larger values are returned and not stored. By default 1 MiB, and never more than
    /// one shard of the memory holds, a few per cent of the capacity.
    #[must_use]
    pub fn max_value_bytes(mut self, bytes: u64) -> Self {
        self.max_value_bytes = bytes;
        self
    }

    /// How long entries live for which neither their space nor the call says it. By default [`Ttl::MEDIUM`], 30 minutes.
    #[must_use]
    pub fn default_ttl(mut self, ttl: Ttl) -> Self {
        self.default_ttl = ttl;
        self
    }

    /// How long a caller waits for somebody else's load before it loads in its place. By default 10 seconds.
    #[must_use]
    pub fn follow_limit(mut self, limit: Duration) -> Self {
        self.follow_limit = limit;
        self
    }

    /// How often the memory of expired and invalidated entries is reclaimed. By default every 30 seconds.
    #[must_use]
    pub fn sweep_interval(mut self, interval: Duration) -> Self {
        self.sweep_interval = interval;
        self
    }

    /// Another clock than the machine's, for tests.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Keeps the entries in Redis or Valkey (7.0 or newer), where all processes that name the same one share them.
    ///
    /// [`build`](Self::build) waits for nobody: until Redis is reached, and whenever it cannot be, reads load and nothing is
    /// stored.
    #[must_use]
    pub fn redis(mut self, redis: impl Into<Redis>) -> Self {
        self.redis = Some(redis.into());
        self
    }

    /// Which program this is, where programs of several versions share a Redis and one does not understand what another one stores: for each
    /// of them the values of the others are not there. By default all are one.
    ///
    /// It goes into the [version](Space::version) of every space. Two programs are taken for one by an accident of 1 in
    /// 65,536.
    #[must_use]
    pub fn program(mut self, name: &str) -> Self {
        let [.., a, b] = xxh3_64(name.as_bytes()).to_be_bytes();
        self.program = u16::from_be_bytes([a, b]);
        self
    }

    /// Changes are recorded with the data, as `larder-outbox` does it, and a relay tells this cache of all that any process has recorded:
    /// [`CacheService::relay`] is what it drives.
    ///
    /// Then several processes that keep their entries in themselves may change the same data: each serves only while it is told of what
    /// the others change, and a hit is older by a second at most. And a Redis that comes back keeps what is still right: a
    /// new era begins only where the record does not reach back.
    ///
    /// Without a relay that drives it, such a cache keeps nothing: every read loads.
    #[must_use]
    pub fn relayed(mut self) -> Self {
        self.relayed = true;
        self
    }

    /// Takes a rule of the protocol out, to see that tests find what goes wrong. It promises nothing.
    #[cfg(feature = "ablations")]
    #[doc(hidden)]
    #[must_use]
    pub fn without(mut self, rule: crate::ablation::Ablation) -> Self {
        self.ablations = self.ablations.with(rule);
        self
    }

    /// Starts the service. To be called within a Tokio runtime whose timer is enabled.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) when a space is not well formed or overlaps with another, when a setting is zero that
    /// must not be, when the settings of Redis cannot be used, and outside of a runtime. That Redis cannot be reached is none.
    pub fn build(self) -> Result<CacheService, Error> {
        for (name, zero) in [
            ("local_capacity_bytes", self.capacity_bytes == 0),
            ("default_ttl", self.default_ttl.as_millis() == 0),
            ("follow_limit", self.follow_limit.is_zero()),
            ("sweep_interval", self.sweep_interval.is_zero()),
        ] {
            if zero {
                return Err(Error::new(
                    ErrorKind::Config,
                    format!("`{name}` is 0; leave it out for the default"),
                ));
            }
        }
        self.finish(false)
    }

    fn finish(self, bypass: bool) -> Result<CacheService, Error> {
        let registry = Registry::new(&self.spaces)?;
        let expected = usize::try_from(self.capacity_bytes / EXPECTED_ENTRY_BYTES).unwrap_or(usize::MAX);
        let size = Size {
            capacity: self.capacity_bytes,
            expected_entries: self.expected_entries.unwrap_or(expected).max(1),
            max_weight: self.max_value_bytes,
        };
        let settings = Settings {
            clock: self.clock,
            default_ttl: self.default_ttl,
            max_value_bytes: self.max_value_bytes,
            follow_limit: self.follow_limit,
            sweep_interval: self.sweep_interval,
            program: self.program,
            bypass,
            ablations: self.ablations,
        };
        let errands =
            Arc::new(if bypass { Errands::none() } else { Errands::here().map_err(not_in_a_runtime)? });
        let local = Arc::new(Local::new(size, self.ablations.of_local(self.redis.is_some()))?);
        let (doubts, relayed) = self.relayed.then(Relayed::new).unzip();
        let remote = |redis: &Redis| {
            let (local, clock) = (Arc::clone(&local), settings.clock.clone());
            Remote::new(redis, local, clock, Arc::clone(&errands), doubts, self.ablations)
        };
        let remote = self.redis.as_ref().filter(|_| !bypass).map(remote).transpose()?;
        Ok(CacheService::assemble(local, remote, relayed, registry, settings, Tasks::new(errands)))
    }
}

fn not_in_a_runtime(error: TryCurrentError) -> Error {
    Error::new(ErrorKind::Config, "a cache is built inside a Tokio runtime; call build() there")
        .caused_by(error)
}
