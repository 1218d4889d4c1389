//! The tier in Redis: bytes that other processes see, behind a connection that often fails.
//!
//! Whoever loads has left a lease under the name, or seen whose lease or value is there, and fills in by comparing: what was
//! removed meanwhile is not there to compare with. A removal is a plain `UNLINK`, by us or by anybody.

mod address;
mod doubt;
mod fill;
mod front;
mod gather;
mod left_behind;
mod link;
mod names;
mod owed;
mod read;
mod removal;
mod reply;
mod root;
mod script;
mod settings;
mod settling;
mod sizes;
mod spending;
mod supervisor;
mod trouble;
mod wire;
mod write;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

pub(crate) use doubt::Doubt;
pub(crate) use fill::{Fresh, Settled};
pub(crate) use front::{Copying, Front, Watch};
use gather::Question;
use left_behind::LeftBehind;
pub(crate) use link::Link;
#[cfg(any(test, fuzzing))]
pub(crate) use names::{Names, is_namespace};
use read::Reading;
pub(crate) use read::{Ask, Capture, Found, Intent, Seen};
use removal::{Changes, Owing, RemoveUnlessTold};
#[cfg(any(test, fuzzing))]
pub(crate) use reply::{Stop, parse as parse_reply};
#[cfg(any(test, fuzzing))]
pub(crate) use root::Root;
pub use settings::Redis;
pub(crate) use spending::Spent;
use supervisor::Supervisor;
pub(crate) use trouble::Trouble;
use trouble::{integer, string, text};
pub(crate) use write::Succeeded;

use crate::ablation::Ablations;
use crate::clock::Clock;
use crate::entry::Word;
use crate::error::Error;
use crate::key::Tag;
use crate::local::Local;
use crate::policy::Ttl;
use crate::tasks::Errands;

/// How many commands one pipeline holds at most; more are sent in several.
const MAX_PIPELINE: usize = 1_000;

/// 3 seconds: how long another connection is waited for, to give something back over it.
const RECONNECTION: Duration = Duration::from_secs(3);

/// The tier.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    supervisor: Arc<Supervisor>,
    clock: Clock,
    errands: Arc<Errands>,
    rules_out: Ablations,
}

/// What Redis says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// Its answer to INFO; empty where this user may not ask.
    pub(crate) info: String,
    pub(crate) round_trip: Duration,
    /// Whether it says which server it is.
    pub(crate) is_known: bool,
    /// Whether it tells of changes, or nobody wants to know.
    pub(crate) tells_of_changes: bool,
}

impl Report {
    /// One field of INFO.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        root::field(&self.info, name)
    }
}

impl Remote {
    /// Nothing is connected before [`run`](Self::run). Whoever takes the doubts decides whether a life of a server may be trusted.
    pub(crate) fn new(
        redis: &Redis,
        local: Arc<Local>,
        clock: Clock,
        errands: Arc<Errands>,
        doubts: Option<mpsc::Sender<Doubt>>,
        rules_out: Ablations,
    ) -> Result<Self, Error> {
        let supervisor =
            Supervisor::new(redis, local, clock.clone(), Arc::clone(&errands), doubts, rules_out)?;
        let supervisor = Arc::new(supervisor);
        Ok(Remote { supervisor, clock, errands, rules_out })
    }

    /// The copies in this process.
    pub(crate) fn front(&self) -> &Arc<Front> {
        self.supervisor.front()
    }

    /// What is run to its end whoever goes away.
    pub(crate) fn errands(&self) -> &Errands {
        &self.errands
    }

    /// Keeps a connection, for ever. To be run as a task of the service.
    ///
    /// # Cancel safety
    /// The connection is given up with it.
    pub(crate) async fn run(self) {
        self.supervisor.run().await;
    }

    /// Waits until there is a connection.
    ///
    /// # Cancel safety
    /// Nothing has happened.
    pub(crate) async fn ready(&self) -> Arc<Link> {
        self.supervisor.ready().await
    }

    /// Waits until all that Redis had to tell of changes by now is told.
    ///
    /// # Cancel safety
    /// It changes nothing.
    pub(crate) async fn sync(&self) -> Result<(), Trouble> {
        let heard = async {
            let link = self.supervisor.link()?;
            read::capture(&link, self.supervisor.names(), &[]).await.map(|_| link)
        };
        let link = heard.await.inspect_err(|_| self.front().close())?;
        if !link.identity.is_tracked {
            self.front().cleared(); // nobody tells this process of anything
        }
        Ok(())
    }

