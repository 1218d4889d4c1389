//! The one room that knows the tiers: reads, loads, writes and removals meet here, and only here they are counted.

mod answer;
mod batch;
mod boarding;
mod health;
mod invalidation;
mod limiting;
mod loading;
mod locking;
mod options;
mod pace;
mod permit;
mod read;
mod relay;
mod removal;
mod tagged;
mod waiting;
mod write;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};

pub use answer::{Acknowledged, Freshness, Read, Refusal, Removed, Source, Stored};
pub use health::{Health, LocalStats, RedisHealth, Stats, Status};
pub use invalidation::Invalidation;
pub use locking::Lock;
pub use options::{MAX_TAGS, Policy, SetOptions};
pub use permit::{Lookup, Permit};
pub(crate) use relay::Relayed;
pub use relay::{Incarnation, Place, Relay, Round, Suspect};

use crate::ablation::{Ablation, Ablations};
use crate::clock::Clock;
use crate::codec::{Erased, Payload, Value};
use crate::error::{Error, ErrorKind};
use crate::flight::Flights;
use crate::guess::Guesses;
use crate::hottest::Hottest;
use crate::key::{MAX_NAME_BYTES, Registry, SpaceInfo, Tags, Typed};
use crate::lease::Lease;
use crate::limit::Limits;
use crate::local::{Candidate, Local, SCAN_BATCH};
use crate::lock::Locks;
use crate::policy::{Encoding, Ttl};
use crate::remote::{Front, Remote};
use crate::stats::{Count, Counters, Group};
use crate::tasks::Tasks;
use pace::Pace;

/// What an entry weighs beside its encoded value and its name, in bytes: the map's record and its room to grow, the pointers
/// and counters of value and name, and a few tags. Measured on a 64-bit machine (docs/decisions/0002): 210 for a number in a
/// map that is full, 390 for bytes of a registered space in one that has just grown, 80 more with two tags and a space.
pub const ENTRY_OVERHEAD_BYTES: u64 = 384;

/// How many calls to Redis one batch makes at once, so that none waits for so many others that its time is over.
const AT_ONCE: usize = 256;

/// Makes the calls of one batch, and answers their results in their order.
async fn together<F: Future>(calls: impl Iterator<Item = F>) -> Vec<F::Output> {
    let calls: Vec<F> = calls.collect();
    stream::iter(calls).buffered(AT_ONCE).collect().await
}

/// A cache in front of slower data. Cloning it is cheap, and all clones are the same cache.
///
/// See the [crate's documentation](crate) for a walk through the doors.
#[derive(Clone)]
pub struct CacheService {
    inner: Arc<Inner>,
}

impl fmt::Debug for CacheService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheService").field("local", &self.inner.local).finish_non_exhaustive()
    }
}

pub(crate) struct Inner {
    /// The entries, or copies of those in Redis.
    local: Arc<Local>,
    /// Where the entries are, if they are not in this process.
    remote: Option<Remote>,
    /// The copies of them, if any are kept.
    front: Option<Arc<Front>>,
    /// Until when what is in this process may be served, where others change it too: each hit asks.
    lease: Option<Arc<Lease>>,
    /// What a relay drives, if one does.
    relayed: Option<Relayed>,
    flights: Arc<Flights>,
    pace: Pace,
    guesses: Guesses,
    locks: Locks,
    limits: Limits,
    counters: Counters,
    hottest: Hottest,
    registry: Registry,
    settings: Settings,
    tasks: Tasks,
}

/// What the builder decided.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) clock: Clock,
    pub(crate) default_ttl: Ttl,
    pub(crate) max_value_bytes: u64,
    pub(crate) follow_limit: Duration,
    pub(crate) sweep_interval: Duration,
    /// What is added to the format of all values, so that other programs do not take them for theirs.
    pub(crate) program: u16,
    pub(crate) bypass: bool,
    pub(crate) ablations: Ablations,
}

/// What one call means for its entry, once its name, its space and its policy have been looked at.
#[derive(Debug)]
struct Plan {
    ttl: Ttl,
    group: Group,
    format: u16,
    encoding: Encoding,
    /// Its bytes stand in Redis as they are.
    raw: bool,
    /// A copy of what is in Redis may be kept in this process.
    copies: bool,
    /// For how long it is served when Redis cannot be asked.
    degraded_ttl: Duration,
    /// Its values are weighed by a function of its space.
    weighs: bool,
    /// Declared and implicit, each once.
    tags: Tags,
}

