//! What does a miss cost whose loader answers at once, in round trips?

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use larder::Blob;

use super::ground::{Ground, LIFETIME};
use super::hits::{Tags, must};
use crate::Failure;
use crate::data;
use crate::record::Sample;

pub(crate) const GROUP: &str = "miss and fill";

/// One round trip, with whose time all are compared.
pub(crate) const BASELINE: &str = "one bare GET";

const CALLS: usize = 500;

pub(crate) fn measure(ground: &Ground) -> Result<Vec<Sample>, Failure> {
    let cache = ground.cache(|builder| builder)?;
    let item = Arc::new(data::items(1, 300));
    let next = Arc::new(AtomicU64::new(0));
    // A name that nobody has asked for yet.
    let fresh = move || format!("missing:{}", next.fetch_add(1, Ordering::Relaxed));
    let mut all = Vec::new();
    for (size, bytes) in [("1 KiB", 1 << 10), ("10 KiB", 10 << 10)] {
        let set = format!("{size}; 1 task");
        let case = |side| (GROUP, &*set, side, 1);
        let value = Bytes::from(vec![b'x'; bytes]);
        let bare = (ground.bare.clone(), value.clone(), fresh.clone());
        let there = format!("there:{size}");
        ground.runtime.block_on(
            redis::cmd("SET").arg(&there).arg(&value[..]).query_async::<()>(&mut ground.bare.clone()),
        )?;
        let get = (ground.bare.clone(), there);
        all.push(ground.side(case(BASELINE), (1, CALLS), get, move |(mut bare, there), _| async move {
            let get = redis::cmd("GET").arg(there).take();
            must(get.query_async::<Vec<u8>>(&mut bare).await?.len() == bytes)
        }));
        all.push(ground.side(
            case("bare GET, then SET"),
            (1, CALLS),
            bare,
            move |(mut bare, value, fresh), _| async move {
                let name = fresh();
                let found: Option<Vec<u8>> = redis::cmd("GET").arg(&name).query_async(&mut bare).await?;
                must(found.is_none())?;
                let mut set = redis::cmd("SET");
                set.arg(&name).arg(&value[..]).arg("PX").arg(LIFETIME.as_millis());
                Ok(set.query_async::<()>(&mut bare).await?)
            },
        ));
        for (side, tags) in [("get_or_set", Tags::None), ("get_or_set, 2 tags", Tags::Own)] {
            let over = (cache.clone(), value.clone(), fresh.clone(), Arc::clone(&item));
            all.push(ground.side(
                case(side),
                (1, CALLS),
                over,
                move |(over, value, fresh, item), _| async move {
                    let load = || async { Ok::<_, std::convert::Infallible>(Blob(value)) };
                    let read = over.read_through(fresh(), tags.policy(&item[0]), load).await;
                    must(read.is_ok_and(|read| read.stored))
                },
            ));
        }
    }
    ground.interleave(GROUP, all)
}