    /// Waits as long for a connection as it is worth, to give something back over it: what is not given back ends with its time.
    ///
    /// # Cancel safety
    /// Nothing has happened.
    pub(crate) async fn ready_soon(&self) -> bool {
        tokio::time::timeout(RECONNECTION, self.ready()).await.is_ok()
    }

    /// What lies under a name. What is foreign to a reader who loads is removed, and the name is asked for again.
    ///
    /// # Cancel safety
    /// A lease that was left is taken back.
    pub(crate) async fn read(&self, ask: Ask<'_>) -> Result<Seen, Trouble> {
        let link = self.supervisor.link()?;
        let seen =
            read::read(&link, self.supervisor.names(), ask, self.clock.now_ms(), self.rules_out).await?;
        if seen.found != Found::Foreign || ask.intent != Intent::Load {
            Ok(seen)
        } else {
            Box::pin(self.heal(&link, ask)).await
        }
    }

    /// Removes what is foreign, and asks again.
    async fn heal(&self, link: &Arc<Link>, ask: Ask<'_>) -> Result<Seen, Trouble> {
        let names = self.supervisor.names();
        let heal = redis::cmd("UNLINK").arg(&*names.entry(ask.name)).take();
        link.believe(integer(&link.ask(heal).await?))?;
        let seen = read::read(link, names, ask, self.clock.now_ms(), self.rules_out).await?;
        Ok(Seen { healed: true, ..seen })
    }

