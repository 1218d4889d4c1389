//! Holds the names in a crate's modules against its floors.

use std::collections::BTreeSet;
use std::fmt;

use super::names::{Name, names};
use super::sources;

/// The floors of one crate.
pub(crate) struct House {
    pub(crate) krate: &'static str,
    /// Bottom first. Modules on one floor do not know each other.
    pub(crate) floors: &'static [&'static [&'static str]],
    /// The modules that are divided into rooms, and known to others by the names in their `mod.rs` only.
    pub(crate) domains: &'static [&'static str],
    /// The rooms of a domain, bottom first.
    pub(crate) rooms: &'static [&'static str],
}

/// What can be wrong with a name or a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    NoFloor,
    NoModule,
    NoRoom,
    Upstairs,
    Neighbour,
    CrateRoot,
    BehindTheDoor,
    RoomUpstairs,
    OwnDoor,
}

impl Rule {
    fn what_to_do(self) -> &'static str {
        match self {
            Self::NoFloor => "give the module a floor in crates/xtask/tests/floors.rs and in ARCHITECTURE.md",
            Self::NoModule => "take it from its floor in crates/xtask/tests/floors.rs",
            Self::NoRoom => "put it into a room of the domain, or add a room in crates/xtask/tests/floors.rs",
            Self::Upstairs => {
                "move what both need to a lower floor, or return a value and let the caller above act on it"
            }
            Self::Neighbour => {
                "modules of one floor do not know each other: let the floor above bring them together"
            }
            Self::CrateRoot => {
                "name the module that defines it: the names in the crate root are for users of the crate"
            }
            Self::BehindTheDoor => "use what the domain's mod.rs shows, or show more there",
            Self::RoomUpstairs => {
                "inside a domain, rooms know only rooms below: model, cache, store, actions, routes"
            }
            Self::OwnDoor => "name the room that defines it: what mod.rs shows is for other domains",
        }
    }
}

/// One broken rule, at its place.
#[derive(Debug)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    file: String,
    line: usize,
    what: String,
    /// The module at the top of the crate that it is about.
    target: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, file, line, what, .. } = self;
        write!(f, "{file}:{line}: {rule:?}: {what}\n    {}", rule.what_to_do())
    }
}

/// Checks every source file of a crate of this workspace, and fails with all that is wrong.
pub(crate) fn workspace_crate(house: &House) {
    let folder = format!("crates/{}/src", house.krate);
    let mut violations = Vec::new();
    let mut homeless = BTreeSet::new();
    let mut empty: BTreeSet<&str> = house.floors.iter().copied().flatten().copied().collect();
    for source in sources::below(&folder, &[".rs"]) {
        let module = module_of(source.path.strip_prefix(&folder).unwrap_or(&source.path));
        let is_there = |named: &str| match module.first() {
            Some(top) => top == named,
            None => source.text.contains(&format!("mod {named} {{")), // within the root itself
        };
        empty.retain(|named| !is_there(named));
        homeless.extend(module.first().filter(|top| house.floor(top).is_none()).cloned());
        violations.extend(file(house, &source.path, &module, &source.text));
    }
    // Whoever names a module without a floor is not at fault; that module is reported itself, and once.
    violations.retain(|found| !(found.rule == Rule::CrateRoot && homeless.contains(&found.target)));
    violations.retain(|found| found.rule != Rule::NoFloor || homeless.remove(&found.target));
    violations.extend(empty.into_iter().map(|named| Violation {
        rule: Rule::NoModule,
        file: folder.clone(),
        line: 1,
        what: format!("there is no module `{named}`"),
        target: named.to_owned(),
    }));
    let violations: Vec<String> = violations.iter().map(ToString::to_string).collect();
    assert!(violations.is_empty(), "imports must run downstairs:\n{}", violations.join("\n"));
}

