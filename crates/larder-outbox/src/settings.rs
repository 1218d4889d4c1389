//! Settings of an outbox.

use std::time::Duration;

use crate::ablation::Ablations;
use crate::error::Error;

/// Settings of an [`Outbox`](crate::Outbox); every one has a default that is right for a small service.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(crate) poll: Duration,
    pub(crate) grace: Duration,
    pub(crate) keep: Duration,
    pub(crate) max_rows: u64,
    pub(crate) prune_every: Duration,
    pub(crate) rules_out: Ablations,
}

/// 25 ms: in one process what another one changed is known after half of it on average.
const DEFAULT_POLL: Duration = Duration::from_millis(25);

/// 500 ms: half of what a hit may be older than what another process changed.
const LONGEST_POLL: Duration = Duration::from_millis(500);

/// 50 ms: several times what a removal takes right after its commit, and twice what it takes to note that.
const DEFAULT_GRACE: Duration = Duration::from_millis(50);

/// 10 seconds: nobody waits so long for a removal.
const LONGEST_GRACE: Duration = Duration::from_secs(10);

/// 6 hours: longer than a Redis of `deploy/redis.conf` lies behind with its snapshots, and than most repairs of one take.
const DEFAULT_KEEP: Duration = Duration::from_secs(6 * 3_600);

/// 1 minute: several times what a process that is told of nothing goes on serving.
const SHORTEST_KEEP: Duration = Duration::from_secs(60);

/// 1,000,000: some 200 MB.
const DEFAULT_MAX_ROWS: u64 = 1_000_000;

/// 10 seconds: at a thousand changes a second, as many rows as are deleted at a time.
const DEFAULT_PRUNE_EVERY: Duration = Duration::from_secs(10);

/// 2 seconds: twice what a process that is told of nothing goes on serving.
const SHORTEST_PRUNE_EVERY: Duration = Duration::from_secs(2);

impl Default for Settings {
    fn default() -> Self {
        Settings {
            poll: DEFAULT_POLL,
            grace: DEFAULT_GRACE,
            keep: DEFAULT_KEEP,
            max_rows: DEFAULT_MAX_ROWS,
            prune_every: DEFAULT_PRUNE_EVERY,
            rules_out: Ablations::default(),
        }
    }
}

impl Settings {
    /// The defaults.
    pub fn new() -> Self {
        Settings::default()
    }

    /// How often the relay looks for what others have recorded. By default every 25 ms, and at most every half second, so that what
    /// a process keeps in itself can be served meanwhile.
    #[must_use]
    pub fn poll(mut self, every: Duration) -> Self {
        self.poll = every;
        self
    }

    /// How long the relay leaves a change to the process that made it, before it removes in Redis in its place. By default 50 ms; each
    /// waits up to half as long again, at random, so that not all do it at once.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How long a row stays. A Redis that comes back with data of before is filled anew. By default 6 hours, at least a minute.
    #[must_use]
    pub fn keep(mut self, keep: Duration) -> Self {
        self.keep = keep;
        self
    }

    /// How many rows stay at most; what is older is deleted, executed or not, and a Redis that has not heard of it begins a new
    /// era. By default a million.
    #[must_use]
    pub fn max_rows(mut self, rows: u64) -> Self {
        self.max_rows = rows;
        self
    }

    /// How often old rows are deleted, and how long at least everybody has had to read them: whoever has not looked for so long begins
    /// with an empty cache. By default every 10 seconds, and not more often than every 2.
    #[must_use]
    pub fn prune_every(mut self, every: Duration) -> Self {
        self.prune_every = every;
        self
    }

    /// Takes a rule out, to see that tests find what goes wrong. It promises nothing.
    #[cfg(feature = "ablations")]
    #[doc(hidden)]
    #[must_use]
    pub fn without(mut self, rule: crate::ablation::Ablation) -> Self {
        self.rules_out = self.rules_out.with(rule);
        self
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = |setting, value: String, rule| Err(Error::Setting { setting, value, rule });
        if self.poll.is_zero() || self.poll > LONGEST_POLL {
            return wrong("poll", format!("{:?}", self.poll), "it lies between nothing and half a second");
        }
        if self.grace > LONGEST_GRACE {
            return wrong(
                "grace",
                format!("{:?}", self.grace),
                "nobody waits longer than 10 seconds for a removal",
            );
        }
        if self.keep < SHORTEST_KEEP {
            return wrong("keep", format!("{:?}", self.keep), "a row has to stay for a minute at least");
        }
        if self.prune_every < SHORTEST_PRUNE_EVERY {
            return wrong(
                "prune_every",
                format!("{:?}", self.prune_every),
                "everybody has 2 seconds to read at least",
            );
        }
        if self.max_rows == 0 {
            return wrong("max_rows", "0".to_owned(), "there has to be room for one");
        }
        Ok(())
    }
}
