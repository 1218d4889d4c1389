//! The load: connections that each ask again as soon as they are answered, and what they saw.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval_at};

use super::board::{Board, Changing};
use super::connection::{Answer, Connection};
use super::data::World;
use super::dialect::Dialect;
use super::mix::{Asked, Kind, Mix};
use crate::Failure;
use crate::stage::{WORKERS, now};

/// Connections that are kept, all at once: 64.
pub(super) const CONNECTIONS: usize = 64;

/// 60 s: the longest time that a histogram has room for.
const LONGEST_US: u64 = 60_000_000;

/// Of so many answers one is read in whole while nothing changes.
const READ_ONE_OF: u64 = 64;

/// Pages are long: while something changes, one of so many is read, and each answer with a deal.
const READ_ONE_PAGE_OF: u64 = 8;

/// How long others may answer with what was before a change that is certain, but that not every cache has heard of.
const PENDING_MAY_BE: Duration = Duration::from_secs(1);

/// How long copies in a process may be out of date: a second, as is documented.
pub(super) const COPIES_MAY_BE: Duration = Duration::from_secs(1);

/// Who is asked, and what is known of it.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    pub(super) dialect: Dialect,
    pub(super) board: Arc<Board>,
    pub(super) world: Arc<World>,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(super) enum Plan {
    /// The mix, with this part of changes, for so long.
    Mix { seed: u64, writes: f64, length: Duration },
    /// The same, but no more than so many requests a second over all connections.
    Paced { seed: u64, writes: f64, length: Duration, per_second: f64 },
    /// Each of these once.
    Each(Arc<Vec<Asked>>),
}

/// What the connections saw.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    /// Microseconds.
    pub(super) latencies: Histogram<u64>,
    /// Answers and bytes of their bodies, by [`Kind::ALL`].
    pub(super) kinds: [(u64, u64); Kind::ALL.len()],
    /// Statements, where the server says so.
    pub(super) queries: u64,
    /// Answers that say "not now, but then": 503 with `Retry-After`.
    pub(super) refused: u64,
    /// Other answers that were no success, or none at all.
    pub(super) failed: u64,
    /// What the first of those was.
    pub(super) failure: Option<String>,
    /// Answers that were read in whole.
    pub(super) read: u64,
    /// Of those, answers to something else than what was asked, and answers that were out of date and had no right to be.
    pub(super) wrong: u64,
    /// Of those, copies that were out of date for no longer than they may be.
    pub(super) late: u64,
    /// From the first request to the last answer.
    pub(super) took: Duration,
}

impl Tally {
    pub(super) fn new() -> Result<Self, Failure> {
        Ok(Self {
            latencies: Histogram::new_with_max(LONGEST_US, 3)?,
            kinds: Default::default(),
            queries: 0,
            refused: 0,
            failed: 0,
            failure: None,
            read: 0,
            wrong: 0,
            late: 0,
            took: Duration::ZERO,
        })
    }

    pub(super) fn add(&mut self, other: Tally) -> Result<(), Failure> {
        self.latencies.add(&other.latencies)?;
        for ((count, bytes), (more, more_bytes)) in self.kinds.iter_mut().zip(other.kinds) {
            *count += more;
            *bytes += more_bytes;
        }
        self.queries += other.queries;
        self.refused += other.refused;
        self.failed += other.failed;
        self.failure = self.failure.take().or(other.failure);
        self.read += other.read;
        self.wrong += other.wrong;
        self.late += other.late;
        Ok(())
    }

    /// How many requests were answered.
    pub(super) fn requests(&self) -> u64 {
        self.latencies.len()
    }

    /// The mean length of the bodies of a kind, in bytes.
    pub(super) fn mean_bytes(&self, kind: Kind) -> u64 {
        let (count, bytes) = self.kinds[kind as usize];
        bytes.checked_div(count).unwrap_or_default()
    }

    fn fail(&mut self, what: impl FnOnce() -> String) {
        self.failed += 1;
        self.failure.get_or_insert_with(what);
    }
}

/// Asks over all connections, from as many threads as the machine is measured with, and answers what they saw together.
pub(super) fn run(target: &Arc<Target>, plan: &Plan) -> Result<Tally, Failure> {
    let began = now();
    let mut tally = Tally::new()?;
    let threads: Vec<_> = (0..WORKERS)
        .map(|thread| {
            let (target, plan) = (Arc::clone(target), plan.clone());
            thread::spawn(move || drive(&target, &plan, thread, began))
        })
        .collect();
    for thread in threads {
        tally.add(thread.join().map_err(|_panic| "a thread of the load panicked")??)?;
    }
    tally.took = began.elapsed();
    Ok(tally)
}

