//! `get_or_set_many` beside the model.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use tokio::sync::Mutex as AsyncMutex;

use super::super::fixture::counted_under;
use super::driver::Pair;
use super::op::{Name, Outcome, Row, Says};
use super::oracle::{Load, group};

/// A call, as it was drawn.
pub(super) struct Batch<'a> {
    pub(super) names: Vec<Name>,
    /// By typed keys; otherwise by bare names.
    pub(super) typed: bool,
    pub(super) says: Says,
    /// Which of the missing the loader leaves out, as bits.
    pub(super) left_out: u8,
    pub(super) outcome: &'a Outcome,
}

/// What the model expects of it.
#[derive(Default)]
struct Expected {
    hits: Vec<(Name, Row)>,
    missing: Vec<Missing>,
}

struct Missing {
    name: Name,
    /// Its number in the model; `None` where nothing can be stored.
    load: Option<usize>,
    /// What the loader will bring, unless it leaves it out.
    row: Option<Row>,
}

type Values = Result<Vec<Option<Arc<Row>>>, &'static str>;

impl Pair {
    pub(super) async fn get_or_set_many(&mut self, batch: &Batch<'_>) -> TestCaseResult {
        let expected = self.expect(batch);
        let brings: Vec<(Name, Row)> = expected
            .missing
            .iter()
            .filter_map(|missing| Some((missing.name, missing.row.clone()?)))
            .collect();
        let (values, asked) = self.call(batch, brings).await?;
        let missing: Vec<Name> = expected.missing.iter().map(|missing| missing.name).collect();
        let once = (!missing.is_empty()).then_some(missing);
        prop_assert_eq!(asked, Vec::from_iter(once), "one call, with what is missing, in order");

        let mut rows = expected.hits;
        let fails = !expected.missing.is_empty() && matches!(batch.outcome, Outcome::Error);
        for Missing { name, load, row } in expected.missing {
            let load = load.and_then(|load| self.model.loads.remove(&load));
            let Some(row) = row.filter(|_| !fails) else { continue };
            if let Some(load) = load {
                let stored = self.is_stored(&load, &row).await;
                self.settle(&load, &row, batch.typed, stored)?;
            }
            rows.push((name, row));
        }
        match values {
            Err(_) => prop_assert!(fails),
            Ok(values) => {
                prop_assert!(!fails);
                let values: Vec<Option<&Row>> = values.iter().map(Option::as_deref).collect();
                let row_of = |name| rows.iter().find(|(known, _)| known == name).map(|(_, row)| row);
                prop_assert_eq!(values, batch.names.iter().map(row_of).collect::<Vec<_>>());
            }
        }
        Ok(())
    }

    /// What the cache has, and what it has not, each name once.
    fn expect(&mut self, batch: &Batch<'_>) -> Expected {
        let mut expected = Expected::default();
        let mut seen = std::collections::HashSet::new();
        for name in batch.names.iter().filter(|name| seen.insert(**name)) {
            if let Some(entry) = self.model.read(&name.text(), batch.says.tags, batch.says.prefix) {
                expected.hits.push((*name, entry.row));
                continue;
            }
            let at = expected.missing.len();
            let load = self.begin(&name.text(), batch.says);
            let row = (batch.left_out & 1 << at == 0).then(|| self.next_row());
            expected.missing.push(Missing { name: *name, load, row });
            if at > 0 {
                // One call of the loader is one load, counted where the first of its keys is.
                let (Ok(plan) | Err(plan)) = self.model.plan(&name.text(), batch.says);
                self.model.count(&plan.group, |counts| counts.loads -= 1);
            }
        }
        expected
    }

    /// The call itself, and what its loader was asked for.
    async fn call(
        &mut self,
        batch: &Batch<'_>,
        brings: Vec<(Name, Row)>,
    ) -> Result<(Values, Vec<Vec<Name>>), TestCaseError> {
        let cache = self.cache.clone();
        let (asked, mut failed) = (Mutex::new(Vec::new()), Ok(()));
        let within = AsyncMutex::new((self, &mut failed));
        let loader = |missing: Vec<Name>| {
            asked.lock().unwrap().push(missing);
            async {
                let (pair, failed) = &mut *within.lock().await;
                pair.run(batch.outcome, failed).await?;
                Ok::<_, &'static str>(brings.clone())
            }
        };
        let policy = batch.says.policy();
        let values = if batch.typed {
            let key = |name: &Name| name.key().expect("only names with keys were chosen");
            cache.get_or_set_many(&batch.names, key, policy, loader).await
        } else {
            cache.get_or_set_many(&batch.names, |name: &Name| name.text(), policy, loader).await
        };
        failed?;
        Ok((values, asked.into_inner().unwrap()))
    }

    /// A batch does not say what it has stored: where the model cannot know it either, a read tells.
    async fn is_stored(&mut self, load: &Load, row: &Row) -> bool {
        if load.outdated || !load.disturbed {
            return !load.outdated;
        }
        let stored = self.cache.get::<Row>(&load.name).await.as_deref() == Some(row);
        if stored {
            let group = counted_under(&load.plan.group, &group(&load.name, None)).to_owned();
            self.model.count(&group, |counts| counts.hits += 1);
        } else {
            self.model.get(&load.name);
        }
        stored
    }
}
