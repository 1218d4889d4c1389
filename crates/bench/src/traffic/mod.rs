//! How many requests does the CRM answer, and how soon, signed in and with its data in PostgreSQL? Beside the reference service and a
//! bare handler.

mod bare;
mod bars;
mod board;
mod connection;
mod cost;
mod data;
mod dialect;
mod load;
mod mix;
mod profile;
mod reference;
mod report;
mod soak;
mod subject;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bench::machine::{self, Place};
use clap::Args;
use testkit::postgres::PostgresServer;

pub(crate) use bare::{Bare, run as serve_bare};
use bars::MIXES;
use load::{Plan, Tally};
use mix::Kind;
use profile::Profile;
use reference::Peers;
pub(crate) use soak::{Soak, run as soak};
use subject::{Costs, Ground, Subject, Who};

use crate::record::Sample;
use crate::{Failure, must_be_release, parse_count, process, tell};

/// What `bench crm` takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    peers: Peers,
    /// How many times each is measured
    #[arg(long, default_value_t = 5, value_parser = parse_count)]
    rounds: usize,
    /// How long each measurement takes, in seconds
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Look where the time goes also if no bar is missed; needs perf
    #[arg(long)]
    profile: bool,
    #[command(flatten)]
    place: Place,
}

/// How PostgreSQL is set up: as that of the reference is, and durable as it comes.
const POSTGRES: [&str; 2] = ["shared_buffers=512MB", "jit=off"];

/// How long a subject is asked before each measurement.
const WARM: Duration = Duration::from_secs(1);

