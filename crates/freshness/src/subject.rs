//! What is checked: larder, and beside it the cache-aside of textbooks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder::testing::Ablation;
use larder::{Acknowledged, CacheService, Encoding, Invalidation, Policy, Redis, Space, Tag, Ttl};
use larder_outbox::{Outbox, Recorded, Settings};
use parking_lot::Mutex;
use redis::AsyncCommands;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use serde::{Deserialize, Serialize};
use sqlx::{Any, AnyPool, Transaction};

use crate::crm::Crm;
use crate::database;
use crate::judge::{H_NS, Origin, Promise};
use crate::loader::{self, Failed, Loader, Value};
use crate::peers::Peer;
use crate::rule::Rule;
use crate::view::{self, Answer, View};

static KEPT: Space<u64, Value> = Space::new("kept:{row}", "A row with copies.").ttl(LIFE);
static STRICT: Space<u64, Value> =
    Space::new("strict:{row}", "A row without copies.").ttl(LIFE).local_tier(false);
static TAGGED: Space<u64, Value> = Space::new("tagged:{row}", "A row by its tag.").ttl(Ttl::secs(2));
static SCOPED: Space<(u64, u64), Value> =
    Space::new("scoped:{group}:{row}", "A row by its group.").ttl(LIFE).scope("group");
static LARGE: Space<u64, Value> = Space::new("large:{row}", "A large row without copies.")
    .ttl(LIFE)
    .local_tier(false)
    .encoding(Encoding::MessagePack);
static DEGRADED: Space<u64, Value> =
    Space::new("degraded:{row}", "A row that is served while Redis is away.")
        .ttl(LIFE)
        .degraded_ttl(view::DEGRADED);

/// As long as everybody's.
const LIFE: Ttl = Ttl::secs(loader::LIFE.as_secs());

/// 8 kB: beyond what a fill carries in its script.
const LARGE_BYTES: usize = 8_000;

/// 20 ms: between two looks at a server that others are to change.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// 1,000 reads one after the other, where hits take microseconds; 50 over HTTP.
const BURST: usize = 1_000;
const BURST_OF_REQUESTS: usize = 50;

/// Rows of a group: its scope is removed when one of them changes.
const GROUP: u64 = 4;

/// Which cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub(crate) enum Kind {
    /// larder with its outbox
    #[default]
    Larder,
    /// the CRM over HTTP, a server a process
    Crm,
    /// cache-aside as in textbooks: load on a miss and store; delete after a commit
    Naive,
    /// amalgam-cache with memory, Redis, its backplane and its locks
    Amalgam,
    /// the same by its strict profile, in Redis alone
    AmalgamStrict,
    /// BentoCache (Node) with memory, Redis and its bus
    Bento,
    /// the same in Redis alone, with its errors shown
    BentoStrict,
}

/// One of them.
pub(crate) enum Subject {
    Larder {
        cache: CacheService,
        outbox: Outbox<Any>,
        loader: Arc<Loader>,
        /// A rule is out: it loads before it asks the cache, and not when it is granted to load.
        loads_first: bool,
        /// What it had counted when it was last asked.
        counted: Mutex<(u64, u64, u64)>,
    },
    Crm(Crm),
    Naive {
        redis: ConnectionManager,
        loader: Arc<Loader>,
    },
    Peer {
        peer: Box<Peer>,
        promise: Promise,
        loader: Arc<Loader>,
    },
}

/// What has to be announced after the commit.
pub(crate) enum Due {
    Recorded(Recorded),
    Rows(Vec<u64>),
}

