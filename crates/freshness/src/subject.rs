//! What is checked: larder, and beside it the cache-aside of textbooks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder::testing::Ablation;
use larder::{
    Acknowledged, CacheService, Encoding, Freshness, Invalidation, Key, Policy, Read, Redis, Source, Space,
    Tag, Ttl,
};
use larder_outbox::{Outbox, Recorded, Settings};
use parking_lot::Mutex;
use redis::AsyncCommands;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use serde::{Deserialize, Serialize};
use sqlx::{Any, AnyPool, Transaction};

use crate::judge::{H_NS, Promise};
use crate::loader::{self, Failed, Loader, Value};
use crate::peers::Peer;
use crate::rule::Rule;

/// A value, and what was promised of it.
pub(crate) struct Answer {
    pub(crate) value: Arc<Value>,
    pub(crate) promise: Promise,
}

/// By what name, and by which of the ways that an entry can be told of a change, a row is cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum View {
    /// By its key, with copies in the process.
    Kept,
    /// By its key, in Redis alone.
    Strict,
    /// By a tag, for two seconds.
    Tagged,
    /// By a scope of its name.
    Scoped,
    /// By its key, in Redis alone, 8 kB.
    Large,
    /// By its key, and served while Redis is away, with a label.
    Degraded,
}

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
        .degraded_ttl(Duration::from_secs(30));

/// As long as everybody's.
const LIFE: Ttl = Ttl::secs(loader::LIFE.as_secs());

/// 8 kB: beyond what a fill carries in its script.
const LARGE_BYTES: usize = 8_000;

/// Rows of a group: its scope is removed when one of them changes.
const GROUP: u64 = 4;

