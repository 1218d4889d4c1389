//! `bench soak`: is every answer right, or a refusal that says when to ask again, for half an hour of faults? And does nothing grow?

use std::cell::Cell;
use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bench::machine::{self, Place};
use clap::Args;
use plotters::prelude::{
    BLACK, ChartBuilder, Color, IntoDrawingArea, LineSeries, Palette, Palette99, PathElement, RED, Rectangle,
    SVGBackend, SeriesLabelPosition, WHITE,
};
use serde_json::Value;
use testkit::faults::{Fault, Faulty};
use testkit::postgres::PostgresServer;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::board::Board;
use super::connection::Connection;
use super::data;
use super::dialect::Dialect;
use super::load::{self, CONNECTIONS, Plan, Tally, Target};
use super::mix;
use super::subject::{Ground, Who, address};
use super::{POSTGRES, bars};
use crate::process::{self, Process};
use crate::stage::now;
use crate::{Failure, must_be_release, tell};

/// What `bench soak` takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Soak {
    /// How long
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    minutes: u64,
    /// Which part of what the servers can do they are asked for
    #[arg(long, default_value_t = 0.1)]
    load: f64,
    #[command(flatten)]
    place: Place,
}

/// How long a fault holds, and how long all is well behind it.
const HOLD: Duration = Duration::from_secs(5);
const REST: Duration = Duration::from_secs(10);

/// How often it is looked what the servers hold.
const LOOK: Duration = Duration::from_secs(5);

/// How long after the load connections and tasks have time to end: more than the fifteen minutes of none of them, but more than any of
/// the waits between a server and what is behind it.
const SETTLE: Duration = Duration::from_secs(5);

/// How much memory may grow from the second fifth of the time to the last.
const MAX_GROWTH: f64 = 1.1;

/// How many files and tasks more there may be in the end than in the beginning: connections to what is behind a server come and go.
const MAX_MORE: i64 = 16;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Redis(Fault),
    /// PostgreSQL is killed, and started again in the end.
    Database,
}

impl Trouble {
    fn name(self) -> &'static str {
        match self {
            Self::Redis(fault) => fault.name(),
            Self::Database => "database-killed",
        }
    }

    async fn begin(self, redis: &Faulty, postgres: &PostgresServer) {
        match self {
            Self::Redis(fault) => {
                // What is gone back to is a while old.
                redis.remember().await;
                sleep(REST / 10).await;
                fault.begin(redis).await;
            }
            Self::Database => postgres.kill().await,
        }
    }

    async fn end(self, redis: &Faulty, postgres: &PostgresServer) {
        match self {
            Self::Redis(fault) => fault.end(redis).await,
            Self::Database => postgres.restart().await,
        }
    }
}

/// What a server holds at a time.
#[derive(Clone, Copy, Debug)]
struct Look {
    seconds: f64,
    memory_mib: f64,
    files: i64,
    threads: i64,
    /// Of its cache; none when it did not say in time.
    copies: Option<Copies>,
}

/// What a server holds in its own memory.
#[derive(Clone, Copy, Debug)]
struct Copies {
    entries: i64,
    mib: f64,
}

/// One of the two servers.
struct Server {
    process: Process,
    address: SocketAddr,
    token: String,
}

impl Server {
    async fn look(&self, began: Instant) -> Result<Look, Failure> {
        // While Redis or PostgreSQL is away a server looks for it first.
        let health = timeout(LOOK / 5, self.health()).await.ok().and_then(Result::ok);
        let copies = health.and_then(|health| {
            let memory = &health["memory"];
            let mib = memory["weight_bytes"].as_i64()? as f64 / f64::from(1 << 20);
            Some(Copies { entries: memory["entries"].as_i64()?, mib })
        });
        let pid = self.process.pid()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let number = |name: &str| -> Option<i64> {
            status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
        };
        let files = fs::read_dir(format!("/proc/{pid}/fd"))?.count();
        Ok(Look {
            seconds: began.elapsed().as_secs_f64(),
            memory_mib: number("VmRSS:").ok_or("a process has memory")? as f64 / 1024.0,
            files: i64::try_from(files)?,
            threads: number("Threads:").ok_or("a process has threads")?,
            copies,
        })
    }