impl Subject {
    /// Starts it over this Redis, or over the server of the CRM at this address, and this database, without some rules.
    pub(crate) async fn start(
        kind: Kind,
        url: &str,
        pool: AnyPool,
        rows: u64,
        without: &[Rule],
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        if kind == Kind::Crm {
            return Crm::meet(url, pool, rows).await.map(Subject::Crm);
        }
        let loader = Arc::new(Loader { pool: pool.clone(), loads: AtomicU64::new(0) });
        let is_strict = matches!(kind, Kind::AmalgamStrict | Kind::BentoStrict);
        let peer = match kind {
            Kind::Larder | Kind::Crm | Kind::Naive => None,
            Kind::Amalgam | Kind::AmalgamStrict => {
                Some(Peer::amalgam(url, Arc::clone(&loader), is_strict).await?)
            }
            Kind::Bento | Kind::BentoStrict => Some(Peer::bento(url, Arc::clone(&loader), is_strict).await?),
        };
        if let Some(peer) = peer {
            // What it has in memory is held to what larder's copies are.
            let promise = if is_strict { Promise::Strict } else { Promise::Local };
            return Ok(Subject::Peer { peer: Box::new(peer), promise, loader });
        }
        if kind == Kind::Naive {
            let second = Duration::from_secs(1);
            let config = ConnectionManagerConfig::new()
                .set_connection_timeout(Some(second))
                .set_response_timeout(Some(second))
                .set_number_of_retries(1);
            let redis = ConnectionManager::new_with_config(redis::Client::open(url)?, config).await?;
            return Ok(Subject::Naive { redis, loader });
        }
        let builder = CacheService::builder().relayed().redis(Redis::at(url));
        let builder = builder.space(&KEPT).space(&STRICT).space(&TAGGED).space(&SCOPED);
        let builder = builder.space(&LARGE).space(&DEGRADED);
        let of_cache: Vec<Ablation> = without.iter().filter_map(|rule| rule.of_cache()).collect();
        let builder = of_cache.into_iter().fold(builder, |builder, rule| builder.without(rule));
        let cache = builder.build()?;
        let settings = without.iter().filter_map(|rule| rule.of_outbox());
        let settings = settings.fold(Settings::new(), |settings, rule| settings.without(rule));
        let outbox = Outbox::start(&pool, &cache, settings).await?;
        let loads_first = without.contains(&Rule::LateSnapshot);
        Ok(Subject::Larder { cache, outbox, loader, loads_first, counted: Mutex::default() })
    }

    pub(crate) fn loader(&self) -> &Loader {
        match self {
            Subject::Larder { loader, .. } | Subject::Naive { loader, .. } | Subject::Peer { loader, .. } => {
                loader
            }
            Subject::Crm(crm) => &crm.loader,
        }
    }

