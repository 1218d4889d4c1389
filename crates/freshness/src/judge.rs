//! Whether a read was allowed to answer what it did.
//!
//! A read that begins at `s` and is answered by Redis, or by the database, returns no version older than the newest one whose removal had
//! been acknowledged by `s`; a hit in the process none older than that by `s - H`, and none older than what this process had been told of its own
//! changes. What it returns was committed. What lies in Redis never becomes older again for a process. And whatever became of its removal, a change
//! that was committed is seen in the end.

use serde::{Deserialize, Serialize};

use crate::history::{Change, Changes, RING};

/// 1 second: by how much a hit in a process may be older than what was acknowledged, whatever fails.
pub(crate) const H_NS: u64 = 1_000_000_000;

/// 2 ms: ages are told in whole milliseconds of two clocks.
const GRAIN_NS: u64 = 2_000_000;

/// 100 ms: a read so near to a removal is one at risk.
const NEAR_NS: u64 = 100_000_000;

/// 10 seconds: by then each process has heard of what was committed, whatever failed meanwhile: nothing does for longer than five.
pub(crate) const OVERDUE_NS: u64 = 10_000_000_000;

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Origin {
    /// The memory of the process.
    Process,
    /// It lay in Redis.
    Redis,
    /// A load, of this caller or of one that it waited for; or it is not told.
    Loaded,
}

/// What a read is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Promise {
    /// Nothing that was acknowledged before it began is missing: Redis or the database answered it, or `sync` went before.
    Strict,
    /// Nothing that was acknowledged a second before: a hit in the process.
    Local,
    /// Nothing that was acknowledged so long before: it says itself that it is stale, and by how much at most.
    Labelled { age_ns: u64 },
}

/// A read that has been answered.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) row: u64,
    pub(crate) version: u64,
    pub(crate) nonce: u64,
    pub(crate) promise: Promise,
    pub(crate) origin: Origin,
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
}

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Wrong {
    /// It returned what had been changed and acknowledged before it began, for a hit in a process more than a second before.
    Stale,
    /// It returned what had been changed more than ten seconds before, whatever was acknowledged.
    Overdue,
    /// It found less in Redis than a read that had ended in the same process before it began.
    Backwards,
    /// It returned what was never committed.
    NeverCommitted,
    /// It returned the value of another row, or what is none.
    AnotherRow,
    /// A change was refused that its row's only writer could make, or another one is in its place.
    Lost,
    /// It has not ended for twenty seconds.
    Hanging,
}

/// What is to be said of a read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Judged {
    /// For how long, when it began, a newer version had been acknowledged as applied.
    pub(crate) behind_ns: u64,
    /// The same of what was known to be committed.
    pub(crate) behind_committed_ns: u64,
    /// The same of what was acknowledged as durable only: nothing is promised of when it is seen.
    pub(crate) behind_durable_ns: u64,
    /// A removal was near.
    pub(crate) at_risk: bool,
    pub(crate) wrong: Option<Wrong>,
}

/// What a process knew before a read of a row began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Known {
    /// The newest version of which it was told that it is in force.
    pub(crate) own: u64,
    /// The newest version that it had found in Redis, by the same view.
    pub(crate) found: u64,
}

