//! What can be done to a cache, over a small universe of names, and how it is drawn at random.

use larder::{Key, Policy, Space, Tag, Ttl};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde::{Deserialize, Serialize};

use super::super::fixture::MOMENT;

/// The shortest time that matters.
const MOMENT_MS: u64 = MOMENT.as_millis() as u64;

/// Every value there is: which one it is, and a row version for those who look at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(super) serial: u64,
    pub(super) version: u64,
}

/// In a scope, and its source is elsewhere.
pub(super) static PAGE: Space<(&'static str, u32), Row> =
    Space::new("deals:company:{company}:page:{n}", "A test.").ttl(Ttl::SHORT).scope("company");
/// In the same scope, its source is the cache, and it is counted elsewhere.
pub(super) static BOARD: Space<&'static str, Row> =
    Space::new("deals:company:{company}:board", "A test.").prefix("boards").cache_is_source();
/// With row versions.
pub(super) static ROW: Space<&'static str, Row> =
    Space::new("row:{id}", "A test.").ttl(Ttl::LONG).versioned(|row: &Row| row.version);

/// A name of the universe, and through what it is reached by its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Name {
    Bare(&'static str),
    Page(&'static str, u32),
    Board(&'static str),
    Row(&'static str),
}

impl Name {
    /// Plain names, names under the scope, names of spaces' forms without their doors, and odd ones.
    pub(super) const ALL: [Name; 22] = [
        Name::Bare("plain"),
        Name::Bare("user:1"),
        Name::Bare("user:2"),
        Name::Bare("user:1:stats:2"),
        Name::Bare(""),
        Name::Bare("a*b"),
        Name::Bare("!root"),
        Name::Bare("deals:company:a"),
        Name::Bare("deals:company:a:more"),
        Name::Bare("deals:company::more"),
        Name::Bare("deals:company:*:more"),
        Name::Bare("row:"),
        Name::Page("a", 1),
        Name::Page("a", 2),
        Name::Page("b:c", 1),
        Name::Page("*", 1),
        Name::Page("", 1),
        Name::Board("a"),
        Name::Board("*"),
        Name::Row("1"),
        Name::Row("a:b"),
        Name::Row(""),
    ];

    pub(super) fn key(self) -> Option<Key<'static, Row>> {
        match self {
            Name::Bare(_) => None,
            Name::Page(company, n) => Some(PAGE.key(&(company, n))),
            Name::Board(company) => Some(BOARD.key(&company)),
            Name::Row(id) => Some(ROW.key(&id)),
        }
    }

    pub(super) fn text(self) -> String {
        match self {
            Name::Bare(name) => name.to_owned(),
            _ => self.key().expect("it has a space").as_str().to_owned(),
        }
    }
}

/// Through which door a name is reached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub(super) name: Name,
    pub(super) typed: bool,
}

impl At {
    /// The typed key, where there is one and it is to be used.
    pub(super) fn key(self) -> Option<Key<'static, Row>> {
        self.name.key().filter(|_| self.typed)
    }
}

/// A policy as it is drawn. Tags are a set of bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Says {
    pub(super) ttl: Option<Ttl>,
    pub(super) prefix: Option<&'static str>,
    pub(super) tags: u8,
}

pub(super) const TAGS: u8 = 4;

pub(super) fn tag(n: u8) -> Tag {
    Tag::new("tag", n)
}

pub(super) fn bits(tags: u8) -> impl Iterator<Item = u8> {
    (0..TAGS).filter(move |n| tags & 1 << n != 0)
}

impl Says {
    pub(super) fn policy(self) -> Policy {
        let policy = self.ttl.map_or_else(Policy::new, Policy::ttl);
        let policy = self.prefix.into_iter().fold(policy, Policy::prefix);
        policy.tags(bits(self.tags).map(tag))
    }
}

/// What changes entries without reading them.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Set(At, Says, bool),
    SetMany(Vec<Name>, Says, bool),
    SetVersioned(Name, u64),
    Delete(At),
    DeleteMany(Vec<Name>),
    DeletePattern(&'static str),
    InvalidateTags(u8),
    Invalidate(Vec<Name>, u8, Vec<&'static str>),
    ClearSpace(usize),
    Clear,
}

/// How a load ends.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Value,
    Error,
    /// With a value, after this has happened meanwhile.
    ValueAfter(Change),
}

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Change(Change),
    Get(At),
    Lookup(At),
    GetMany(Vec<Name>),
    GetOrSet(At, Says, Outcome),
    /// The bits say which of the missing the loader leaves out.
    GetOrSetMany(Vec<At>, Says, u8, Outcome),
    TakePermit(At, Says),
    FillPermit(usize),
    DropPermit(usize),
    Advance(u64),
    Sweep,
}

