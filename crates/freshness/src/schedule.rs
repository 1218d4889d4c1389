//! What goes wrong when: drawn from a seed, so that a run can be repeated.

use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use testkit::faults::Fault as OfServer;

/// What befalls a process of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum OfProcess {
    /// `SIGKILL`; another one takes its place at once.
    Killed,
    /// `SIGSTOP`, then `SIGCONT`.
    Paused,
    /// Its connections are closed; new ones are as they should be.
    Cut,
    /// Its connections are closed, and new ones refused.
    CutOff,
    /// Its connections, and new ones, lead nowhere: no byte arrives, and nothing is closed.
    HalfOpen,
    /// What it sends is executed, and it hears nothing.
    Deaf,
    /// What it sends is swallowed, and it hears what others do.
    Mute,
    /// All that it hears comes 120 ms later.
    Slow,
}

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    Server(OfServer),
    Process(OfProcess),
    /// A replica takes the place of the primary, which follows it from then on.
    Failover,
    /// The same, of a replica that has not heard of the last moments.
    LaggingFailover,
    /// What each process sends at once arrives in pieces of 700 bytes, 1 ms apart, so that others are served in between.
    Crumbled,
    /// The database server is killed, and recovers.
    DatabaseKilled,
}

impl OfProcess {
    const ALL: [OfProcess; 8] = [
        OfProcess::Killed,
        OfProcess::Paused,
        OfProcess::Cut,
        OfProcess::CutOff,
        OfProcess::HalfOpen,
        OfProcess::Deaf,
        OfProcess::Mute,
        OfProcess::Slow,
    ];

    fn name(self) -> &'static str {
        match self {
            OfProcess::Killed => "process-killed",
            OfProcess::Paused => "process-paused",
            OfProcess::Cut => "cut",
            OfProcess::CutOff => "cut-off",
            OfProcess::HalfOpen => "half-open",
            OfProcess::Deaf => "deaf",
            OfProcess::Mute => "mute",
            OfProcess::Slow => "slow-link",
        }
    }
}

impl Fault {
    /// All that can befall a run, over PostgreSQL or over SQLite.
    pub(crate) fn all(over_postgres: bool) -> Vec<Fault> {
        let servers = OfServer::ALL.into_iter().map(Fault::Server);
        let processes = OfProcess::ALL.into_iter().map(Fault::Process);
        let others = [Fault::Failover, Fault::LaggingFailover, Fault::Crumbled].into_iter();
        servers.chain(processes).chain(others).chain(over_postgres.then_some(Fault::DatabaseKilled)).collect()
    }