    async fn health(&self) -> Result<Value, Failure> {
        let mut connection = Connection::open(self.address).await?;
        let request = format!(
            "GET /api/health HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {}\r\n\r\n",
            self.token
        );
        Ok(serde_json::from_slice(connection.ask(request.as_bytes()).await?.body)?)
    }

    /// Its tasks, and its requests under way but this one.
    async fn tasks(&self) -> Result<(i64, i64), Failure> {
        let health = self.health().await?;
        let number = |name: &str| health["process"][name].as_i64().ok_or("it says what it has under way");
        Ok((number("tasks")?, number("requests")? - 1))
    }
}

/// What came of it.
struct Outcome {
    capacity: f64,
    per_second: f64,
    took: Duration,
    tally: Tally,
    /// Which fault, from when to when, in seconds.
    faults: Vec<(Trouble, f64, f64)>,
    /// By server.
    looks: [Vec<Look>; 2],
    /// Tasks and requests, by server, before and after.
    tasks: [[(i64, i64); 2]; 2],
}

pub(crate) fn run(options: &Soak) -> Result<(), Failure> {
    must_be_release("soak")?;
    let folder = options.place.folder("-soak");
    process::build_crm()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(soak(options))?;
    let findings = outcome.findings();
    write(&outcome, &findings, &folder)?;
    tell(&format!("wrote {}", machine::shown(&folder)));
    if findings.is_empty() { Ok(()) } else { Err(findings.join("; ").into()) }
}

async fn soak(options: &Soak) -> Result<Outcome, Failure> {
    tell("making the data: 100,000 deals …");
    let postgres = PostgresServer::start_durable_with(&POSTGRES).await;
    let (template, world) = data::make(&postgres).await?;
    let url = data::copy(&postgres, &template, "crm_soak").await?;
    let (world, redis) = (Arc::new(world), Faulty::start().await);
    let mut servers = Vec::new();
    for _ in 0..2 {
        let process = Ground::serve(Who::BothTiers, &url, Some(&redis.url())).await?;
        let address = address(process.base()?)?;
        servers.push(Server { process, address, token: world.token(1).to_owned() });
    }
    let board = Arc::new(Board::new(&world));
    let targets: Vec<Arc<Target>> = servers
        .iter()
        .map(|server| {
            let (board, world) = (Arc::clone(&board), Arc::clone(&world));
            Arc::new(Target { address: server.address, dialect: Dialect::Crm, board, world })
        })
        .collect();
    let everything = Arc::new(mix::everything(&world));
    ask(&targets, |_| Plan::Each(Arc::clone(&everything))).await?;
    let writes = bars::MIXES[1].1;
    let length = Duration::from_secs(10);
    let full = ask(&targets, |seed| Plan::Mix { seed, writes, length }).await?;
    let capacity = full.requests() as f64 / full.took.as_secs_f64();
    let per_second = capacity * options.load;
    tell(&format!("they answer {capacity:.0} requests a second, and are asked {per_second:.0}"));
    sleep(SETTLE).await;
    let before = [servers[0].tasks().await?, servers[1].tasks().await?];

    let (began, length) = (now(), Duration::from_secs(options.minutes * 60));
    let is_over = Cell::new(false);
    let loading = async {
        let plan = |seed| Plan::Paced { seed: 100 + seed, writes, length, per_second: per_second / 2.0 };
        let tally = ask(&targets, plan).await;
        is_over.set(true);
        tally
    };
    let looking = async {
        let mut looks = [Vec::new(), Vec::new()];
        while !is_over.get() {
            for (server, looks) in servers.iter().zip(&mut looks) {
                looks.push(server.look(began).await?);
            }
            sleep(LOOK).await;
        }
        Ok::<_, Failure>(looks)
    };
    let (tally, looks, faults) = tokio::join!(loading, looking, fail(began, length, &redis, &postgres));
    let (tally, mut looks) = (tally?, looks?);
    sleep(SETTLE).await;
    for (server, looks) in servers.iter().zip(&mut looks) {
        looks.push(server.look(began).await?);
    }
    let after = [servers[0].tasks().await?, servers[1].tasks().await?];
    let tasks = [[before[0], after[0]], [before[1], after[1]]];
    Ok(Outcome { capacity, per_second, took: tally.took, tally, faults, looks, tasks })
}

