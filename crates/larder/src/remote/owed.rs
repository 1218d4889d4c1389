//! Removals that this process still has to see executed, and, where it is alone, those that a server may lose.
//!
//! A removal that failed, or whose outcome is unknown, is **owed**: it is sent first on the next connection. Whoever is the [only one](super::Redis::sole) to use a Redis also keeps a ring of those that were acknowledged, and a
//! mark in Redis of the last of them: a life that comes back with older data is sent all since its mark. Both are bounded;
//! what they do not reach is a new era's.

use std::collections::VecDeque;

use parking_lot::Mutex;
use rand::RngExt;

/// 10,000: so many keys are owed at most, a megabyte or so. Beyond it a new era costs less than sending them.
const MAX_OWED_KEYS: usize = 10_000;

/// 100,000: so many keys of acknowledged removals are kept at most, some ten megabytes.
const MAX_RING_KEYS: usize = 100_000;

/// What the mark of a ring begins with.
const MARK: &str = "ring";

/// What is owed, and the ring.
#[derive(Debug, Default)]
pub(super) struct Owed(Mutex<Debts>);

#[derive(Debug, Default)]
struct Debts {
    /// How often anything was owed, ever.
    ever: u64,
    /// The last of them that only a new era pays.
    era: u64,
    keys: Log,
    ring: Option<Ring>,
}

/// Keys in the order in which they were removed, each removal with its number.
#[derive(Debug, Default)]
struct Log {
    removals: VecDeque<(u64, Vec<String>)>,
    keys: usize,
}

#[derive(Debug)]
struct Ring {
    /// Of this process: another one's mark says nothing of its removals.
    id: u64,
    /// The number of the last removal.
    last: u64,
    /// Removals up to this one are not in the log any more.
    forgotten: u64,
    /// Up to which one the mark in Redis reaches.
    marked: Option<u64>,
    log: Log,
}

impl Log {
    fn push(&mut self, number: u64, keys: Vec<String>) {
        self.keys += keys.len();
        self.removals.push_back((number, keys));
    }

    fn pop(&mut self) -> Option<u64> {
        let (number, keys) = self.removals.pop_front()?;
        self.keys -= keys.len();
        Some(number)
    }

    fn after(&self, number: u64) -> Vec<String> {
        let later = self.removals.iter().filter(|(at, _)| *at > number);
        later.flat_map(|(_, keys)| keys.iter().cloned()).collect()
    }
}

impl Owed {
    /// With a ring, for a process that is alone.
    pub(super) fn new(is_sole: bool) -> Self {
        let id = || rand::rng().random();
        let ring =
            is_sole.then(|| Ring { id: id(), last: 0, forgotten: 0, marked: None, log: Log::default() });
        Owed(Mutex::new(Debts { ring, ..Debts::default() }))
    }

    /// Owes the removal of these keys.
    pub(super) fn removal(&self, keys: Vec<String>) {
        let mut debts = self.0.lock();
        debts.ever += 1;
        let ever = debts.ever;
        if debts.keys.keys + keys.len() > MAX_OWED_KEYS {
            debts.era = ever;
        } else {
            debts.keys.push(ever, keys);
        }
    }

    /// Owes a new era.
    pub(super) fn era(&self) {
        let mut debts = self.0.lock();
        debts.ever += 1;
        debts.era = debts.ever;
    }

    /// How often anything was owed, ever.
    pub(super) fn ever(&self) -> u64 {
        self.0.lock().ever
    }

    /// Whether only a new era pays what was not paid up to then.
    pub(super) fn is_an_era(&self, paid: u64) -> bool {
        self.0.lock().era > paid
    }

    /// The keys whose removal is owed.
    pub(super) fn keys(&self) -> Vec<String> {
        self.0.lock().keys.after(0)
    }

    /// Notes that all is paid that was owed by then.
    pub(super) fn pay(&self, ever: u64) {
        let mut debts = self.0.lock();
        while debts.keys.removals.front().is_some_and(|(number, _)| *number <= ever) {
            debts.keys.pop();
        }
    }

    /// Notes keys whose removal was acknowledged.
    pub(super) fn acknowledged(&self, keys: Vec<String>) {
        if keys.is_empty() {
            return;
        }
        if let Some(ring) = &mut self.0.lock().ring {
            ring.last += 1;
            ring.log.push(ring.last, keys);
            while ring.log.keys > MAX_RING_KEYS {
                ring.forgotten = ring.log.pop().unwrap_or(ring.last);
            }
        }
    }