/// One thread, with its part of the connections.
fn drive(target: &Arc<Target>, plan: &Plan, thread: usize, began: Instant) -> Result<Tally, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connections = JoinSet::new();
        for number in (thread..CONNECTIONS).step_by(WORKERS) {
            let source = Source::of(plan, number, began);
            connections.spawn(keep_asking(Arc::clone(target), source));
        }
        let mut tally = Tally::new()?;
        while let Some(of_one) = connections.join_next().await {
            tally.add(of_one??)?;
        }
        Ok(tally)
    })
}

/// Where a connection has its requests from.
enum Source {
    Mix { mix: Box<Mix>, until: Instant, pace: Option<Interval> },
    Each { all: Arc<Vec<Asked>>, next: usize },
}

impl Source {
    fn of(plan: &Plan, number: usize, began: Instant) -> Self {
        let mix = |seed: u64, writes| Box::new(Mix::new(seed * CONNECTIONS as u64 + number as u64, writes));
        match plan {
            Plan::Mix { seed, writes, length } => {
                Self::Mix { mix: mix(*seed, *writes), until: began + *length, pace: None }
            }
            Plan::Paced { seed, writes, length, per_second } => {
                let every = Duration::from_secs_f64(CONNECTIONS as f64 / per_second);
                // Not all at once.
                let first = began + every.mul_f64(number as f64 / CONNECTIONS as f64);
                let mut pace = interval_at(first.into(), every);
                pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
                Self::Mix { mix: mix(*seed, *writes), until: began + *length, pace: Some(pace) }
            }
            Plan::Each(all) => Self::Each { all: Arc::clone(all), next: number },
        }
    }

    async fn next(&mut self, world: &World) -> Option<Asked> {
        match self {
            Self::Mix { mix, until, pace } => {
                if let Some(pace) = pace {
                    pace.tick().await;
                }
                (now() < *until).then(|| mix.draw(world))
            }
            Self::Each { all, next } => {
                let asked = all.get(*next).copied();
                *next += CONNECTIONS;
                asked
            }
        }
    }

    fn changes_something(&self) -> bool {
        matches!(self, Self::Mix { mix, .. } if mix.writes())
    }
}

async fn keep_asking(target: Arc<Target>, mut source: Source) -> Result<Tally, Failure> {
    let mut tally = Tally::new()?;
    let mut connection = Connection::open(target.address).await?;
    let mut request = String::new();
    let changes = source.changes_something();
    while let Some(asked) = source.next(&target.world).await {
        let changing = match asked.kind {
            Kind::Move => match target.board.begin(asked.deal) {
                Some(changing) => Some(changing),
                None => continue, // somebody moves it just now
            },
            _ => None,
        };
        let was_closed = changing.as_ref().is_some_and(|changing| changing.was_closed);
        target.dialect.write(&mut request, &asked, &target.world, was_closed);
        let (began, sent) = (now(), SystemTime::now());
        match connection.ask(request.as_bytes()).await {
            Ok(answer) => {
                let answered = now();
                let took_us = u64::try_from((answered - began).as_micros())?;
                tally.latencies.saturating_record(took_us);
                let of_kind = &mut tally.kinds[asked.kind as usize];
                *of_kind = (of_kind.0 + 1, of_kind.1 + answer.body.len() as u64);
                tally.queries += answer.queries;
                if answer.status != 200 {
                    match (answer.status, answer.says_when) {
                        (503, true) => tally.refused += 1,
                        _ => tally.fail(|| said(&asked, &answer)),
                    }
                    changing.into_iter().for_each(Changing::abandon);
                } else if let Some(changing) = changing {
                    acknowledge(&target, &asked, &answer, (changing, sent), &mut tally);
                } else if is_read(&asked, of_kind.0, changes) {
                    read(&target, &asked, &answer, began, &mut tally);
                }
            }
            Err(failure) => {
                changing.into_iter().for_each(Changing::abandon);
                tally.fail(|| format!("{}: {failure}", asked.kind.name()));
                connection = Connection::open(target.address).await?;
            }
        }
    }
    Ok(tally)
}

fn said(asked: &Asked, answer: &Answer<'_>) -> String {
    format!("{}: {}: {:.200}", asked.kind.name(), answer.status, String::from_utf8_lossy(answer.body))
}

