//! What does it cost to fill, to set and to delete?

use std::hint::black_box;
use std::sync::Arc;

use larder::{Blob, Value};

use crate::Failure;
use crate::data::{self, Deal, Item};
use crate::hits::{BASELINE, BODY, DEAL};
use crate::record::{Case, Sample};
use crate::remote::peers::{Amalgam, AmalgamOrSet};
use crate::sides::{ByKey, ByName, Get, Map, Moka, Quick, Side, Tags};
use crate::stage::{Entrant, Stage, processor_ns};

pub(crate) const GROUP: &str = "write";

/// How many entries there are before, and stay.
const ENTRIES: usize = 100_000;

/// How many entries one measurement fills, sets and deletes.
const CALLS: usize = 20_000;

/// What is measured; each leaves the cache as it was.
#[derive(Clone, Copy)]
enum Operation {
    FillAndDelete,
    Set,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Operation::FillAndDelete => "miss, fill, delete",
            Operation::Set => "set over what is there",
        }
    }
}

pub(crate) fn measure(stage: &Stage) -> Result<Vec<Sample>, Failure> {
    let _inside = stage.runtime.enter();
    let mut typed = Vec::new();
    enter(stage, &mut typed, "typed", BASELINE, Quick::new(), Deal::example)?;
    enter(stage, &mut typed, "typed", "moka", Moka::new(), Deal::example)?;
    enter(stage, &mut typed, "typed", "papaya, no deadline", Map::new(), Deal::example)?;
    enter(
        stage,
        &mut typed,
        "typed",
        "amalgam-cache",
        AmalgamOrSet(Amalgam::alone()?.into()),
        Deal::example,
    )?;
    let name = Get::<_, ByName>::new(&DEAL, Tags::None)?;
    enter(stage, &mut typed, "typed", "larder, name", name, Deal::example)?;
    let key = Get::<_, ByKey>::new(&DEAL, Tags::Two)?;
    enter(stage, &mut typed, "typed", "larder, key, 2 tags", key, Deal::example)?;
    let mut samples = stage.interleave("write, typed", &typed)?;
    drop(typed);

    let mut bytes = Vec::new();
    enter(stage, &mut bytes, "bytes", BASELINE, Quick::<Blob>::new(), data::body)?;
    enter(stage, &mut bytes, "bytes", "moka", Moka::new(), data::body)?;
    enter(stage, &mut bytes, "bytes", "papaya, no deadline", Map::new(), data::body)?;
    enter(stage, &mut bytes, "bytes", "amalgam-cache", AmalgamOrSet(Amalgam::alone()?.into()), data::body)?;
    let name = Get::<_, ByName>::new(&BODY, Tags::None)?;
    enter(stage, &mut bytes, "bytes", "larder, name", name, data::body)?;
    let key = Get::<_, ByKey>::new(&BODY, Tags::Two)?;
    enter(stage, &mut bytes, "bytes", "larder, key, 2 tags", key, data::body)?;
    samples.extend(stage.interleave("write, bytes", &bytes)?);
    Ok(samples)
}

fn enter<V: Value, S: Side<V>>(
    stage: &Stage,
    all: &mut Vec<Entrant<'_>>,
    values: &str,
    name: &'static str,
    side: S,
    make: fn() -> V,
) -> Result<(), Failure> {
    let side = Arc::new(side);
    stage.fill(&side, &data::items(ENTRIES, 7), make)?;
    for operation in [Operation::FillAndDelete, Operation::Set] {
        let seed = if matches!(operation, Operation::Set) { 7 } else { 8 }; // known items, or others
        let (side, items) = (Arc::clone(&side), data::items(CALLS, seed));
        let set = format!("{values} values; {}", operation.name());
        all.push(Entrant {
            case: Case { group: GROUP, set, side: name, entries: ENTRIES, unit: "ns" },
            once: Box::new(move |stage| {
                stage.work(run(operation, Arc::clone(&side), Arc::clone(&items), make))
            }),
        });
    }
    Ok(())
}

/// Nanoseconds for one item.
async fn run<V: Value, S: Side<V>>(
    operation: Operation,
    side: Arc<S>,
    items: Arc<[Item]>,
    make: fn() -> V,
) -> f64 {
    let began = processor_ns(); // nothing here waits, so the task stays on its thread
    for item in items.iter() {
        match operation {
            Operation::FillAndDelete => {
                black_box(&*side.fill(item, make).await);
                side.delete(item).await;
            }
            Operation::Set => side.set(item, make()).await,
        }
    }
    (processor_ns() - began) / items.len() as f64
}
