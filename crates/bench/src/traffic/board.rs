//! What was acknowledged, and whether an answer is older than that.
//!
//! A change of a deal has a mark: a number that grows from each change of it to the next. In the CRM it is the version; of the reference
//! service, whose rows have none, the time at which the change was sent, which is no later than the time that the row gets.
//!
//! An answer is stale if it shows a smaller mark than that of a change whose acknowledgement had arrived before the request was sent.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::data::{Deal, World};

/// The deals of one subject.
#[derive(Debug)]
pub(super) struct Board(Vec<Mutex<Course>>);

/// What has become of one deal.
#[derive(Debug)]
struct Course {
    /// The marks of the changes that were acknowledged, which grow, and from when on nothing older may be answered.
    acknowledged: Vec<(i64, Instant)>,
    is_closed: bool,
    is_being_changed: bool,
}

/// A change that is under way. There is one of a deal at a time, so that their order is known.
pub(super) struct Changing<'a> {
    course: &'a Mutex<Course>,
    /// Whether the deal was won or lost before.
    pub(super) was_closed: bool,
}

impl Board {
    pub(super) fn new(world: &World) -> Self {
        let course = |deal: &Deal| Course {
            acknowledged: Vec::new(),
            is_closed: deal.is_closed,
            is_being_changed: false,
        };
        Self(world.deals.iter().map(|deal| Mutex::new(course(deal))).collect())
    }

    /// Begins a change of a deal; nothing if there is one under way.
    pub(super) fn begin(&self, deal: u32) -> Option<Changing<'_>> {
        let course = self.0.get(deal as usize - 1)?;
        let mut of_deal = course.lock();
        if of_deal.is_being_changed {
            return None;
        }
        of_deal.is_being_changed = true;
        Some(Changing { course, was_closed: of_deal.is_closed })
    }

    /// For how long an answer with this mark had been out of date when it was asked for; nothing if it is not stale.
    pub(super) fn out_of_date(&self, deal: u32, mark: i64, asked: Instant) -> Option<Duration> {
        let of_deal = self.0.get(deal as usize - 1)?.lock();
        let newer = of_deal.acknowledged.partition_point(|(acknowledged, _)| *acknowledged <= mark);
        let since = of_deal.acknowledged[newer..].iter().map(|(_, since)| *since).min()?;
        asked.checked_duration_since(since)
    }
}

impl Changing<'_> {
    /// The change was acknowledged.
    pub(super) fn acknowledge(&self, mark: i64, now: Instant) {
        let mut of_deal = self.course.lock();
        of_deal.acknowledged.push((mark, now));
        of_deal.is_closed = !self.was_closed;
    }

    /// Nobody knows whether the change has taken place, or will: the deal is not changed any more.
    pub(super) fn abandon(self) {
        std::mem::forget(self);
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.course.lock().is_being_changed = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::now;

    fn board() -> Board {
        Board::new(&World { tokens: Vec::new(), deals: vec![Deal { company: 1, is_closed: false }; 2] })
    }

    fn change(board: &Board, deal: u32, mark: i64, at: Instant) {
        board.begin(deal).expect("nobody changes it").acknowledge(mark, at);
    }

    #[test]
    fn an_answer_is_stale_if_a_later_change_was_acknowledged_before_it_was_asked_for() {
        let (board, began) = (board(), now());
        let second = |number| began + Duration::from_secs(number);
        change(&board, 1, 2, second(10));
        change(&board, 1, 3, second(20));
        for (mark, asked, expected) in [
            (1, 9, None),      // nothing had been acknowledged
            (1, 12, Some(2)),  // the first change is missing
            (2, 19, None),     // the second was still under way
            (2, 25, Some(5)),  // it is missing
            (1, 25, Some(15)), // both are, and the first for longer
            (3, 25, None),     // up to date
            (4, 25, None),     // a change that nobody has acknowledged yet
        ] {
            let found = board.out_of_date(1, mark, second(asked));
            assert_eq!(found, expected.map(Duration::from_secs), "mark {mark}, asked at {asked} s");
        }
        assert_eq!(board.out_of_date(2, 1, second(25)), None); // another deal
    }

    #[test]
    fn one_change_of_a_deal_at_a_time_and_each_opens_or_closes_it() {
        let board = board();
        let first = board.begin(1).expect("nobody changes it");
        assert!(board.begin(1).is_none() && board.begin(2).is_some());
        assert!(!first.was_closed);
        first.acknowledge(2, now());
        drop(first);
        assert!(board.begin(1).expect("the first is over").was_closed);
        // One that was not acknowledged changes nothing.
        assert!(board.begin(1).expect("it is over").was_closed);
    }
}
