//! Does each operation to the cache and to the model, and compares what they say.

use std::collections::BTreeSet;
use std::time::Duration;

use larder::{CacheService, Counts, Invalidation, Lookup, Permit, Read, Refusal, Removed, Source};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::super::fixture::{self, Clock, given_back, is_hit, may_count, may_stand, with_clock};
use super::batch::Batch;
use super::op::{At, BOARD, Change, Name, Op, Outcome, PAGE, ROW, Row, Says, bits, tag};
use super::oracle::{Entry, Load, Model};

/// How many permits are held at once.
const MOST_HELD: usize = 3;

/// The loader's own error.
const REFUSES: &str = "the loader was told to fail";

/// Calls a door with the typed key, or with the bare name.
macro_rules! through {
    ($at:expr, |$key:ident| $call:expr) => {
        match $at.key() {
            Some($key) => $call.await,
            None => {
                let $key = $at.name.text();
                $call.await
            }
        }
    };
}

/// The cache and the model, side by side.
pub(crate) struct Driver {
    pub(crate) pair: Pair,
    clock: Clock,
    held: Vec<Held>,
}

pub(crate) struct Pair {
    pub(crate) cache: CacheService,
    pub(crate) model: Model,
    /// Numbers values and loads.
    serial: usize,
}

struct Held {
    permit: Permit<Row>,
    at: At,
    /// Its number in the model; `None` where nothing can be stored.
    load: Option<usize>,
}

impl Driver {
    pub(crate) async fn new() -> Self {
        let builder = fixture::builder().space(&PAGE).space(&BOARD).space(&ROW);
        let (cache, clock) = with_clock(builder).await;
        Driver { pair: Pair { cache, model: Model::default(), serial: 0 }, clock, held: Vec::new() }
    }

    pub(crate) async fn step(&mut self, op: &Op) -> TestCaseResult {
        match op {
            Op::Change(change) => self.pair.change(change).await,
            Op::Get(at) => {
                let value = through!(at, |key| self.pair.cache.get::<Row>(key));
                let expected = self.pair.model.get(&at.name.text());
                prop_assert_eq!(value.as_deref(), expected.as_ref().map(|entry| &entry.row));
                Ok(())
            }
            Op::Lookup(at) => {
                let read = through!(at, |key| self.pair.cache.lookup::<Row>(key));
                let expected = self.pair.model.get(&at.name.text());
                self.pair.compare_hit(read.as_ref(), expected.as_ref())
            }
            Op::GetMany(names) => {
                let values = self.pair.cache.get_many::<Row, _>(names.iter().map(|name| name.text())).await;
                for (name, value) in names.iter().zip(values) {
                    let expected = self.pair.model.get(&name.text());
                    prop_assert_eq!(value.as_deref(), expected.as_ref().map(|entry| &entry.row));
                }
                Ok(())
            }
            Op::GetOrSet(at, says, outcome) => {
                self.release(at.name).await;
                self.pair.get_or_set(*at, *says, outcome).await
            }
            Op::GetOrSetMany(ats, says, left_out, outcome) => {
                let typed = ats.first().is_some_and(|at| at.typed);
                let names = ats.iter().map(|at| at.name).filter(|name| !typed || name.key().is_some());
                let names: Vec<Name> = names.collect();
                for name in &names {
                    self.release(*name).await;
                }
                self.pair
                    .get_or_set_many(&Batch { names, typed, says: *says, left_out: *left_out, outcome })
                    .await
            }
            Op::TakePermit(at, says) => {
                self.release(at.name).await;
                self.take_permit(*at, *says).await
            }
            Op::FillPermit(which) => self.fill_permit(*which).await,
            Op::DropPermit(which) => {
                if let Some(held) = self.held.get(which % MOST_HELD) {
                    self.release(held.at.name).await;
                }
                Ok(())
            }
            Op::Advance(ms) => {
                self.clock.advance(Duration::from_millis(*ms)).await;
                self.pair.model.now += ms;
                Ok(())
            }
            Op::Sweep => {
                // It changes no answer; how much it frees is a matter of the back end.
                self.pair.cache.sweep().await;
                self.pair.model.sweep();
                Ok(())
            }
        }
    }

    /// Drops the permit of this name: who asks for it would wait for themselves.
    async fn release(&mut self, name: Name) {
        let Some(which) = self.held.iter().position(|held| held.at.name.text() == name.text()) else {
            return;
        };
        let held = self.held.remove(which);
        held.load.and_then(|load| self.pair.model.loads.remove(&load));
        drop(held.permit);
        given_back(&name.text()).await;
    }

