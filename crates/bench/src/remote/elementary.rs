//! What do elementary operations cost over Redis, beside the bare client and other caches?

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use larder::{Blob, Redis};
use redis::aio::MultiplexedConnection;
use serde_json::json;

use super::ground::{CPU, Entrant, Ground, Numbers, P50, P99, RATE};
use super::hits::{in_words, must};
use super::peers::{Amalgam, AmalgamOrSet, MultiTier, MultiTierOrSet};
use crate::Failure;
use crate::data::{self, Item};
use crate::hits::BODY;
use crate::node::{Node, Peers};
use crate::record::Sample;
use crate::sides::{ByName, Get, LIFETIME, Side, Tags};
use crate::stage::now;

pub(crate) const GROUP: &str = "elementary";

/// With whom all are compared.
pub(crate) const BASELINE: &str = "bare client";

/// 10 seconds: as long as a connection may take.
const LIMIT: Duration = Duration::from_secs(10);

/// So many tasks at once, and calls in all.
const CALLS: [(usize, usize); 2] = [(1, 500), (64, 3_200)];

/// What is measured.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Read,
    Miss,
    Set,
    Delete,
}

impl Operation {
    /// As the tables have it, and as the adapters for Node do.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Operation::Read => ("read what another process stored", "read"),
            Operation::Miss => ("miss, load, store", "miss"),
            Operation::Set => ("set", "set"),
            Operation::Delete => ("delete", "delete"),
        }
    }

    fn set(self, tasks: usize) -> String {
        format!("{}; {}", self.words().0, in_words(tasks))
    }
}

/// Names that nobody has used yet, of this run.
fn fresh() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1_000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// How long what is stored or removed in the background may take.
const SETTLES_WITHIN: Duration = Duration::from_secs(2);

/// After what was sent in the background has arrived.
const QUIET: Duration = Duration::from_millis(20);

/// Measures it, beside the caches of the Node world too if they are asked for. What stores for a read is not there when the other
/// operations are measured: it would hear of them, at their expense.
pub(crate) fn measure(ground: &Ground, peers: &Peers) -> Result<Vec<Sample>, Failure> {
    let read = ground.interleave(GROUP, entrants(ground, &[Operation::Read], peers)?)?;
    let others = [Operation::Miss, Operation::Set, Operation::Delete];
    Ok([read, ground.interleave(GROUP, entrants(ground, &others, peers)?)?].concat())
}

fn entrants<'a>(
    ground: &'a Ground,
    operations: &[Operation],
    peers: &Peers,
) -> Result<Vec<Entrant<'a>>, Failure> {
    let url = ground.server.url();
    let mut all = Vec::new();
    let bare = || Ok(Bare(ground.bare.clone()));
    enter(&mut all, ground, operations, BASELINE, bare)?;
    let front = || {
        let redis = Redis::at(&*url).namespace(GROUP);
        let inside = ground.runtime.enter();
        let side = Get::<Blob, ByName>::in_front_of(redis, &BODY, Tags::None)?;
        drop(inside);
        ground.runtime.block_on(async { tokio::time::timeout(LIMIT, side.cache.ready()).await })?;
        Ok(side.or_set())
    };
    enter(&mut all, ground, operations, "larder", front)?;
    let amalgam = || {
        let side = ground.runtime.block_on(Amalgam::<Blob>::at(&url))?;
        Ok(AmalgamOrSet(Arc::new(side)))
    };
    enter(&mut all, ground, operations, "amalgam-cache", amalgam)?;
    let multi_tier = || Ok(MultiTierOrSet(Arc::new(ground.runtime.block_on(MultiTier::at(&url))?)));
    enter(&mut all, ground, operations, "multi-tier-cache", multi_tier)?;
    for (side, subject) in peers.all()? {
        let node = Arc::new(Node::start(subject, &url, peers.seed_cache.as_deref())?);
        enter_node(&mut all, ground, operations, side, &node);
    }
    Ok(all)
}