impl CacheService {
    /// Puts the parts together and starts the tasks: the sweep, and the connection to Redis where there is one.
    pub(crate) fn assemble(
        local: Arc<Local>,
        remote: Option<Remote>,
        relayed: Option<Relayed>,
        registry: Registry,
        settings: Settings,
        tasks: Tasks,
    ) -> Self {
        let front = remote.as_ref().map(Remote::front).filter(|front| front.keeps()).cloned();
        let lease = match (&remote, &front, &relayed) {
            (Some(_), front, _) => front.as_ref().and_then(|front| front.lease()),
            (None, _, relayed) => relayed.as_ref().map(Relayed::lease),
        };
        let lease = lease.cloned();
        let inner = Arc::new(Inner {
            local,
            remote,
            front,
            lease,
            relayed,
            flights: Arc::new(Flights::new()),
            pace: Pace::new(),
            guesses: Guesses::new(),
            locks: Locks::default(),
            limits: Limits::new(),
            hottest: Hottest::default(),
            counters: Counters::new(registry.spaces().map(SpaceInfo::group).chain([removal::TAGS])),
            registry,
            settings,
            tasks,
        });
        let weak = Arc::downgrade(&inner);
        let interval = inner.settings.sweep_interval;
        inner.tasks.keep(async move {
            loop {
                tokio::time::sleep(interval).await;
                let Some(inner) = weak.upgrade() else { return };
                inner.sweep().await;
            }
        });
        if let Some(remote) = &inner.remote {
            inner.tasks.keep(remote.clone().run());
        }
        CacheService { inner }
    }

    /// Waits until Redis can be used; without Redis it does not wait. Nobody has to: until then reads load, and nothing is
    /// stored. Bound it with a timeout of your own.
    ///
    /// # Cancel safety
    /// Nothing has happened.
    pub async fn ready(&self) {
        if let Some(remote) = &self.inner.remote {
            remote.ready().await;
        }
    }

    /// Waits until this process has been told of every change that was acknowledged before, by whichever process: a read that starts
    /// afterwards returns nothing older, also from a copy in this process. Over Redis it is one round trip; without it one look of
    /// the [relay](crate::Builder::relayed) at what is recorded, and where there is none either, there is nothing to wait for.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) if Redis cannot be asked, or the relay does not answer within a second. No copy
    /// is served then, but for spaces that [say so](crate::Space::degraded_ttl).
    ///
    /// # Cancel safety
    /// It changes nothing.
    pub async fn sync(&self) -> Result<(), Error> {
        match &self.inner.remote {
            Some(remote) => Ok(remote.sync().await?),
            None => match self.inner.relayed.as_ref().filter(|_| !self.inner.settings.bypass) {
                Some(relayed) => relayed.sync().await,
                None => Ok(()),
            },
        }
    }

    /// Removes what is expired or invalidated from memory now, instead of with the next slow sweep, and answers how many
    /// entries that were. It changes no answer of the cache.
    ///
    /// # Cancel safety
    /// What was swept up to then is swept.
    pub async fn sweep(&self) -> u64 {
        self.inner.sweep().await
    }

    /// Ends the tasks of the service and waits for them, and for the removals that are under way. The cache goes on
    /// answering: in this process, memory is then reclaimed by eviction alone; over Redis, reads load and nothing is stored or
    /// removed.
    ///
    /// # Cancel safety
    /// Dropped before its end, the tasks may go on, until the last clone of the service is dropped.
    pub async fn shutdown(&self) {
        self.inner.tasks.shutdown().await;
    }

    /// The spaces that the service was built with, in no particular order.
    pub fn spaces(&self) -> Vec<SpaceInfo> {
        self.inner.registry.spaces().copied().collect()
    }
}

impl Inner {
    async fn sweep(&self) -> u64 {
        let now_ms = self.now_ms();
        let mut swept = 0;
        for (looked_at, removed) in self.local.sweep(now_ms).enumerate() {
            swept += u64::from(removed);
            if looked_at % SCAN_BATCH == SCAN_BATCH - 1 {
                tokio::task::yield_now().await;
            }
        }
        self.local.forget_unused_tags();
        self.locks.forget_expired(now_ms);
        swept
    }

    fn now_ms(&self) -> u64 {
        self.settings.clock.now_ms()
    }

    /// The time at which what is in this process may be served; `None` if nothing is, or nothing may be.
    #[inline]
    fn serves_local(&self) -> Option<u64> {
        match &self.lease {
            None => self.remote.is_none().then(|| self.now_ms()),
            Some(lease) => {
                let now_ms = self.now_ms();
                let is_open = lease.is_open(self.settings.clock.machine_ms(now_ms));
                (is_open || self.settings.ablations.is_out(Ablation::LocalLease)).then_some(now_ms)
            }
        }
    }

