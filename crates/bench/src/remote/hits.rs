//! What does a hit cost, against a bare `GET` of the same bytes?

use std::sync::Arc;

use bytes::Bytes;
use larder::{Blob, CacheService, Encoding, Policy, Space, Tag};

use super::ground::Ground;
use crate::Failure;
use crate::data::{self, Deal, Item};
use crate::record::Sample;

pub(crate) const BYTES: &str = "hit, bytes";
pub(crate) const TYPED: &str = "hit, typed";

/// With whom all are compared.
pub(crate) const BASELINE: &str = "bare GET";

/// How many entries are asked for, one after the other.
const ENTRIES: usize = 1_000;

/// How many tasks ask at once.
pub(crate) const TASKS: [usize; 3] = [1, 64, 256];

/// How many calls one measurement takes: a tenth of a second or two.
fn calls(tasks: usize) -> usize {
    if tasks == 1 { 2_000 } else { 80 * 256 }
}

/// What entries depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tags {
    None,
    /// Two, which all entries share.
    Common,
    /// Its company, of 85, and one that all entries share.
    Own,
}

impl Tags {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Tags::None => "no tags",
            Tags::Common => "2 tags of all",
            Tags::Own => "2 tags, one of 85",
        }
    }

    pub(crate) fn policy(self, item: &Item) -> Policy {
        match self {
            Tags::None => Policy::new(),
            Tags::Common => Tags::common(),
            Tags::Own => Policy::new().tag(item.tags[0]).tag(item.tags[1]),
        }
    }

    /// The two that all entries share.
    pub(crate) fn common() -> Policy {
        Policy::new().tag(Tag::named("exchange rates")).tag(Tag::named("deals"))
    }
}

/// A loader that should not run.
#[derive(Clone, Debug)]
pub(crate) struct Unexpected;

pub(crate) fn measure_bytes(ground: &Ground) -> Result<Vec<Sample>, Failure> {
    let cache = ground.cache(|builder| builder)?;
    let mut samples = Vec::new();
    let sets = [
        ("100 B", 100, Tags::None),
        ("1 KiB", 1 << 10, Tags::None),
        ("1 KiB", 1 << 10, Tags::Common),
        ("1 KiB", 1 << 10, Tags::Own),
        ("100 B", 100, Tags::Own),
        ("10 KiB", 10 << 10, Tags::None),
        ("10 KiB", 10 << 10, Tags::Own),
    ];
    for (at, (size, bytes, tags)) in sets.into_iter().enumerate() {
        let words = format!("{size}; {}", tags.name());
        let items = data::items(ENTRIES, 100 + at as u64);
        let blob = Blob(Bytes::from(vec![b'x'; bytes]));
        ground.runtime.block_on(async {
            for item in items.iter() {
                cache.set(&*item.name, blob.clone(), tags.policy(item)).await;
            }
        });
        let mut all = Vec::new();
        for tasks in TASKS {
            let set = format!("{words}; {}; {}", in_words(tasks), ground.client());
            let case = |side| (BYTES, &*set, side, ENTRIES);
            let bare = (Arc::clone(&items), ground.bare.clone());
            let over = (Arc::clone(&items), cache.clone());
            let calls = (tasks, calls(tasks));
            all.push(ground.side(
                case(BASELINE),
                calls,
                bare.clone(),
                move |(of, mut bare), at| async move {
                    let get = redis::cmd("GET").arg(&*of[at % ENTRIES].name).take();
                    must(get.query_async::<Vec<u8>>(&mut bare).await?.len() > bytes)
                },
            ));
            // What a read that may load sends for its entry: the least that it could cost.
            all.push(ground.side(
                case("bare SET NX GET"),
                calls,
                bare,
                move |(of, mut bare), at| async move {
                    let mut set = redis::cmd("SET");
                    set.arg(&*of[at % ENTRIES].name)
                        .arg(&[b'x'; 22][..])
                        .arg("NX")
                        .arg("GET")
                        .arg("PX")
                        .arg(30_000);
                    must(set.query_async::<Vec<u8>>(&mut bare).await?.len() > bytes)
                },
            ));
            all.push(ground.side(case("get"), calls, over.clone(), move |(of, over), at| async move {
                must(over.get::<Blob>(&*of[at % ENTRIES].name).await.is_some())
            }));
            all.push(ground.side(case("get_or_set"), calls, over, move |(of, over), at| async move {
                let item = &of[at % ENTRIES];
                read::<Blob>(&over, &*item.name, tags.policy(item)).await
            }));
        }
        samples.extend(ground.interleave(&words, all)?);
    }
    Ok(samples)
}