/// Judges a read by what was noted of its row, and by what its own process knew before.
pub(crate) fn judge(seen: &Seen, known: Known, changes: &Changes) -> Judged {
    let newer = || changes.known.iter().filter(|change| change.version > seen.version);
    let behind = |at: fn(&Change) -> u64| {
        let first = newer().map(at).filter(|at_ns| *at_ns != 0).min();
        first.map_or(0, |first| seen.start_ns.saturating_sub(first))
    };
    let behind_ns = behind(|change| change.applied_ns);
    let allowed_ns = match seen.promise {
        Promise::Strict => 0,
        Promise::Local => H_NS,
        Promise::Labelled { age_ns } => age_ns + GRAIN_NS,
    };
    let is_behind_itself = seen.promise == Promise::Local && seen.version < known.own;
    let is_labelled = matches!(seen.promise, Promise::Labelled { .. });
    let behind_committed_ns = behind(|change| change.committed_ns);
    let is_overdue = !is_labelled && behind_committed_ns > OVERDUE_NS;
    let is_near =
        |at_ns: u64| at_ns != 0 && at_ns + NEAR_NS >= seen.start_ns && at_ns <= seen.end_ns + NEAR_NS;
    let wrong = if behind_ns > allowed_ns || is_behind_itself {
        Some(Wrong::Stale)
    } else if is_overdue {
        Some(Wrong::Overdue)
    } else if seen.origin == Origin::Redis && seen.version < known.found {
        Some(Wrong::Backwards)
    } else if was_never_committed(seen, changes) {
        Some(Wrong::NeverCommitted)
    } else {
        None
    };
    Judged {
        behind_ns,
        behind_committed_ns,
        behind_durable_ns: behind(|change| change.durable_ns),
        at_risk: changes.known.iter().any(|change| is_near(change.applied_ns) || is_near(change.durable_ns)),
        wrong,
    }
}