/// Asks both servers at the same time.
async fn ask(targets: &[Arc<Target>], plan: impl Fn(u64) -> Plan) -> Result<Tally, Failure> {
    let mut asking = JoinSet::new();
    for (seed, target) in (1..).zip(targets) {
        let (target, plan) = (Arc::clone(target), plan(seed));
        asking.spawn_blocking(move || load::run(&target, &plan));
    }
    let mut both = asking.join_next().await.ok_or("there are servers")???;
    while let Some(other) = asking.join_next().await {
        both.add(other??)?;
    }
    Ok(both)
}

/// One fault after the other, until the time is over. Answers which, and when.
async fn fail(
    began: Instant,
    length: Duration,
    redis: &Faulty,
    postgres: &PostgresServer,
) -> Vec<(Trouble, f64, f64)> {
    let mut all: Vec<Trouble> = Fault::ALL.map(Trouble::Redis).to_vec();
    all.push(Trouble::Database);
    let mut seen = Vec::new();
    for trouble in all.into_iter().cycle() {
        if began.elapsed() + HOLD + REST > length {
            break;
        }
        sleep(REST).await;
        let since = began.elapsed().as_secs_f64();
        trouble.begin(redis, postgres).await;
        sleep(HOLD).await;
        trouble.end(redis, postgres).await;
        seen.push((trouble, since, began.elapsed().as_secs_f64()));
        tell(&format!("{:>5.0} s: {} is over", began.elapsed().as_secs_f64(), trouble.name()));
    }
    seen
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What was held as a rule in a fifth of the time, from the first on.
fn held(looks: &[Look], fifth: usize, what: impl Fn(&Look) -> Option<f64>) -> f64 {
    let part = looks.len() / 5;
    median(looks.iter().skip(part * fifth).take(part.max(1)).filter_map(what).collect())
}

/// Memory in a fifth of the time.
fn memory(looks: &[Look], fifth: usize) -> f64 {
    held(looks, fifth, |look| Some(look.memory_mib))
}

impl Outcome {
    /// What is not as it was promised.
    fn findings(&self) -> Vec<String> {
        let mut findings = Vec::new();
        let Tally { wrong, failed, failure, .. } = &self.tally;
        if wrong + failed > 0 {
            let first = failure.as_deref().unwrap_or("out of date");
            findings.push(format!("{wrong} answers were wrong and {failed} failed; the first: {first}"));
        }
        for (at, looks) in self.looks.iter().enumerate() {
            let (early, late) = (memory(looks, 1), memory(looks, 4));
            if late > early * MAX_GROWTH {
                findings.push(format!(
                    "server {}: its memory has grown from {early:.0} to {late:.0} MiB",
                    at + 1
                ));
            }
            let [(tasks, _), (tasks_after, requests)] = self.tasks[at];
            if tasks_after > tasks + MAX_MORE || requests != 0 {
                let words =
                    format!("{tasks} tasks before, {tasks_after} after, {requests} requests under way");
                findings.push(format!("server {}: {words}", at + 1));
            }
            if let (Some(first), Some(last)) = (looks.first(), looks.last())
                // While it was loaded each connection was a file.
                && last.files > first.files.max(CONNECTIONS as i64 / 2) + MAX_MORE
            {
                findings.push(format!(
                    "server {}: {} files after, {} before",
                    at + 1,
                    last.files,
                    first.files
                ));
            }
        }
        findings
    }
}

fn write(outcome: &Outcome, findings: &[String], folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder)?;
    let mut csv = String::from("server,seconds,memory_mib,files,threads,copies,copies_mib\n");
    for (at, looks) in outcome.looks.iter().enumerate() {
        for Look { seconds, memory_mib, files, threads, copies } in looks {
            let copies =
                copies.map_or(",".to_owned(), |copies| format!("{},{:.2}", copies.entries, copies.mib));
            writeln!(csv, "{},{seconds:.1},{memory_mib:.1},{files},{threads},{copies}", at + 1)?;
        }
    }
    fs::write(folder.join("raw.csv"), csv)?;
    fs::write(folder.join("memory.svg"), plot(outcome)?)?;
    Ok(fs::write(folder.join("README.md"), readme(outcome, findings)?)?)
}

