//! A run: processes read and write, things go wrong, and in the end everything is compared with the database.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bench::terminal::tell;
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, sleep_until};

use crate::ground::Ground;
use crate::options::Options;
use crate::schedule::{Episode, Fault, Schedule, Strike};
use crate::subject::Kind;
use crate::tally::Tally;
use crate::worker::{Order, VIOLATIONS, Violation, Word};

/// 250 ms: how often processes are asked what they have counted. One that is killed takes so much of its counts with it, but
/// nothing that is wrong.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// 10 seconds: how often it is said how the run does.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// 1 second: how long the last fault holds before the writers are to rest.
const LAST_LASTS: Duration = Duration::from_secs(1);

/// What happened when, in seconds since the begin of the run.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub(crate) name: &'static str,
    pub(crate) begins: f64,
    pub(crate) ends: f64,
}

/// What was counted in a while, which ended so many seconds after the begin of the run.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) at: f64,
    pub(crate) reads: u64,
    pub(crate) hits: u64,
    pub(crate) behind_ms: f64,
}

/// How a run went.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) seconds: f64,
    pub(crate) tally: Tally,
    pub(crate) windows: Vec<Window>,
    pub(crate) samples: Vec<Sample>,
    pub(crate) violations: Vec<Violation>,
    /// What it did not do, so that it proves nothing, or did as a whole and must not, in words.
    pub(crate) idle: Vec<&'static str>,
    /// How many of the answers that were compared in the end were there already.
    pub(crate) found_in_the_end: u64,
    /// Whether it came to its end, where everything is compared with the database.
    pub(crate) is_over: bool,
    /// What was not equal to the database in the end, and who did not answer, in words.
    pub(crate) differs: Vec<String>,
    /// After how many reads the first violation was known; `None` without one.
    pub(crate) found_after: Option<u64>,
}

impl Outcome {
    /// How many reads were wrong. What a killed process could not count any more it has written down.
    pub(crate) fn violations(&self) -> u64 {
        self.tally.violations().max(self.violations.len() as u64)
    }

    /// How much is wrong.
    pub(crate) fn wrong(&self) -> u64 {
        self.violations() + self.differs.len() as u64 + self.idle.len() as u64
    }
}

/// What a run of larder without faults of its own making must have done, and must not.
fn idle(options: &Options, faults: &[Fault], outcome: &Outcome) -> Vec<&'static str> {
    let tally = &outcome.tally;
    let done = [
        (tally.applied, "no change was applied"),
        (tally.found_at_risk, "what lay in Redis answered no read near a removal"),
        (tally.local_at_risk, "no copy was read near a removal"),
        (tally.hits, "there was no hit"),
        (tally.loads, "nothing was loaded"),
        (outcome.found_in_the_end, "nothing was found in the end that could be compared"),
        (if faults.is_empty() { 1 } else { outcome.windows.len() as u64 }, "nothing went wrong"),
    ];
    let mut idle: Vec<_> = done.into_iter().filter(|(count, _)| *count == 0).map(|(_, what)| what).collect();
    // Servers of the CRM do not say how often they missed, and refuse for as long as they have not started.
    if options.kind == Kind::Larder {
        if tally.loads > tally.misses {
            idle.push("it loaded more often than it missed");
        }
        if tally.failed > 0 && !faults.contains(&Fault::DatabaseKilled) {
            idle.push("reads had no answer, though the database was there");
        }
    }
    idle
}

/// What the askers and the one who lets things go wrong share.
#[derive(Debug)]
struct Course {
    begun: Instant,
    outcome: Mutex<Outcome>,
    /// What is wrong at the moment, in words.
    now: Mutex<String>,
}