    async fn take_permit(&mut self, at: At, says: Says) -> TestCaseResult {
        if self.held.len() == MOST_HELD {
            self.release(self.held[0].at.name).await;
        }
        let name = at.name.text();
        let lookup = through!(at, |key| self.pair.cache.get_or_permit::<Row>(key, says.policy()));
        let expected = self.pair.model.read(&name, says.tags, says.prefix);
        match lookup {
            Lookup::Hit(read) => self.pair.compare_hit(Some(&read), expected.as_ref()),
            Lookup::Permit(permit) => {
                prop_assert!(expected.is_none(), "a permit for {name}, which is there: {expected:?}");
                prop_assert_eq!(permit.name(), &name);
                let load = self.pair.begin(&name, says);
                self.held.push(Held { permit, at, load });
                Ok(())
            }
        }
    }

    async fn fill_permit(&mut self, which: usize) -> TestCaseResult {
        if self.held.is_empty() {
            return Ok(());
        }
        let Held { permit, at, load } = self.held.remove(which % self.held.len());
        let row = self.pair.next_row();
        let (read, stored) = permit.try_fill(row.clone()).await;
        prop_assert_eq!((&*read.value, read.source, read.age), (&row, Source::Loaded, Duration::ZERO));
        prop_assert_eq!(read.stored, stored.is_stored());
        match load.and_then(|load| self.pair.model.loads.remove(&load)) {
            None => prop_assert_eq!(stored.refusal, Some(Refusal::Failed)),
            Some(load) => {
                prop_assert!(matches!(stored.refusal, None | Some(Refusal::Superseded)), "{:?}", stored);
                self.pair.settle(&load, &row, at.key().is_some(), read.stored)?;
            }
        }
        Ok(())
    }

    /// Every name, and every counter.
    pub(crate) async fn compare_everything(&mut self) -> TestCaseResult {
        let Pair { cache, model, .. } = &mut self.pair;
        for name in Name::ALL.map(Name::text) {
            let value = cache.get::<Row>(&name).await;
            let expected = model.get(&name).map(|entry| entry.row);
            prop_assert_eq!(value.as_deref(), expected.as_ref(), "{:?}", name);
        }
        let stats = cache.stats();
        prop_assert_eq!(stats.local.loading, model.loads.len() as u64);
        let nothing = Counts::default();
        let groups: BTreeSet<&String> = stats.by_prefix.keys().chain(model.counts.keys()).collect();
        for group in groups {
            let counted = stats.by_prefix.get(group).unwrap_or(&nothing);
            let expected = model.counts.get(group).unwrap_or(&nothing);
            prop_assert!(may_stand(counted, expected), "{group:?}: {counted:?} and not {expected:?}");
        }
        let sum = |what: fn(&Counts) -> u64| stats.by_prefix.values().map(what).sum::<u64>();
        let total =
            (stats.total.hits, stats.total.misses, stats.total.sets, stats.total.deletes, stats.total.errors);
        let expected =
            (sum(|c| c.hits), sum(|c| c.misses), sum(|c| c.sets), sum(|c| c.deletes), sum(|c| c.errors));
        prop_assert_eq!(total, expected);
        Ok(())
    }
}

impl Pair {
    pub(super) fn next_row(&mut self) -> Row {
        self.serial += 1;
        Row { serial: self.serial as u64, version: self.serial as u64 % 6 }
    }

    fn compare_hit(&self, read: Option<&Read<Row>>, expected: Option<&Entry>) -> TestCaseResult {
        let read = read.map(|read| (&*read.value, is_hit(read.source), read.age, read.stored));
        let age = |entry: &Entry| Duration::from_millis(self.model.now - entry.stored_at);
        prop_assert_eq!(read, expected.map(|entry| (&entry.row, true, age(entry), true)));
        Ok(())
    }

    /// Counts a load that begins; its number, if what it brings can be stored.
    pub(super) fn begin(&mut self, name: &str, says: Says) -> Option<usize> {
        let plan = self.model.plan(name, says);
        let (Ok(of_call) | Err(of_call)) = &plan;
        self.model.count(&of_call.group, |counts| {
            counts.misses += 1;
            counts.loads += 1;
        });
        match plan {
            Ok(plan) => {
                self.serial += 1;
                let load = self.model.begin(name, says, plan);
                self.model.loads.insert(self.serial, load);
                Some(self.serial)
            }
            Err(_) => {
                self.model.error(name);
                None
            }
        }
    }

