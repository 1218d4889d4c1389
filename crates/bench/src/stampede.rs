//! How often is a cold key loaded that a thousand callers ask for at once, in one process and in four?

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bench::machine::{self, Place};
use clap::{Args, ValueEnum};
use larder::{Blob, CacheService, Policy};
use multi_tier_cache::CacheStrategy;
use serde::{Deserialize, Serialize};
use serde_json::json;
use testkit::redis::RedisServer;
use testkit::worker::Worker;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::data;
use crate::node::{Node, Peers};
use crate::record::{Case, Sample, Summary, save, summaries};
use crate::remote::peers::{Amalgam, MultiTier, lives};
use crate::sides::LIFETIME;
use crate::stage::now;
use crate::{Failure, must_be_release, parse_count, tell};

pub(crate) const GROUP: &str = "stampede";

/// How often the key was loaded.
pub(crate) const LOADS: &str = "loads";

const FAILED: &str = "callers without a value";

const LONGEST: &str = "ms, the longest answer";

const CALLERS: usize = 1_000;

/// 1 minute: as long as a stampede may take.
const LIMIT: Duration = Duration::from_secs(60);

const LOAD: Duration = Duration::from_millis(50);

const PROCESSES: [usize; 2] = [1, 4];

/// What `bench stampede` takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    peers: Peers,
    /// How many stampedes each has to stand
    #[arg(long, default_value_t = 100, value_parser = parse_count)]
    times: usize,
    #[command(flatten)]
    place: Place,
}

/// A process whose callers all ask for one key, again and again.
#[derive(Args, Clone, Debug)]
pub(crate) struct OfCallers {
    #[arg(long, value_enum)]
    who: Who,
    #[arg(long)]
    redis: String,
}

/// Whom they ask, in this language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Who {
    Larder,
    LarderAlone,
    Amalgam,
    MultiTier,
}

impl Who {
    fn side(self) -> &'static str {
        match self {
            Who::Larder => LARDER,
            Who::LarderAlone => "larder, without Redis",
            Who::Amalgam => "amalgam-cache",
            Who::MultiTier => "multi-tier-cache",
        }
    }
}

pub(crate) const LARDER: &str = "larder";

/// How many processes, in the words of the tables.
pub(crate) fn in_words(processes: usize) -> String {
    format!("{processes} process{}", if processes == 1 { "" } else { "es" })
}

/// A stampede of one process's callers.
#[derive(Serialize, Deserialize)]
struct Order {
    name: String,
    callers: usize,
}

/// What came of it.
#[derive(Default, Serialize, Deserialize)]
struct Word {
    loads: u64,
    failed: u64,
    longest_ms: f64,
}

/// Those of one side, so many.
struct Herd {
    case: Case,
    members: Vec<Member>,
}

#[derive(Clone)]
enum Member {
    Here(Arc<Worker>),
    Node(Arc<Node>),
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    must_be_release("stampede")?;
    let Options { peers, times, place } = options;
    let folder = place.folder("-stampede");
    measure(*times, peers, &folder)?;
    tell(&format!("wrote {}", machine::shown(&folder)));
    Ok(())
}

