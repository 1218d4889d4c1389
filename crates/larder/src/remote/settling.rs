//! What has to happen before a connection is served from: whether the era may be kept is asked, what is owed is paid, and the root is
//! put in.

use std::sync::Arc;

use redis::{Pipeline, cmd};

use super::doubt::{Doubt, Verdict};
use super::link::Link;
use super::removal::unlink;
use super::reply::Reply;
use super::root::{Incarnation, Root};
use super::script::NEW_ROOT;
use super::supervisor::Supervisor;
use super::trouble::{Trouble, integer, string};
use crate::entry::Era;

/// How often a root that others change meanwhile is looked at anew within a handshake.
const ROOT_ATTEMPTS: usize = 3;

impl Supervisor {
    /// Sees to it that nothing is served of what may not be, and lets everybody use the connection.
    pub(super) async fn settle(&self, link: &Arc<Link>, paid: &mut u64) -> Result<(), Trouble> {
        loop {
            let owed = self.owed.ever();
            let verdict = self.verdict(link).await?;
            // To whichever life it is: where its era is kept, nothing of what was owed is left there.
            let keys = self.owed.keys();
            let mut wants_an_era = self.owed.is_an_era(*paid);
            match unlink(link, &keys).await {
                Ok(_removed) => self.owed.acknowledged(keys),
                // What this user may not remove, a new era does.
                Err(Trouble::Forbidden(_)) => wants_an_era = true,
                Err(trouble) => return Err(trouble),
            }
            let life = link.identity.incarnation;
            wants_an_era |= verdict.is_none() && !self.is_the_last_life(life);
            let settled = self.settle_root(link, wants_an_era, verdict).await;
            let era = settled.inspect_err(|trouble| drop(link.give_up(trouble.clone())))?;
            if wants_an_era {
                self.owed.cleared();
            }
            self.front.reconnected(era);
            *self.last_life.lock() = Some(life);
            *paid = owed;
            self.owed.pay(owed);
            if self.publish(link, owed) {
                return Ok(());
            }
        }
    }

    /// Whether no other life was served from since this one, or none at all.
    fn is_the_last_life(&self, life: Incarnation) -> bool {
        self.last_life.lock().is_none_or(|last| last == life)
    }

    /// Asks whoever knows of every change whether this life of a server has heard of them. Without anybody who does, one that is not the
    /// root's has not.
    async fn verdict(&self, link: &Arc<Link>) -> Result<Option<Verdict>, Trouble> {
        if self.doubts.is_none() && !self.owed.is_sole() {
            return Ok(None);
        }
        let mut ask = Pipeline::with_capacity(2);
        ask.add_command(self.get_root()).cmd("GETEX").arg(self.names.watermark());
        let answers = link.send(&ask, link.deadline()).await?;
        let [root, watermark]: [Reply; 2] = answers.try_into().map_err(|_other| Trouble::Garbled)?;
        // Of what has lost its root nothing is left to vouch for.
        let root = string(root).ok().flatten().and_then(|root| Root::parse(&root));
        let watermark = string(watermark).ok().flatten().filter(|_| root.is_some());
        let Some(doubts) = &self.doubts else {
            let life = link.identity.incarnation;
            let is_same = root.is_some_and(|root| root.incarnation == life)
                && self.last_life.lock().is_some_and(|last| last == life);
            let lost = if is_same { Some(Vec::new()) } else { self.owed.since(watermark.as_deref()) };
            unlink(link, lost.as_deref().unwrap_or_default()).await?;
            let Some((last, watermark)) = self.owed.any_mark() else { return Ok(None) };
            self.owed.marked(last);
            return Ok(Some(Verdict { keeps: lost.is_some(), watermark }));
        };
        let (doubt, verdict) = Doubt::new(Arc::clone(link), watermark);
        let nobody = |_closed| Trouble::Away("whoever knows of the changes has ended".to_owned());
        doubts.send(doubt).await.map_err(|closed| nobody(closed.to_string()))?;
        verdict.await.map(Some).map_err(|closed| nobody(closed.to_string()))
    }

    /// Sees to it that the root is of this incarnation, and that a new era begins where one has to: where one is owed, where the verdict
    /// says so, and without a verdict in another incarnation than the root's.
    async fn settle_root(
        &self,
        link: &Link,
        mut owed: bool,
        verdict: Option<Verdict>,
    ) -> Result<Era, Trouble> {
        let incarnation = link.identity.incarnation;
        let (keeps, watermark) = match verdict {
            None => (false, None),
            Some(Verdict { keeps, watermark }) => {
                owed |= !keeps;
                (keeps, Some(watermark))
            }
        };
        let mut seen = None;
        for _ in 0..ROOT_ATTEMPTS {
            let there = match string(link.ask(self.get_root()).await?) {
                Err(Trouble::WrongType) => {
                    link.ask(cmd("UNLINK").arg(self.names.root()).take()).await?;
                    continue;
                }
                there => there?,
            };
            let root = there.as_deref().and_then(Root::parse).filter(|_| incarnation.is_known());
            let era = root.map(|root| root.era);
            // Somebody else began an era, after what is owed.
            owed &= *seen.get_or_insert(era) == era;
            let new = match root {
                Some(root) if !owed && root.incarnation == incarnation => root,
                Some(root) if !owed && keeps => Root { incarnation, ..root },
                _ => Root::new(incarnation),
            };
            let put = if root == Some(new) {
                true
            } else {
                let mut put = NEW_ROOT.on(&[self.names.root()]);
                put.arg(there.unwrap_or_default()).arg(&new.to_bytes()[..]);
                integer(&link.ask(put).await?)? == 1
            };
            if put {
                if let Some(watermark) = watermark {
                    self.mark(link, &watermark).await?;
                }
                return Ok(new.era);
            }
        }
        Err(Trouble::Refused("its root is changed all the time".to_owned()))
    }
}
