//! The checker itself: each rule finds what it is there for, and nothing else.

use super::check::{self, Rule};
use super::names::names;
use super::{CRM, LARDER};

fn path(module: &str) -> Vec<String> {
    module.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// `(module, its text, the rule that it breaks)`.
type Snippet = (&'static str, &'static str, Option<Rule>);

fn judge(house: &check::House, snippets: &[Snippet]) {
    for (module, text, expected) in snippets {
        let found = check::file(house, "snippet.rs", &path(module), text);
        let mut rules: Vec<Rule> = found.iter().map(|violation| violation.rule).collect();
        rules.dedup(); // one `use` may name two things by one rule
        assert_eq!(rules, expected.iter().copied().collect::<Vec<_>>(), "in `{module}`: {text}");
    }
}

#[test]
fn each_rule_finds_its_snippet_in_larder() {
    use Rule::{CrateRoot, Neighbour, NoFloor, Upstairs};
    judge(
        &LARDER,
        &[
            ("", "mod key; pub use key::Key; pub use crate::service::CacheService;", None),
            ("service", "use crate::{key::Key, local::Local, stats::Stats};", None),
            (
                "service::load",
                "use crate::service::CacheService; use super::Other; use self::inner::X;",
                None,
            ),
            ("key", "use crate::service::CacheService;", Some(Upstairs)),
            ("key", "use super::service::CacheService;", Some(Upstairs)),
            ("key::tag", "use super::super::service::CacheService;", Some(Upstairs)),
            ("key", "use crate::{error::Error, service::{self, CacheService}};", Some(Upstairs)),
            ("key", "use crate::{\n    error::Error,\n    local::*,\n};", Some(Upstairs)),
            ("key", "fn f() -> crate::builder::Builder { unimplemented() }", Some(Upstairs)),
            ("key", "fn f() { assert!(crate::builder::is_open()); }", Some(Upstairs)),
            ("key", "macro_rules! m { () => { $crate::builder::open() } }", Some(Upstairs)),
            ("key", "mod inner { fn f() { super::super::builder::open() } }", Some(Upstairs)),
            ("key", "#[cfg(any(test, feature = \"x\"))] use crate::builder::Builder;", Some(Upstairs)),
            ("ticket", "use crate::flight::Flight;", Some(Neighbour)),
            ("flight", "fn f<T>() { crate::stats::count::<T>() }", Some(Neighbour)),
            ("service", "use crate::CacheService;", Some(CrateRoot)),
            ("service", "use crate::*;", Some(CrateRoot)),
            ("service", "use super::*;", Some(CrateRoot)),
            ("service", "use crate::{Key as Name};", Some(CrateRoot)),
            ("attic", "//! A new module.", Some(NoFloor)),
            ("attic::box", "use crate::key::Key;", Some(NoFloor)),
        ],
    );
}

#[test]
fn each_rule_finds_its_snippet_in_crm() {
    use Rule::{BehindTheDoor, NoRoom, OwnDoor, RoomUpstairs, Upstairs};
    judge(
        &CRM,
        &[
            ("", "fn main() { crate::deals::router() }", None),
            ("deals", "mod store; pub use store::find; pub use self::model::Deal;", None),
            ("deals::store", "use super::{cache, model::Deal}; use crate::companies::CompanyId;", None),
            ("deals::routes", "use crate::deals::{actions, cache::DEAL, model::Deal};", None),
            ("import", "use crate::{companies, deals::Deal};", None),
            ("companies::store", "use crate::deals::Deal;", Some(Upstairs)),
            ("http", "use crate::deals::router;", Some(Upstairs)),
            ("deals::actions", "use crate::companies::store::find;", Some(BehindTheDoor)),
            ("deals::actions", "use crate::companies::{CompanyId, cache::COMPANY};", Some(BehindTheDoor)),
            ("import::sales", "use crate::deals::store;", Some(BehindTheDoor)),
            ("", "use crate::deals::store;", Some(BehindTheDoor)),
            ("deals::model", "use super::store::insert;", Some(RoomUpstairs)),
            ("deals::store", "use crate::deals::{model::Deal, routes};", Some(RoomUpstairs)),
            ("deals::store", "use super::Deal;", Some(OwnDoor)),
            ("deals::store", "use crate::deals;", Some(OwnDoor)),
            ("deals::attic", "//! A new room.", Some(NoRoom)),
        ],
    );
}

#[test]
fn code_under_cfg_test_is_exempt() {
    judge(
        &LARDER,
        &[
            ("key", "#[cfg(test)] mod tests { use super::*; use crate::service::CacheService; }", None),
            ("key", "#[cfg(test)]\n#[expect(x, reason = \"y\")]\nuse crate::{service::CacheService};", None),
            ("key", "#[cfg(test)] fn f<A, B>(a: A) -> crate::service::B { crate::service::f() }", None),
            ("key", "#![cfg(test)] use crate::service::CacheService;", None),
            ("key", "struct S { #[cfg(test)] seen: crate::service::Seen, other: u8 }", None),
            // What comes after the exempt item is not exempt.
            ("key", "#[cfg(test)] use crate::service::A; use crate::local::B;", Some(Rule::Upstairs)),
            ("key", "#[cfg(test)] mod tests {} fn f() { crate::local::g() }", Some(Rule::Upstairs)),
            ("key", "struct S { #[cfg(test)] a: u8, b: crate::service::Seen }", Some(Rule::Upstairs)),
        ],
    );
}

#[test]
fn comments_and_text_name_nothing() {
    judge(
        &LARDER,
        &[("key", "//! [`crate::service`]\n/// `crate::local::X`\nconst S: &str = \"crate::local\";", None)],
    );
}

#[test]
fn a_violation_says_where_what_and_what_to_do() {
    let found = check::file(
        &LARDER,
        "crates/larder/src/key.rs",
        &path("key"),
        "//! Doc.\n\nuse crate::local::Local;",
    );
    let message = found[0].to_string();
    for part in [
        "crates/larder/src/key.rs:3:",
        "Upstairs",
        "`key` names `crate::local::Local`",
        "move what both need",
    ] {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

#[test]
fn lines_are_those_of_the_names() {
    let found = names("use crate::{\n    a::B,\n    c::{D, E},\n};", &path("x"));
    let found: Vec<(usize, String)> =
        found.into_iter().map(|name| (name.line, name.path.join("::"))).collect();
    assert_eq!(found, [(2, "a::B".to_owned()), (3, "c::D".to_owned()), (3, "c::E".to_owned())]);
}