/// Lets so many stampedes befall each, and writes the folder.
pub(crate) fn measure(times: usize, peers: &Peers, folder: &Path) -> Result<Vec<Sample>, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (samples, cases) = runtime.block_on(async {
        let redis = RedisServer::start().await;
        let mut herds = Vec::new();
        for processes in PROCESSES {
            let herd = |side, members| Herd {
                case: Case { group: GROUP, set: in_words(processes), side, entries: CALLERS, unit: LOADS },
                members,
            };
            for who in Who::value_variants() {
                if *who == Who::LarderAlone && processes > 1 {
                    continue; // each would load it for itself
                }
                let member = || start(*who, &redis.url()).map(|worker| Member::Here(Arc::new(worker)));
                let members = (0..processes).map(|_| member()).collect::<Result<_, _>>()?;
                herds.push(herd(who.side(), members));
            }
            for (side, subject) in peers.all()? {
                let node = || Node::start(subject, &redis.url(), peers.seed_cache.as_deref());
                let member = || node().map(|node| Member::Node(Arc::new(node)));
                let members = (0..processes).map(|_| member()).collect::<Result<_, _>>()?;
                herds.push(herd(*side, members));
            }
        }
        let mut samples = Vec::new();
        // The first warms up, and is not kept.
        for time in 0..=times {
            if time % 10 == 0 {
                tell(&format!("{GROUP}: {time} of {times}"));
            }
            for at in 0..herds.len() {
                let Herd { case, members } = &herds[(at + time) % herds.len()];
                let befallen = befall(members, time).await;
                let Word { loads, failed, longest_ms } = befallen
                    .map_err(|error| format!("a stampede of {}, {}: {error}", case.side, case.set))?;
                let numbers = [(LOADS, loads as f64), (FAILED, failed as f64), (LONGEST, longest_ms)];
                let numbers = numbers.into_iter().filter(|_| time > 0);
                samples.extend(numbers.map(|(unit, value)| {
                    let case = Case { unit, ..case.clone() };
                    Sample { case, round: time, value }
                }));
            }
        }
        let cases: Vec<Case> = herds.into_iter().map(|herd| herd.case).collect();
        Ok::<_, Failure>((samples, cases))
    })?;
    write(&samples, &cases, times, folder)?;
    Ok(samples)
}

fn start(who: Who, redis: &str) -> Result<Worker, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    let who = who.to_possible_value().ok_or("each has a name")?;
    command.args(["stampede-callers", "--who", who.get_name(), "--redis", redis]);
    Ok(Worker::spawn(command, ""))
}

/// One stampede, of all members at once.
async fn befall(members: &[Member], time: usize) -> Result<Word, Failure> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = format!("stampede:{time}:{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let callers = CALLERS / members.len();
    let mut asked = JoinSet::new();
    for member in members.iter().cloned() {
        let name = name.clone();
        asked.spawn(async move {
            match member {
                Member::Here(worker) => {
                    let order = serde_json::to_string(&Order { name, callers })?;
                    let word = timeout(LIMIT, worker.try_ask(&order)).await?.ok_or("a process has ended")?;
                    Ok::<Word, Failure>(serde_json::from_str(&word)?)
                }
                Member::Node(node) => {
                    let load_ms = LOAD.as_millis();
                    let order = json!({ "operation": "stampede", "name": name, "callers": callers, "load_ms": load_ms });
                    let word = tokio::task::spawn_blocking(move || node.ask(&order)).await??;
                    Ok(serde_json::from_value(word)?)
                }
            }
        });
    }
    let mut all = Word::default();
    while let Some(word) = asked.join_next().await {
        let Word { loads, failed, longest_ms } = word??;
        all.loads += loads;
        all.failed += failed;
        all.longest_ms = all.longest_ms.max(longest_ms);
    }
    Ok(all)
}

/// The life of a process of callers.
pub(crate) fn call(OfCallers { who, redis }: &OfCallers) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let cache = Arc::new(match who {
            Who::Larder => Cache::Larder(CacheService::builder().redis(redis.as_str()).build()?),
            Who::LarderAlone => Cache::Larder(CacheService::builder().build()?),
            Who::Amalgam => Cache::Amalgam(Amalgam::at(redis).await?),
            Who::MultiTier => Cache::MultiTier(MultiTier::at(redis).await?),
        });
        if let Cache::Larder(cache) = &*cache {
            timeout(LIMIT, cache.ready()).await?;
        }
        testkit::worker::serve(move |order| {
            let cache = Arc::clone(&cache);
            async move {
                let order: Order = serde_json::from_str(&order).expect("orders are those of this program");
                serde_json::to_string(&stampede(cache, order).await).expect("words are plain data")
            }
        })
        .await;
        Ok(())
    })
}

/// One of those that are asked.
enum Cache {
    Larder(CacheService),
    Amalgam(Amalgam<Blob>),
    MultiTier(MultiTier),
}

