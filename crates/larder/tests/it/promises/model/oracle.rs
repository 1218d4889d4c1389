//! The model: a map, a clock, and counters. It knows the rules of names by heart, not from the library.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use larder::{Counts, Refusal};

use super::super::fixture::{LOADS_TAKE_WHAT_THEY_CANNOT_USE, counted_under};
use super::op::{Change, Name, Row, Says, bits};

/// What an entry can depend on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Dependency {
    Tag(u8),
    Scope(String),
    Space(&'static str),
    Everything,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) row: Row,
    pub(super) stored_at: u64,
    expires_at: u64,
    version: Option<u64>,
    depends_on: BTreeSet<Dependency>,
    group: String,
    /// Invalidated, but still in memory.
    gone: bool,
}

/// A load under way, and whether what it brings may be stored.
#[derive(Clone, Debug)]
pub(super) struct Load {
    pub(super) name: String,
    pub(super) plan: Plan,
    depends_on: BTreeSet<Dependency>,
    /// What it loads was removed or set meanwhile: it must not be stored.
    pub(super) outdated: bool,
    /// Something else was: it may be refused, since names share tickets.
    pub(super) disturbed: bool,
    /// What it brings is of then.
    began_at: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) group: String,
    lifetime_ms: u64,
}

#[derive(Default)]
pub(crate) struct Model {
    pub(super) now: u64,
    /// Those too that are no hit any more, until they are swept.
    pub(crate) entries: HashMap<String, Entry>,
    pub(super) loads: BTreeMap<usize, Load>,
    pub(super) counts: BTreeMap<String, Counts>,
}

/// What a space says: its template, lifetime, group, and whether bare sets and versions are for it.
struct Owner {
    space: &'static str,
    lifetime_ms: u64,
    group: Option<&'static str>,
    takes_sets: bool,
    versioned: bool,
}

const MINUTE_MS: u64 = 60_000;

fn owner(name: &str) -> Option<Owner> {
    let parts: Vec<&str> = name.split(':').collect();
    let (space, lifetime_ms, group, takes_sets, versioned) = match parts[..] {
        ["deals", "company", _, "page", _] => ("page", 5 * MINUTE_MS, None, false, false),
        ["deals", "company", _, "board"] => ("board", 30 * MINUTE_MS, Some("boards"), true, false),
        ["row", _] => ("row", 60 * MINUTE_MS, None, false, true),
        _ => return None,
    };
    Some(Owner { space, lifetime_ms, group, takes_sets, versioned })
}

pub(super) fn group(name: &str, prefix: Option<&str>) -> String {
    let of_space = owner(name).and_then(|owner| owner.group);
    prefix.or(of_space).unwrap_or_else(|| name.split(':').next().unwrap()).to_owned()
}

/// The scope that a name lies in: its company, if there is something below.
fn scope(name: &str) -> Option<String> {
    let parts: Vec<&str> = name.split(':').collect();
    (parts.len() > 3 && parts[..2] == ["deals", "company"]).then(|| parts[..3].join(":"))
}

fn dependencies(name: &str, tags: u8) -> BTreeSet<Dependency> {
    let mut all: BTreeSet<_> = bits(tags).map(Dependency::Tag).collect();
    all.extend(scope(name).map(Dependency::Scope));
    all.extend(owner(name).map(|owner| Dependency::Space(owner.space)));
    all.insert(Dependency::Everything);
    all
}

/// Globs of this universe: `*`, `?`, `[^2]`, `[0-1]` and `\`.
fn matches(glob: &[u8], name: &[u8]) -> bool {
    match (glob, name) {
        ([], _) => name.is_empty(),
        ([b'*', rest @ ..], _) => (0..=name.len()).any(|skip| matches(rest, &name[skip..])),
        (_, []) => false,
        ([b'?', rest @ ..], [_, name @ ..]) => matches(rest, name),
        ([b'[', b'^', not, b']', rest @ ..], [byte, name @ ..]) => byte != not && matches(rest, name),
        ([b'[', low, b'-', high, b']', rest @ ..], [byte, name @ ..]) => {
            (low..=high).contains(&byte) && matches(rest, name)
        }
        ([b'\\', byte, rest @ ..] | [byte, rest @ ..], [first, name @ ..]) => {
            byte == first && matches(rest, name)
        }
    }
}

impl Model {
    pub(super) fn count(&mut self, group: &str, what: impl FnOnce(&mut Counts)) {
        what(self.counts.entry(group.to_owned()).or_default());
    }