/// A read that has to be a hit.
async fn read<T: larder::Value>(
    cache: &CacheService,
    key: impl larder::AsKey<T>,
    policy: Policy,
) -> Result<(), Failure> {
    must(cache.get_or_set(key, policy, || async { Err(Unexpected) }).await.is_ok())
}

/// Every read of a measurement has to find what is there.
pub(crate) fn must(found: bool) -> Result<(), Failure> {
    if found { Ok(()) } else { Err("a read did not find what is there".into()) }
}

pub(crate) fn in_words(tasks: usize) -> String {
    format!("{tasks} task{}", if tasks == 1 { "" } else { "s" })
}

const REASON: &str = "Read by benchmarks; never changes; holds nothing that could be stale.";

/// What is typed: three deals, somewhat less than 1 KiB.
static AS_JSON: Space<str, Vec<Deal>> = Space::new("as_json:{id}", REASON).cache_is_source();
static AS_MESSAGE_PACK: Space<str, Vec<Deal>> =
    Space::new("as_message_pack:{id}", REASON).encoding(Encoding::MessagePack).cache_is_source();

pub(crate) fn measure_typed(ground: &Ground) -> Result<Vec<Sample>, Failure> {
    let cache = ground.cache(|builder| builder.space(&AS_JSON).space(&AS_MESSAGE_PACK))?;
    let deals = vec![Deal::example(); 3];
    let (json, packed) = (serde_json::to_vec(&deals)?.len(), rmp_serde::to_vec_named(&deals)?.len());
    let of_json: fn(&[u8]) -> Option<Vec<Deal>> = |bytes| serde_json::from_slice(bytes).ok();
    let of_packed: fn(&[u8]) -> Option<Vec<Deal>> = |bytes| rmp_serde::from_slice(bytes).ok();
    let mut samples = Vec::new();
    for (words, space, length, decode) in
        [("JSON", &AS_JSON, json, of_json), ("MessagePack", &AS_MESSAGE_PACK, packed, of_packed)]
    {
        let words = format!("{words}, {length} B; no tags");
        let items = data::items(ENTRIES, 200);
        ground.runtime.block_on(async {
            for item in items.iter() {
                cache.set(space.key(&*item.id), deals.clone(), Policy::new()).await;
            }
        });
        let mut all = Vec::new();
        for tasks in TASKS {
            let set = format!("{words}; {}; {}", in_words(tasks), ground.client());
            let case = |side| (TYPED, &*set, side, ENTRIES);
            let bare = (Arc::clone(&items), ground.bare.clone());
            let over = (Arc::clone(&items), cache.clone());
            let calls = (tasks, calls(tasks));
            all.push(ground.side(case(BASELINE), calls, bare, move |(of, mut bare), at| async move {
                let get = redis::cmd("GET").arg(space.key(&*of[at % ENTRIES].id).as_str()).take();
                let stored: Vec<u8> = get.query_async(&mut bare).await?;
                let payload = stored.len().checked_sub(length).and_then(|at| stored.get(at..));
                must(payload.and_then(decode).map(Arc::new).is_some())
            }));
            all.push(ground.side(case("get"), calls, over.clone(), move |(of, over), at| async move {
                must(over.get(space.key(&*of[at % ENTRIES].id)).await.is_some())
            }));
            all.push(ground.side(case("get_or_set"), calls, over, move |(of, over), at| async move {
                read(&over, space.key(&*of[at % ENTRIES].id), Policy::new()).await
            }));
        }
        samples.extend(ground.interleave(&words, all)?);
    }
    Ok(samples)
}
