//! What ends copies, told by hand: the cases that a whole server seldom brings about.

use std::sync::Arc;

use super::super::front::{Copying, Front, Tie};
use super::super::names::Names;
use super::super::reply::Reply;
use super::super::wire::Told;
use super::local;
use crate::clock::Clock;
use crate::entry::Era;
use crate::key::Tag;
use crate::lease::STALENESS_MS;
use crate::local::{Candidate, Local};
use crate::stats::Counters;

/// Copies, and where they are.
struct Copies {
    front: Arc<Front>,
    local: Arc<Local>,
}

fn is_open(front: &Front, now_ms: u64) -> bool {
    front.lease().expect("copies are kept").is_open(now_ms)
}

impl Copies {
    fn new() -> Copies {
        let local = local();
        let names = Arc::new(Names::new(""));
        let copies = Copies { front: Front::new(Arc::clone(&local), names, Clock::system(), true), local };
        copies.front.reconnected(ERA);
        copies
    }

    fn begin(&self, name: &str) -> Copying {
        *self.front.begin(name, &[Tag::new("of", name)])
    }

    fn put_in(&self, name: &str, copying: Copying) {
        let group = Counters::new([]).group("x");
        let candidate = Candidate {
            payload: Arc::new(1_u32),
            stored_at_ms: 0,
            expires_at_ms: u64::MAX,
            version: None,
            weight: 1,
            group,
        };
        self.local.install(self.local.name(name), copying.grant, Some(candidate));
    }

    fn has(&self, name: &str) -> bool {
        self.local.lookup(self.local.name(name), &[], Clock::system().now_ms()).is_some()
    }
}

fn key(key: &str) -> Reply {
    Reply::Bytes(key.as_bytes().to_vec())
}

fn invalidate(what: Vec<Reply>) -> Told {
    Told::Push([vec![key("invalidate")], what].concat())
}

#[test]
fn what_is_told_ends_the_copies_that_it_is_of() {
    let tag = format!("!t:{:016x}", Tag::new("of", "a").as_u64());
    let told = |what: Vec<Reply>| vec![Reply::Array(what)];
    for (data, ends) in [
        (told(vec![key("a")]), [true, false]),
        (told(vec![key("b"), key("a")]), [true, true]),
        (told(vec![key(&tag)]), [true, false]),
        (told(vec![key("!root")]), [true, true]),
        (told(vec![key("c"), key("!lock:a"), Reply::Bytes(vec![0xff])]), [false, false]),
        (vec![Reply::Nil], [true, true]), // after FLUSHALL
        (told(vec![Reply::Int(1)]), [true, true]),
        (Vec::new(), [true, true]),
    ] {
        let copies = Copies::new();
        for name in ["a", "b"] {
            copies.put_in(name, copies.begin(name));
        }
        assert!(copies.has("a") && copies.has("b"));
        let late = copies.begin("a");
        Tie::new(&copies.front).told(invalidate(data.clone()));
        assert_eq!(["a", "b"].map(|name| !copies.has(name)), ends, "{data:?}");
        copies.put_in("a", late);
        assert_eq!(!copies.has("a"), ends[0], "{data:?}: nor is it put in again");
    }
}

const ERA: Era = Era([1; 8]);

#[test]
fn what_was_read_over_a_connection_that_ended_is_not_put_in_in_front_of_the_next() {
    for has_answered in [false, true] {
        for is_put_in_late in [false, true] {
            let copies = Copies::new();
            let (first, next) = (Tie::new(&copies.front), Tie::new(&copies.front));
            let now_ms = Clock::system().now_ms();
            if has_answered {
                first.heard(ERA, now_ms);
            }
            let mut copying = Some(copies.begin("a"));
            first.end();
            if !is_put_in_late && let Some(copying) = copying.take() {
                copies.put_in("a", copying);
            }
            copies.front.reconnected(ERA); // it has not changed
            if let Some(copying) = copying {
                copies.put_in("a", copying);
            }
            next.heard(ERA, now_ms);
            assert!(!copies.has("a"), "answered: {has_answered}, late: {is_put_in_late}");
        }
    }
}

#[test]
fn a_connection_that_ended_has_nothing_to_say_of_the_copies_of_the_next() {
    let copies = Copies::new();
    let (first, next) = (Tie::new(&copies.front), Tie::new(&copies.front));
    let of_a_failed_handshake = Tie::new(&copies.front);
    let now_ms = Clock::system().now_ms();
    first.heard(ERA, now_ms);
    first.end();
    first.heard(ERA, now_ms); // an answer that was there already
    assert!(!is_open(&copies.front, now_ms));

    copies.front.reconnected(ERA);
    next.heard(ERA, now_ms);
    copies.put_in("a", copies.begin("a"));
    first.end();
    first.told(invalidate(vec![Reply::Nil]));
    first.told(Told::Over);
    first.heard(Era([2; 8]), now_ms);
    of_a_failed_handshake.told(Told::Over);
    assert!(copies.has("a") && is_open(&copies.front, now_ms));
    next.told(Told::Over);
    assert!(!copies.has("a") && !is_open(&copies.front, now_ms));
    let retired = copies.local.lookup_retired(copies.local.name("a"), &[], now_ms);
    assert!(retired.is_some(), "what was known last is there for who asks for it");
}

#[test]
fn copies_are_served_for_a_second_from_when_that_was_sent_which_was_answered_last() {
    let Copies { front, .. } = Copies::new();
    let tie = Tie::new(&front);
    assert!(!is_open(&front, 0), "nothing was answered");
    tie.heard(ERA, 10_000);
    tie.heard(ERA, 9_000); // an answer that was late
    assert!(is_open(&front, 10_000 + STALENESS_MS - 1) && !is_open(&front, 10_000 + STALENESS_MS));
    tie.end();
    assert!(!is_open(&front, 10_000));
    Tie::new(&front).heard(ERA, 20_000);
    assert!(is_open(&front, 20_000));
    assert_eq!(front.silent_ms(20_500), Some(500));
}
