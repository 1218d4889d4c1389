//! Tags and scopes: the token in force for each, and what a load captured of them.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::key::{Tag, TagHasher};

/// How many parts the table has, so that loads of different tags seldom wait for each other.
const SHARDS: usize = 32;

/// How many tokens a part holds before it looks for those that nothing depends on. Afterwards that is twice as many as were
/// left, so that looking costs each capture little, and memory follows what is depended on.
const FORGET_FROM: usize = 64;

/// The token that is in force for each tag that something depends on.
///
/// Invalidating a tag revokes its token; whoever captures the tag afterwards gets another. A token is never in force again,
/// so a tag that was forgotten stays removed, and there is nothing to count.
#[derive(Debug)]
pub(crate) struct Tokens {
    shards: Box<[Mutex<Shard>]>,
}

#[derive(Debug)]
struct Shard {
    /// A tag is a hash already.
    tokens: HashMap<Tag, Token, BuildHasherDefault<TagHasher>>,
    /// With how many tokens it next looks for those that nothing depends on.
    forget_from: usize,
}

impl Shard {
    fn forget_unused(&mut self) {
        // Clones are made under the lock of the part, or from an entry that holds one: a token with one owner stays that way.
        self.tokens.retain(|_, token| Arc::strong_count(&token.revoked) > 1);
        self.forget_from = FORGET_FROM.max(2 * self.tokens.len());
    }
}

/// Shared by the entries that captured it.
#[derive(Clone, Debug)]
struct Token {
    revoked: Arc<AtomicBool>,
}

/// A tag as a load found it.
#[derive(Clone, Debug)]
pub(crate) struct Captured {
    pub(crate) tag: Tag,
    token: Token,
}

impl Captured {
    /// Whether the tag has not been invalidated since.
    #[inline]
    pub(crate) fn holds(&self) -> bool {
        !self.token.revoked.load(Ordering::Acquire)
    }
}

impl Tokens {
    pub(crate) fn new() -> Self {
        let shard = || Mutex::new(Shard { tokens: HashMap::default(), forget_from: FORGET_FROM });
        Tokens { shards: (0..SHARDS).map(|_| shard()).collect() }
    }

    /// The token in force; to be captured before the load begins.
    pub(crate) fn capture(&self, tag: Tag) -> Captured {
        let new = || Token { revoked: Arc::new(AtomicBool::new(false)) };
        let mut shard = self.shard(tag).lock();
        if shard.tokens.len() >= shard.forget_from {
            shard.forget_unused();
        }
        let token = shard.tokens.entry(tag).or_insert_with(new).clone();
        Captured { tag, token }
    }

    /// Revokes the token of a tag. When it returns, nothing that captured the tag before is a hit.
    pub(crate) fn invalidate(&self, tag: Tag) {
        if let Some(token) = self.shard(tag).lock().tokens.remove(&tag) {
            token.revoked.store(true, Ordering::Release);
        }
    }

    /// Forgets the tokens that nothing depends on.
    pub(crate) fn forget_unused(&self) {
        for shard in &self.shards {
            shard.lock().forget_unused();
        }
    }

    /// How many tags something depends on, or has lately.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().tokens.len()).sum()
    }

    fn shard(&self, tag: Tag) -> &Mutex<Shard> {
        &self.shards[(tag.as_u64() >> 32) as usize % SHARDS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_revoked_once_and_never_in_force_again() {
        let tokens = Tokens::new();
        let tag = Tag::new("deals", 1);
        let before = tokens.capture(tag);
        assert!(before.holds());
        tokens.invalidate(tag);
        assert!(!before.holds());
        let after = tokens.capture(tag);
        assert!(after.holds() && !before.holds());
    }

    #[test]
    fn forgetting_keeps_what_is_depended_on() {
        let tokens = Tokens::new();
        let kept = tokens.capture(Tag::named("kept"));
        drop(tokens.capture(Tag::named("dropped")));
        tokens.forget_unused();
        assert_eq!(tokens.len(), 1);
        tokens.invalidate(Tag::named("kept"));
        assert!(!kept.holds());
    }
}