    /// What it is called: words with hyphens, each different.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Fault::Server(fault) => fault.name(),
            Fault::Process(fault) => fault.name(),
            Fault::Failover => "failover",
            Fault::LaggingFailover => "lagging-failover",
            Fault::Crumbled => "crumbled",
            Fault::DatabaseKilled => "database-killed",
        }
    }

    /// Those of a list of names, with commas; `all` and `none` are lists.
    pub(crate) fn parse(list: &str, over_postgres: bool) -> Result<Vec<Fault>, String> {
        let all = Fault::all(over_postgres);
        match list {
            "all" => return Ok(all),
            "none" => return Ok(Vec::new()),
            _ => {}
        }
        let find = |name: &str| all.iter().find(|fault| fault.name() == name).copied().ok_or(name.to_owned());
        list.split(',').map(find).collect::<Result<_, _>>().map_err(|name| {
            let names: Vec<&str> = all.iter().map(|fault| fault.name()).collect();
            let hint =
                if name == Fault::DatabaseKilled.name() { " (it needs `--database postgres`)" } else { "" };
            format!(
                "`{name}` is no fault{hint}; there are `all`, `none`, and a list with commas of: {}",
                names.join(", ")
            )
        })
    }

    /// Whether it is over when it has begun.
    fn is_moment(self) -> bool {
        match self {
            Fault::Server(fault) => fault.is_moment(),
            Fault::Process(fault) => matches!(fault, OfProcess::Killed | OfProcess::Cut),
            Fault::Failover | Fault::LaggingFailover => true,
            Fault::Crumbled | Fault::DatabaseKilled => false,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A fault, and the process that it befalls, if it is one of those.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Strike {
    pub(crate) fault: Fault,
    pub(crate) process: usize,
}

/// What happens next: after a pause, one or two things for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Episode {
    pub(crate) pause: Duration,
    /// The server is to remember what it holds, to come back with it later.
    pub(crate) remembers: bool,
    pub(crate) strikes: Vec<Strike>,
    pub(crate) lasts: Duration,
}

/// 0.3 to 2 seconds of ordinary work between two faults.
const PAUSE_MS: std::ops::Range<u64> = 300..2_000;

/// How long a fault lasts: some less than the deadlines of a call, some longer than all of them.
const LASTS_MS: [std::ops::Range<u64>; 4] = [20..200, 200..700, 700..1_500, 1_500..5_000];

/// The endless list of what goes wrong.
pub(crate) struct Schedule {
    rng: StdRng,
    faults: Vec<Fault>,
    processes: usize,
}

impl Schedule {
    /// Of these faults; without any, nothing ever happens.
    pub(crate) fn new(seed: u64, faults: Vec<Fault>, processes: usize) -> Self {
        Schedule { rng: StdRng::seed_from_u64(seed), faults, processes }
    }

    /// What is wrong when the writers come to rest: one of what lasts and lets them do so, if there is one among the faults.
    pub(crate) fn last_strikes(&mut self) -> Vec<Strike> {
        let lets_rest = |fault: &&Fault| {
            !fault.is_moment() && !matches!(fault, Fault::Process(OfProcess::Paused) | Fault::DatabaseKilled)
        };
        let lasting: Vec<Fault> = self.faults.iter().filter(lets_rest).copied().collect();
        let fault = lasting.choose(&mut self.rng).copied();
        fault.map(|fault| Strike { fault, process: self.processes - 1 }).into_iter().collect()
    }
}

impl Iterator for Schedule {
    type Item = Episode;

    fn next(&mut self) -> Option<Episode> {
        let rng = &mut self.rng;
        let first = *self.faults.choose(rng)?;
        let mut strikes = vec![Strike { fault: first, process: rng.random_range(0..self.processes) }];
        if rng.random_ratio(1, 4) {
            // A process and what it depends on fail together, never one thing twice.
            let is_of_process = |fault: &&Fault| matches!(fault, Fault::Process(_));
            let others = self.faults.iter().filter(|fault| is_of_process(fault) != is_of_process(&&first));
            let others: Vec<Fault> = others.copied().collect();
            let process = rng.random_range(0..self.processes);
            strikes.extend(others.choose(rng).map(|fault| Strike { fault: *fault, process }));
        }
        let pause = Duration::from_millis(rng.random_range(PAUSE_MS));
        let lasts = LASTS_MS.choose(rng).map_or(0..1, Clone::clone);
        let lasts = Duration::from_millis(rng.random_range(lasts));
        let is_moment = strikes.iter().all(|strike| strike.fault.is_moment());
        let lasts = if is_moment { Duration::ZERO } else { lasts };
        let remembers = rng.random_ratio(1, 6);
        Some(Episode { pause, remembers, strikes, lasts })
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Schedule};

    #[test]
    fn a_seed_draws_the_same_faults_each_time_and_all_of_them() {
        let all = Fault::all(true);
        let episodes = |seed| Schedule::new(seed, all.clone(), 3).take(400).collect::<Vec<_>>();
        let drawn = episodes(7);
        assert_eq!(drawn, episodes(7));
        assert_ne!(drawn, episodes(8));
        let struck =
            |fault| drawn.iter().flat_map(|episode| &episode.strikes).any(|strike| strike.fault == fault);
        assert!(all.iter().all(|fault| struck(*fault)));
        assert!(drawn.iter().any(|episode| episode.strikes.len() == 2));
        assert_eq!(Schedule::new(7, all.clone(), 3).last_strikes().len(), 1);
        assert_eq!(Schedule::new(7, vec![], 3).last_strikes(), []);
    }

    #[test]
    fn a_list_of_faults_names_them_and_says_what_is_none() {
        assert_eq!(Fault::parse("none", false), Ok(vec![]));
        let parsed = Fault::parse("killed,half-open", false).expect("they are faults");
        assert_eq!(parsed.iter().map(|fault| fault.name()).collect::<Vec<_>>(), ["killed", "half-open"]);
        let refused = Fault::parse("killed,drowned", false).expect_err("it is none");
        assert!(refused.contains("`drowned`") && refused.contains("lagging-failover"), "{refused}");
        let refused = Fault::parse("database-killed", false).expect_err("there is no server to kill");
        assert!(refused.contains("--database postgres"), "{refused}");
    }
}