async fn stampede(cache: Arc<Cache>, Order { name, callers }: Order) -> Word {
    let (name, loads) = (Arc::new(name), Arc::new(AtomicU64::new(0)));
    let mut asking = JoinSet::new();
    for _ in 0..callers {
        let (cache, name, loads) = (Arc::clone(&cache), Arc::clone(&name), Arc::clone(&loads));
        asking.spawn(async move {
            let since = now();
            let found = ask(&cache, &name, &loads).await;
            (found, since.elapsed())
        });
    }
    let mut word = Word::default();
    while let Some(asked) = asking.join_next().await {
        let (found, took) = asked.expect("no caller panics");
        word.failed += u64::from(!found);
        word.longest_ms = word.longest_ms.max(took.as_secs_f64() * 1e3);
    }
    word.loads = loads.load(Ordering::Relaxed);
    word
}

/// Asks for the value; answers whether it came.
async fn ask(cache: &Cache, name: &str, loads: &Arc<AtomicU64>) -> bool {
    let load = || {
        let loads = Arc::clone(loads);
        async move {
            loads.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(LOAD).await;
            data::body()
        }
    };
    match cache {
        Cache::Larder(cache) => {
            let load = || async { Ok::<_, std::convert::Infallible>(load().await) };
            cache.get_or_set::<Blob, _, _, _>(name, Policy::new(), load).await.is_ok()
        }
        Cache::Amalgam(Amalgam(cache)) => {
            let loads = Arc::clone(loads);
            let load = move |_| {
                let loads = Arc::clone(&loads);
                async move {
                    loads.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(LOAD).await;
                    Ok::<_, std::fmt::Error>(Arc::new(data::body()))
                }
            };
            cache.get_or_set(name, load).options(lives).await.is_ok()
        }
        Cache::MultiTier(MultiTier(cache)) => {
            let load = || async { Ok(load().await.0) };
            cache.get_or_compute_with(name, CacheStrategy::Custom(LIFETIME), load).await.is_ok()
        }
    }
}

fn write(samples: &[Sample], cases: &[Case], times: usize, folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)?;
    save(folder, samples)?;
    let mut text = String::from("# How often a cold key is loaded that many ask for at once\n\n");
    writeln!(
        text,
        "Made by `{}`. Every measurement is in [raw.csv](raw.csv).\n\n{}\n- {}, profile `release` (thin LTO)\n- {}; {}\n\
         - {times} stampedes of each after one to warm up, all in turn, each on a name that nobody has used: {CALLERS} callers at once, in one \
         process or spread over four, and a load of {} ms. Two cores serve all of them.\n",
        machine::command(),
        machine::line(),
        machine::rustc(),
        machine::version_of("redis-server").unwrap_or_default(),
        machine::versions(&machine::REMOTE),
        LOAD.as_millis(),
    )?;
    writeln!(
        text,
        "| | | exactly one load, and all have it | most loads | most callers without a value | longest answer, median (most) |\n|---|---|---:|---:|---:|---:|"
    )?;
    let all = summaries(samples, GROUP);
    for Case { set, side, .. } in cases {
        let find = |unit: &str| {
            let is_it = |other: &&Summary| {
                other.case.unit == unit && other.case.set == *set && other.case.side == *side
            };
            all.iter().find(is_it).ok_or("each stampede has all numbers")
        };
        let (loads, failed, longest) = (find(LOADS)?, find(FAILED)?, find(LONGEST)?);
        writeln!(
            text,
            "| {set} | {side} | {} of {times} | {:.0} | {:.0} | {:.0} ms ({:.0} ms) |",
            ones(samples, set, side),
            loads.max,
            failed.max,
            longest.median,
            longest.max
        )?;
    }
    Ok(std::fs::write(folder.join("README.md"), text)?)
}

/// How many stampedes of a side were one load, whose value all callers had.
pub(crate) fn ones(samples: &[Sample], set: &str, side: &str) -> usize {
    let of = |unit: &'static str, wanted: f64| {
        let is_it = move |Sample { case, value, .. }: &&Sample| {
            let is_of_side = case.group == GROUP && case.set == set && case.side == side;
            is_of_side && case.unit == unit && (*value - wanted).abs() < 0.5
        };
        samples.iter().filter(is_it).map(|sample| sample.round).collect::<BTreeSet<_>>()
    };
    of(LOADS, 1.0).intersection(&of(FAILED, 0.0)).count()
}
