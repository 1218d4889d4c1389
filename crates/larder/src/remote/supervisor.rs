//! Keeps one usable connection: connect, handshake, ready; fail fast while there is none; make another when it ends.
//!
//! The handshake asks which server this is (its [`Incarnation`]) and sees to it that the root is of that incarnation. A **new
//! era** is begun where something may have been removed that this server does not know of: it does not say which it is, this
//! process owes a removal that failed or whose outcome it never learnt, or it is another incarnation than the root's and nobody
//! makes up for what it has not heard of. Who does is asked by a [`Doubt`]. Nobody is served from Redis before.

use std::sync::Arc;

use std::time::Duration;

use parking_lot::Mutex;
use rand::RngExt;
use redis::{Cmd, Pipeline, cmd};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::address::{Address, NotOpen};
use super::doubt::Doubt;
use super::front::{Front, Tie};
use super::link::{Identity, Limits, Link, SILENCE_LIMIT_MS};
use super::names::Names;
use super::owed::Owed;
use super::removal::Debt;
use super::reply::{Refusal, Reply};
use super::root::{Incarnation, field};
use super::settings::Redis;
use super::sizes::Sizes;
use super::trouble::{Trouble, integer, okay, text};
use super::wire::Wire;
use crate::ablation::{Ablation, Ablations};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::local::Local;
use crate::tasks::Errands;

/// 1 second: how long the key is there at most whose change a new connection has to be told of.
const PROBE_MS: u64 = 1_000;

/// 3 seconds: some ten round trips, of which a network that is slow by 200 ms makes two seconds.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(3);

/// 650 ms: what is left of the silence limit after the pause between two heartbeats, so that a heartbeat ends by its own deadline.
const LONGEST_OPERATION: Duration = Duration::from_millis(SILENCE_LIMIT_MS * 65 / 100);

/// 1 ms: less is no time to be answered in.
const SHORTEST_OPERATION: Duration = Duration::from_millis(1);

/// 20 ms: the first pause after an attempt that failed. It doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// 1 second: the longest pause, and how long a connection has to last for the pauses to begin anew.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The oldest version that knows `SET … NX GET`.
const OLDEST_VERSION: u32 = 7;

/// The connections that were given up and may still have something to execute, at most: more than live at once on any server.
const MAX_PREDECESSORS: usize = 64;

/// Keeps the connection.
pub(crate) struct Supervisor {
    address: Address,
    pub(super) names: Arc<Names>,
    limits: Limits,
    rules_out: Ablations,
    clock: Clock,
    errands: Arc<Errands>,
    pub(super) front: Arc<Front>,
    state: watch::Sender<State>,
    sizes: Arc<Sizes>,
    pub(super) owed: Owed,
    /// The life of a server that was served from last. What was removed in another one meanwhile, this one has not heard of.
    pub(super) last_life: Mutex<Option<Incarnation>>,
    /// The connections that were given up: what they sent may still arrive.
    predecessors: Mutex<Vec<Identity>>,
    /// Where it is asked whether a life of a server may be trusted, if anybody knows.
    pub(super) doubts: Option<mpsc::Sender<Doubt>>,
}

/// Whether there is a connection.
#[derive(Clone, Debug)]
pub(crate) enum State {
    Up(Arc<Link>),
    /// It is known who answers, and the root is not settled yet: removals are sent, nothing is read.
    Suspect(Arc<Link>),
    Down(Trouble),
}

impl Supervisor {
    pub(crate) fn new(
        redis: &Redis,
        local: Arc<Local>,
        clock: Clock,
        errands: Arc<Errands>,
        doubts: Option<mpsc::Sender<Doubt>>,
        rules_out: Ablations,
    ) -> Result<Self, Error> {
        if !(SHORTEST_OPERATION..=LONGEST_OPERATION).contains(&redis.limit()) {
            let message = format!(
                "an operation on Redis may take {SHORTEST_OPERATION:?} to {LONGEST_OPERATION:?}: a connection that is silent for a second is given up"
            );
            return Err(Error::new(ErrorKind::Config, message));
        }
        let names = Arc::new(redis.names()?);
        let front = Front::new(local, Arc::clone(&names), clock.clone(), redis.keeps_copies());
        Ok(Supervisor {
            address: redis.address()?,
            names,
            front,
            limits: Limits::new(redis.limit(), rules_out),
            rules_out,
            clock,
            errands,
            state: watch::Sender::new(State::Down(Trouble::Away("it has not been reached yet".to_owned()))),
            sizes: Arc::default(),
            owed: Owed::new(redis.is_sole() && doubts.is_none()),
            last_life: Mutex::default(),
            predecessors: Mutex::default(),
            doubts,
        })
    }

