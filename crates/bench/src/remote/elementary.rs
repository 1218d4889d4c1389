//! What do elementary operations cost over Redis, beside the bare client and other caches?

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use larder::{Blob, Redis};
use redis::aio::MultiplexedConnection;
use serde_json::json;

use super::ground::{CPU, Entrant, Ground, Numbers, P50, P99, RATE};
use super::hits::{in_words, must};
use super::peers::{Amalgam, AmalgamOrSet, MultiTier};
use crate::Failure;
use crate::data::{self, Item};
use crate::hits::BODY;
use crate::node::{Node, Peers};
use crate::record::Sample;
use crate::sides::{ByName, Get, LIFETIME, Side, Tags};

pub(crate) const GROUP: &str = "elementary";

/// With whom all are compared.
pub(crate) const BASELINE: &str = "bare client";

/// larder, with copies in the process.
pub(crate) const LARDER: &str = "larder";

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
    const ALL: [Operation; 4] = [Operation::Read, Operation::Miss, Operation::Set, Operation::Delete];

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

/// Measures it, beside the caches of the Node world too if they are asked for.
pub(crate) fn measure(ground: &Ground, peers: &Peers) -> Result<Vec<Sample>, Failure> {
    let url = ground.server.url();
    let mut all = Vec::new();
    let bare = || Bare(ground.bare.clone());
    enter(&mut all, ground, BASELINE, [bare(), bare()]);
    let front = || {
        let redis = Redis::at(&*url).namespace(GROUP);
        let inside = ground.runtime.enter();
        let side = Get::<Blob, ByName>::in_front_of(redis, &BODY, Tags::None)?;
        drop(inside);
        ground.runtime.block_on(side.cache.ready());
        Ok::<_, Failure>(side.or_set())
    };
    enter(&mut all, ground, LARDER, [front()?, front()?]);
    let amalgam = || {
        let side = ground.runtime.block_on(Amalgam::<Blob>::at(&url))?;
        Ok::<_, Failure>(AmalgamOrSet(Arc::new(side)))
    };
    enter(&mut all, ground, "amalgam-cache", [amalgam()?, amalgam()?]);
    let multi_tier = || ground.runtime.block_on(MultiTier::at(&url));
    enter(&mut all, ground, "multi-tier-cache", [multi_tier()?, multi_tier()?]);
    for (side, subject) in peers.all()? {
        enter_node(&mut all, side, &Arc::new(Node::start(subject, &url, peers.seed_cache.as_deref())?));
    }
    ground.interleave(GROUP, all)
}

/// Lets a side in by two of its kind: what the second stores the first reads.
fn enter<'a, S: Side<Blob>>(
    all: &mut Vec<Entrant<'a>>,
    ground: &'a Ground,
    side: &'static str,
    pair: [S; 2],
) {
    let pair = pair.map(Arc::new);
    for operation in Operation::ALL {
        for (tasks, calls) in CALLS {
            let [near, far] = pair.clone();
            let once = move || {
                let items = data::items(calls, fresh());
                let stored_by = match operation {
                    Operation::Read => Some(&far),
                    Operation::Delete => Some(&near),
                    Operation::Miss | Operation::Set => None,
                };
                if let Some(side) = stored_by {
                    let state = (Arc::clone(side), Arc::clone(&items));
                    ground.calls(64, calls, state, |(side, items), at| async move {
                        side.set(&items[at], data::body()).await;
                        Ok(())
                    })?;
                }
                ground.calls(tasks, calls, (Arc::clone(&near), items), move |(side, items), at| async move {
                    let item = &items[at];
                    match operation {
                        Operation::Read => must(side.hit(item).await.is_some())?,
                        Operation::Miss => must(!side.fill(item, data::body).await.0.is_empty())?,
                        Operation::Set => side.set(item, data::body()).await,
                        Operation::Delete => side.delete(item).await,
                    }
                    Ok(())
                })
            };
            let set = operation.set(tasks);
            all.push(Entrant { group: GROUP, set, side, entries: calls, once: Box::new(once) });
        }
    }
}

/// The same of a cache that lives in another process, which measures itself.
fn enter_node(all: &mut Vec<Entrant<'_>>, side: &'static str, node: &Arc<Node>) {
    for operation in Operation::ALL {
        for (tasks, calls) in CALLS {
            let node = Arc::clone(node);
            let once = move || {
                let answer = node.ask(&json!({
                    "operation": operation.words().1, "tasks": tasks, "calls": calls, "prefix": format!("node:{}", fresh()),
                }))?;
                let number = |field: &str| answer[field].as_f64().ok_or("an answer without its numbers");
                let units = [(CPU, "cpu"), (P50, "p50"), (P99, "p99"), (RATE, "rate")];
                let numbers: Result<Numbers, _> =
                    units.into_iter().map(|(unit, field)| Ok::<_, &str>((unit, number(field)?))).collect();
                Ok(numbers?)
            };
            let set = operation.set(tasks);
            all.push(Entrant { group: GROUP, set, side, entries: calls, once: Box::new(once) });
        }
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