/// Lets a side in; for reads two of its kind: what the second stores the first reads.
fn enter<'a, S: Side<Blob>>(
    all: &mut Vec<Entrant<'a>>,
    ground: &'a Ground,
    operations: &[Operation],
    side: &'static str,
    make: impl Fn() -> Result<S, Failure>,
) -> Result<(), Failure> {
    let near = Arc::new(make()?);
    for operation in operations.iter().copied() {
        let stores = match operation {
            Operation::Read => Some(Arc::new(make()?)),
            Operation::Delete => Some(Arc::clone(&near)),
            Operation::Miss | Operation::Set => None,
        };
        for (tasks, calls) in CALLS {
            let (near, stores) = (Arc::clone(&near), stores.clone());
            let once = move || {
                let items = data::items(calls, fresh());
                if let Some(side) = &stores {
                    let state = (Arc::clone(side), Arc::clone(&items));
                    let store = || {
                        ground.calls(tasks, calls, state.clone(), |(side, items), at| async move {
                            side.set(&items[at], data::body()).await;
                            Ok(())
                        })
                    };
                    checked(ground, Operation::Set, calls, store)?;
                    ground.runtime.block_on(async { tokio::time::sleep(QUIET).await });
                }
                checked(ground, operation, calls, || {
                    let state = (Arc::clone(&near), Arc::clone(&items));
                    ground.calls(tasks, calls, state, move |(side, items), at| async move {
                        let item = &items[at];
                        match operation {
                            Operation::Read => must(side.hit(item).await.is_some())?,
                            Operation::Miss => must(!side.fill(item, data::body).await.0.is_empty())?,
                            Operation::Set => side.set(item, data::body()).await,
                            Operation::Delete => side.delete(item).await,
                        }
                        Ok(())
                    })
                })
            };
            let set = operation.set(tasks);
            all.push(Entrant { group: GROUP, set, side, entries: calls, once: Box::new(once) });
        }
    }
    Ok(())
}

/// The same of a cache that lives in another process, which measures itself.
fn enter_node<'a>(
    all: &mut Vec<Entrant<'a>>,
    ground: &'a Ground,
    operations: &[Operation],
    side: &'static str,
    node: &Arc<Node>,
) {
    for operation in operations.iter().copied() {
        for (tasks, calls) in CALLS {
            let node = Arc::clone(node);
            let measure = move || {
                let answer = node.ask(&json!({
                    "operation": operation.words().1, "tasks": tasks, "calls": calls, "prefix": format!("node:{}", fresh()),
                }))?;
                let number = |field: &str| answer[field].as_f64().ok_or("an answer without its numbers");
                let units = [(CPU, "cpu"), (P50, "p50"), (P99, "p99"), (RATE, "rate")];
                let numbers: Result<Numbers, _> =
                    units.into_iter().map(|(unit, field)| Ok::<_, &str>((unit, number(field)?))).collect();
                Ok(numbers?)
            };
            // What it removes it has stored in the same measurement.
            let leaves = if let Operation::Set | Operation::Miss = operation {
                Operation::Set
            } else {
                Operation::Read
            };
            let once = move || checked(ground, leaves, calls, &measure);
            let set = operation.set(tasks);
            all.push(Entrant { group: GROUP, set, side, entries: calls, once: Box::new(once) });
        }
    }
}

/// Measures, and looks whether Redis has as many keys more, or fewer, as the calls should leave: a call that fails in silence is no quick one.
fn checked(
    ground: &Ground,
    operation: Operation,
    calls: usize,
    measure: impl Fn() -> Result<Numbers, Failure>,
) -> Result<Numbers, Failure> {
    let keys = || {
        let count = async { redis::cmd("DBSIZE").query_async::<i64>(&mut ground.bare.clone()).await };
        ground.runtime.block_on(count)
    };
    let before = keys()?;
    let numbers = measure()?;
    // Locks come and go.
    let most = (calls - calls / 50) as i64;
    let is_done = |now: i64| match operation {
        Operation::Read => true,
        Operation::Miss | Operation::Set => now - before >= most,
        Operation::Delete => before - now >= most,
    };
    let since = now();
    loop {
        let there = keys()?;
        if is_done(there) {
            return Ok(numbers);
        }
        if since.elapsed() > SETTLES_WITHIN {
            let had = there - before;
            return Err(format!("{calls} calls have left {had} keys more in Redis").into());
        }
        ground.runtime.block_on(async { tokio::time::sleep(QUIET).await });
    }
}

/// The commands alone: what an application sends that has no cache library, and no promise.
struct Bare(MultiplexedConnection);

impl Side<Blob> for Bare {
    async fn hit(&self, item: &Item) -> Option<Arc<Blob>> {
        let get = redis::cmd("GET").arg(&item.name).take();
        let found: Option<Vec<u8>> = get.query_async(&mut self.0.clone()).await.ok()?;
        found.map(|bytes| Arc::new(Blob(Bytes::from(bytes))))
    }

    async fn fill(&self, item: &Item, make: impl Fn() -> Blob + Send + Sync) -> Arc<Blob> {
        if let Some(there) = self.hit(item).await {
            return there;
        }
        let value = make();
        self.set(item, value.clone()).await;
        Arc::new(value)
    }

    async fn set(&self, item: &Item, Blob(bytes): Blob) {
        let set = redis::cmd("SET").arg(&item.name).arg(&bytes[..]).arg("EX").arg(LIFETIME.as_secs()).take();
        set.query_async::<()>(&mut self.0.clone()).await.ok();
    }

    async fn delete(&self, item: &Item) {
        redis::cmd("UNLINK").arg(&item.name).take().query_async::<()>(&mut self.0.clone()).await.ok();
    }
}
