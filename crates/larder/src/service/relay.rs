//! The side of a cache that a relay drives: whoever reads a record of all changes, which lies with the data, and passes them on.
//!
//! Without Redis each process is a node of its own. It serves what it has only while the relay tells it of what others change
//! ([`Round`]), and a second after the last word at the latest nothing is served any more. Over Redis a life of the server that was
//! reached anew is not served from until the relay has made up for what it may not have heard of ([`Suspect`]).

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use super::removal::{Glob, glob_of};
use super::{CacheService, Inner, Invalidation};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::key::Tags;
use crate::lease::{Lease, STALENESS_MS};
use crate::remote::{Doubt, Link, Remote, Trouble};
use crate::stats::Count;

/// What a service keeps of the relay that drives it.
#[derive(Debug)]
pub(crate) struct Relayed {
    /// Until when what is in this process may be served, without Redis.
    lease: Arc<Lease>,
    /// How many times somebody has asked to be told of all that is recorded by then.
    asked: watch::Sender<u64>,
    /// Up to which of those everything was told.
    heard: watch::Sender<u64>,
    /// Lives of a server that are not trusted yet; until a relay takes them.
    doubts: Mutex<Option<mpsc::Receiver<Doubt>>>,
}

impl Relayed {
    /// With where a connection asks whether it may be trusted.
    pub(crate) fn new() -> (mpsc::Sender<Doubt>, Relayed) {
        let (ask, doubts) = mpsc::channel(1);
        let (lease, asked, heard) = Default::default();
        (ask, Relayed { lease, asked, heard, doubts: Mutex::new(Some(doubts)) })
    }

    pub(super) fn lease(&self) -> &Arc<Lease> {
        &self.lease
    }

    /// Waits until all is told that is recorded now.
    pub(super) async fn sync(&self) -> Result<(), Error> {
        let mut ticket = 0;
        self.asked.send_modify(|asked| {
            *asked += 1;
            ticket = *asked;
        });
        let mut heard = self.heard.subscribe();
        let heard = heard.wait_for(|heard| *heard >= ticket);
        match tokio::time::timeout(Duration::from_millis(STALENESS_MS), heard).await {
            Ok(Ok(_)) => Ok(()),
            _ => {
                self.lease.close();
                let message = "the relay has not looked at what is recorded; see that the outbox is started, and its log";
                Err(Error::new(ErrorKind::Unavailable, message))
            }
        }
    }
}

/// Where the entries of a cache are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Place {
    /// Nowhere: the cache is switched off.
    Nowhere,
    /// In this process.
    InProcess,
    /// In Redis.
    Redis,
}

/// Which life of which server has executed a removal, in a short form for records: another one may have lost it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Incarnation(u64);

impl Incarnation {
    /// Eight bytes that stand for it.
    pub fn as_u64(self) -> u64 {
        self.0
    }

    /// The one that these stand for.
    pub fn from_u64(digest: u64) -> Self {
        Incarnation(digest)
    }
}

/// What a relay drives of a cache that was built to be [`relayed`](crate::Builder::relayed).
pub struct Relay {
    inner: Arc<Inner>,
    doubts: tokio::sync::Mutex<mpsc::Receiver<Doubt>>,
    asked: tokio::sync::Mutex<watch::Receiver<u64>>,
}

/// One look at what is recorded, from before it until all of it is passed on.
#[derive(Debug)]
#[must_use = "what was told is known only when the round has ended"]
pub struct Round {
    began_ms: u64,
    ticket: u64,
}

/// A life of a server that was reached and from which nothing is served yet. Dropped without a word, it is given up, and asked
/// about again when there is another connection.
pub struct Suspect {
    inner: Arc<Inner>,
    doubt: Doubt,
    begins_an_era: bool,
}

impl CacheService {
    /// What a relay drives; `None` if the cache was not built to be [`relayed`](crate::Builder::relayed), or has a relay already.
    pub fn relay(&self) -> Option<Relay> {
        let relayed = self.inner.relayed.as_ref()?;
        let doubts = relayed.doubts.lock().take()?;
        let asked = relayed.asked.subscribe().into();
        Some(Relay { inner: Arc::clone(&self.inner), doubts: doubts.into(), asked })
    }
}

