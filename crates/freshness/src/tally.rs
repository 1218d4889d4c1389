//! What a process has counted, to be added up.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::judge::{Judged, Origin, Promise, Seen, Wrong};

/// Counts of reads and writes, since the last time they were asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Tally {
    /// Reads that Redis or the database answered, or before which `sync` went.
    pub(crate) strict: u64,
    /// Hits in a process.
    pub(crate) local: u64,
    /// Reads that say themselves that they are stale.
    pub(crate) labelled: u64,
    /// Reads of both kinds within 100 ms of a removal.
    pub(crate) strict_at_risk: u64,
    pub(crate) local_at_risk: u64,
    /// Reads that were answered by what lay in Redis, and those of them within 100 ms of a removal.
    pub(crate) found: u64,
    pub(crate) found_at_risk: u64,
    /// Reads without an answer: the database gave none.
    pub(crate) failed: u64,
    /// By what is wrong with them.
    pub(crate) stale_strict: u64,
    pub(crate) stale_local: u64,
    /// Those that missed what had been committed long before, and those that found less in Redis than before.
    pub(crate) overdue: u64,
    pub(crate) backwards: u64,
    /// Reads that did not end.
    pub(crate) hanging: u64,
    /// Those that were never committed, or are of another row.
    pub(crate) never_committed: u64,
    /// Changes of a row that has one writer, which that writer did not find.
    pub(crate) lost: u64,
    /// Hits in a process that were behind at all, by how many microseconds.
    pub(crate) behind_us: Distribution,
    /// Reads, without those that say so themselves, that were behind what was acknowledged as durable only, by how many microseconds.
    pub(crate) behind_durable_us: Distribution,
    /// The longest read, in microseconds.
    pub(crate) longest_read_us: u64,
    pub(crate) applied: u64,
    pub(crate) durable: u64,
    /// Changes of which nobody knows whether they were committed.
    pub(crate) unsure: u64,
    /// Changes that were rolled back, on purpose or not.
    pub(crate) rolled_back: u64,
    /// How long a change took from its commit to its acknowledgement, in microseconds.
    pub(crate) announced_us: Distribution,
    pub(crate) loads: u64,
    pub(crate) misses: u64,
    pub(crate) hits: u64,
}

impl Tally {
    /// Counts a read. What is wrong is for the caller to write down.
    pub(crate) fn count(&mut self, seen: &Seen, judged: &Judged) {
        match seen.promise {
            Promise::Strict => self.strict += 1,
            Promise::Local => self.local += 1,
            Promise::Labelled { .. } => self.labelled += 1,
        }
        match seen.promise {
            Promise::Strict if judged.at_risk => self.strict_at_risk += 1,
            Promise::Local if judged.at_risk => self.local_at_risk += 1,
            _ => {}
        }
        if seen.origin == Origin::Redis {
            self.found += 1;
            self.found_at_risk += u64::from(judged.at_risk);
        }
        if seen.promise == Promise::Local && judged.behind_ns > 0 {
            self.behind_us.record(judged.behind_ns / 1_000);
        }
        if judged.behind_durable_ns > 0 && !matches!(seen.promise, Promise::Labelled { .. }) {
            self.behind_durable_us.record(judged.behind_durable_ns / 1_000);
        }
        self.longest_read_us = self.longest_read_us.max((seen.end_ns - seen.start_ns) / 1_000);
        if let Some(wrong) = judged.wrong {
            self.count_wrong(wrong, seen.promise);
        }
    }

    /// Counts what is wrong with a read, or with what came of a change.
    pub(crate) fn count_wrong(&mut self, wrong: Wrong, promise: Promise) {
        *match wrong {
            Wrong::Stale if promise == Promise::Local => &mut self.stale_local,
            Wrong::Stale => &mut self.stale_strict,
            Wrong::Overdue => &mut self.overdue,
            Wrong::Backwards => &mut self.backwards,
            Wrong::NeverCommitted | Wrong::AnotherRow => &mut self.never_committed,
            Wrong::Lost => &mut self.lost,
            Wrong::Hanging => &mut self.hanging,
        } += 1;
    }

    /// Counts a change that was acknowledged.
    pub(crate) fn count_change(&mut self, is_applied: bool) {
        match is_applied {
            true => self.applied += 1,
            false => self.durable += 1,
        }
    }

    /// All reads that were answered.
    pub(crate) fn reads(&self) -> u64 {
        self.strict + self.local + self.labelled
    }

    pub(crate) fn at_risk(&self) -> u64 {
        self.strict_at_risk + self.local_at_risk
    }

    pub(crate) fn violations(&self) -> u64 {
        let stale = self.stale_strict + self.stale_local + self.overdue + self.backwards;
        stale + self.hanging + self.never_committed + self.lost
    }

