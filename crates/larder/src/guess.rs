//! What entries depended on when they were last seen, beside what their names and callers say: a guess at the tags of the next, so
//! that they travel with the question.

use arrayvec::ArrayVec;
use parking_lot::Mutex;

use crate::key::Tag;

/// How many names are remembered; one that comes later takes the place of another. A wrong guess costs a round trip.
const SLOTS: usize = 1_024;

/// The most tags that are remembered of one name.
const MAX_GUESS: usize = 8;

/// The tags of recent entries, by the hash of their names.
#[derive(Debug)]
pub(crate) struct Guesses(Box<[Mutex<Guess>]>);

#[derive(Clone, Debug, Default)]
struct Guess {
    hash: u64,
    tags: ArrayVec<Tag, MAX_GUESS>,
}

impl Guesses {
    pub(crate) fn new() -> Self {
        Guesses((0..SLOTS).map(|_| Mutex::default()).collect())
    }

    /// The tags that the last entry of this name depended on, as far as is known.
    pub(crate) fn of(&self, hash: u64) -> ArrayVec<Tag, MAX_GUESS> {
        let slot = self.slot(hash).lock();
        if slot.hash == hash { slot.tags.clone() } else { ArrayVec::new() }
    }

    /// Notes what an entry depends on.
    pub(crate) fn learn(&self, hash: u64, tags: impl IntoIterator<Item = Tag>) {
        let tags = tags.into_iter().take(MAX_GUESS).collect();
        *self.slot(hash).lock() = Guess { hash, tags };
    }

    fn slot(&self, hash: u64) -> &Mutex<Guess> {
        &self.0[(hash >> 20) as usize % SLOTS]
    }
}