impl Relay {
    /// Where the entries are.
    pub fn place(&self) -> Place {
        match &self.inner.remote {
            _ if self.inner.settings.bypass => Place::Nowhere,
            None => Place::InProcess,
            Some(_) => Place::Redis,
        }
    }

    /// Begins to look at what is recorded. To be called before it.
    pub fn begin(&self) -> Round {
        let ticket = self.inner.relayed.as_ref().map_or(0, |relayed| *relayed.asked.borrow());
        Round { began_ms: Clock::system().now_ms(), ticket }
    }

    /// Notes that all is passed on that was recorded when the round began: what is in this process may be served for a second
    /// from then on.
    pub fn end(&self, Round { began_ms, ticket }: Round) {
        if let Some(relayed) = &self.inner.relayed {
            relayed.lease.extend(began_ms);
            relayed.heard.send_if_modified(|heard| {
                let more = ticket > *heard;
                *heard = ticket.max(*heard);
                more
            });
        }
    }

    /// Waits until somebody [asks](CacheService::sync) to be told of all that is recorded.
    ///
    /// # Cancel safety
    /// Nothing is lost: a round that begins later answers it.
    pub async fn asked(&self) {
        if self.asked.lock().await.changed().await.is_err() {
            std::future::pending::<()>().await; // the service has ended, and nobody asks any more
        }
    }

    /// Waits for a life of a server that is reached and not trusted yet.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn suspect(&self) -> Suspect {
        match self.doubts.lock().await.recv().await {
            Some(doubt) => Suspect { inner: Arc::clone(&self.inner), doubt, begins_an_era: false },
            None => std::future::pending().await, // there is no Redis, or nobody connects to it any more
        }
    }

    /// Forgets everything in this process: what was recorded is not known whole.
    pub fn forget(&self) {
        self.inner.local.clear();
    }

    /// Removes what a change of this process made untrue, right after it is committed. It is counted. Answers which life of a server did
    /// it, where one did and says who it is.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) if Redis did not do it, or nobody knows. Nothing is owed for it: whoever has the record
    /// repeats it.
    ///
    /// # Cancel safety
    /// Dropped before its end, it may have removed all, some or nothing.
    pub async fn announce(&self, changed: &Invalidation) -> Result<Option<Incarnation>, Error> {
        changed.names.iter().for_each(|name| self.inner.count(name, Count::Delete));
        changed.tags.iter().for_each(|_| self.inner.count_tag());
        changed.patterns.iter().for_each(|glob| self.inner.count(glob, Count::Delete));
        self.apply(changed).await
    }

    /// Removes what a change made untrue that is read from the record, of whichever process. Everything else is as for
    /// [`announce`](Self::announce).
    ///
    /// # Errors
    /// As for [`announce`](Self::announce).
    ///
    /// # Cancel safety
    /// As for [`announce`](Self::announce).
    pub async fn apply(&self, changed: &Invalidation) -> Result<Option<Incarnation>, Error> {
        match &self.inner.remote {
            None => {
                self.inner.apply_here(changed).await;
                Ok(None)
            }
            Some(remote) => {
                // Whoever vouches for a suspect life begins the era for it.
                let link = if changed.everything { remote.link()? } else { remote.link_for_removal()? };
                if changed.everything {
                    remote.apply_clear(&link).await?;
                }
                match self.inner.apply_over(remote, &link, changed).await {
                    // What this user may not remove by its name, a new era does.
                    Err(Trouble::Forbidden(_)) if !changed.everything => {
                        let link = remote.link()?;
                        remote.apply_clear(&link).await?;
                        Ok(incarnation(&link))
                    }
                    Ok(()) | Err(Trouble::Forbidden(_)) => Ok(incarnation(&link)),
                    Err(trouble) => Err(trouble.into()),
                }
            }
        }
    }

    /// Notes in Redis up to where every change of the record has been heard of by this life of a server. Answers whether it is still
    /// that one.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) if Redis did not do it, or nobody knows.
    ///
    /// # Cancel safety
    /// It may be noted or not.
    pub async fn mark(&self, life: Incarnation, watermark: &[u8]) -> Result<bool, Error> {
        let Some(remote) = &self.inner.remote else { return Ok(false) };
        let link = remote.link_for_removal()?;
        if incarnation(&link) != Some(life) {
            return Ok(false);
        }
        remote.mark(&link, watermark).await?;
        Ok(true)
    }
}

