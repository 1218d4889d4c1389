//! What does it cost to remove by tag, scope and pattern, as the number of keys in Redis grows?

use std::sync::Arc;
use std::time::Duration;

use larder::{CacheService, Policy, Redis, Space, Tag};

use super::ground::{Entrant, Ground, P50};
use crate::record::Sample;
use crate::stage::now;
use crate::{Failure, tell};

pub(crate) const GROUP: &str = "patterns";

/// With whom all are compared.
pub(crate) const BASELINE: &str = "delete_pattern of a declared scope";

pub(crate) const SCAN: &str = "delete_pattern, not declared (a scan)";

/// How many keys there are besides.
const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// How many entries match.
const MATCHING: u64 = 100;

/// How many keys one pipeline fills in.
const CHUNK: usize = 1_000;

static PAGE: Space<(&str, u64), u64> = Space::new(
    "deals:company:{company}:page:{n}",
    "Read by benchmarks; changes when they remove it; costs nothing.",
)
.scope("company")
.cache_is_source();

/// How the entries are removed.
#[derive(Clone, Copy)]
enum Removal {
    Glob(&'static str),
    Tag,
}

pub(crate) fn measure(ground: &Ground) -> Result<Vec<Sample>, Failure> {
    let cache = ground.cache(|builder| builder.space(&PAGE))?;
    let in_namespace = ground.runtime.block_on(async {
        let redis = Redis::at(ground.server.url()).namespace("bench").local_tier(false);
        let cache = CacheService::builder().redis(redis).space(&PAGE).build()?;
        tokio::time::timeout(Duration::from_secs(10), cache.ready()).await?;
        Ok::<_, Failure>(cache)
    })?;
    let there = || async {
        let keys: u64 = redis::cmd("DBSIZE").query_async(&mut ground.bare.clone()).await?;
        Ok::<_, Failure>(keys as usize)
    };
    let mut samples = Vec::new();
    let mut filled = 0;
    for keys in SIZES {
        tell(&format!("{GROUP}: filling in up to {keys} keys"));
        ground.runtime.block_on(async {
            while there().await? < keys {
                let mut sets = redis::Pipeline::with_capacity(CHUNK);
                for _ in 0..CHUNK.min(keys - there().await?) {
                    sets.cmd("SET").arg(format!("other:{filled}")).arg("x").ignore();
                    filled += 1;
                }
                sets.query_async::<()>(&mut ground.bare.clone()).await?;
            }
            Ok::<_, Failure>(())
        })?;
        let entrant = |side, removal, cache: &CacheService| {
            let cache = cache.clone();
            Entrant {
                group: GROUP,
                set: format!("{keys} keys"),
                side,
                entries: keys,
                once: Box::new(move || ground.runtime.block_on(remove(&cache, removal))),
            }
        };
        let all = vec![
            entrant(BASELINE, Removal::Glob("deals:company:abc123:*"), &cache),
            entrant("invalidate_tag", Removal::Tag, &cache),
            entrant(SCAN, Removal::Glob("deals:*:abc123:page:*"), &cache),
            entrant("the same in a namespace", Removal::Glob("deals:*:abc123:page:*"), &in_namespace),
        ];
        samples.extend(ground.interleave(&format!("{GROUP}, {keys} keys"), all)?);
    }
    Ok(samples)
}

/// Sets what matches, then removes it. Answers the nanoseconds of the removal.
async fn remove(cache: &CacheService, removal: Removal) -> Result<Vec<(&'static str, f64)>, Failure> {
    let tag = Tag::new("deals", "abc123");
    let entries = (0..MATCHING).map(|n| (PAGE.key(&("abc123", n)), n));
    cache.set_many(entries, Policy::new().tag(tag)).await;
    let there: Option<Arc<u64>> = cache.get(PAGE.key(&("abc123", MATCHING - 1))).await;
    let began = now();
    let (words, is_acknowledged) = match removal {
        Removal::Glob(glob) => (glob, cache.delete_pattern(glob).await.is_applied()),
        Removal::Tag => ("the tag", cache.invalidate_tag(tag).await.is_applied()),
    };
    let elapsed = began.elapsed();
    let is_gone = cache.get(PAGE.key(&("abc123", MATCHING - 1))).await.is_none();
    if there.is_none() || !is_acknowledged || !is_gone {
        return Err(format!("{words} did not remove what was there").into());
    }
    Ok(vec![(P50, elapsed.as_nanos() as f64)])
}