    /// What lies under several names, asked together: in one round trip, and in another where entries name other tags than were asked
    /// for. The answers are in their order.
    ///
    /// # Cancel safety
    /// Leases that were left are taken back.
    pub(crate) async fn read_many(&self, asks: &[Ask<'_>]) -> Vec<Result<Seen, Trouble>> {
        let link = match self.supervisor.link() {
            Ok(link) => link,
            Err(trouble) => return asks.iter().map(|_| Err(trouble.clone())).collect(),
        };
        let (names, now_ms) = (self.supervisor.names(), self.clock.now_ms());
        let mut seen: Vec<Result<Seen, Trouble>> = asks.iter().map(|_| Err(Trouble::Garbled)).collect();
        let mut left = LeftBehind::new(&link);
        let mut readings: Vec<_> = asks.iter().map(|ask| Reading::new(*ask, names)).enumerate().collect();
        while !readings.is_empty() {
            readings.iter_mut().for_each(|(_, reading)| reading.begin(&link.tie.front));
            let questions = readings.iter().map(|(_, reading)| reading.question(self.rules_out));
            let questions: Vec<Question<'_>> = questions.collect();
            let leases: Vec<Option<Word>> =
                questions.iter().map(|question| Some(question.lease()?.1)).collect();
            let answers = gather::ask_together(&link, names, questions).await;
            let answered = std::mem::take(&mut readings).into_iter().zip(leases).zip(answers);
            for (((at, mut reading), lease), answer) in answered {
                match reading.understand(&link, lease, answer, now_ms, self.rules_out).transpose() {
                    Some(told) => {
                        if let Ok(Seen { found: Found::Granted(word), .. }) = told {
                            left.add(reading.key(), word);
                        }
                        seen[at] = told;
                    }
                    // A guess that fell short, or a server that is full.
                    None => readings.push((at, reading)),
                }
            }
        }
        for (ask, seen) in asks.iter().zip(&mut seen) {
            if ask.intent == Intent::Load && seen.as_ref().is_ok_and(|seen| seen.found == Found::Foreign) {
                *seen = Box::pin(self.heal(&link, *ask)).await;
                if let Ok(Seen { found: Found::Granted(word), .. }) = seen {
                    left.add(&names.entry(ask.name), *word);
                }
            }
        }
        left.told();
        seen
    }

    /// The bytes under a name, as they are.
    ///
    /// # Cancel safety
    /// It changes nothing.
    pub(crate) async fn read_raw(&self, name: &str) -> Result<Option<Bytes>, Trouble> {
        let link = self.supervisor.link()?;
        let get = redis::cmd("GETEX").arg(&*self.supervisor.names().entry(name)).take();
        link.believe(string(link.ask(get).await?)).map(|bytes| bytes.map(Bytes::from))
    }

    /// Sets bytes as they are; with `absent`, only where there is nothing. Answers whether it did.
    ///
    /// # Cancel safety
    /// It may have been set or not.
    pub(crate) async fn put_raw(
        &self,
        name: &str,
        bytes: &[u8],
        ttl: Ttl,
        absent: bool,
    ) -> Result<bool, Trouble> {
        let _changes = Changes::of(self.front(), slice::from_ref(&name), &[]);
        let link = self.supervisor.link()?;
        write::put_raw(&link, &self.supervisor.names().entry(name), bytes, fill::life_of(ttl), absent).await
    }

    /// Captures other tags for a load that begins now, over the connection of an earlier capture.
    ///
    /// # Cancel safety
    /// It changes nothing that anybody sees.
    pub(crate) async fn capture_again(
        &self,
        earlier: &Capture,
        tags: &[Tag],
    ) -> Result<Arc<Capture>, Trouble> {
        read::capture(&earlier.link, self.supervisor.names(), tags).await
    }

    /// What Redis says of itself.
    ///
    /// # Cancel safety
    /// It changes nothing.
    pub(crate) async fn report(&self) -> Result<Report, Trouble> {
        let link = self.supervisor.link()?;
        let since = tokio::time::Instant::now();
        let answer = link.ask(redis::cmd("INFO")).await?;
        let round_trip = since.elapsed();
        let info = match link.believe(text(answer)) {
            Err(Trouble::Forbidden(_)) => String::new(),
            info => info?,
        };
        let (is_known, is_tracked) = (link.identity.incarnation.is_known(), link.identity.is_tracked);
        Ok(Report { info, round_trip, is_known, tells_of_changes: is_tracked || !self.front().keeps() })
    }

    /// Turns what has this word into a lease, so that one caller in all processes loads, and captures anew what is in force of
    /// these tags. `None` if it has changed meanwhile.
    ///
    /// # Cancel safety
    /// A lease may have been left behind.
    pub(crate) async fn lease_over(
        &self,
        name: &str,
        old: Word,
        lease: (Word, &Capture),
        tags: &[Tag],
    ) -> Result<Option<Arc<Capture>>, Trouble> {
        fill::lease_over(self.supervisor.names(), name, old, lease, tags).await
    }

    /// The word of a lease that nobody has had before.
    pub(crate) fn new_lease(&self, name: &str) -> Word {
        Word::lease(read::new_generation(name, self.rules_out))
    }

    /// Fills a loaded value in, if what is there still has the word that its loader saw.
    ///
    /// # Cancel safety
    /// It may have been filled in or not.
    pub(crate) async fn fill(
        &self,
        name: &str,
        seen: (Word, &Capture),
        tags: &[Tag],
        fresh: Fresh<'_>,
    ) -> Result<Settled, Trouble> {
        fill::fill(self.supervisor.names(), name, seen, tags, fresh, self.clock.now_ms(), self.rules_out)
            .await
    }

    /// Takes a lease back for which nothing will be filled in, and says whether what was captured of these tags still holds.
    ///
    /// # Cancel safety
    /// It may have been taken back or not.
    pub(crate) async fn release(
        &self,
        name: &str,
        seen: (Word, &Capture),
        tags: &[Tag],
    ) -> Result<Settled, Trouble> {
        if seen.1.link.check().is_err() {
            // The word is like no other, so that it may be compared anywhere; what was captured can no longer be.
            let link = self.supervisor.link()?;
            let done = fill::release_over(&link, self.supervisor.names(), name, seen.0).await?;
            return Ok(Settled { done, current: false });
        }
        fill::release(self.supervisor.names(), name, seen, tags).await
    }

    /// Takes the load over from a holder that is taken to be gone, for so long. Answers whether this caller has it.
    ///
    /// # Cancel safety
    /// The claim may be held by nobody, for its time.
    pub(crate) async fn claim(&self, name: &str, seen: (Word, &Capture), ms: u64) -> Result<bool, Trouble> {
        fill::claim(self.supervisor.names(), name, seen, ms).await
    }

    /// Gives a claim back, so that another may load at once.
    ///
    /// # Cancel safety
    /// The claim may be held by nobody, for its time.
    pub(crate) async fn unclaim(&self, name: &str, word: Word) -> Result<(), Trouble> {
        fill::unclaim(&*self.supervisor.link()?, self.supervisor.names(), name, word).await.map(drop)
    }

    /// Removes a name if what it answers is dropped, since whoever was to do so has gone away.
    pub(crate) fn remove_unless_told<'r>(&'r self, name: &'r str) -> RemoveUnlessTold<'r> {
        RemoveUnlessTold::new(self, name)
    }

    /// Runs an operation to its end, whoever goes away.
    ///
    /// # Cancel safety
    /// The operation goes on; its result is lost.
    pub(crate) async fn to_the_end<T: Send + 'static>(
        &self,
        operation: impl Future<Output = Result<T, Trouble>> + Send + 'static,
    ) -> Result<T, Trouble> {
        self.errands.finish(operation).await.unwrap_or_else(|| Err(Trouble::ended()))
    }