impl Course {
    fn at(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    fn counted(&self, tally: &Tally) {
        let (reads, hits) = (tally.reads(), tally.hits);
        let sample = Sample { at: self.at(), reads, hits, behind_ms: tally.behind_us.max_ms() };
        let mut outcome = self.outcome.lock();
        outcome.tally.add(tally);
        outcome.samples.push(sample);
        if outcome.tally.violations() > 0 && outcome.found_after.is_none() {
            outcome.found_after = Some(outcome.tally.reads());
        }
    }
}

/// Runs, and answers what came of it.
pub(crate) async fn run(options: &Options) -> Result<Outcome, Box<dyn Error + Send + Sync>> {
    if !options.without.is_empty() && options.kind != Kind::Larder {
        return Err("`--without` takes a rule out of larder: leave `--subject` away".into());
    }
    let faults = Fault::parse(&options.faults, options.database == crate::options::Database::Postgres)?;
    let ground = Arc::new(Ground::new(options).await?);
    let begun = Instant::now();
    let course = Arc::new(Course { begun, outcome: Mutex::default(), now: Mutex::default() });
    let ends = begun + Duration::from_secs_f64(options.minutes * 60.0);

    let mut asking = JoinSet::new();
    for process in 0..ground.processes.len() {
        let (ground, course) = (Arc::clone(&ground), Arc::clone(&course));
        asking.spawn(async move {
            let mut pace = interval(ASK_EVERY);
            loop {
                pace.tick().await;
                if let Some(Word::Report(tally)) = ground.processes[process].ask(&Order::Report).await {
                    course.counted(&tally);
                }
            }
        });
    }
    let telling = {
        let (course, minutes) = (Arc::clone(&course), options.minutes);
        async move {
            let mut pace = interval(TELL_EVERY);
            pace.tick().await;
            loop {
                pace.tick().await;
                let (reads, wrong) = {
                    let outcome = course.outcome.lock();
                    (outcome.tally.reads(), outcome.wrong())
                };
                let (at, all, now) = (course.at(), minutes * 60.0, course.now.lock().clone());
                tell(&format!("{at:.0} of {all:.0} s: {reads} reads, {wrong} violations; {now}"));
            }
        }
    };
    let found = async {
        loop {
            sleep(ASK_EVERY).await;
            if options.stop_at_first && course.outcome.lock().found_after.is_some() {
                return;
            }
        }
    };
    let schedule = Schedule::new(options.seed, faults.clone(), options.processes);
    let (is_over, seconds) = tokio::select! {
        struck = strike(&ground, &course, schedule, ends) => struck.map(|()| (true, course.at()))?,
        () = found => (false, course.at()),
        () = telling => unreachable!("it tells until the run ends"),
    };
    if is_over {
        settle(&ground, &course, asking).await;
    }
    let mut outcome = std::mem::take(&mut *course.outcome.lock());
    (outcome.seconds, outcome.is_over) = (seconds, is_over);
    outcome.violations = written_down(&ground);
    outcome.differs.extend(ground.fallen());
    if is_over && matches!(options.kind, Kind::Larder | Kind::Crm) && options.without.is_empty() {
        outcome.idle = idle(options, &faults, &outcome);
    }
    Ok(outcome)
}

/// Lets things go wrong until the run ends. The last of them holds while the writers come to rest, so that what they could not tell Redis is not
/// made good by what they tell it later; and a process that dies then has told it nothing.
async fn strike(
    ground: &Ground,
    course: &Course,
    mut schedule: Schedule,
    ends: Instant,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let last = schedule.last_strikes();
    for Episode { pause, remembers, strikes, lasts } in schedule {
        if Instant::now() + pause + lasts >= ends {
            break;
        }
        sleep(pause).await;
        if remembers {
            ground.remember().await;
        }
        let begins = begin(ground, course, &strikes).await?;
        sleep(lasts).await;
        end(ground, course, &strikes, begins).await;
    }
    sleep_until(ends).await;
    let begins = begin(ground, course, &last).await?;
    sleep(LAST_LASTS).await;
    if !last.is_empty() {
        ground.replace_by_reader(0).await?;
    }
    let rest = ground.processes.iter().map(|process| process.ask_healthy(&Order::RestWriters));
    let hang = join_all(rest).await.into_iter().filter_map(Result::err);
    course.outcome.lock().differs.extend(hang);
    end(ground, course, &last, begins).await;
    Ok(())
}

async fn begin(
    ground: &Ground,
    course: &Course,
    strikes: &[Strike],
) -> Result<f64, Box<dyn Error + Send + Sync>> {
    let begins = course.at();
    for strike in strikes {
        *course.now.lock() = format!("{} now", strike.fault);
        ground.begin(*strike).await?;
    }
    Ok(begins)
}

async fn end(ground: &Ground, course: &Course, strikes: &[Strike], begins: f64) {
    for strike in strikes {
        ground.end(*strike).await;
    }
    *course.now.lock() = String::from("nothing is wrong now");
    let windows =
        strikes.iter().map(|strike| Window { name: strike.fault.name(), begins, ends: course.at() });
    course.outcome.lock().windows.extend(windows);
}

/// Lets all rest, hears their last counts, and compares.
async fn settle(ground: &Ground, course: &Course, asking: JoinSet<()>) {
    let all = |order: Order| async move {
        join_all(ground.processes.iter().map(|process| process.ask_healthy(&order))).await
    };
    for rests in all(Order::Rest).await {
        if let Err(hangs) = rests {
            course.outcome.lock().differs.push(hangs);
        }
    }
    drop(asking);
    for word in all(Order::Report).await {
        if let Ok(Word::Report(tally)) = word {
            course.counted(&tally);
        }
    }
    for word in all(Order::Compare).await {
        match word {
            Ok(Word::Compared { differs, found }) => {
                let mut outcome = course.outcome.lock();
                outcome.differs.extend(differs);
                outcome.found_in_the_end += found;
            }
            Ok(_) => unreachable!("each order has its word"),
            Err(hangs) => course.outcome.lock().differs.push(hangs),
        }
    }
}

fn written_down(ground: &Ground) -> Vec<Violation> {
    let lines = std::fs::read_to_string(ground.folder().join(VIOLATIONS)).unwrap_or_default();
    lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Tally, Window, idle};
    use crate::options::Options;
    use crate::schedule::Fault;
    use crate::subject::Kind;