fn any_name() -> impl Strategy<Value = Name> {
    select(&Name::ALL[..])
}

fn any_names() -> impl Strategy<Value = Vec<Name>> {
    vec(any_name(), 0..5)
}

fn at() -> impl Strategy<Value = At> {
    (any_name(), any::<bool>()).prop_map(|(name, typed)| At { name, typed })
}

fn says() -> impl Strategy<Value = Says> {
    const LIFETIMES: [Option<Ttl>; 8] = [
        None,
        None,
        None,
        Some(Ttl::millis(0)),
        Some(Ttl::millis(MOMENT_MS)),
        Some(Ttl::SHORT),
        Some(Ttl::DAY),
        Some(Ttl::FOREVER),
    ];
    let prefix = select(&[None, None, Some("analytics"), Some("user")][..]);
    (select(&LIFETIMES[..]), prefix, prop_oneof![Just(0), 0..1_u8 << TAGS])
        .prop_map(|(ttl, prefix, tags)| Says { ttl, prefix, tags })
}

fn glob() -> impl Strategy<Value = &'static str> {
    const GLOBS: &[&str] = &[
        "*",
        "user:*",
        "user:*:stats:*",
        "user:1",
        "user:[^2]",
        "?ser:[0-1]",
        "",
        "a\\*b",
        "a*b",
        "deals:*",
        "deals:company:a:*",
        "deals:company:a*",
        "deals:company:*:*",
        "deals:company::*",
        "deals:company:%2A:*",
        "deals:company:%:*",
        "deals:company:\\*:*",
        "deals:company:a:page:*",
        "deals:company:a:page:1",
        "row:*",
        "row:%",
        "nothing:*",
    ];
    select(GLOBS)
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (at(), says(), any::<bool>()).prop_map(|(at, says, nx)| Change::Set(at, says, nx)),
        1 => (any_names(), says(), any::<bool>()).prop_map(|(names, says, nx)| Change::SetMany(names, says, nx)),
        3 => (select(&Name::ALL[12..]), 0..6_u64).prop_map(|(name, version)| Change::SetVersioned(name, version)),
        2 => at().prop_map(Change::Delete),
        1 => any_names().prop_map(Change::DeleteMany),
        3 => glob().prop_map(Change::DeletePattern),
        2 => (0..1_u8 << TAGS).prop_map(Change::InvalidateTags),
        1 => (any_names(), 0..1_u8 << TAGS, vec(glob(), 0..2))
            .prop_map(|(names, tags, globs)| Change::Invalidate(names, tags, globs)),
        1 => (0..3_usize).prop_map(Change::ClearSpace),
        1 => Just(Change::Clear),
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        4 => Just(Outcome::Value),
        1 => Just(Outcome::Error),
        3 => change().prop_map(Outcome::ValueAfter),
    ]
}

pub(super) fn any_op() -> impl Strategy<Value = Op> {
    const MOMENTS: &[u64] =
        &[0, MOMENT_MS, 1_000, 300_000 - MOMENT_MS, 300_000, 1_800_000, 3_600_000, 86_400_000];
    prop_oneof![
        9 => change().prop_map(Op::Change),
        1 => at().prop_map(Op::Get),
        1 => at().prop_map(Op::Lookup),
        1 => any_names().prop_map(Op::GetMany),
        8 => (at(), says(), outcome()).prop_map(|(at, says, outcome)| Op::GetOrSet(at, says, outcome)),
        4 => (vec(at(), 0..6), says(), any::<u8>(), outcome())
            .prop_map(|(ats, says, left_out, outcome)| Op::GetOrSetMany(ats, says, left_out & left_out >> 4, outcome)),
        3 => (at(), says()).prop_map(|(at, says)| Op::TakePermit(at, says)),
        2 => any::<usize>().prop_map(Op::FillPermit),
        1 => any::<usize>().prop_map(Op::DropPermit),
        2 => select(MOMENTS).prop_map(Op::Advance),
        1 => Just(Op::Sweep),
    ]
}