    /// What a loader does; the error is the one that it was told to give.
    pub(super) async fn run(
        &mut self,
        outcome: &Outcome,
        failed: &mut TestCaseResult,
    ) -> Result<(), &'static str> {
        match outcome {
            Outcome::Value => Ok(()),
            Outcome::Error => Err(REFUSES),
            Outcome::ValueAfter(change) => {
                *failed = self.change(change).await;
                Ok(())
            }
        }
    }

    /// What became of a loaded value, as the cache tells it.
    pub(super) fn settle(&mut self, load: &Load, row: &Row, typed: bool, stored: bool) -> TestCaseResult {
        if stored {
            prop_assert!(!load.outdated, "stored although it is outdated: {load:?}");
            self.model.install(load, row, typed);
        } else {
            prop_assert!(load.outdated || load.disturbed, "not stored, for no reason: {load:?}");
            self.model.count(&load.plan.group, |counts| counts.superseded += 1);
        }
        Ok(())
    }

    async fn get_or_set(&mut self, at: At, says: Says, outcome: &Outcome) -> TestCaseResult {
        let name = at.name.text();
        let expected = self.model.read(&name, says.tags, says.prefix);
        let load = if expected.is_none() { self.begin(&name, says) } else { None };
        let row = self.next_row();
        let mut failed = Ok(());
        let cache = self.cache.clone();
        let loader = {
            let (pair, failed, row) = (&mut *self, &mut failed, row.clone());
            move || async move {
                pair.run(outcome, failed).await?;
                Ok::<Row, &'static str>(row)
            }
        };
        let read = through!(at, |key| cache.read_through(key, says.policy(), loader));
        failed?;
        if expected.is_some() {
            return self.compare_hit(read.as_ref().ok(), expected.as_ref());
        }
        let load = load.and_then(|load| self.model.loads.remove(&load));
        let Ok(read) = read else {
            prop_assert!(matches!(outcome, Outcome::Error));
            return Ok(());
        };
        prop_assert!(!matches!(outcome, Outcome::Error));
        prop_assert_eq!((&*read.value, read.source, read.age), (&row, Source::Loaded, Duration::ZERO));
        match load {
            None => prop_assert!(!read.stored, "nothing can be stored for it"),
            Some(load) => self.settle(&load, &row, at.key().is_some(), read.stored)?,
        }
        Ok(())
    }

    async fn change(&mut self, change: &Change) -> TestCaseResult {
        let cache = self.cache.clone();
        let removed = match change {
            Change::Set(at, says, nx) => return self.set(*at, *says, *nx).await,
            Change::SetMany(names, says, nx) => return self.set_many(names, *says, *nx).await,
            Change::SetVersioned(name, version) => {
                let row = Row { version: *version, ..self.next_row() };
                let stored = cache.set_versioned(name.key().expect("it has a space"), row.clone()).await;
                prop_assert_eq!(stored.refusal, self.model.set_versioned(&name.text(), &row));
                return Ok(());
            }
            Change::Delete(at) => through!(at, |key| cache.delete(key)),
            Change::DeleteMany(names) => cache.delete_many(names.iter().map(|name| name.text())).await,
            Change::DeletePattern(glob) => cache.delete_pattern(glob).await,
            Change::InvalidateTags(tags) => cache.invalidate_tags(bits(*tags).map(tag)).await,
            Change::Invalidate(names, tags, globs) => {
                let mut what = Invalidation::new();
                what = names.iter().fold(what, |what, name| what.key(name.text()));
                what = bits(*tags).fold(what, |what, n| what.tag(tag(n)));
                what = globs.iter().fold(what, |what, glob| what.pattern(*glob));
                cache.invalidate(&what).await
            }
            Change::ClearSpace(0) => PAGE.clear(&cache).await,
            Change::ClearSpace(1) => BOARD.clear(&cache).await,
            Change::ClearSpace(_) => ROW.clear(&cache).await,
            Change::Clear => cache.clear().await,
        };
        let Removed { acknowledged, count, .. } = removed;
        let found = self.model.remove(change);
        prop_assert_eq!(acknowledged, Some(larder::Acknowledged::Applied));
        prop_assert!(may_count(count, found), "{change:?} took {count:?} and not {found:?}");
        Ok(())
    }

    async fn set(&mut self, at: At, says: Says, nx: bool) -> TestCaseResult {
        let row = self.next_row();
        let cache = &self.cache;
        let stored = match nx {
            true => through!(at, |key| cache.set(key, row.clone(), says.policy().nx())),
            false => through!(at, |key| cache.set(key, row.clone(), says.policy())),
        };
        prop_assert_eq!(stored.refusal, self.model.set(at.name, at.key().is_some(), &row, says, nx));
        Ok(())
    }

    async fn set_many(&mut self, names: &[Name], says: Says, nx: bool) -> TestCaseResult {
        let entries: Vec<(Name, Row)> = names.iter().map(|name| (*name, self.next_row())).collect();
        let bare = entries.iter().map(|(name, row)| (name.text(), row.clone()));
        let stored = match nx {
            true => self.cache.set_many(bare, says.policy().nx()).await,
            false => self.cache.set_many(bare, says.policy()).await,
        };
        for ((name, row), stored) in entries.iter().zip(stored) {
            prop_assert_eq!(stored.refusal, self.model.set(*name, false, row, says, nx));
        }
        Ok(())
    }
}
