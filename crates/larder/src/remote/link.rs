//! One connection to one life of a server, and whether it may still be used.
//!
//! Every call has a deadline. Whatever casts doubt on the connection (no answer in time, an error that is not of the one
//! key, silence for longer than [`SILENCE_LIMIT_MS`]) gives it up for good: its supervisor makes another, and asks again which
//! server it is. Nothing is sent a second time, and no redirection followed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use redis::{Cmd, Pipeline};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::front::Tie;
use super::gather::Gather;
use super::reply::Reply;
use super::root::{Incarnation, Root};
use super::sizes::Sizes;
use super::trouble::{Trouble, string};
use super::wire::Wire;
use crate::ablation::{Ablation, Ablations};
use crate::clock::Clock;
use crate::tasks::Errands;

/// 1 second: a connection that has answered nothing for so long may by now lead to a server of another role. Its owner has
/// to ask again before anything is believed.
pub(super) const SILENCE_LIMIT_MS: u64 = 1_000;

/// 1 minute, where there are no deadlines: longer than any test.
const UNLIMITED: Duration = Duration::from_secs(60);

/// Who answers on a connection, as the handshake found it.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) incarnation: Incarnation,
    /// The id of this connection at the server, for its successor to end it with.
    pub(crate) client_id: i64,
    pub(crate) version: String,
    /// It is told of changes of what is read over it.
    pub(crate) is_tracked: bool,
    /// What has to be added to the clock of this process to get the server's time, in milliseconds since 1970.
    pub(crate) offset_ms: i64,
}

/// After what time a connection is given up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Of a call that has not been answered.
    pub(super) operation: Duration,
    /// Since anything was answered.
    pub(super) silence_ms: u64,
}

impl Limits {
    /// Those of a connection whose calls may take so long each.
    pub(super) fn new(operation: Duration, rules_out: Ablations) -> Self {
        if rules_out.is_out(Ablation::Deadlines) {
            return Limits { operation: UNLIMITED, silence_ms: u64::MAX };
        }
        Limits { operation, silence_ms: SILENCE_LIMIT_MS }
    }
}

/// A connection that has passed its handshake.
pub(crate) struct Link {
    wire: Wire,
    pub(crate) identity: Identity,
    limits: Limits,
    /// The questions that are under way, and those that wait to leave together.
    pub(super) questions: Gather,
    /// Runs what has to be done whoever goes away.
    pub(super) errands: Arc<Errands>,
    pub(super) tie: Arc<Tie>,
    /// Another connection to the same life, for what makes others wait.
    pub(super) beside: tokio::sync::Mutex<Option<Wire>>,
    last_answer_ms: AtomicU64,
    /// That of the answer that came last.
    latest_root: Mutex<Option<Root>>,
    /// It was logged that the server is full, and nothing has been filled in since.
    told_full: AtomicBool,
    /// Why it was given up, once it was.
    end: OnceLock<Trouble>,
    ended: Notify,
}

impl Link {
    pub(super) fn new(
        wire: Wire,
        identity: Identity,
        limits: Limits,
        errands: Arc<Errands>,
        tie: Arc<Tie>,
        sizes: Arc<Sizes>,
    ) -> Arc<Link> {
        Arc::new(Link {
            wire,
            identity,
            limits,
            questions: Gather::new(sizes),
            errands,
            tie,
            beside: tokio::sync::Mutex::default(),
            last_answer_ms: AtomicU64::new(Clock::system().now_ms()),
            latest_root: Mutex::default(),
            told_full: AtomicBool::new(false),
            end: OnceLock::new(),
            ended: Notify::new(),
        })
    }

