//! Leases that were left in Redis for somebody who may go away before they are told: they are taken back.

use std::sync::Arc;

use redis::Pipeline;

use super::MAX_PIPELINE;
use super::link::Link;
use super::script::RELEASE;
use crate::entry::Word;

/// Leases that may have been left for somebody who has not been told of them. Dropped before that, they are taken back.
pub(super) struct LeftBehind {
    link: Arc<Link>,
    left: Vec<(String, Word)>,
}

impl LeftBehind {
    pub(super) fn new(link: &Arc<Link>) -> Self {
        LeftBehind { link: Arc::clone(link), left: Vec::new() }
    }

    pub(super) fn of<'k>(link: &Arc<Link>, leases: impl Iterator<Item = (&'k str, Word)>) -> Self {
        let left = leases.map(|(key, word)| (key.to_owned(), word)).collect();
        LeftBehind { link: Arc::clone(link), left }
    }

    pub(super) fn add(&mut self, key: &str, word: Word) {
        self.left.push((key.to_owned(), word));
    }

    pub(super) fn told(mut self) {
        self.left.clear();
    }
}

impl Drop for LeftBehind {
    fn drop(&mut self) {
        take_back(&self.link, std::mem::take(&mut self.left));
    }
}

/// Takes leases back, where they were left, so that nobody waits for a load that never comes.
pub(super) fn take_back(link: &Arc<Link>, left: Vec<(String, Word)>) {
    if !left.is_empty() {
        let sends = Arc::clone(link);
        link.errands.run(async move {
            for left in left.chunks(MAX_PIPELINE) {
                let mut commands = Pipeline::with_capacity(left.len());
                for (key, word) in left {
                    commands.add_command(RELEASE.on(&[key]).arg(word.as_bytes()).take());
                }
                // Where this fails, the leases end with their time, or with a claim.
                sends.send(&commands, sends.deadline()).await.ok();
            }
        });
    }
}