    /// Looks a call over. The error says why nothing can be stored for it.
    fn plan(&self, name: &str, space: Option<&SpaceInfo>, policy: &Policy) -> Result<Plan, Error> {
        let owner = self.registry.owner(name);
        if let Some(space) = space
            && owner.is_none_or(|owner| owner.template != space.template)
        {
            let message = "the service was not built with this space, or the id does not fill its template; register it with `CacheService::builder().space(…)`";
            return Err(Error::new(ErrorKind::Unregistered, message).in_space(space.template));
        }
        let invalid = |message: String| Err(Error::new(ErrorKind::InvalidInput, message));
        if name.len() > MAX_NAME_BYTES {
            return invalid(format!(
                "the name has {} bytes and {MAX_NAME_BYTES} are the most; hash its long part",
                name.len()
            ));
        }
        if policy.too_many_tags {
            return invalid(format!(
                "more than {MAX_TAGS} tags are declared; depend on fewer, coarser things"
            ));
        }
        let ttl = policy.ttl.or(owner.and_then(|owner| owner.ttl)).unwrap_or(self.settings.default_ttl);
        if ttl.as_millis() == 0 {
            return invalid("the lifetime is 0; to remove an entry, delete it".to_owned());
        }
        let plan = self.plan_of(name, owner, policy.prefix);
        if plan.raw && !policy.tags.is_empty() {
            return invalid(
                "the space is raw, so that its values have no room for tags; remove them by name".to_owned(),
            );
        }
        let mut tags: Tags = policy.tags.iter().copied().collect();
        tags.extend(plan.tags);
        Ok(Plan { ttl, tags, ..plan })
    }

    /// What a name alone says.
    fn plan_of_name(&self, name: &str) -> Plan {
        self.plan_of(name, self.registry.owner(name), None)
    }

    fn plan_of(&self, name: &str, owner: Option<&SpaceInfo>, prefix: Option<&str>) -> Plan {
        let raw = self.remote.is_some() && owner.is_some_and(|owner| owner.raw);
        Plan {
            ttl: owner.and_then(|owner| owner.ttl).unwrap_or(self.settings.default_ttl),
            group: self.group_of(name, owner, prefix),
            format: owner.map_or(1, |owner| owner.format) ^ self.settings.program,
            encoding: owner.map_or(Encoding::Json, |owner| owner.encoding),
            raw,
            copies: !raw && owner.is_none_or(|owner| owner.local_tier) && self.front.is_some(),
            degraded_ttl: owner.map_or(Duration::ZERO, |owner| owner.degraded_ttl),
            weighs: owner.is_some_and(|owner| owner.weighs),
            tags: if raw { Tags::new() } else { self.registry.implicit_tags(name) },
        }
    }

    /// Under which group a name is counted.
    fn group_of(&self, name: &str, owner: Option<&SpaceInfo>, prefix: Option<&str>) -> Group {
        let prefix = prefix.or_else(|| owner.and_then(|owner| owner.prefix));
        self.counters.group(prefix.unwrap_or_else(|| name.split(':').next().unwrap_or(name)))
    }

    /// Under which group a call with this policy is counted.
    fn group_of_call(&self, name: &str, policy: &Policy) -> Group {
        self.group_of(name, self.registry.owner(name), policy.prefix)
    }

    /// The group of a name about which nothing else is known.
    fn group_of_name(&self, name: &str) -> Group {
        self.group_of(name, self.registry.owner(name), None)
    }

    /// Makes a value ready to be put in.
    fn candidate<T: Value>(
        &self,
        name: &str,
        value: Arc<T>,
        typed: Option<&Typed<T>>,
        plan: &Plan,
        stored_at_ms: u64,
    ) -> Result<Candidate, Error> {
        // An `Arc` of a value is a value too, but not the same one: a `Blob` in it would be counted as JSON.
        let weight = self.weight_of(name, &*value, typed, || (*value).encoded_len())?;
        let version = typed.and_then(|typed| typed.version).map(|version| version(&value));
        let expires_at_ms = stored_at_ms.saturating_add(plan.ttl.as_millis());
        let payload: Payload = value;
        Ok(Candidate { payload, stored_at_ms, expires_at_ms, version, weight, group: plan.group })
    }

    /// What a value weighs, in bytes, whichever tier it goes to.
    fn weight_of<T: Value>(
        &self,
        name: &str,
        value: &T,
        typed: Option<&Typed<T>>,
        encoded_len: impl FnOnce() -> Result<u64, Error>,
    ) -> Result<u64, Error> {
        match typed.and_then(|typed| typed.weigher) {
            Some(weigher) => Ok(weigher(value)),
            None => Ok(encoded_len()?.saturating_add(name.len() as u64).saturating_add(ENTRY_OVERHEAD_BYTES)),
        }
    }

    /// Counts a failure and logs it, in the words of the specification. What lasts was told when it began.
    fn report(&self, operation: &'static str, name: &str, error: &Error) {
        self.counters.count(self.group_of_name(name), Count::Error);
        if error.is_known() {
            tracing::debug!(key = name, "[CacheService] Cache {operation} error for key {name}: {error}");
            return;
        }
        tracing::error!(
            key = name,
            kind = ?error.kind(),
            "[CacheService] Cache {operation} error for key {name}: {error}"
        );
    }
}