    /// When a call that begins now has to be answered at the latest.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.limits.operation
    }

    /// Sends commands in one go and answers what Redis said to each, errors among it.
    ///
    /// # Cancel safety
    /// Dropped, the commands may be executed or not.
    pub(crate) async fn send(&self, commands: &Pipeline, deadline: Instant) -> Result<Vec<Reply>, Trouble> {
        self.by(deadline, self.wire.send(commands)).await
    }

    /// Sends one command and answers what Redis said, an error too.
    ///
    /// # Cancel safety
    /// Dropped, it may be executed or not.
    pub(crate) async fn ask(&self, command: Cmd) -> Result<Reply, Trouble> {
        self.by(self.deadline(), self.wire.ask(command)).await
    }

    /// Waits for what is answered to something that is to be sent.
    async fn by<T>(
        &self,
        deadline: Instant,
        answer: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Trouble> {
        self.check()?;
        let answer = tokio::time::timeout_at(deadline, answer).await;
        let answer = answer.unwrap_or(Err(Trouble::TimedOut)).map_err(|trouble| self.give_up(trouble))?;
        self.last_answer_ms.store(Clock::system().now_ms(), Ordering::Release);
        Ok(answer)
    }

    /// Notes that the server takes values.
    pub(super) fn has_room(&self) {
        self.told_full.store(false, Ordering::Release);
    }

    /// The root that was answered to what was sent at this time. One that is lost, or of another server, is for the next handshake
    /// to mend.
    pub(super) fn root(&self, answer: Reply, sent_ms: u64) -> Result<Root, Trouble> {
        let root = string(answer).map_err(|trouble| self.give_up(trouble))?;
        let root = root.as_deref().and_then(Root::parse);
        let root = root.filter(|root| root.incarnation == self.identity.incarnation);
        let is_lost = || self.give_up(Trouble::Away("its root is lost, or of another server".to_owned()));
        let root = root.ok_or_else(is_lost)?;
        self.tie.heard(root.era, sent_ms);
        *self.latest_root.lock() = Some(root);
        Ok(root)
    }

    /// What the root was when it was last answered; it may be another one by now.
    pub(super) fn latest_root(&self) -> Option<Root> {
        *self.latest_root.lock()
    }

    /// Whether it was not given up yet.
    pub(crate) fn has_not_ended(&self) -> Result<(), Trouble> {
        match self.end.get() {
            None => Ok(()),
            Some(Trouble::Away(why)) => Err(Trouble::Away(why.clone())),
            Some(trouble) => Err(Trouble::Away(trouble.to_string())),
        }
    }

    /// Whether it may be used. Whatever is sent asks.
    pub(crate) fn check(&self) -> Result<(), Trouble> {
        self.has_not_ended()?;
        let silent_ms = Clock::system().now_ms().saturating_sub(self.last_answer_ms.load(Ordering::Acquire));
        if silent_ms > self.limits.silence_ms {
            return Err(self.give_up(Trouble::Away(format!("it has said nothing for {silent_ms} ms"))));
        }
        Ok(())
    }

    /// Gives the connection up, for the first reason there is, and answers this one.
    pub(crate) fn give_up(&self, trouble: Trouble) -> Trouble {
        self.end.get_or_init(|| trouble.clone());
        self.tie.end();
        self.ended.notify_one(); // its supervisor waits, now or later
        trouble
    }

    /// Hands an answer on; one that casts doubt on the connection gives it up. That the server is full is logged once.
    pub(crate) fn believe<T>(&self, answer: Result<T, Trouble>) -> Result<T, Trouble> {
        if let Err(Trouble::Full) = answer
            && !self.told_full.swap(true, Ordering::AcqRel)
        {
            tracing::warn!("{}", Trouble::Full);
        }
        answer.map_err(|trouble| if trouble.is_of_the_connection() { self.give_up(trouble) } else { trouble })
    }

    /// Waits until it is given up, and answers why.
    ///
    /// # Cancel safety
    /// Nothing is lost: it can be asked again.
    pub(super) async fn ended(&self) -> Trouble {
        loop {
            let ended = self.ended.notified();
            if let Some(trouble) = self.end.get() {
                return trouble.clone();
            }
            ended.await;
        }
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("identity", &self.identity)
            .field("end", &self.end.get())
            .finish_non_exhaustive()
    }
}