fn incarnation(link: &Link) -> Option<Incarnation> {
    link.identity.incarnation.digest().map(Incarnation)
}

impl Suspect {
    /// Which life of which server it is; `None` if it does not say.
    pub fn incarnation(&self) -> Option<Incarnation> {
        incarnation(&self.doubt.link)
    }

    /// What was last [noted](Relay::mark) there; `None` if nothing is left of what it was true of, so that a new era begins in
    /// any case.
    pub fn watermark(&self) -> Option<&[u8]> {
        self.doubt.watermark.as_deref()
    }

    /// Removes there what a change made untrue. Everything is removed by the era that begins with the verdict, and by nothing before it.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) if it did not do it, or nobody knows; this connection is of no more use then.
    ///
    /// # Cancel safety
    /// Dropped before its end, it may have removed all, some or nothing.
    pub async fn apply(&mut self, changed: &Invalidation) -> Result<(), Error> {
        self.begins_an_era |= changed.everything;
        let Some(remote) = &self.inner.remote else { return Ok(()) };
        match self.inner.apply_over(remote, &self.doubt.link, changed).await {
            Err(Trouble::Forbidden(_)) => {
                self.begins_an_era = true;
                Ok(())
            }
            applied => Ok(applied?),
        }
    }

    /// Whether a new era begins with the verdict, whatever it is: what was applied said so. Until then it is not executed.
    pub fn begins_an_era(&self) -> bool {
        self.begins_an_era
    }

    /// It has heard of every change, up to the watermark and beyond: what is there is served again.
    pub fn confirm(self, watermark: &[u8]) {
        self.doubt.end(!self.begins_an_era, watermark.to_vec());
    }

    /// Nobody knows what it has heard of: a new era begins, in which nothing that is there is a hit.
    pub fn begin_era(self, watermark: &[u8]) {
        self.doubt.end(false, watermark.to_vec());
    }
}

impl Inner {
    /// Removes in this process.
    async fn apply_here(&self, changed: &Invalidation) {
        if changed.everything {
            self.local.clear();
        }
        for name in &changed.names {
            self.local.remove(self.local.name(name), self.now_ms());
        }
        changed.tags.iter().for_each(|tag| self.local.invalidate(*tag));
        for glob in &changed.patterns {
            match self.kind_of(glob) {
                Glob::Name(name) => drop(self.local.remove(self.local.name(name), self.now_ms())),
                Glob::Scope(tag) => self.local.invalidate(tag),
                Glob::Pattern(pattern) => {
                    let (ControlFlow::Break(_) | ControlFlow::Continue(_)) =
                        self.remove_matching(pattern, None).await;
                }
            }
        }
    }

    /// Removes over this connection; of everything, what no era ends.
    async fn apply_over(
        &self,
        remote: &Remote,
        link: &Arc<Link>,
        changed: &Invalidation,
    ) -> Result<(), Trouble> {
        let mut names: Vec<&str> = changed.names.iter().map(String::as_str).collect();
        let mut tags: Tags = changed.tags.clone();
        let mut globs = Vec::new();
        for glob in &changed.patterns {
            match self.kind_of(glob) {
                Glob::Name(name) => names.push(name),
                Glob::Scope(tag) => tags.push(tag),
                Glob::Pattern(_) => globs.push((glob.clone(), None)),
            }
        }
        if changed.everything {
            let raw = self.registry.spaces().filter(|space| space.raw).map(|space| space.template);
            globs.extend(raw.map(|template| (glob_of(template), Some(template))));
        }
        if !names.is_empty() || !tags.is_empty() {
            remote.apply(link, &names, &tags).await?;
        }
        for (glob, template) in globs {
            let is_meant = |name: &str| {
                template.is_none_or(|template| {
                    self.registry.owner(name).is_some_and(|owner| owner.template == template)
                })
            };
            remote.apply_matching(link, &glob, is_meant).await?;
        }
        Ok(())
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("place", &self.place()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Suspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suspect").field("doubt", &self.doubt).finish_non_exhaustive()
    }
}