    pub(crate) fn names(&self) -> &Arc<Names> {
        &self.names
    }

    pub(crate) fn front(&self) -> &Arc<Front> {
        &self.front
    }

    /// The connection, if there is one that may be used now.
    pub(crate) fn link(&self) -> Result<Arc<Link>, Trouble> {
        match &*self.state.borrow() {
            State::Up(link) => link.has_not_ended().map(|()| Arc::clone(link)),
            State::Suspect(_) => Err(Trouble::Away(self.why_suspect().to_owned())),
            State::Down(Trouble::Away(reason)) => Err(Trouble::Away(reason.clone())),
            State::Down(trouble) => Err(Trouble::Away(trouble.to_string())),
        }
    }

    fn why_suspect(&self) -> &'static str {
        match &self.doubts {
            None => "its handshake is under way",
            Some(_) => "it is not known yet whether it has heard of every change",
        }
    }

    /// The connection for a removal, which is sent also before anything may be read.
    pub(crate) fn link_for_removal(&self) -> Result<Arc<Link>, Trouble> {
        if let State::Suspect(link) = &*self.state.borrow() {
            return link.has_not_ended().map(|()| Arc::clone(link));
        }
        self.link()
    }

    /// Waits until there is a connection.
    ///
    /// # Cancel safety
    /// Nothing has happened.
    pub(crate) async fn ready(&self) -> Arc<Link> {
        let mut state = self.state.subscribe();
        loop {
            if let State::Up(link) = &*state.borrow_and_update()
                && link.check().is_ok()
            {
                return Arc::clone(link);
            }
            if state.changed().await.is_err() {
                unreachable!("the sender lives as long as this borrow of it");
            }
        }
    }

    pub(super) fn owed(&self) -> &Owed {
        &self.owed
    }

    /// Notes that a removal failed, or that nobody knows whether it was executed: before this process serves from Redis
    /// again, it is executed, or a new era begins.
    pub(super) fn owe(&self, debt: Debt) {
        let mut link = None;
        // Under the lock under which a connection is published: either it is published before and given up here, or its
        // handshake sees that something is owed.
        self.state.send_if_modified(|state| {
            match debt {
                Debt::Era => self.owed.era(),
                Debt::Keys(keys) => self.owed.removal(keys),
            }
            if let State::Up(up) = state {
                link = Some(Arc::clone(up));
            }
            false
        });
        if let Some(link) = link {
            link.give_up(Trouble::Away("a removal failed, which has to be made up for".to_owned()));
        }
    }

    /// Keeps a connection, for ever.
    ///
    /// # Cancel safety
    /// The connection is given up with it.
    pub(crate) async fn run(&self) {
        let _ends = Ends(self);
        let mut failures = 0_u32;
        let mut paid = 0;
        let mut said = None; // the same once, and what is another thing when it is one
        loop {
            let since = Instant::now();
            let trouble = match self.serve(&mut paid).await {
                Ok(trouble) => {
                    tracing::warn!("the connection to Redis is given up: {trouble}");
                    said = None;
                    failures = if since.elapsed() > LONGEST_PAUSE { 0 } else { failures + 1 };
                    trouble
                }
                Err(trouble) => {
                    failures += 1;
                    if said.as_ref() != Some(&trouble) {
                        tracing::warn!("Redis cannot be served from: {trouble}");
                        said = Some(trouble.clone());
                    }
                    trouble
                }
            };
            self.state.send_replace(State::Down(trouble));
            tokio::time::sleep(pause(failures)).await;
        }
    }

    /// Makes a connection and keeps it to its end. An error says why there was none.
    async fn serve(&self, paid: &mut u64) -> Result<Trouble, Trouble> {
        let link = tokio::time::timeout(HANDSHAKE_LIMIT, self.connect()).await;
        let link = link.unwrap_or(Err(Trouble::TimedOut))?;
        // From here on removals are executed, so that those that come meanwhile need no new era.
        self.state.send_replace(State::Suspect(Arc::clone(&link)));
        // It takes as long as there is to make up for, and the connection is kept meanwhile.
        let settled = tokio::select! {
            trouble = self.keep(&link, |_root, _sent_ms| {}) => Err(trouble),
            settled = self.settle(&link, paid) => settled,
        };
        settled.inspect_err(|_| self.give_up_suspect())?;
        tracing::info!(version = link.identity.version, "connected to Redis");
        // A root of another era ends the copies.
        let trouble = tokio::select! {
            trouble = self.keep(&link, |root, sent_ms| drop(link.root(root, sent_ms))) => trouble,
            () = self.keep_marking(&link) => unreachable!("it marks for ever"),
        };
        self.succeed(&link.identity);
        Ok(trouble)
    }

    /// Notes that keys were removed over this link, if it is still the one: else its successor may have been settled without them, and
    /// they are owed.
    pub(super) fn acknowledge(&self, link: &Link, keys: Vec<String>) {
        let mut keys = Some(keys);
        self.state.send_if_modified(|state| {
            if let State::Up(current) | State::Suspect(current) = state
                && std::ptr::eq(Arc::as_ptr(current), link)
            {
                self.owed.acknowledged(keys.take().unwrap_or_default());
            }
            false
        });
        if let Some(keys) = keys.filter(|_| self.owed.is_sole()) {
            self.owe(Debt::Keys(keys));
        }
    }

    /// Ends a connection whose handshake did not end.
    fn give_up_suspect(&self) {
        if let State::Suspect(link) | State::Up(link) = &*self.state.borrow() {
            link.give_up(Trouble::Away("its handshake did not end".to_owned()));
            self.succeed(&link.identity);
        }
    }

    /// Lets everybody use a connection, unless a removal has failed since its handshake began.
    pub(super) fn publish(&self, link: &Arc<Link>, owed: u64) -> bool {
        self.state.send_if_modified(|state| {
            let may = self.owed.ever() == owed;
            if may {
                *state = State::Up(Arc::clone(link));
            }
            may
        })
    }

    /// Notes in Redis, now and then, up to where this process has removed there, if that helps anybody.
    async fn keep_marking(&self, link: &Link) {
        loop {
            tokio::time::sleep(Duration::from_millis(SILENCE_LIMIT_MS / 3)).await;
            if let Some((last, mark)) = self.owed.new_mark()
                && self.mark(link, &mark).await.is_ok()
            {
                self.owed.marked(last);
            }
        }
    }

    /// Keeps a connection from falling silent, until it ends; `heard` gets the answers, and when they were asked for.
    async fn keep(&self, link: &Link, heard: impl Fn(Reply, u64)) -> Trouble {
        let heartbeat = async {
            loop {
                tokio::time::sleep(Duration::from_millis(SILENCE_LIMIT_MS / 3)).await;
                // By itself: it is not to wait for others.
                let sent_ms = Clock::system().now_ms();
                if let Ok(root) = link.ask(self.get_root()).await {
                    heard(root, sent_ms);
                }
            }
        };
        tokio::select! {
            trouble = link.ended() => trouble,
            () = heartbeat => unreachable!("it beats for ever"),
        }
    }

    /// Remembers a connection that was given up, for the next to end it.
    fn succeed(&self, identity: &Identity) {
        let mut predecessors = self.predecessors.lock();
        if predecessors.len() == MAX_PREDECESSORS {
            predecessors.remove(0);
        }
        predecessors.push(identity.clone());
    }

    /// Connects, asks who answers, and ends what was there before.
    async fn connect(&self) -> Result<Arc<Link>, Trouble> {
        let (wire, tie, may_be_told) = self.open().await?;
        let identity = self.identify(&wire, may_be_told).await?;
        self.end_predecessors(&wire, &identity).await?;
        let (errands, sizes) = (Arc::clone(&self.errands), Arc::clone(&self.sizes));
        Ok(Link::new(wire, identity, self.limits, errands, tie, sizes))
    }

    /// Opens another connection to the life of a server that a link leads to.
    pub(super) async fn beside(&self, link: &Link) -> Result<Wire, Trouble> {
        let open = async {
            let wire = self.address.open(None).await?;
            let info = text(wire.ask(cmd("INFO")).await?)?;
            if Incarnation::of_info(&info) == link.identity.incarnation {
                Ok(wire)
            } else {
                Err(Trouble::Away("another server answers by now".to_owned()))
            }
        };
        tokio::time::timeout(HANDSHAKE_LIMIT, open).await.unwrap_or(Err(Trouble::TimedOut))
    }

    /// Opens a connection, over which this process can be told of changes if the answer says so. Not every server, or proxy before
    /// it, speaks RESP3.
    async fn open(&self) -> Result<(Wire, Arc<Tie>, bool), Trouble> {
        if self.front.keeps() {
            let tie = Tie::new(&self.front);
            let hears = Arc::clone(&tie);
            match self.address.open(Some(Box::new(move |told| hears.told(told)))).await {
                Ok(wire) => return Ok((wire, tie, true)),
                Err(NotOpen::NoResp3(refusal)) if !is_of_the_moment(&refusal) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok((self.address.open(None).await?, Tie::new(&self.front), false))
    }

    /// Asks who answers, and where it may tell of changes, sees whether it does: it has to tell of one that is made here.
    async fn identify(&self, wire: &Wire, may_be_told: bool) -> Result<Identity, Trouble> {
        let mut questions = Pipeline::new();
        questions.cmd("CLIENT").arg("ID").cmd("TIME").cmd("INFO");
        if may_be_told {
            let probe = self.names.staging(rand::rng().random());
            questions.cmd("CLIENT").arg("TRACKING").arg("ON").cmd("PTTL").arg(&probe);
            questions.cmd("SET").arg(&probe).arg("").arg("PX").arg(PROBE_MS).cmd("UNLINK").arg(&probe);
            self.front.expect(probe);
        }
        let asked_ms = self.clock.now_ms();
        let answers = wire.send(&questions).await?;
        let answered_ms = self.clock.now_ms();
        let [client_id, time, info, tracking @ ..] = &answers[..] else { return Err(Trouble::Garbled) };
        let server_ms = milliseconds(time)?;
        // What a server that refuses INFO is stays unknown; everything else here has to be allowed.
        let info = match info {
            Reply::Error(refusal) if refusal.code == "NOPERM" => String::new(),
            _ => text(info.clone())?,
        };
        let version = field(&info, "redis_version").unwrap_or_default().to_owned();
        if version
            .split('.')
            .next()
            .and_then(|major| major.parse().ok())
            .is_some_and(|major: u32| major < OLDEST_VERSION)
        {
            let words =
                format!("it is of version {version}, and {OLDEST_VERSION}.0 is the oldest that will do");
            return Err(Trouble::Refused(words));
        }
        if field(&info, "role") == Some("slave") {
            return Err(Trouble::Refused("it is a replica; name the primary".to_owned()));
        }
        let here_ms = i64::try_from(u64::midpoint(asked_ms, answered_ms)).unwrap_or(i64::MAX);
        let incarnation = Incarnation::of_info(&info);
        let told = self.front.was_told();
        let is_tracked = match tracking {
            [tracks, registers, changes, _removes] => {
                match (refusal(tracks), refusal(registers), refusal(changes)) {
                    (Some(trouble), ..) | (_, Some(trouble), _) => Err(trouble.to_string()),
                    // A server that is full takes no change to tell of, and is believed.
                    (.., Some(Trouble::Full)) => Ok(()),
                    // For the moment it takes none at all, and can be asked another time.
                    (.., Some(trouble @ Trouble::Refused(_))) => return Err(trouble),
                    _ if told => Ok(()),
                    _ => Err("it was asked to, and did not".to_owned()),
                }
            }
            _ => Err("it speaks no RESP3".to_owned()),
        };
        if let (true, Err(why)) = (self.front.keeps(), &is_tracked) {
            tracing::warn!(
                "Redis does not tell of changes, so that copies in this process are kept for a second: {why}"
            );
        }
        let (client_id, offset_ms) = (integer(client_id)?, server_ms.saturating_sub(here_ms));
        Ok(Identity { incarnation, client_id, version, is_tracked: is_tracked.is_ok(), offset_ms })
    }

    /// Ends the connections that were given up, so that nothing they sent is executed later: they are on the same server,
    /// where ids are not given twice, or gone with the one that they were on.
    ///
    /// Where it may not, a new era is owed, since values that they still set are of the old one; only a lock that they take may be
    /// held by nobody, for its time.
    async fn end_predecessors(&self, wire: &Wire, identity: &Identity) -> Result<(), Trouble> {
        if self.rules_out.is_out(Ablation::EndPredecessors) {
            return Ok(());
        }
        let same_server = |old: &Identity| old.incarnation.is_same_process(identity.incarnation);
        let ids: Vec<i64> =
            self.predecessors.lock().iter().filter(|old| same_server(old)).map(|old| old.client_id).collect();
        for id in ids {
            let answer = wire.ask(cmd("CLIENT").arg("KILL").arg("ID").arg(id).take()).await?;
            if let Err(trouble) = integer(&answer) {
                tracing::warn!("an earlier connection cannot be ended, so that a new era begins: {trouble}");
                self.owe(Debt::Era);
            }
        }
        // Those on another server may still have something to execute there, when it is reached again.
        self.predecessors.lock().retain(|old| !same_server(old));
        Ok(())
    }

    /// Notes in Redis up to where every change has been heard of. On this connection, behind what it is true of.
    pub(crate) async fn mark(&self, link: &Link, watermark: &[u8]) -> Result<(), Trouble> {
        let set = cmd("SET").arg(self.names.watermark()).arg(watermark).take();
        link.believe(okay(&link.ask(set).await?)).map(drop)
    }

    pub(super) fn get_root(&self) -> Cmd {
        cmd("GETEX").arg(self.names.root()).take()
    }
}

/// Leaves no connection behind that nobody keeps.
struct Ends<'a>(&'a Supervisor);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        let ended = Trouble::ended();
        if let State::Up(link) | State::Suspect(link) = self.0.state.send_replace(State::Down(ended.clone()))
        {
            link.give_up(ended);
        }
    }
}