    /// Notes that everything was removed, which cannot be sent once more.
    pub(super) fn cleared(&self) {
        if let Some(ring) = &mut self.0.lock().ring {
            ring.last += 1;
            ring.forgotten = ring.last;
            ring.log = Log::default();
        }
    }

    pub(super) fn is_sole(&self) -> bool {
        self.0.lock().ring.is_some()
    }

    /// The mark of all that was acknowledged by now.
    pub(super) fn any_mark(&self) -> Option<(u64, Vec<u8>)> {
        self.0.lock().ring.as_ref().map(|ring| (ring.last, ring.mark()))
    }

    /// The same, if Redis has an older one.
    pub(super) fn new_mark(&self) -> Option<(u64, Vec<u8>)> {
        let marked = self.0.lock().ring.as_ref()?.marked;
        self.any_mark().filter(|(last, _)| Some(*last) != marked)
    }

    /// Notes up to where the mark reaches that Redis has.
    pub(super) fn marked(&self, last: u64) {
        if let Some(ring) = &mut self.0.lock().ring {
            ring.marked = Some(last);
        }
    }

    /// What has to be sent to a life of a server with this mark; `None` where that is not known.
    pub(super) fn since(&self, mark: Option<&[u8]>) -> Option<Vec<String>> {
        let debts = self.0.lock();
        let ring = debts.ring.as_ref()?;
        let text = str::from_utf8(mark?).ok()?.strip_prefix(MARK)?;
        let (id, number) = text.trim_start().split_once(' ')?;
        let (id, number) = (u64::from_str_radix(id, 16).ok()?, number.parse::<u64>().ok()?);
        (id == ring.id && number >= ring.forgotten).then(|| ring.log.after(number))
    }
}

impl Ring {
    fn mark(&self) -> Vec<u8> {
        format!("{MARK} {:016x} {}", self.id, self.last).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_is_owed_is_paid_up_to_where_it_was_sent() {
        let owed = Owed::new(false);
        owed.removal(keys(&["a"]));
        let ever = owed.ever();
        owed.removal(keys(&["b"]));
        assert_eq!((owed.keys(), owed.is_an_era(0)), (keys(&["a", "b"]), false));
        owed.pay(ever);
        assert_eq!(owed.keys(), keys(&["b"]));
        owed.era();
        assert!(owed.is_an_era(ever) && !owed.is_an_era(owed.ever()));
        owed.removal((0..MAX_OWED_KEYS).map(|key| key.to_string()).collect());
        assert!(owed.is_an_era(3), "it is full");
    }

    #[test]
    fn a_ring_knows_what_a_life_with_its_mark_has_lost() {
        let owed = Owed::new(true);
        let mark = || {
            owed.new_mark().map(|(last, mark)| {
                owed.marked(last);
                mark
            })
        };
        let first = mark().expect("there was none");
        assert_eq!(mark(), None);
        owed.acknowledged(keys(&["a", "b"]));
        let second = mark().expect("it is older");
        owed.acknowledged(keys(&["c"]));
        assert_eq!(owed.since(Some(&first)), Some(keys(&["a", "b", "c"])));
        assert_eq!(owed.since(Some(&second)), Some(keys(&["c"])));
        owed.acknowledged(Vec::new());
        assert_eq!(mark().as_deref().and_then(|mark| owed.since(Some(mark))), Some(vec![]));
        assert_eq!(mark(), None, "nothing is no removal");
        assert_eq!(
            owed.since(Some(&Owed::new(true).new_mark().expect("a new one").1)),
            None,
            "another process"
        );
        for wrong in
            [None, Some(&b""[..]), Some(b"1 ab - 3"), Some(b"ring"), Some(b"ring x 1"), Some(b"ring 1")]
        {
            assert_eq!(owed.since(wrong), None);
        }
        owed.cleared();
        assert_eq!(owed.since(Some(&second)), None, "an era cannot be sent");
        assert_eq!(owed.since(mark().as_deref()), Some(vec![]));
        for _ in 0..3 {
            owed.acknowledged((0..MAX_RING_KEYS / 2).map(|key| key.to_string()).collect());
        }
        assert_eq!(owed.since(Some(&second)), None, "it is full");
        assert_eq!(Owed::new(false).since(Some(&second)), None);
    }
}