/// Checks one file, the text of `module`.
pub(crate) fn file(house: &House, file: &str, module: &[String], text: &str) -> Vec<Violation> {
    let violation = |line, target: Option<&String>, (rule, what)| Violation {
        rule,
        file: file.to_owned(),
        line,
        what,
        target: target.cloned().unwrap_or_default(),
    };
    let place = house.place(module).map(|broken| violation(1, module.first(), broken));
    let names = names(text, module).into_iter();
    let broken = names.filter_map(|name| Some(violation(name.line, name.path.first(), house.judge(&name)?)));
    place.into_iter().chain(broken).collect()
}

/// `/deals/store.rs` is the module `deals::store`; `/deals/mod.rs` is `deals`; `/lib.rs` is the root.
fn module_of(file: &str) -> Vec<String> {
    let parts = file.trim_start_matches('/').trim_end_matches(".rs").split('/');
    parts.filter(|part| !["mod", "lib", "main"].contains(part)).map(str::to_owned).collect()
}

impl House {
    /// Whether the module itself has its place.
    fn place(&self, module: &[String]) -> Option<(Rule, String)> {
        let top = module.first()?;
        if self.floor(top).is_none() {
            return Some((Rule::NoFloor, format!("module `{top}` of {} has no floor", self.krate)));
        }
        let room = module.get(1).filter(|_| self.is_domain(top))?;
        self.room(room)
            .is_none()
            .then(|| (Rule::NoRoom, format!("`{top}::{room}` is not one of the rooms of a domain")))
    }

    /// Whether the name may be used where it is used.
    fn judge(&self, Name { module, path, .. }: &Name) -> Option<(Rule, String)> {
        let shown = |path: &[String]| format!("`crate::{}`", path.join("::"));
        let target = path.first()?;
        let Some(home) = module.first() else {
            // The crate root puts the house together: it may name every floor, but opens no domain's rooms.
            return self
                .is_behind_a_door(path)
                .then(|| (Rule::BehindTheDoor, format!("the crate root names {}", shown(path))));
        };
        if home == target {
            return self.judge_inside(module, path);
        }
        let says = |verb: &str| format!("`{home}` names {}{verb}", shown(path));
        let (Some(from), Some(to)) = (self.floor(home), self.floor(target)) else {
            // A home without a floor has been reported with its file.
            return self
                .floor(target)
                .is_none()
                .then(|| (Rule::CrateRoot, says(", which is not a module with a floor")));
        };
        if to > from {
            Some((Rule::Upstairs, says(&format!(": floor {to} seen from floor {from}"))))
        } else if to == from {
            Some((Rule::Neighbour, says(&format!(": both are on floor {to}"))))
        } else if self.is_behind_a_door(path) {
            Some((Rule::BehindTheDoor, says("")))
        } else {
            None
        }
    }

    /// A domain's module names something of its own domain.
    fn judge_inside(&self, module: &[String], path: &[String]) -> Option<(Rule, String)> {
        let home = module.first().filter(|home| self.is_domain(home))?;
        let room = module.get(1)?; // `mod.rs` declares and shows the rooms: it is above them
        let from = self.room(room)?; // a room without a place has been reported with its file
        let named = path.get(1).map_or("", String::as_str);
        match self.room(named) {
            Some(to) if to <= from => None,
            Some(_) => Some((
                Rule::RoomUpstairs,
                format!("`{home}::{room}` names `{home}::{named}`, a room above it"),
            )),
            None => Some((
                Rule::OwnDoor,
                format!("`{home}::{room}` names `{home}::{named}` through its own mod.rs"),
            )),
        }
    }

    fn is_behind_a_door(&self, path: &[String]) -> bool {
        path.len() > 1 && self.is_domain(&path[0]) && self.room(&path[1]).is_some()
    }

    fn is_domain(&self, module: &str) -> bool {
        self.domains.contains(&module)
    }

    fn floor(&self, module: &str) -> Option<usize> {
        self.floors.iter().position(|floor| floor.contains(&module))
    }

    fn room(&self, module: &str) -> Option<usize> {
        self.rooms.iter().position(|room| *room == module)
    }
}