fn readme(outcome: &Outcome, findings: &[String]) -> Result<String, Failure> {
    let Outcome { capacity, per_second, took, tally, faults, looks, tasks } = outcome;
    let mut text = String::from("# The CRM under load, while what is behind it fails\n\n");
    writeln!(text, "Made by `{}`.\n", machine::command())?;
    writeln!(text, "{}", machine::line())?;
    writeln!(text, "- {}, profile `release` (thin LTO)", machine::rustc())?;
    writeln!(
        text,
        "- two servers over one Redis, with copies in both, and one PostgreSQL with 200 companies and 100,000 deals; {CONNECTIONS} connections \
         to each, 2 % changes; together they can answer {capacity:.0} requests a second, and were asked {per_second:.0}"
    )?;
    writeln!(
        text,
        "- {:.0} minutes with {} faults of {} s, and {} s between them: each way in which Redis fails ([faults](../../../docs/faults.md)), and PostgreSQL killed",
        took.as_secs_f64() / 60.0,
        faults.len(),
        HOLD.as_secs(),
        REST.as_secs()
    )?;
    writeln!(text, "\n| | |\n|---|---:|")?;
    let right = tally.requests() - tally.refused - tally.wrong - tally.failed.min(tally.requests());
    writeln!(text, "| answers | {} |", tally.requests())?;
    writeln!(text, "| of these as they should be | {right} |")?;
    writeln!(text, "| 503 with `Retry-After` | {} |", tally.refused)?;
    writeln!(text, "| read in whole and held against what was acknowledged | {} |", tally.read)?;
    writeln!(text, "| copies behind a change of the other server, within their second | {} |", tally.late)?;
    writeln!(text, "| **wrong: out of date, of another row or company** | **{}** |", tally.wrong)?;
    writeln!(text, "| **failed in another way, or not answered** | **{}** |", tally.failed)?;
    let ms = |quantile| tally.latencies.value_at_quantile(quantile) as f64 / 1e3;
    writeln!(
        text,
        "| p50, p99, p99.9, longest, in ms | {:.1}, {:.1}, {:.0}, {:.0} |",
        ms(0.5),
        ms(0.99),
        ms(0.999),
        ms(1.0)
    )?;
    for (at, (looks, tasks)) in looks.iter().zip(tasks).enumerate() {
        let fifths: Vec<String> = (0..5).map(|fifth| format!("{:.0}", memory(looks, fifth))).collect();
        let most = looks.iter().map(|look| look.memory_mib).fold(0.0, f64::max);
        writeln!(
            text,
            "| server {}: memory in each fifth of the time, and at most, in MiB | {}; {most:.0} |",
            at + 1,
            fifths.join(", ")
        )?;
        let copies = (0..5).map(|fifth| format!("{:.1}", held(looks, fifth, |look| Some(look.copies?.mib))));
        let entries = held(looks, 4, |look| Some(look.copies?.entries as f64));
        writeln!(
            text,
            "| what of it its copies weigh, in MiB, and how many they are in the last fifth | {}; {entries:.0} |",
            copies.collect::<Vec<_>>().join(", ")
        )?;
        let files = |look: Option<&Look>| look.map_or(0, |look| look.files);
        let (first, last) = (files(looks.first()), files(looks.last()));
        writeln!(
            text,
            "| its files with the load and after it; its tasks before and after | {first}, {last}; {}, {} |",
            tasks[0].0, tasks[1].0
        )?;
    }
    let verdict = if findings.is_empty() {
        "Nothing was found.".to_owned()
    } else {
        format!("**Found:** {}", findings.join("; "))
    };
    writeln!(text, "\n{verdict}\n\n![Memory of the servers, in MiB; red: a fault](memory.svg)")?;
    Ok(text)
}