    /// The views that readers read whose hits may come from the process.
    pub(crate) fn local_views(&self) -> &'static [View] {
        match self {
            Subject::Larder { .. } => &[View::Kept, View::Tagged, View::Scoped, View::Degraded],
            Subject::Crm(_) => &[View::Kept, View::Listed],
            Subject::Naive { .. } | Subject::Peer { .. } => &[],
        }
    }

    /// How many reads of these follow one another, unless too many miss: where nothing is kept every read is a load.
    pub(crate) fn burst(&self) -> usize {
        match self {
            Subject::Crm(_) => BURST_OF_REQUESTS,
            _ => BURST,
        }
    }

    /// The views that Redis answers.
    pub(crate) fn strict_views(&self) -> &'static [View] {
        match self {
            Subject::Larder { .. } => &[View::Strict, View::Large],
            Subject::Crm(_) | Subject::Naive { .. } | Subject::Peer { .. } => &[View::Strict],
        }
    }

    /// Reads a row through the cache.
    pub(crate) async fn read(&self, view: View, row: u64) -> Result<Answer, Failed> {
        match self {
            Subject::Larder { cache, loader, loads_first, .. } => {
                let loads_first = *loads_first;
                let (policy, id) = (Policy::new(), (row / GROUP, row));
                let (key, policy) = match view {
                    View::Kept => (KEPT.key(&row), policy),
                    View::Strict => (STRICT.key(&row), policy),
                    View::Tagged => (TAGGED.key(&row), policy.tag(tag(row))),
                    View::Scoped => (SCOPED.key(&id), policy),
                    View::Large => (LARGE.key(&row), policy),
                    View::Degraded => (DEGRADED.key(&row), policy),
                    View::Listed => unreachable!("it is the CRM's"),
                };
                let load = loader.load(row, if view == View::Large { LARGE_BYTES } else { 0 });
                let read = match loads_first {
                    false => cache.read_through(key, policy, || load).await?,
                    true => {
                        let loaded = load.await?;
                        cache.read_through(key, policy, || std::future::ready(Ok(loaded))).await?
                    }
                };
                Ok(Answer::of(view, read))
            }
            Subject::Crm(crm) => crm.read(view, row).await,
            Subject::Naive { redis, loader } => {
                let (mut redis, name) = (redis.clone(), naive_name(row));
                let cached: Option<String> = redis.get(&name).await.unwrap_or_default();
                if let Some(value) = cached.and_then(|text| serde_json::from_str::<Value>(&text).ok()) {
                    let (value, promise, origin) = (Arc::new(value), Promise::Strict, Origin::Redis);
                    return Ok(Answer { value, promise, origin });
                }
                let value = loader.load(row, 0).await?;
                let text = serde_json::to_string(&value).map_err(|_error| Failed)?;
                let seconds = LIFE.as_millis() / 1_000;
                redis.set_ex::<_, _, ()>(&name, text, seconds).await.ok(); // as textbooks do: a cache may fail
                Ok(Answer { value: Arc::new(value), promise: Promise::Strict, origin: Origin::Loaded })
            }
            Subject::Peer { peer, promise, .. } => {
                let value = peer.read(row).await?;
                Ok(Answer { value, promise: *promise, origin: Origin::Loaded }) // they do not tell
            }
        }
    }

    /// Reads rows by one call, in Redis alone; those that were not there are loaded by one call of the loader. `None` where there is no such call.
    pub(crate) async fn read_many(&self, rows: &[u64]) -> Option<Result<Vec<Answer>, Failed>> {
        let Subject::Larder { cache, loader, .. } = self else { return None };
        let load = async |missing: Vec<u64>| {
            let mut loaded = Vec::new();
            for row in missing {
                loaded.push((row, loader.load(row, 0).await?));
            }
            Ok(loaded)
        };
        let values = cache.get_or_set_many(rows, |row| STRICT.key(row), Policy::new(), load).await;
        let strict = |value| Answer { value, promise: Promise::Strict, origin: Origin::Loaded }; // it is not told
        Some(
            values
                .and_then(|values| values.into_iter().map(|value| value.map(strict).ok_or(Failed)).collect()),
        )
    }

    /// Looks for a row without loading it.
    pub(crate) async fn look(&self, row: u64) -> Option<Answer> {
        match self {
            Subject::Larder { cache, .. } => {
                cache.lookup(KEPT.key(&row)).await.map(|read| Answer::of(View::Kept, read))
            }
            Subject::Crm(_) | Subject::Naive { .. } | Subject::Peer { .. } => None,
        }
    }

    /// From then on hits in this process are as new as those in Redis; `false` if that cannot be said now.
    pub(crate) async fn sync(&self) -> bool {
        match self {
            Subject::Larder { cache, .. } => cache.sync().await.is_ok(),
            // There is nothing to be told of where all is in Redis; those that have memory cannot be asked.
            Subject::Naive { .. } => true,
            // It does so itself, for its strict view.
            Subject::Crm(_) => false,
            Subject::Peer { promise, .. } => *promise == Promise::Strict,
        }
    }

    /// Waits until hits in this process are as new as they ever get, once nobody changes anything; `false` if that cannot be said.
    pub(crate) async fn knows_all(&self) -> bool {
        match self {
            Subject::Larder { .. } => self.sync().await,
            // What their memory is told takes no longer, if it is told.
            Subject::Crm(_) | Subject::Naive { .. } | Subject::Peer { .. } => {
                tokio::time::sleep(Duration::from_nanos(H_NS)).await;
                true
            }
        }
    }

    /// Records in a transaction what its change of these rows makes untrue.
    pub(crate) async fn record(
        &self,
        change: &mut Transaction<'_, Any>,
        rows: &[u64],
    ) -> Result<Due, larder_outbox::Error> {
        match self {
            Subject::Larder { outbox, .. } => {
                let changed = rows.iter().fold(Invalidation::new(), |changed, row| {
                    let changed = changed.key(KEPT.key(row)).key(STRICT.key(row)).key(LARGE.key(row));
                    let group = SCOPED.under(&(row / GROUP));
                    changed.key(DEGRADED.key(row)).tag(tag(*row)).pattern(group)
                });
                outbox.add(change, changed).await.map(Due::Recorded)
            }
            Subject::Crm(_) => unreachable!("it records what it changes"),
            Subject::Naive { .. } | Subject::Peer { .. } => Ok(Due::Rows(rows.to_vec())),
        }
    }

    /// Announces what a commit has made untrue, or may have: then nobody knows whether it took place.
    pub(crate) async fn announce(&self, due: Due, is_sure: bool) -> Acknowledged {
        match (self, due) {
            (Subject::Larder { outbox, .. }, Due::Recorded(recorded)) if is_sure => {
                outbox.announce(recorded).await
            }
            (Subject::Larder { outbox, .. }, Due::Recorded(recorded)) => {
                outbox.announce_unsure(recorded).await
            }
            (Subject::Naive { redis, .. }, Due::Rows(rows)) => {
                let names: Vec<String> = rows.into_iter().map(naive_name).collect();
                match redis.clone().del::<_, ()>(names).await {
                    Ok(()) => Acknowledged::Applied,
                    Err(_error) => Acknowledged::Durable, // it is told so that what is stale then is counted apart
                }
            }
            (Subject::Peer { peer, .. }, Due::Rows(rows)) => match peer.remove(&rows).await {
                true => Acknowledged::Applied,
                false => Acknowledged::Durable, // the same
            },
            _ => unreachable!("what is due was recorded by the same subject"),
        }
    }

    /// Waits until everything that was committed is removed; `false` if that takes too long.
    pub(crate) async fn caught_up(&self, limit: Duration) -> bool {
        match self {
            Subject::Larder { cache, outbox, .. } => {
                let ready = tokio::time::timeout(limit, cache.ready()).await;
                ready.is_ok() && outbox.caught_up(limit).await.is_ok()
            }
            Subject::Crm(crm) => {
                let empty = async || {
                    while crm.waiting().await != Some(0) {
                        tokio::time::sleep(LOOK_AGAIN).await;
                    }
                };
                tokio::time::timeout(limit, empty()).await.is_ok()
            }
            Subject::Naive { .. } | Subject::Peer { .. } => true,
        }
    }

    /// How often it hit, missed and loaded since this was last asked. Those that do not count say only what they loaded.
    pub(crate) fn counted(&self) -> (u64, u64, u64) {
        match self {
            Subject::Larder { cache, counted, .. } => {
                let total = cache.stats().total;
                let now = (total.hits, total.misses, total.loads);
                let before = std::mem::replace(&mut *counted.lock(), now);
                (now.0 - before.0, now.1 - before.1, now.2 - before.2)
            }
            Subject::Crm(crm) => {
                (crm.hits.swap(0, Ordering::Relaxed), 0, crm.loader.loads.swap(0, Ordering::Relaxed))
            }
            _ => (0, 0, self.loader().loads.swap(0, Ordering::Relaxed)),
        }
    }

    /// The version and the nonce of each row, from the database.
    pub(crate) async fn truth(&self) -> sqlx::Result<Vec<(u64, u64)>> {
        match self {
            Subject::Crm(crm) => crm.truth().await,
            _ => database::load_all(&self.loader().pool).await,
        }
    }

    /// How many changes wait in the outbox; `None` where it does not say.
    pub(crate) async fn waiting(&self) -> Option<u64> {
        match self {
            Subject::Larder { outbox, .. } => outbox.stats().await.ok().map(|stats| stats.depth),
            Subject::Crm(crm) => crm.waiting().await,
            Subject::Naive { .. } | Subject::Peer { .. } => Some(0),
        }
    }
}

fn tag(row: u64) -> Tag {
    Tag::new("row", row)
}

fn naive_name(row: u64) -> String {
    format!("row:{row}")
}