/// Which cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub(crate) enum Kind {
    /// larder with its outbox
    #[default]
    Larder,
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
        /// What it had counted when it was last asked.
        counted: Mutex<(u64, u64, u64)>,
    },
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
    /// Starts it over this Redis and this database, without some rules.
    pub(crate) async fn start(
        kind: Kind,
        redis_url: &str,
        pool: AnyPool,
        without: &[Rule],
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let loader = Arc::new(Loader { pool: pool.clone(), loads: AtomicU64::new(0) });
        let is_strict = matches!(kind, Kind::AmalgamStrict | Kind::BentoStrict);
        let peer = match kind {
            Kind::Larder | Kind::Naive => None,
            Kind::Amalgam | Kind::AmalgamStrict => {
                Some(Peer::amalgam(redis_url, Arc::clone(&loader), is_strict).await?)
            }
            Kind::Bento | Kind::BentoStrict => {
                Some(Peer::bento(redis_url, Arc::clone(&loader), is_strict).await?)
            }
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
            let redis = ConnectionManager::new_with_config(redis::Client::open(redis_url)?, config).await?;
            return Ok(Subject::Naive { redis, loader });
        }
        let builder = CacheService::builder().relayed().redis(Redis::at(redis_url));
        let builder = builder.space(&KEPT).space(&STRICT).space(&TAGGED).space(&SCOPED);
        let builder = builder.space(&LARGE).space(&DEGRADED);
        let of_cache: Vec<Ablation> = without.iter().filter_map(|rule| rule.of_cache()).collect();
        let builder = of_cache.into_iter().fold(builder, |builder, rule| builder.without(rule));
        let cache = builder.build()?;
        let settings = without.iter().filter_map(|rule| rule.of_outbox());
        let settings = settings.fold(Settings::new(), |settings, rule| settings.without(rule));
        let outbox = Outbox::start(&pool, &cache, settings).await?;
        Ok(Subject::Larder { cache, outbox, loader, counted: Mutex::default() })
    }

    pub(crate) fn loader(&self) -> &Loader {
        let (Subject::Larder { loader, .. } | Subject::Naive { loader, .. } | Subject::Peer { loader, .. }) =
            self;
        loader
    }

    /// The views that readers read whose hits may come from the process.
    pub(crate) fn local_views(&self) -> &'static [View] {
        match self {
            Subject::Larder { .. } => &[View::Kept, View::Tagged, View::Scoped, View::Degraded],
            Subject::Naive { .. } | Subject::Peer { .. } => &[],
        }
    }

    /// The views that Redis answers.
    pub(crate) fn strict_views(&self) -> &'static [View] {
        match self {
            Subject::Larder { .. } => &[View::Strict, View::Large],
            Subject::Naive { .. } | Subject::Peer { .. } => &[View::Strict],
        }
    }

    /// Reads a row through the cache.
    pub(crate) async fn read(&self, view: View, row: u64) -> Result<Answer, Failed> {
        match self {
            Subject::Larder { cache, loader, .. } => {
                let policy = Policy::new();
                match view {
                    View::Kept => through(cache, KEPT.key(&row), policy, loader.load(row, 0)).await,
                    View::Strict => through(cache, STRICT.key(&row), policy, loader.load(row, 0)).await,
                    View::Tagged => {
                        through(cache, TAGGED.key(&row), policy.tag(tag(row)), loader.load(row, 0)).await
                    }
                    View::Scoped => {
                        let id = (row / GROUP, row);
                        through(cache, SCOPED.key(&id), policy, loader.load(row, 0)).await
                    }
                    View::Large => {
                        through(cache, LARGE.key(&row), policy, loader.load(row, LARGE_BYTES)).await
                    }
                    View::Degraded => through(cache, DEGRADED.key(&row), policy, loader.load(row, 0)).await,
                }
            }
            Subject::Naive { redis, loader } => {
                let (mut redis, name) = (redis.clone(), naive_name(row));
                let cached: Option<String> = redis.get(&name).await.unwrap_or_default();
                if let Some(value) = cached.and_then(|text| serde_json::from_str::<Value>(&text).ok()) {
                    return Ok(Answer { value: Arc::new(value), promise: Promise::Strict });
                }
                let value = loader.load(row, 0).await?;
                let text = serde_json::to_string(&value).map_err(|_error| Failed)?;
                let seconds = LIFE.as_millis() / 1_000;
                redis.set_ex::<_, _, ()>(&name, text, seconds).await.ok(); // as textbooks do: a cache may fail
                Ok(Answer { value: Arc::new(value), promise: Promise::Strict })
            }
            Subject::Peer { peer, promise, .. } => {
                let value = peer.read(row).await?;
                Ok(Answer { value, promise: *promise })
            }
        }
    }

    /// Reads rows by one call, in Redis alone; those that were not there are loaded by one call of the loader.
    pub(crate) async fn read_many(&self, rows: &[u64]) -> Result<Vec<Answer>, Failed> {
        let Subject::Larder { cache, loader, .. } = self else {
            let mut answers = Vec::new();
            for row in rows {
                answers.push(self.read(View::Strict, *row).await?);
            }
            return Ok(answers);
        };
        let load = async |missing: Vec<u64>| {
            let mut loaded = Vec::new();
            for row in missing {
                loaded.push((row, loader.load(row, 0).await?));
            }
            Ok(loaded)
        };
        let values = cache.get_or_set_many(rows, |row| STRICT.key(row), Policy::new(), load).await?;
        let strict = |value| Answer { value, promise: Promise::Strict };
        values.into_iter().map(|value| value.map(strict).ok_or(Failed)).collect()
    }

    /// Looks for a row without loading it.
    pub(crate) async fn look(&self, row: u64) -> Option<Answer> {
        match self {
            Subject::Larder { cache, .. } => cache.lookup(KEPT.key(&row)).await.map(Answer::from),
            Subject::Naive { .. } | Subject::Peer { .. } => None,
        }
    }

    /// From then on hits in this process are as new as those in Redis; `false` if that cannot be said now.
    pub(crate) async fn sync(&self) -> bool {
        match self {
            Subject::Larder { cache, .. } => cache.sync().await.is_ok(),
            // There is nothing to be told of where all is in Redis; those that have memory cannot be asked.
            Subject::Naive { .. } => true,
            Subject::Peer { promise, .. } => *promise == Promise::Strict,
        }
    }

    /// Waits until hits in this process are as new as they ever get, once nobody changes anything; `false` if that cannot be said.
    pub(crate) async fn knows_all(&self) -> bool {
        match self {
            Subject::Larder { .. } => self.sync().await,
            // What their memory is told takes no longer, if it is told.
            Subject::Naive { .. } | Subject::Peer { .. } => {
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
            _ => (0, 0, self.loader().loads.swap(0, Ordering::Relaxed)),
        }
    }

    /// How many changes wait in the outbox.
    pub(crate) async fn waiting(&self) -> u64 {
        match self {
            Subject::Larder { outbox, .. } => outbox.stats().await.map_or(u64::MAX, |stats| stats.depth),
            Subject::Naive { .. } | Subject::Peer { .. } => 0,
        }
    }
}

fn tag(row: u64) -> Tag {
    Tag::new("row", row)
}

fn naive_name(row: u64) -> String {
    format!("row:{row}")
}

async fn through(
    cache: &CacheService,
    key: Key<'_, Value>,
    policy: Policy,
    load: impl Future<Output = Result<Value, Failed>>,
) -> Result<Answer, Failed> {
    cache.read_through(key, policy, || load).await.map(Answer::from)
}

impl From<Read<Value>> for Answer {
    fn from(read: Read<Value>) -> Self {
        let promise = match (read.freshness, read.source) {
            (Freshness::Stale { age }, _) => {
                Promise::Labelled { age_ns: age.as_nanos().try_into().unwrap_or(u64::MAX) }
            }
            (_, Source::Local) => Promise::Local,
            _ => Promise::Strict,
        };
        Answer { value: read.value, promise }
    }
}
