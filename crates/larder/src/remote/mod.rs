//! The tier in Redis: bytes that other processes see, behind a connection that often fails.
//!
//! Whoever loads has left a lease under the name, or seen whose lease or value is there, and fills in by comparing: what was
//! removed meanwhile is not there to compare with. A removal is a plain `UNLINK`, by us or by anybody.

mod fill;
mod link;
mod names;
mod read;
mod root;
mod script;
mod settings;
mod supervisor;
mod trouble;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use redis::Pipeline;

use fill::Fill;
use link::Link;
use read::{Ask, Capture, Found, Seen};
use settings::Redis;
use supervisor::Supervisor;
use trouble::{Trouble, integer};

use crate::clock::Clock;
use crate::entry::Word;
use crate::error::Error;
use crate::key::Tag;

/// How many commands one pipeline holds at most; more are sent in several.
const MAX_PIPELINE: usize = 1_000;

/// The tier.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    supervisor: Arc<Supervisor>,
    clock: Clock,
}

impl Remote {
    /// Nothing is connected before [`run`](Self::run).
    pub(crate) fn new(redis: &Redis, clock: Clock) -> Result<Self, Error> {
        Ok(Remote { supervisor: Arc::new(Supervisor::new(redis, clock.clone())?), clock })
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

    /// What lies under a name. What is foreign to a reader who loads is removed, and the name is asked for again.
    ///
    /// # Cancel safety
    /// A lease may have been left behind.
    pub(crate) async fn read(&self, ask: Ask<'_>) -> Result<Seen, Trouble> {
        let link = self.supervisor.link()?;
        let names = self.supervisor.names();
        let seen = read::read(&link, names, ask, self.clock.now_ms()).await?;
        if seen.found != Found::Foreign || ask.intent != read::Intent::Load {
            return Ok(seen);
        }
        let mut heal = Pipeline::new();
        heal.cmd("UNLINK").arg(&*names.entry(ask.name));
        link.send(&heal, link.deadline()).await?;
        read::read(&link, names, ask, self.clock.now_ms()).await
    }

    /// Turns what has this word into a lease, so that one caller in all processes loads. `None` if it has changed meanwhile.
    ///
    /// # Cancel safety
    /// A lease may have been left behind.
    pub(crate) async fn lease_over(
        &self,
        name: &str,
        word: Word,
        capture: &Capture,
    ) -> Result<Option<Word>, Trouble> {
        fill::lease_over(self.supervisor.names(), name, word, capture).await
    }

    /// Fills a loaded value in, if what is there still has the word that its loader saw. Answers whether it has been.
    ///
    /// # Cancel safety
    /// It may have been filled in or not.
    pub(crate) async fn fill(&self, fill: Fill<'_>) -> Result<bool, Trouble> {
        fill::fill(self.supervisor.names(), fill, self.clock.now_ms()).await
    }

    /// Takes a lease back for which nothing will be filled in. Answers whether it was still there.
    ///
    /// # Cancel safety
    /// It may have been taken back or not.
    pub(crate) async fn release(&self, name: &str, word: Word, capture: &Capture) -> Result<bool, Trouble> {
        fill::release(self.supervisor.names(), name, word, capture).await
    }

    /// Removes names and invalidates tags, in one round trip for each [`MAX_PIPELINE`] of them. Answers how many keys were
    /// there, leases among them.
    ///
    /// # Errors
    /// Without an answer to each, nobody knows what is removed, and this process owes a new era: it serves nothing from Redis
    /// before it has begun one.
    ///
    /// # Cancel safety
    /// Dropped before its answer, it owes the new era too.
    pub(crate) async fn remove(&self, names: &[&str], tags: &[Tag]) -> Result<u64, Trouble> {
        let owing = Owing(Some(&self.supervisor));
        let link = self.supervisor.link()?;
        let of = self.supervisor.names();
        let entries = names.iter().map(|name| of.entry(name).into_owned());
        let keys: Vec<String> = entries.chain(tags.iter().map(|tag| of.tag(*tag))).collect();
        let mut removed = 0;
        for keys in keys.chunks(MAX_PIPELINE) {
            let mut commands = Pipeline::with_capacity(keys.len());
            for key in keys {
                commands.cmd("UNLINK").arg(key);
            }
            for answer in link.send(&commands, link.deadline()).await? {
                removed += link.believe(integer(&answer))?.unsigned_abs();
            }
        }
        owing.paid();
        Ok(removed)
    }
}

/// A removal whose outcome is not known yet.
struct Owing<'a>(Option<&'a Supervisor>);

impl Owing<'_> {
    fn paid(mut self) {
        self.0 = None;
    }
}

impl Drop for Owing<'_> {
    fn drop(&mut self) {
        if let Some(supervisor) = self.0 {
            supervisor.owe();
        }
    }
}
