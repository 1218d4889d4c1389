//! What entries depended on when they were last seen, beside what their names and callers say: a guess at the tags of the next, so
//! that they travel with the question.

use arrayvec::ArrayVec;
use parking_lot::Mutex;

use crate::key::Tag;

/// How many groups of [`WAYS`] names are remembered; in a full one, one that comes later takes the place of the oldest. A wrong
/// guess costs a round trip.
const BUCKETS: usize = 1_024;

/// How many names whose hashes meet are remembered beside each other.
const WAYS: usize = 4;

/// The most tags that are remembered of one name.
const MAX_GUESS: usize = 8;

/// The tags of recent entries, by the hash of their names.
#[derive(Debug)]
pub(crate) struct Guesses(Box<[Mutex<Bucket>]>);

/// The oldest first.
type Bucket = Vec<Guess>;

#[derive(Debug)]
struct Guess {
    hash: u64,
    tags: ArrayVec<Tag, MAX_GUESS>,
}

impl Guesses {
    pub(crate) fn new() -> Self {
        Guesses((0..BUCKETS).map(|_| Mutex::default()).collect())
    }

    /// The tags that the last entry of this name depended on, as far as is known.
    pub(crate) fn of(&self, hash: u64) -> ArrayVec<Tag, MAX_GUESS> {
        let bucket = self.bucket(hash).lock();
        bucket.iter().find(|guess| guess.hash == hash).map_or_else(ArrayVec::new, |guess| guess.tags.clone())
    }

    /// Notes what an entry depends on.
    pub(crate) fn learn(&self, hash: u64, tags: impl IntoIterator<Item = Tag>) {
        let tags = tags.into_iter().take(MAX_GUESS).collect();
        let mut bucket = self.bucket(hash).lock();
        bucket.retain(|guess| guess.hash != hash);
        if bucket.len() == WAYS {
            bucket.remove(0);
        }
        bucket.push(Guess { hash, tags });
    }

    fn bucket(&self, hash: u64) -> &Mutex<Bucket> {
        &self.0[(hash >> 20) as usize % BUCKETS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_names_of_a_bucket_are_remembered() {
        let guesses = Guesses::new();
        let tags = |n: u64| [Tag::from_u64(n)];
        for name in 0..5 {
            guesses.learn(name, tags(name)); // all in one bucket
        }
        assert!(guesses.of(0).is_empty(), "it was the oldest");
        for name in 1..5 {
            assert_eq!(guesses.of(name)[..], tags(name));
        }
        guesses.learn(1, tags(7));
        guesses.learn(8, tags(8));
        assert_eq!(guesses.of(1)[..], tags(7), "it was learnt anew");
        assert!(guesses.of(2).is_empty(), "it was the oldest");
    }
}