/// How long to wait before the next attempt: none after the first failure, then longer and longer, each with half of it at
/// random, so that a fleet does not come back in step.
fn pause(failures: u32) -> Duration {
    if failures <= 1 {
        return Duration::ZERO;
    }
    let longest = FIRST_PAUSE.saturating_mul(1 << failures.min(16)).min(LONGEST_PAUSE);
    longest.mul_f64(rand::rng().random_range(0.5..=1.0))
}

impl std::fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supervisor").field("state", &*self.state.borrow()).finish_non_exhaustive()
    }
}

/// What an answer refuses.
fn refusal(answer: &Reply) -> Option<Trouble> {
    match answer {
        Reply::Error(refusal) => Some(Trouble::from(refusal)),
        _ => None,
    }
}

/// Whether a server says no to everything, and not for long.
fn is_of_the_moment(refusal: &Refusal) -> bool {
    matches!(&*refusal.code, "LOADING" | "MASTERDOWN" | "BUSY" | "CLUSTERDOWN")
        || refusal.words.contains("number of clients")
}

/// What the time is by a server's clock, in milliseconds since 1970.
fn milliseconds(time: &Reply) -> Result<i64, Trouble> {
    let parts = match time {
        Reply::Array(parts) => &parts[..],
        Reply::Error(refusal) => return Err(Trouble::from(refusal)),
        _ => return Err(Trouble::Garbled),
    };
    let part = |at: usize| match parts.get(at) {
        Some(Reply::Bytes(digits)) => str::from_utf8(digits).ok()?.parse::<i64>().ok(),
        _ => None,
    };
    let (seconds, micros) = part(0).zip(part(1)).ok_or(Trouble::Garbled)?;
    let milliseconds = seconds.checked_mul(1_000).and_then(|all| all.checked_add(micros / 1_000));
    milliseconds.ok_or(Trouble::Garbled)
}