/// Whether nobody has ever begun a change to it, or whoever did gave it up. The first version, 0, was there before all changes; one that has left
/// the ring was there once; of one whose place is being written nobody can tell.
fn was_never_committed(seen: &Seen, changes: &Changes) -> bool {
    if seen.version == 0 {
        return seen.nonce != 0;
    }
    match changes.known.iter().find(|change| change.version == seen.version) {
        Some(change) => change.nonce != seen.nonce || change.rolled_back,
        None if changes.torn.contains(&(seen.version % RING)) => false,
        None => changes.known.iter().all(|change| change.version < seen.version),
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, Changes, H_NS, Known, OVERDUE_NS, Origin, Promise, Seen, Wrong, judge};

    const NOW: u64 = 100 * H_NS;

    fn change(version: u64, applied_ns: u64) -> Change {
        Change { version, nonce: version * 10, applied_ns, ..Change::default() }
    }

    fn seen(version: u64, promise: Promise) -> Seen {
        let (nonce, origin) = (version * 10, Origin::Redis);
        Seen { row: 0, version, nonce, promise, origin, start_ns: NOW, end_ns: NOW + 1_000 }
    }

    #[test]
    fn a_read_is_held_to_what_was_acknowledged_before_it_began() {
        use Promise::{Labelled, Local, Strict};
        for (what, changes, read, wrong) in [
            ("nothing was changed", vec![], seen(0, Strict), None),
            ("the newest", vec![change(1, NOW - 5)], seen(1, Strict), None),
            ("the one before", vec![change(1, NOW - 5)], seen(0, Strict), Some(Wrong::Stale)),
            ("acknowledged while it ran", vec![change(1, NOW + 5)], seen(0, Strict), None),
            ("not acknowledged", vec![change(1, 0)], seen(0, Strict), None),
            (
                "newer than what is acknowledged",
                vec![change(1, NOW - 5), change(2, 0)],
                seen(2, Strict),
                None,
            ),
            (
                "the one between was not acknowledged",
                vec![change(1, 0), change(2, NOW - 5)],
                seen(0, Strict),
                Some(Wrong::Stale),
            ),
            ("a copy, within its second", vec![change(1, NOW - H_NS)], seen(0, Local), None),
            ("a copy, behind it", vec![change(1, NOW - H_NS - 1)], seen(0, Local), Some(Wrong::Stale)),
            (
                "by the first that it misses",
                vec![change(1, NOW - 2 * H_NS), change(2, NOW - 5)],
                seen(0, Local),
                Some(Wrong::Stale),
            ),
            (
                "it says so itself",
                vec![change(1, NOW - 9 * H_NS)],
                seen(0, Labelled { age_ns: 9 * H_NS }),
                None,
            ),
            (
                "more than it says",
                vec![change(1, NOW - 9 * H_NS)],
                seen(0, Labelled { age_ns: 8 * H_NS }),
                Some(Wrong::Stale),
            ),
            (
                "it was given up",
                vec![Change { rolled_back: true, ..change(1, 0) }],
                seen(1, Strict),
                Some(Wrong::NeverCommitted),
            ),
            ("nobody began it", vec![change(1, NOW - 5)], seen(2, Strict), Some(Wrong::NeverCommitted)),
            (
                "it was rolled back",
                vec![change(1, NOW - 5)],
                Seen { nonce: 7, ..seen(1, Strict) },
                Some(Wrong::NeverCommitted),
            ),
            (
                "the first, which nobody wrote",
                vec![],
                Seen { nonce: 7, ..seen(0, Strict) },
                Some(Wrong::NeverCommitted),
            ),
        ] {
            let changes = Changes { known: changes, torn: vec![] };
            assert_eq!(judge(&read, Known::default(), &changes).wrong, wrong, "{what}");
        }
    }

    #[test]
    fn what_is_committed_is_seen_in_the_end_and_what_lies_in_redis_does_not_become_older() {
        let committed =
            |at_ns| Changes { known: vec![Change { committed_ns: at_ns, ..change(1, 0) }], torn: vec![] };
        let (long_ago, just) = (committed(NOW - OVERDUE_NS - 1), committed(NOW - OVERDUE_NS));
        let labelled = Promise::Labelled { age_ns: 30 * H_NS };
        let (none, found) = (Known::default(), Known { found: 1, ..Known::default() });
        let of_the_process = Seen { origin: Origin::Process, ..seen(0, Promise::Local) };
        for (what, read, known, changes, wrong) in [
            ("nobody was told", seen(0, Promise::Strict), none, &just, None),
            ("nor ever", seen(0, Promise::Strict), none, &long_ago, Some(Wrong::Overdue)),
            ("a copy", seen(0, Promise::Local), none, &long_ago, Some(Wrong::Overdue)),
            ("it says so itself", seen(0, labelled), none, &long_ago, None),
            ("it was found", seen(1, Promise::Strict), found, &just, None),
            ("another was found before", seen(0, Promise::Strict), found, &just, Some(Wrong::Backwards)),
            ("that was in Redis", of_the_process, found, &just, None),
        ] {
            assert_eq!(judge(&read, known, changes).wrong, wrong, "{what}");
        }
    }

    #[test]
    fn a_read_near_a_removal_is_at_risk_and_says_how_far_behind_it_is() {
        for (applied_ns, at_risk, behind_ns) in [
            (NOW - 100_000_001, false, 100_000_001),
            (NOW - 100_000_000, true, 100_000_000),
            (NOW + 100_001_000, true, 0),
            (NOW + 100_001_001, false, 0),
        ] {
            let changes = Changes { known: vec![change(1, applied_ns)], torn: vec![] };
            let judged = judge(&seen(0, Promise::Local), Known::default(), &changes);
            assert_eq!((judged.at_risk, judged.behind_ns), (at_risk, behind_ns));
        }
    }

    #[test]
    fn a_process_sees_its_own_changes_at_once_and_nobody_is_accused_for_what_is_torn() {
        let known = vec![change(1, NOW - 5), change(2, NOW - 5)];
        let changes = Changes { known, torn: vec![3] };
        let wrong = |version, promise, own| {
            judge(&seen(version, promise), Known { own, ..Known::default() }, &changes).wrong
        };
        assert_eq!(wrong(1, Promise::Local, 1), None);
        assert_eq!(wrong(1, Promise::Local, 2), Some(Wrong::Stale));
        assert_eq!(wrong(3, Promise::Strict, 0), None);
        assert_eq!(wrong(4, Promise::Strict, 0), Some(Wrong::NeverCommitted));
    }
}
