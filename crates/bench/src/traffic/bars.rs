//! What was promised of the CRM's speed, and what was measured of it.

use super::load::CONNECTIONS;
use super::subject::Who;
use crate::record::{Case, Sample, Summary, summaries};

pub(super) const GROUP: &str = "crm";

/// The two mixes, in the words of the tables, and the part of changes in them.
pub(super) const READS: &str = "reads only";
pub(super) const CHANGES: &str = "2 % changes";
pub(super) const MIXES: [(&str, f64); 2] = [(READS, 0.0), (CHANGES, 0.02)];

/// What is measured, by its unit.
pub(super) const RATE: &str = "requests/s";
pub(super) const P50: &str = "p50 ms";
pub(super) const P99: &str = "p99 ms";
pub(super) const LONGEST: &str = "longest ms";
pub(super) const SERVER: &str = "µs of the server's processor a request";
pub(super) const BEHIND: &str = "µs of PostgreSQL's and Redis's processor a request";
pub(super) const CLIENT: &str = "µs of the client's processor a request";
pub(super) const QUERIES: &str = "queries a request";
pub(super) const FAILED: &str = "failed";
pub(super) const READ: &str = "answers read";
pub(super) const WRONG: &str = "wrong answers";
pub(super) const LATE: &str = "copies within their second";

/// What a number is about.
pub(super) fn case(mix: &str, who: Who, unit: &'static str) -> Case {
    Case { group: GROUP, set: mix.to_owned(), side: who.name(), entries: CONNECTIONS, unit }
}

/// What the rounds say of one subject.
pub(super) fn summary(samples: &[Sample], mix: &str, who: Who, unit: &'static str) -> Option<Summary> {
    let wanted = case(mix, who, unit);
    summaries(samples, GROUP).into_iter().find(|summary| summary.case == wanted)
}

/// A promise, and what was measured of it.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    pub(super) mix: &'static str,
    pub(super) claim: &'static str,
    pub(super) who: Who,
    pub(super) measured: String,
    pub(super) holds: bool,
}

/// A promise of a rate: at least so many times that of another.
const RATES: [(&str, &str, f64, Who); 3] = [
    (READS, "half of the requests of bare axum", 0.5, Who::Bare),
    (READS, "10 times those of the ioredis service", 10.0, Who::ReferenceCached),
    (CHANGES, "5 times those of the ioredis service", 5.0, Who::ReferenceCached),
];

/// Queries that a warm read may take on the average.
const MAX_QUERIES: f64 = 0.05;

/// All promises, for each way of caching. Those that nothing was measured of are left out.
pub(super) fn bars(samples: &[Sample]) -> Vec<Bar> {
    let mut bars = Vec::new();
    for who in Who::CACHED {
        for (mix, claim, least, other) in RATES {
            let both = summary(samples, mix, who, RATE).zip(summary(samples, mix, other, RATE));
            bars.extend(both.map(|(own, other)| {
                let ratio = own.ratio_to(&other);
                Bar { mix, claim, who, measured: format!("{ratio:.2} times"), holds: ratio >= least }
            }));
        }
        bars.extend(summary(samples, READS, who, QUERIES).map(|queries| Bar {
            mix: READS,
            claim: "at most 0.05 queries a request",
            who,
            measured: format!("{:.4}, at most {:.4}", queries.median, queries.max),
            holds: queries.max <= MAX_QUERIES,
        }));
        bars.extend(summary(samples, CHANGES, who, WRONG).map(|wrong| Bar {
            mix: CHANGES,
            claim: "no wrong answer",
            who,
            measured: format!("{:.0} in the worst round", wrong.max),
            holds: wrong.max == 0.0,
        }));
    }
    bars.sort_by_key(|bar| {
        RATES
            .iter()
            .position(|(mix, claim, ..)| (*mix, *claim) == (bar.mix, bar.claim))
            .unwrap_or(RATES.len())
    });
    bars
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(mix: &str, who: Who, unit: &'static str, round: usize, value: f64) -> Sample {
        Sample { case: case(mix, who, unit), round, value }
    }

    #[test]
    fn a_bar_holds_by_the_ratio_within_rounds_and_is_missed_by_one_wrong_answer() {
        let who = Who::InProcess;
        let mut samples = Vec::new();
        // The second round ran on a busy machine.
        for (round, bare, own) in [(1, 100.0, 60.0), (2, 10.0, 6.0), (3, 100.0, 55.0)] {
            samples.push(sample(READS, Who::Bare, RATE, round, bare));
            samples.push(sample(READS, who, RATE, round, own));
            samples.push(sample(READS, who, QUERIES, round, if round == 1 { 0.06 } else { 0.0 }));
            samples.push(sample(CHANGES, who, WRONG, round, if round == 2 { 1.0 } else { 0.0 }));
        }
        let bars = bars(&samples);
        let found: Vec<(&str, bool)> = bars.iter().map(|bar| (bar.claim, bar.holds)).collect();
        let expected = [
            ("half of the requests of bare axum", true),
            ("at most 0.05 queries a request", false),
            ("no wrong answer", false),
        ];
        assert_eq!(found, expected);
    }
}
