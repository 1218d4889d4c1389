//! Waiting for the load of another process: one caller of this process asks Redis for all who wait here, and takes the load over
//! where its holder is taken to be gone.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::boarding::{Boarded, Told, Wanted};
use super::loading::{Grant, Hold, Lease};
use super::pace::Pause;
use super::{Inner, Read, Refusal, Source};
use crate::codec::Value;
use crate::entry::{Dependencies, Word};
use crate::flight::{Landed, Leader, Moment};
use crate::remote::{Trouble, Watch};
use crate::stats::Count;

/// A caller that waits for the load of another process.
pub(super) struct Waiting {
    leader: Leader,
    /// Told when what lies under the name changes, where this process is told of changes.
    watch: Option<Watch>,
    /// The interval that is being loaded in, and since when it is known.
    interval: Option<([u8; 8], Instant)>,
    since: Instant,
    pause: Pause,
}

/// How waiting ended.
pub(super) enum Ended<T> {
    /// With a value and what it depends on, for which Redis was asked after this moment.
    Found(Read<T>, Dependencies, Moment),
    /// With leave to load.
    Loads(Grant),
}

impl Inner {
    /// Waits behind a leader of this process that vanished.
    pub(super) fn wait_behind(&self, wanted: Wanted<'_>, leader: Leader) -> Waiting {
        Waiting::behind(leader, self.watch(wanted))
    }

    /// Watches a name that is registered by each question.
    pub(super) fn watch(&self, wanted: Wanted<'_>) -> Option<Watch> {
        self.remote.as_ref().filter(|_| wanted.plan.copies)?.front().watch(wanted.name.name)
    }

    /// Waits until another process has loaded, or leaves it to this caller: its holder gave the lease back, or is taken to be
    /// gone. `None` if a load of this process has come before, which there is to follow.
    pub(super) async fn wait<T: Value, E>(
        &self,
        wanted: Wanted<'_>,
        mut waiting: Waiting,
    ) -> Option<Boarded<T, E>> {
        loop {
            waiting.pause().await;
            if waiting.is_dissolved() {
                return None;
            }
            let has_waited = waiting.has_waited(self.settings.follow_limit);
            if let Some(ended) = self.look_again(wanted, &mut waiting, has_waited).await {
                return self.end_waiting(wanted, waiting, ended);
            }
        }
    }

    /// Asks Redis once for all who wait in this process; `None` if the load of the other process is still to be waited for, which it is not
    /// by who has waited as long as the limit.
    pub(super) async fn look_again<T: Value>(
        &self,
        wanted: Wanted<'_>,
        waiting: &mut Waiting,
        has_waited: bool,
    ) -> Option<Ended<T>> {
        let Some(remote) = &self.remote else { return Some(Ended::Loads(Grant::None(Refusal::Unavailable))) };
        let asked = self.flights.moment();
        let (word, capture) = match self.ask(remote, wanted).await {
            Told::Found(read, depends_on) => return Some(Ended::Found(read, depends_on, asked)),
            Told::Granted(lease) => return Some(Ended::Loads(Grant::Remote(lease))),
            Told::Nothing(refusal) => return Some(Ended::Loads(wanted.plan.grant_of(refusal))),
            Told::Again if !has_waited => return None,
            Told::Again => return Some(Ended::Loads(Grant::None(Refusal::Superseded))),
            Told::Busy(word, capture) => (word, capture),
        };
        let patience = self.pace.patience(wanted.plan.group);
        let loads = async |capture, hold| {
            let lease = Lease::new(remote, wanted, (word, capture), hold).complete().await;
            Some(Ended::Loads(lease.map_or_else(|trouble| self.no_grant(wanted, trouble), Grant::Remote)))
        };
        if has_waited {
            // So many holders and claims have gone by that this caller loads whoever else does.
            return loads(capture, Hold::Nothing).await;
        }
        if !waiting.is_over(word, patience) {
            return None;
        }
        let ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        match remote.claim(wanted.name.name, (word, &capture), ms).await {
            Ok(true) => loads(capture, Hold::Claim).await,
            Ok(false) => {
                waiting.interval = None; // whoever has the claim is given as long
                None
            }
            Err(trouble) => Some(Ended::Loads(self.no_grant(wanted, trouble))),
        }
    }

    /// What stands for a grant that Redis did not give.
    fn no_grant(&self, wanted: Wanted<'_>, trouble: Trouble) -> Grant {
        self.report("get_or_set", wanted.name.name, &trouble.into());
        Grant::None(Refusal::Unavailable)
    }

    /// Hands what waiting brought to all who waited; `None` if a load of this process has come before.
    pub(super) fn end_waiting<T: Value, E>(
        &self,
        wanted: Wanted<'_>,
        waiting: Waiting,
        ended: Ended<T>,
    ) -> Option<Boarded<T, E>> {
        let group = wanted.plan.group;
        match ended {
            Ended::Found(read, depends_on, asked) => {
                self.counters.count(group, Count::Miss);
                self.counters.count(group, Count::Joined);
                let result = Ok(Arc::clone(&read.value) as _);
                let tags = depends_on.iter().map(|(tag, _)| *tag).collect();
                // Redis was asked after this moment: whoever had come by then, and declares no more, may take it.
                let (began, checked) = (Moment::NEVER, asked);
                waiting.leader.land(|| Landed { result, began, checked, tags, stored: true });
                Some(Boarded::Found(Read { source: Source::Joined, ..read }))
            }
            Ended::Loads(grant) => {
                if !waiting.leader.loads() {
                    return None;
                }
                self.counters.count(group, Count::Miss);
                Some(Boarded::Loads(self.loading(Some(waiting.leader), grant)))
            }
        }
    }
}

impl Waiting {
    /// For the load of another process, in the interval of this word.
    pub(super) fn of(leader: Leader, word: Word, watch: Option<Watch>) -> Waiting {
        leader.waits();
        let now = Instant::now();
        let interval = Some((word.generation(), now));
        Waiting { leader, watch, interval, since: now, pause: Pause::default() }
    }

    /// Behind a leader of this process that vanished: Redis is asked at once.
    fn behind(leader: Leader, watch: Option<Watch>) -> Waiting {
        leader.waits();
        Waiting { leader, watch, interval: None, since: Instant::now(), pause: Pause::NONE }
    }

    /// Pauses before Redis is asked again; less long where this process is told that something has changed.
    pub(super) async fn pause(&mut self) {
        match &self.watch {
            None => self.pause.wait().await,
            Some(watch) => tokio::select! {
                () = self.pause.wait() => {}
                () = watch.changed() => {}
            },
        }
    }

    /// Whether a load of this process has taken the place of the one that is waited for.
    pub(super) fn is_dissolved(&self) -> bool {
        self.leader.is_dissolved()
    }

    /// Whether it has waited as long as this.
    pub(super) fn has_waited(&self, limit: Duration) -> bool {
        self.since.elapsed() >= limit
    }

    /// Whether it has waited long enough for this interval.
    fn is_over(&mut self, word: Word, patience: Duration) -> bool {
        let generation = word.generation();
        let (_, since) = match self.interval {
            Some(interval) if interval.0 == generation => interval,
            _ => *self.interval.insert((generation, Instant::now())),
        };
        since.elapsed() >= patience
    }
}
