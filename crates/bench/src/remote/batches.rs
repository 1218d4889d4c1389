//! What do a hundred keys at once cost?

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use larder::{Blob, CacheService, Policy};

use super::ground::{Ground, LIFETIME};
use super::hits::{Tags, Unexpected, must};
use crate::Failure;
use crate::data;
use crate::record::Sample;

pub(crate) const HITS: &str = "batch, hits";
pub(crate) const MISSES: &str = "batch, misses";

/// With whom hits are compared.
pub(crate) const MGET: &str = "bare MGET";

/// With whom misses are compared.
pub(crate) const ASIDE: &str = "bare MGET, then a pipeline of SET";

/// How many keys one batch has.
const KEYS: usize = 100;

/// How many batches of entries there are.
const BATCHES: usize = 10;

const CALLS: usize = 200;

pub(crate) fn measure(ground: &Ground) -> Result<Vec<Sample>, Failure> {
    let cache = ground.cache(|builder| builder)?;
    let value = Blob(Bytes::from(vec![b'x'; 1 << 10]));
    let hits = measure_hits(ground, &cache, &value)?;
    Ok([hits, measure_misses(ground, &cache, &value)?].concat())
}

fn measure_hits(ground: &Ground, cache: &CacheService, value: &Blob) -> Result<Vec<Sample>, Failure> {
    let mut all = Vec::new();
    for (at, tags) in [Tags::None, Tags::Common].into_iter().enumerate() {
        let set = format!("100 keys of 1 KiB; {}", tags.name());
        let items = data::items(KEYS * BATCHES, 400 + at as u64);
        let names: Vec<Arc<[String]>> =
            items.chunks(KEYS).map(|batch| batch.iter().map(|item| item.name.clone()).collect()).collect();
        let names: Arc<[Arc<[String]>]> = names.into();
        ground.runtime.block_on(async {
            for item in items.iter() {
                cache.set(&*item.name, value.clone(), tags.policy(item)).await;
            }
        });
        let case = |side| (HITS, &*set, side, KEYS);
        let bare = (Arc::clone(&names), ground.bare.clone());
        let over = (Arc::clone(&names), cache.clone());
        all.push(ground.side(case(MGET), (1, CALLS), bare.clone(), move |(of, mut bare), at| async move {
            let get = redis::cmd("MGET").arg(&of[at % BATCHES][..]).take();
            all_there(&get.query_async::<Vec<Option<Vec<u8>>>>(&mut bare).await?)
        }));
        all.push(ground.side(
            case("bare pipeline of GET"),
            (1, CALLS),
            bare,
            move |(of, mut bare), at| async move {
                let mut gets = redis::Pipeline::with_capacity(KEYS);
                for name in &of[at % BATCHES][..] {
                    gets.cmd("GET").arg(name);
                }
                all_there(&gets.query_async::<Vec<Option<Vec<u8>>>>(&mut bare).await?)
            },
        ));
        all.push(ground.side(case("get_many"), (1, CALLS), over.clone(), move |(of, over), at| async move {
            all_there(&over.get_many::<Blob, _>(of[at % BATCHES].iter().map(String::as_str)).await)
        }));
        all.push(ground.side(case("get_or_set_many"), (1, CALLS), over, move |(of, over), at| async move {
            let policy = tags.policy_of_all();
            let load = |_| async { Err::<HashMap<String, Blob>, _>(Unexpected) };
            let found = over.get_or_set_many(&of[at % BATCHES], |name| name.clone(), policy, load).await;
            all_there(&found.map_err(|_unexpected| "a read did not find what is there")?)
        }));
    }
    ground.interleave(HITS, all)
}

fn measure_misses(ground: &Ground, cache: &CacheService, value: &Blob) -> Result<Vec<Sample>, Failure> {
    let next = Arc::new(AtomicU64::new(0));
    let fresh = move || -> Vec<String> {
        let batch = next.fetch_add(1, Ordering::Relaxed);
        (0..KEYS).map(|key| format!("missing:{batch}:{key}")).collect()
    };
    let set = "100 keys of 1 KiB";
    let case = |side| (MISSES, set, side, KEYS);
    let mut all = Vec::new();
    let bare = (fresh.clone(), ground.bare.clone(), value.clone());
    all.push(ground.side(case(ASIDE), (1, CALLS / 4), bare, |(fresh, mut bare, value), _| async move {
        let names = fresh();
        let get = redis::cmd("MGET").arg(&names).take();
        let found: Vec<Option<Vec<u8>>> = get.query_async(&mut bare).await?;
        must(found.iter().all(Option::is_none))?;
        let mut sets = redis::Pipeline::with_capacity(KEYS);
        for name in &names {
            sets.cmd("SET").arg(name).arg(&value.0[..]).arg("PX").arg(LIFETIME.as_millis()).ignore();
        }
        Ok(sets.query_async::<()>(&mut bare).await?)
    }));
    for (side, tags) in [("get_or_set_many", Tags::None), ("get_or_set_many, 2 tags", Tags::Common)] {
        let over = (fresh.clone(), cache.clone(), value.clone());
        all.push(ground.side(case(side), (1, CALLS / 4), over, move |(fresh, over, value), _| async move {
            let load = |missing: Vec<String>| async {
                Ok::<_, Infallible>(missing.into_iter().map(|name| (name, value.clone())))
            };
            let policy = tags.policy_of_all();
            let loaded = over.get_or_set_many(&fresh(), |name| name.clone(), policy, load).await;
            all_there(&loaded.unwrap_or_else(|never| match never {}))
        }));
    }
    ground.interleave(MISSES, all)
}

fn all_there<T>(found: &[Option<T>]) -> Result<(), Failure> {
    must(found.len() == KEYS && found.iter().all(Option::is_some))
}

impl Tags {
    /// One policy for a whole batch.
    fn policy_of_all(self) -> Policy {
        match self {
            Tags::None => Policy::new(),
            Tags::Common | Tags::Own => Tags::common(),
        }
    }
}