/// What a run came to.
struct Run {
    samples: Vec<Sample>,
    /// The mean length of the bodies, in bytes, by [`Kind::ALL`].
    sizes: Vec<(Who, Vec<u64>)>,
    /// What the first failure of each said.
    failures: Vec<(Who, String)>,
    profiles: Vec<(Who, &'static str, Profile)>,
    /// What the reference service is made of.
    reference: Option<String>,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    must_be_release("crm")?;
    let folder = options.place.folder("-crm");
    if machine::version_of("redis-server").is_none() || testkit::postgres::programs().is_none() {
        return Err("redis-server or PostgreSQL is not there: `cargo xtask setup` installs them".into());
    }
    if options.profile && !profile::is_possible() {
        return Err("perf is not on the PATH (on Debian: apt-get install linux-perf)".into());
    }
    process::build_crm()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let run = runtime.block_on(measure(options))?;
    write(&run, options, &folder)
}

fn write(run: &Run, options: &Options, folder: &Path) -> Result<(), Failure> {
    report::write(run, (options.rounds, options.seconds), folder)?;
    tell(&format!("wrote {}", machine::shown(folder)));
    Ok(())
}

async fn measure(options: &Options) -> Result<Run, Failure> {
    let reference = options.peers.prepare()?;
    let mut run = Run {
        samples: Vec::new(),
        sizes: Vec::new(),
        failures: Vec::new(),
        profiles: Vec::new(),
        reference: reference.as_ref().map(reference::Reference::versions).transpose()?,
    };
    let ground = ground(reference.as_ref()).await?;
    let subjects = start(&ground, reference.as_ref(), &mut run).await?;
    for round in 1..=options.rounds {
        for at in 0..subjects.len() {
            let subject = &subjects[(at + round) % subjects.len()];
            for mix in MIXES {
                let length = Duration::from_secs(options.seconds);
                let measured = once(&ground, subject, (round, mix), length, &mut run).await?;
                tell(&format!(
                    "round {round} of {}: {}, {}: {measured}",
                    options.rounds,
                    subject.who.name(),
                    mix.0
                ));
            }
        }
    }
    run.profiles = profiles(&subjects, &run.samples, options.profile).await?;
    Ok(run)
}

/// Makes the data of all.
async fn ground(reference: Option<&reference::Reference>) -> Result<Ground, Failure> {
    tell("making the data: 100,000 deals …");
    let postgres = PostgresServer::start_durable_with(&POSTGRES).await;
    let (template, world) = data::make(&postgres).await?;
    if let Some(reference) = reference {
        reference.fill(&postgres).await?;
    }
    Ok(Ground { postgres, template, world: Arc::new(world) })
}

/// Starts all subjects. They run until the end; those that are not asked do next to nothing.
async fn start(
    ground: &Ground,
    reference: Option<&reference::Reference>,
    run: &mut Run,
) -> Result<Vec<Subject>, Failure> {
    let mut subjects = Vec::new();
    for who in Who::CRM {
        tell(&format!("starting {} …", who.name()));
        let subject = ground.crm(who).await?;
        note_sizes(&subject, run).await?;
        subjects.push(subject);
    }
    let of_crm = run.sizes.first().map(|(_, sizes)| sizes.clone()).unwrap_or_default();
    subjects.insert(0, ground.bare(&of_crm).await?);
    if let Some(reference) = reference {
        for who in Who::REFERENCE {
            tell(&format!("starting {} …", who.name()));
            let subject = ground.reference(reference, who).await?;
            note_sizes(&subject, run).await?;
            subjects.push(subject);
        }
    }
    Ok(subjects)
}

/// Warms a subject for the first time, and notes how long its bodies are, the one of a change too.
async fn note_sizes(subject: &Subject, run: &mut Run) -> Result<(), Failure> {
    warm(subject).await?;
    let tally = ask(subject, Plan::Mix { seed: 0, writes: 0.1, length: WARM }).await?;
    // That some are stale is what is to be measured; that there are none at all is not.
    if let Some(what) = tally.failure {
        return Err(format!("{}: {what}", subject.who.name()).into());
    }
    run.sizes.push((subject.who, Kind::ALL.map(|kind| tally.mean_bytes(kind)).to_vec()));
    Ok(())
}

/// Asks for everything once, where something is kept of it, and then for the mix.
async fn warm(subject: &Subject) -> Result<(), Failure> {
    if subject.who.is_cached() {
        let everything = mix::everything(&subject.target.world);
        ask(subject, Plan::Each(Arc::new(everything))).await?;
    }
    ask(subject, Plan::Mix { seed: 0, writes: 0.0, length: WARM }).await?;
    Ok(())
}

async fn ask(subject: &Subject, plan: Plan) -> Result<Tally, Failure> {
    let target = Arc::clone(&subject.target);
    tokio::task::spawn_blocking(move || load::run(&target, &plan)).await?
}

/// One measurement of one subject, behind a moment to warm up; answers what it came to in a line.
async fn once(
    ground: &Ground,
    subject: &Subject,
    (round, (mix, writes)): (usize, (&'static str, f64)),
    length: Duration,
    run: &mut Run,
) -> Result<String, Failure> {
    warm(subject).await?;
    subject.own_queries().await?;
    let before = subject.costs(ground)?;
    let tally = ask(subject, Plan::Mix { seed: round as u64, writes, length }).await?;
    let after = subject.costs(ground)?;
    let queries = subject.own_queries().await?.unwrap_or(tally.queries);
    let numbers = numbers(&tally, queries, (before, after));
    let sample = |(unit, value)| Sample { case: bars::case(mix, subject.who, unit), round, value };
    run.samples.extend(numbers.map(sample));
    if let Some(failure) = &tally.failure
        && !run.failures.iter().any(|(who, _)| *who == subject.who)
    {
        run.failures.push((subject.who, failure.clone()));
    }
    let shown = numbers.iter().map(|(unit, value)| format!("{value:.2} {unit}"));
    Ok(shown.collect::<Vec<_>>().join(", "))
}

/// All that is said of one measurement, by its unit.
fn numbers(tally: &Tally, queries: u64, (before, after): (Costs, Costs)) -> [(&'static str, f64); 12] {
    let requests = tally.requests() as f64;
    let ms = |us: u64| us as f64 / 1e3;
    [
        (bars::RATE, requests / tally.took.as_secs_f64()),
        (bars::P50, ms(tally.latencies.value_at_quantile(0.5))),
        (bars::P99, ms(tally.latencies.value_at_quantile(0.99))),
        (bars::LONGEST, ms(tally.latencies.max())),
        (bars::SERVER, (after.server - before.server) / requests),
        (bars::BEHIND, (after.behind - before.behind) / requests),
        (bars::CLIENT, (after.client - before.client) / requests),
        (bars::QUERIES, queries as f64 / requests),
        (bars::FAILED, tally.failed as f64),
        (bars::READ, tally.read as f64),
        (bars::WRONG, tally.wrong as f64),
        (bars::LATE, tally.late as f64),
    ]
}

/// Looks where the time goes of those that have missed a bar, with what they have missed it, and of the bare handler beside them.
async fn profiles(
    subjects: &[Subject],
    samples: &[Sample],
    in_any_case: bool,
) -> Result<Vec<(Who, &'static str, Profile)>, Failure> {
    let mut profiles = Vec::new();
    if !profile::is_possible() {
        return Ok(profiles);
    }
    let bars = bars::bars(samples);
    for (mix, writes) in MIXES {
        let missed: Vec<Who> =
            bars.iter().filter(|bar| !bar.holds && bar.mix == mix).map(|bar| bar.who).collect();
        let is_asked = |who: Who| match who {
            Who::Bare => writes == 0.0 && (in_any_case || !missed.is_empty()),
            who => Who::CACHED.contains(&who) && (in_any_case || missed.contains(&who)),
        };
        for subject in subjects.iter().filter(|subject| is_asked(subject.who)) {
            tell(&format!("looking where the time of {} goes, {mix} …", subject.who.name()));
            warm(subject).await?;
            let (pid, target) = (subject.pid()?, Arc::clone(&subject.target));
            let profile = tokio::task::spawn_blocking(move || profile::of(pid, &target, writes)).await??;
            profiles.push((subject.who, mix, profile));
        }
    }
    Ok(profiles)
}