/// Whether an answer is read in whole: the first of each kind in any case.
fn is_read(asked: &Asked, of_kind: u64, changes: bool) -> bool {
    let one_of = match asked.kind {
        Kind::Deal if changes => 1,
        Kind::Page if changes => READ_ONE_PAGE_OF,
        _ => READ_ONE_OF,
    };
    of_kind % one_of == 1 % one_of
}

fn acknowledge(
    target: &Target,
    asked: &Asked,
    answer: &Answer<'_>,
    (changing, sent): (Changing<'_>, SystemTime),
    tally: &mut Tally,
) {
    let dialect = target.dialect;
    let shown = dialect.shown(asked, answer.body);
    match shown.map(|shown| dialect.mark(sent, &shown)) {
        Some(Some(mark)) if answer.is_pending => changing.acknowledge(mark, now() + PENDING_MAY_BE),
        Some(Some(mark)) => changing.acknowledge(mark, now()),
        Some(None) => {} // of no meaning
        None => tally.fail(|| said(asked, answer)),
    }
}

fn read(target: &Target, asked: &Asked, answer: &Answer<'_>, began: Instant, tally: &mut Tally) {
    tally.read += 1;
    let Some(shown) = target.dialect.shown(asked, answer.body) else {
        tally.wrong += 1;
        tally.failure.get_or_insert_with(|| format!("no answer to what was asked: {}", said(asked, answer)));
        return;
    };
    let ages = shown.into_iter().filter_map(|(deal, mark)| target.board.out_of_date(deal, mark, began));
    match ages.max() {
        None => {}
        Some(age) if answer.is_copy && age <= COPIES_MAY_BE => tally.late += 1,
        Some(_) => tally.wrong += 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::data::{Deal, Of, id};

    fn target() -> Target {
        let world = World { tokens: Vec::new(), deals: vec![Deal { company: 7, is_closed: false }; 20] };
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        Target { address, dialect: Dialect::Crm, board: Arc::new(Board::new(&world)), world: Arc::new(world) }
    }

    fn judged(target: &Target, version: i64, is_copy: bool, asked_at: Instant) -> Tally {
        let body = format!(
            r#"{{"id":"{}","company_id":"{}","version":{version}}}"#,
            id(Of::Deal, 12),
            id(Of::Company, 7)
        );
        let asked = Asked { kind: Kind::Deal, company: 7, deal: 12, page: 1, user: 7 };
        let answer = Answer {
            status: 200,
            queries: 0,
            is_copy,
            is_pending: false,
            says_when: false,
            body: body.as_bytes(),
        };
        let mut tally = Tally::new().expect("there is room");
        read(target, &asked, &answer, asked_at, &mut tally);
        tally
    }

    #[test]
    fn a_stale_answer_is_found_and_a_copy_has_its_second() {
        let (target, acknowledged) = (target(), now());
        target.board.begin(12).expect("nobody changes it").acknowledge(2, acknowledged);
        let after = |ms| acknowledged + Duration::from_millis(ms);
        for (version, is_copy, asked_at, wrong, late) in [
            (2, false, after(10), 0, 0),
            (1, false, after(10), 1, 0),
            (1, true, after(10), 0, 1),
            (1, true, after(1_500), 1, 0),
            (1, false, acknowledged - Duration::from_millis(1), 0, 0),
        ] {
            let tally = judged(&target, version, is_copy, asked_at);
            assert_eq!((tally.read, tally.wrong, tally.late), (1, wrong, late), "version {version}");
        }
    }

    #[test]
    fn of_each_kind_the_first_is_read_and_of_deals_all_while_something_changes() {
        for kind in Kind::ALL {
            let asked = Asked { kind, company: 1, deal: 1, page: 1, user: 1 };
            assert!(is_read(&asked, 1, false) && is_read(&asked, 1, true));
            assert!(!is_read(&asked, 2, false));
            assert_eq!(is_read(&asked, 2, true), kind == Kind::Deal);
        }
    }

    #[tokio::test]
    async fn all_connections_together_ask_for_each_once() {
        let asked = |deal| Asked { kind: Kind::Deal, company: 1, deal, page: 1, user: 1 };
        let plan = Plan::Each(Arc::new((0..200).map(asked).collect()));
        let mut deals = Vec::new();
        for number in 0..CONNECTIONS {
            let mut source = Source::of(&plan, number, now());
            while let Some(asked) = source.next(&target().world).await {
                deals.push(asked.deal);
            }
        }
        deals.sort_unstable();
        assert_eq!(deals, (0..200).collect::<Vec<_>>());
    }
}