    /// Sets a value whatever was there: the last set wins, and loads that are under way fill nothing in over it.
    ///
    /// # Cancel safety
    /// It may have been set or not.
    pub(crate) async fn put(&self, name: &str, tags: &[Tag], fresh: Fresh<'_>) -> Result<(), Trouble> {
        let _changes = Changes::of(self.front(), slice::from_ref(&name), &[]);
        let link = self.supervisor.link()?;
        write::put(&link, self.supervisor.names(), name, tags, fresh, self.clock.now_ms()).await
    }

    /// Sets a value that depends on what is needed and guessed, where what a look finds is not readable.
    /// Answers whether it did.
    ///
    /// # Cancel safety
    /// It may have been set or not.
    pub(crate) async fn put_absent(
        &self,
        ask: Ask<'_>,
        is_readable: impl Fn(&Found) -> bool,
        fresh: Fresh<'_>,
    ) -> Result<bool, Trouble> {
        let _changes = Changes::of(self.front(), slice::from_ref(&ask.name), &[]);
        let link = self.supervisor.link()?;
        write::put_absent(&link, self.supervisor.names(), ask, is_readable, fresh, self.clock.now_ms()).await
    }

    /// Puts a newer version of a row in place of an older one, with what that depends on and the length of its life. A newer
    /// one stays; anything else is removed, and loads that are under way fill nothing in.
    ///
    /// # Errors
    /// Without an answer, this process owes its removal, as for [`remove`](Self::remove).
    ///
    /// # Cancel safety
    /// Dropped before its answer, it owes that too.
    pub(crate) async fn succeed(
        &self,
        name: &str,
        version: u64,
        fresh: Fresh<'_>,
    ) -> Result<Succeeded, Trouble> {
        // Declared first, and so the last to end: what is owed ends the connection, and with it whoever reads meanwhile.
        let _changes = Changes::of(self.front(), slice::from_ref(&name), &[]);
        let key = self.supervisor.names().entry(name).into_owned();
        let owing = Owing::removal(&self.supervisor, vec![key]);
        let link = self.supervisor.link_for_removal()?;
        let now_ms = self.clock.now_ms().saturating_add_signed(link.identity.offset_ms);
        let succeeded = write::succeed(&link, self.supervisor.names(), name, version, fresh, now_ms).await?;
        owing.paid(&link);
        Ok(succeeded)
    }

    /// Takes the lock of this name with a token that nobody else has, if it is free, for at most so long. Answers whether it did;
    /// an error that [leaves it open](Trouble::leaves_open) may have taken it.
    ///
    /// # Cancel safety
    /// Dropped, it may have been taken or not.
    pub(crate) async fn lock(&self, name: &str, token: &[u8; 16], ttl: Ttl) -> Result<bool, Trouble> {
        write::lock(&self.supervisor.link()?, self.supervisor.names(), name, token, ttl).await
    }

    /// Gives a lock back, if this token still holds it. Answers whether it did.
    ///
    /// # Cancel safety
    /// It may have been given back or not.
    pub(crate) async fn unlock(&self, name: &str, token: &[u8; 16]) -> Result<bool, Trouble> {
        write::unlock(&self.supervisor.link()?, self.supervisor.names(), name, token).await
    }

    /// Takes up to `wanted` of a shared limit, each of which costs `interval_us`, while no more than `window_us` is owed.
    ///
    /// # Cancel safety
    /// They may have been taken or not.
    pub(crate) async fn spend(
        &self,
        digest: u128,
        interval_us: u64,
        window_us: u64,
        wanted: u32,
    ) -> Result<Spent, Trouble> {
        let link = self.supervisor.link()?;
        spending::spend(&link, self.supervisor.names(), digest, (interval_us, window_us, wanted)).await
    }
}
