//! The rows that this process wrote itself, until its relay has met them.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::cursor::Position;

/// Where a row is.
pub(crate) type Place = (Position, u64);

/// What became of a row that this process wrote, as far as this process knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is written; its change may be committed, and announced, or not.
    Written,
    /// It was announced: in this process, or in this life of a Redis.
    Announced(Option<u64>),
}

/// The rows of this process.
#[derive(Debug, Default)]
pub(crate) struct Own(Mutex<Rows>);

#[derive(Debug, Default)]
struct Rows {
    /// By their number, until the relay has met them.
    fates: HashMap<u64, Fate>,
    /// What a life of a Redis has executed and the table does not say yet.
    unmarked: HashMap<u64, Vec<Place>>,
    /// There is no relay any more that would ask.
    has_ended: bool,
}

impl Own {
    pub(crate) fn written(&self, seq: u64) {
        let mut rows = self.0.lock();
        if !rows.has_ended {
            rows.fates.insert(seq, Fate::Written);
        }
    }

    /// Notes that a row was announced. The relay may have met it before.
    pub(crate) fn announced(&self, (position, seq): Place, who: Option<u64>) {
        let mut rows = self.0.lock();
        if let Some(fate) = rows.fates.get_mut(&seq) {
            *fate = Fate::Announced(who);
        }
        if let Some(who) = who.filter(|_| !rows.has_ended) {
            rows.unmarked.entry(who).or_default().push((position, seq));
        }
    }

    /// Forgets a row: it was rolled back, or others have to announce it.
    pub(crate) fn forget(&self, seq: u64) {
        self.0.lock().fates.remove(&seq);
    }

    /// The relay has met a row.
    pub(crate) fn met(&self, seq: u64) -> Option<Fate> {
        self.0.lock().fates.remove(&seq)
    }

    /// Takes what the table does not say yet.
    pub(crate) fn take_unmarked(&self) -> HashMap<u64, Vec<Place>> {
        std::mem::take(&mut self.0.lock().unmarked)
    }

    /// Puts back what could not be noted.
    pub(crate) fn put_back(&self, who: u64, places: Vec<Place>) {
        self.0.lock().unmarked.entry(who).or_default().extend(places);
    }

    /// Forgets all rows that the relay has not met: it does not meet them one by one.
    pub(crate) fn forget_all(&self) {
        self.0.lock().fates.clear();
    }

    /// The relay has ended.
    pub(crate) fn end(&self) {
        *self.0.lock() = Rows { has_ended: true, ..Rows::default() };
    }

    /// How many rows the relay has not met.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.lock().fates.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_known_until_the_relay_has_met_it() {
        let own = Own::default();
        own.written(1);
        own.written(2);
        own.announced((10, 1), Some(7));
        assert_eq!(
            [own.met(1), own.met(2), own.met(3)],
            [Some(Fate::Announced(Some(7))), Some(Fate::Written), None]
        );
        own.announced((11, 2), Some(7)); // the relay was first
        own.announced((12, 3), None);
        assert_eq!((own.met(2), own.len()), (None, 0));
        assert_eq!(own.take_unmarked(), HashMap::from([(7, vec![(10, 1), (11, 2)])]));
        assert!(own.take_unmarked().is_empty());
    }
}
