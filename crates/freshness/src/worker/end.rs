//! The end, when nobody writes any more: everything is compared with the database.

use std::time::Duration;

use futures_util::future::join_all;

use super::{Word, Works};
use crate::judge::Origin;
use crate::loader::Failed;

/// 20 seconds: how long a process may take to hear of all that was changed, once everything works.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(20);

impl Works {
    /// Compares every view of every row with the database, when nobody writes any more.
    pub(super) async fn compare(&self) -> Word {
        let mut differs = Vec::new();
        if !self.subject.caught_up(CATCH_UP_LIMIT).await {
            differs.push(format!("{}: it has not caught up within {CATCH_UP_LIMIT:?}", self.settings.name));
        }
        let truth = match self.subject.truth().await {
            Ok(truth) => truth,
            Err(error) => {
                let differs = vec![format!("{}: the database does not answer: {error}", self.settings.name)];
                return Word::Compared { differs, found: 0 };
            }
        };
        for (row, made) in &*self.made.lock() {
            if truth[*row as usize] != *made {
                let (name, version, (written, _)) = (&self.settings.name, truth[*row as usize].0, made);
                differs.push(format!(
                    "{name}: row {row} is version {version} in the database, and was written to {written}"
                ));
            }
        }
        if !self.subject.knows_all().await {
            differs.push(format!("{}: it cannot be told of all changes", self.settings.name));
        }
        let rows = (0..).zip(truth).map(|(row, truth)| self.compare_row(row, truth));
        let mut found = 0;
        for (more, of_row) in join_all(rows).await {
            differs.extend(more);
            found += of_row;
        }
        match self.subject.waiting().await {
            Some(0) => {}
            Some(waiting) => {
                differs.push(format!("{}: {waiting} changes wait in the outbox", self.settings.name))
            }
            None => differs.push(format!("{}: it does not say how many changes wait", self.settings.name)),
        }
        Word::Compared { differs, found }
    }

    /// What differs of a row, and how many answers were there already.
    async fn compare_row(&self, row: u64, (version, nonce): (u64, u64)) -> (Vec<String>, u64) {
        let (mut differs, mut found) = (Vec::new(), 0);
        let name = &self.settings.name;
        for view in [self.subject.local_views(), self.subject.strict_views()].into_iter().flatten() {
            let answer = self.subject.read(*view, row).await;
            found += u64::from(answer.as_ref().is_ok_and(|answer| answer.origin != Origin::Loaded));
            match answer {
                Ok(answer) if (answer.value.version, answer.value.nonce) == (version, nonce) => {}
                Ok(answer) => differs.push(format!(
                    "{name}: {view:?} of row {row} is version {} instead of {version}",
                    answer.value.version
                )),
                Err(Failed) => differs.push(format!("{name}: {view:?} of row {row} cannot be read")),
            }
        }
        (differs, found)
    }
}