    #[test]
    fn a_run_in_which_something_did_not_happen_proves_nothing() {
        let all = Fault::all(false);
        let tally = Tally {
            applied: 1,
            found_at_risk: 1,
            local_at_risk: 1,
            hits: 1,
            loads: 1,
            misses: 1,
            ..Tally::default()
        };
        let windows = vec![Window { name: "cut", begins: 0.0, ends: 1.0 }];
        let done = |tally: &Tally| Outcome {
            tally: tally.clone(),
            windows: windows.clone(),
            found_in_the_end: 1,
            ..Outcome::default()
        };
        let (larder, crm) = (Options::default(), Options { kind: Kind::Crm, ..Options::default() });
        assert_eq!(idle(&larder, &all, &done(&tally)), [""; 0]);
        for (undone, what) in [
            (Tally { applied: 0, ..tally.clone() }, "no change was applied"),
            (
                Tally { found_at_risk: 0, ..tally.clone() },
                "what lay in Redis answered no read near a removal",
            ),
            (Tally { local_at_risk: 0, ..tally.clone() }, "no copy was read near a removal"),
            (Tally { hits: 0, ..tally.clone() }, "there was no hit"),
            (Tally { loads: 0, ..tally.clone() }, "nothing was loaded"),
            (Tally { misses: 0, ..tally.clone() }, "it loaded more often than it missed"),
            (Tally { failed: 1, ..tally.clone() }, "reads had no answer, though the database was there"),
        ] {
            assert_eq!(idle(&larder, &all, &done(&undone)), [what]);
        }
        let failed = Tally { failed: 1, misses: 0, ..tally.clone() };
        assert_eq!(idle(&crm, &all, &done(&failed)), [""; 0]);
        let without_windows = Outcome { windows: vec![], ..done(&tally) };
        assert_eq!(idle(&larder, &all, &without_windows), ["nothing went wrong"]);
        assert_eq!(idle(&larder, &[], &without_windows), [""; 0]);
        let compared_nothing = Outcome { found_in_the_end: 0, ..done(&tally) };
        let words = ["nothing was found in the end that could be compared"];
        assert_eq!(idle(&larder, &all, &compared_nothing), words);
    }
}