    pub(crate) fn writes(&self) -> u64 {
        self.applied + self.durable
    }

    pub(crate) fn add(&mut self, other: &Tally) {
        let Tally { behind_us, behind_durable_us, announced_us, longest_read_us, .. } = other;
        self.behind_us.add(behind_us);
        self.behind_durable_us.add(behind_durable_us);
        self.announced_us.add(announced_us);
        self.longest_read_us = self.longest_read_us.max(*longest_read_us);
        for (sum, more) in self.sums().into_iter().zip(other.clone().sums()) {
            *sum += *more;
        }
    }

    /// What is added up one by one. Each field stands here, so that none is forgotten.
    fn sums(&mut self) -> [&mut u64; 22] {
        let Tally {
            strict,
            local,
            labelled,
            strict_at_risk,
            local_at_risk,
            found,
            found_at_risk,
            failed,
            stale_strict,
            stale_local,
            overdue,
            backwards,
            hanging,
            never_committed,
            lost,
            behind_us: _,
            behind_durable_us: _,
            longest_read_us: _,
            applied,
            durable,
            unsure,
            rolled_back,
            announced_us: _,
            loads,
            misses,
            hits,
        } = self;
        [
            strict,
            local,
            labelled,
            strict_at_risk,
            local_at_risk,
            found,
            found_at_risk,
            failed,
            stale_strict,
            stale_local,
            overdue,
            backwards,
            hanging,
            never_committed,
            lost,
            applied,
            durable,
            unsure,
            rolled_back,
            loads,
            misses,
            hits,
        ]
    }
}

/// Times in microseconds, with three significant digits, up to an hour.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "BTreeMap<u64, u64>", into = "BTreeMap<u64, u64>")]
pub(crate) struct Distribution(Histogram<u64>);

/// An hour.
const LONGEST_US: u64 = 3_600_000_000;

impl Default for Distribution {
    fn default() -> Self {
        Distribution(Histogram::new_with_bounds(1, LONGEST_US, 3).expect("the bounds are in order"))
    }
}

impl Distribution {
    pub(crate) fn record(&mut self, us: u64) {
        self.0.saturating_record(us);
    }

    fn add(&mut self, other: &Distribution) {
        self.0.add(&other.0).expect("the bounds are the same");
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The value that this part of all is not above, in milliseconds.
    pub(crate) fn quantile_ms(&self, part: f64) -> f64 {
        self.0.value_at_quantile(part) as f64 / 1e3
    }

    pub(crate) fn max_ms(&self) -> f64 {
        self.0.max() as f64 / 1e3
    }

    /// How many there are by their size, the smallest first.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value()))
    }
}

impl From<BTreeMap<u64, u64>> for Distribution {
    fn from(counts: BTreeMap<u64, u64>) -> Self {
        let mut distribution = Distribution::default();
        counts.into_iter().for_each(|(us, count)| distribution.0.saturating_record_n(us, count));
        distribution
    }
}

impl From<Distribution> for BTreeMap<u64, u64> {
    fn from(distribution: Distribution) -> Self {
        distribution.buckets().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;
    use crate::judge::{Promise, Wrong};

    #[test]
    fn whatever_is_wrong_is_a_violation() {
        let wrongs = [
            Wrong::Stale,
            Wrong::Overdue,
            Wrong::Backwards,
            Wrong::NeverCommitted,
            Wrong::AnotherRow,
            Wrong::Lost,
            Wrong::Hanging,
        ];
        for (wrong, promise) in wrongs.into_iter().flat_map(|wrong| {
            [(wrong, Promise::Strict), (wrong, Promise::Local), (wrong, Promise::Labelled { age_ns: 1 })]
        }) {
            let mut tally = Tally::default();
            tally.count_wrong(wrong, promise);
            assert_eq!(tally.violations(), 1, "{wrong:?}, {promise:?}");
        }
    }

    #[test]
    fn tallies_add_up_also_when_they_were_sent() {
        let mut one = Tally { local: 3, loads: 1, longest_read_us: 7, ..Tally::default() };
        one.behind_us.record(1_500);
        let mut sum = Tally { local: 1, longest_read_us: 9, ..Tally::default() };
        sum.behind_us.record(40);
        let sent = serde_json::to_string(&one).expect("it is plain data");
        sum.add(&serde_json::from_str(&sent).expect("it is what was sent"));
        assert_eq!((sum.local, sum.loads, sum.longest_read_us, sum.behind_us.count()), (4, 1, 9, 2));
        assert!((sum.behind_us.max_ms() - 1.5).abs() < 0.01);
    }
}