    pub(super) fn error(&mut self, name: &str) {
        self.count(&group(name, None), |counts| counts.errors += 1);
    }

    fn is_live(&self, entry: &Entry) -> bool {
        !entry.gone && self.now < entry.expires_at
    }

    pub(super) fn live(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name).filter(|entry| self.is_live(entry))
    }

    /// A read of somebody who declares tags: the value, if every one is among those of the entry.
    pub(super) fn read(&mut self, name: &str, tags: u8, prefix: Option<&str>) -> Option<Entry> {
        let entry = self.live(name)?.clone();
        if !bits(tags).all(|n| entry.depends_on.contains(&Dependency::Tag(n))) {
            return None;
        }
        let group = counted_under(&entry.group, &group(name, prefix)).to_owned();
        self.count(&group, |counts| counts.hits += 1);
        Some(entry)
    }

    pub(super) fn get(&mut self, name: &str) -> Option<Entry> {
        let entry = self.read(name, 0, None);
        if entry.is_none() {
            self.count(&group(name, None), |counts| counts.misses += 1);
        }
        entry
    }

    /// The group of a call, and its lifetime unless that is nothing.
    pub(super) fn plan(&self, name: &str, says: Says) -> Result<Plan, Plan> {
        let of_space = owner(name).map(|owner| owner.lifetime_ms);
        let lifetime_ms = says.ttl.map(larder::Ttl::as_millis).or(of_space).unwrap_or(30 * MINUTE_MS);
        let plan = Plan { group: group(name, says.prefix), lifetime_ms };
        if lifetime_ms == 0 { Err(plan) } else { Ok(plan) }
    }

    pub(super) fn begin(&mut self, name: &str, says: Says, plan: Plan) -> Load {
        if LOADS_TAKE_WHAT_THEY_CANNOT_USE {
            self.entries.remove(name);
        }
        let depends_on = dependencies(name, says.tags);
        Load {
            name: name.to_owned(),
            plan,
            depends_on,
            began_at: self.now,
            outdated: false,
            disturbed: false,
        }
    }

    /// What the cache has stored after a load.
    pub(super) fn install(&mut self, load: &Load, row: &Row, typed: bool) {
        let version = owner(&load.name).filter(|owner| owner.versioned && typed).map(|_| row.version);
        self.count(&load.plan.group, |counts| counts.sets += 1);
        let depends_on = load.depends_on.clone();
        self.put(&load.name, row, &load.plan, load.began_at, version, depends_on);
    }

    fn put(
        &mut self,
        name: &str,
        row: &Row,
        plan: &Plan,
        stored_at: u64,
        version: Option<u64>,
        depends_on: BTreeSet<Dependency>,
    ) {
        let expires_at = stored_at.saturating_add(plan.lifetime_ms);
        let (row, group) = (row.clone(), plan.group.clone());
        let entry = Entry { row, stored_at, expires_at, version, depends_on, group, gone: false };
        self.entries.insert(name.to_owned(), entry);
    }

    /// Loads of this name are too late from now on.
    fn touch(&mut self, name: &str) {
        for load in self.loads.values_mut() {
            load.outdated |= load.name == name;
            load.disturbed = true;
        }
    }

    fn invalidate(&mut self, dependency: &Dependency) {
        for load in self.loads.values_mut() {
            load.outdated |= load.depends_on.contains(dependency);
        }
        for entry in self.entries.values_mut() {
            entry.gone |= entry.depends_on.contains(dependency);
        }
    }

    pub(super) fn set(&mut self, at: Name, typed: bool, row: &Row, says: Says, nx: bool) -> Option<Refusal> {
        let name = at.text();
        let plan = match self.plan(&name, says) {
            Ok(plan) if owner(&name).is_none_or(|owner| owner.takes_sets) => plan,
            _ => {
                self.error(&name);
                return Some(Refusal::Failed);
            }
        };
        if nx && self.live(&name).is_some() {
            return Some(Refusal::Exists);
        }
        self.touch(&name);
        let load = self.begin(&name, says, plan);
        self.install(&load, row, typed);
        None
    }

    pub(super) fn set_versioned(&mut self, name: &str, row: &Row) -> Option<Refusal> {
        if !owner(name).expect("only spaces have versions").versioned {
            self.delete(name);
            self.error(name);
            return Some(Refusal::Failed);
        }
        self.touch(name);
        let there = self.live(name).and_then(|entry| Some((entry.version?, entry.clone())));
        match there {
            Some((version, _)) if version >= row.version => Some(Refusal::Older),
            Some((_, older)) => {
                self.count(&group(name, None), |counts| counts.sets += 1);
                let plan = Plan {
                    group: older.group,
                    lifetime_ms: older.expires_at.saturating_sub(older.stored_at),
                };
                self.put(name, row, &plan, self.now, Some(row.version), older.depends_on);
                None
            }
            None => {
                self.entries.remove(name);
                Some(Refusal::Absent)
            }
        }
    }

    /// Under which group the removal of a live entry is counted.
    fn group_of_live(&self, name: &str) -> Option<String> {
        self.live(name).map(|entry| counted_under(&entry.group, &group(name, None)).to_owned())
    }

    pub(super) fn delete(&mut self, name: &str) -> u64 {
        let of_entry = self.group_of_live(name);
        self.touch(name);
        self.entries.remove(name);
        let was_live = of_entry.is_some();
        self.count(&of_entry.unwrap_or_else(|| group(name, None)), |counts| counts.deletes += 1);
        u64::from(was_live)
    }

    /// How many it removes; `None` for a scope, which cannot count.
    pub(super) fn delete_pattern(&mut self, glob: &str) -> Option<u64> {
        if !glob.contains(['*', '?', '[', '\\']) {
            return Some(self.delete(glob));
        }
        let below = glob.strip_suffix(":*").filter(|prefix| !prefix.contains(['*', '?', '[', '\\']));
        if let Some(scope) = below.and_then(|_| scope(glob)).filter(|scope| Some(scope.as_str()) == below) {
            self.invalidate(&Dependency::Scope(scope));
            self.count(&group(glob, None), |counts| counts.deletes += 1);
            return None;
        }
        let names: Vec<String> = self.entries.keys().cloned().collect();
        let mut count = 0;
        for name in names.iter().filter(|name| matches(glob.as_bytes(), name.as_bytes())) {
            if let Some(group) = self.group_of_live(name) {
                self.count(&group, |counts| counts.deletes += 1);
                count += 1;
            }
            self.entries.remove(name);
        }
        for load in self.loads.values_mut() {
            load.outdated |= matches(glob.as_bytes(), load.name.as_bytes());
            load.disturbed = true;
        }
        Some(count)
    }

    /// Invalidates; such removals are counted together.
    pub(super) fn invalidate_counted(&mut self, dependency: &Dependency) {
        self.invalidate(dependency);
        self.count("(tags)", |counts| counts.deletes += 1);
    }

    /// A removal as it stands in a [`Change`]: how many it took, where that is known.
    pub(super) fn remove(&mut self, change: &Change) -> Option<u64> {
        match change {
            Change::Delete(at) => Some(self.delete(&at.name.text())),
            Change::DeleteMany(names) => Some(names.iter().map(|name| self.delete(&name.text())).sum()),
            Change::DeletePattern(glob) => self.delete_pattern(glob),
            Change::InvalidateTags(tags) => {
                bits(*tags).for_each(|n| self.invalidate_counted(&Dependency::Tag(n)));
                None
            }
            Change::Invalidate(names, tags, globs) => {
                let mut count = self.remove(&Change::DeleteMany(names.clone()));
                if *tags != 0 {
                    count = self.remove(&Change::InvalidateTags(*tags));
                }
                globs
                    .iter()
                    .fold(count, |count, glob| self.delete_pattern(glob).zip(count).map(|(a, b)| a + b))
            }
            Change::ClearSpace(space) => {
                self.invalidate_counted(&Dependency::Space(["page", "board", "row"][*space]));
                None
            }
            Change::Clear => {
                self.invalidate_counted(&Dependency::Everything);
                None
            }
            Change::Set(..) | Change::SetMany(..) | Change::SetVersioned(..) => {
                unreachable!("it removes nothing")
            }
        }
    }

    /// Takes what is no hit any more out of memory, and answers how much that is.
    pub(crate) fn sweep(&mut self) -> u64 {
        let dead: Vec<String> = self
            .entries
            .iter()
            .filter(|(_, entry)| !self.is_live(entry))
            .map(|(name, _)| name.clone())
            .collect();
        dead.iter().for_each(|name| {
            self.entries.remove(name);
        });
        dead.len() as u64
    }
}