/// The memory of both servers over the time, with the faults behind.
fn plot(outcome: &Outcome) -> Result<String, Failure> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (1200, 420)).into_drawing_area();
        area.fill(&WHITE)?;
        let all = || outcome.looks.iter().flatten();
        let highest = all().map(|look| look.memory_mib).fold(1.0, f64::max) * 1.3;
        let end = all().map(|look| look.seconds).fold(1.0, f64::max) / 60.0;
        let mut chart = ChartBuilder::on(&area)
            .caption("Memory of the servers, in MiB; red: a fault", ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..end, 0.0..highest)?;
        chart.configure_mesh().light_line_style(WHITE).x_desc("minutes").y_desc("MiB").draw()?;
        chart.draw_series(outcome.faults.iter().map(|(_, from, to)| {
            Rectangle::new([(from / 60.0, 0.0), (to / 60.0, highest)], RED.mix(0.12).filled())
        }))?;
        for (at, looks) in outcome.looks.iter().enumerate() {
            let color = Palette99::pick(at).to_rgba();
            let points = looks.iter().map(|look| (look.seconds / 60.0, look.memory_mib));
            chart
                .draw_series(LineSeries::new(points, color.stroke_width(2)))?
                .label(format!("server {}", at + 1))
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)));
        }
        let mut labels = chart.configure_series_labels();
        labels.position(SeriesLabelPosition::UpperLeft).background_style(WHITE.mix(0.8));
        labels.border_style(BLACK.mix(0.2)).draw()?;
        area.present()?;
    }
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(memory: impl Fn(usize) -> f64, tasks_after: i64) -> Outcome {
        let look = |at: usize| Look {
            seconds: at as f64,
            memory_mib: memory(at),
            files: 80,
            threads: 5,
            copies: None,
        };
        let looks: Vec<Look> = (0..100).map(look).collect();
        Outcome {
            capacity: 1e4,
            per_second: 1e3,
            took: Duration::from_secs(100),
            tally: Tally::new().expect("there is room"),
            faults: Vec::new(),
            looks: [looks.clone(), looks],
            tasks: [[(20, 0), (tasks_after, 0)], [(20, 0), (20, 0)]],
        }
    }

    #[test]
    fn what_grows_and_what_is_wrong_is_found() {
        // It grows while the cache is filled, and then no more.
        assert!(outcome(|at| 50.0 + at.min(20) as f64, 20).findings().is_empty());
        assert!(outcome(|at| if at < 45 { 50.0 } else { 60.0 }, 20).findings()[0].contains("from 50 to 60"));
        assert!(outcome(|at| 50.0 + at as f64, 20).findings()[0].contains("its memory has grown"));
        assert!(outcome(|_| 50.0, 60).findings()[0].contains("60 after"));
        let mut wrong = outcome(|_| 50.0, 20);
        wrong.tally.wrong = 1;
        assert!(wrong.findings()[0].contains("1 answers were wrong"));
    }
}
