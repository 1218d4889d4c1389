//! One read: what lies under a name, and whether that may be believed.
//!
//! A hit needs three things, all read from Redis after the read began: the era of the root, the tokens of the tags that the
//! entry depends on, and that every tag that the reader declares is among them. Root and tokens travel in the pipeline of the
//! entry.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use rand::RngExt;
use smallvec::SmallVec;

use super::gather::{self, Question};
use super::link::Link;
use super::names::Names;
use super::root::{Root, Token, token_hash};
use super::trouble::Trouble;
use crate::ablation::{Ablation, Ablations};
use crate::entry::{self, Dependencies, Header, Parsed, Word};
use crate::key::Tag;

/// 30 seconds: how long a lease stands when its holder dies, and nobody takes the load over.
pub(super) const LEASE_MS: u64 = 30_000;

/// What the reader does if there is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    /// It goes without, and leaves nothing behind.
    Look,
    /// It loads: a lease is left under the name, which everybody sees.
    Load,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) name: &'a str,
    pub(crate) intent: Intent,
    /// The version of the format that the reader understands.
    pub(crate) format: u16,
    /// The tags that an entry has to depend on: declared, and those of the name.
    pub(crate) needs: &'a [Tag],
    /// The tags that it may depend on besides, as a guess from the last time.
    pub(crate) guess: &'a [Tag],
}

/// What there was, with what an entry that replaces it is made of.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) found: Found,
    pub(crate) capture: Capture,
    /// The server's time when it was asked, in milliseconds since 1970.
    pub(crate) at_ms: u64,
    /// Something foreign lay there and was removed.
    pub(crate) healed: bool,
}

/// What a read captured. Whatever is filled in with it goes over the connection that it came over.
#[derive(Clone, Debug)]
pub(crate) struct Capture {
    pub(super) link: Arc<Link>,
    pub(super) root: Root,
    pub(super) tokens: SmallVec<[(Tag, Token); 4]>,
}

/// What there was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A value that is in time and in force.
    Hit { word: Word, header: Header, payload: Bytes },
    /// Nothing; this reader has left its lease.
    Granted(Word),
    /// Somebody is loading, in the interval of this word.
    Busy(Word),
    /// A value that is out of time, or was removed by a tag, a scope, or with everything.
    Stale(Word),
    /// Nothing that this library wrote.
    Foreign,
    /// Nothing.
    Nothing,
}

impl Capture {
    /// The dependencies on these tags; `None` if one of them was not captured.
    pub(crate) fn dependencies(&self, tags: &[Tag]) -> Option<Dependencies> {
        let token =
            |tag: &Tag| self.tokens.iter().find(|(captured, _)| captured == tag).map(|(_, token)| *token);
        tags.iter().map(|tag| Some((*tag, token_hash(token(tag)?, self.root.era)))).collect()
    }

    /// Whether a value depends on nothing that is out of force; `None` if that cannot be told from what was read.
    fn holds(&self, header: &Header) -> Option<bool> {
        for (tag, stored) in &header.depends_on {
            let captured = self.dependencies(&[*tag])?;
            if captured[0].1 != *stored {
                return Some(false);
            }
        }
        Some(true)
    }

    /// The server's time now, in milliseconds since 1970.
    pub(super) fn server_ms(&self, here_ms: u64) -> u64 {
        here_ms.saturating_add_signed(self.link.identity.offset_ms)
    }
}

/// A read under way: what it asks next, until it knows what there is.
pub(super) struct Reading<'a> {
    ask: Ask<'a>,
    tags: SmallVec<[Tag; 4]>,
    /// A lease is left where there is nothing.
    leases: bool,
}

impl<'a> Reading<'a> {
    pub(super) fn new(ask: Ask<'a>) -> Self {
        let mut tags: SmallVec<[Tag; 4]> = ask.needs.into();
        tags.extend(ask.guess.iter().filter(|tag| !ask.needs.contains(tag)).copied());
        Reading { ask, tags, leases: ask.intent == Intent::Load }
    }

    /// What to ask now. A lease is drawn for this attempt to send, and never sent again: one that was removed does not come
    /// back.
    pub(super) fn question(&self, names: &Names, rules_out: Ablations) -> Question {
        Question {
            key: Some(names.entry(self.ask.name).into_owned()),
            lease: self.leases.then(|| Word::lease(new_generation(self.ask.name, rules_out))),
            tags: self.tags.clone(),
            may_put: self.leases,
        }
    }

    /// Understands an answer; `None` if there is more to ask.
    pub(super) fn understand(
        &mut self,
        link: &Link,
        lease: Option<Word>,
        answer: gather::Answer,
        here_ms: u64,
        rules_out: Ablations,
    ) -> Result<Option<Seen>, Trouble> {
        let (value, capture) = match answer {
            // A full server takes no lease. What is there can be read all the same.
            Err(Trouble::Full) if self.leases => {
                self.leases = false;
                return Ok(None);
            }
            answer => answer?,
        };
        let at_ms = capture.server_ms(here_ms);
        let found = match value {
            Err(Trouble::WrongType) => Found::Foreign,
            Err(trouble) => return link.believe(Err(trouble)),
            Ok(None) => match lease {
                Some(word) => Found::Granted(word),
                None if self.ask.intent == Intent::Load => return Err(Trouble::Full),
                None => Found::Nothing,
            },
            Ok(Some(bytes)) => match entry::parse(&bytes) {
                Parsed::Foreign => Found::Foreign,
                Parsed::Lease { word } => Found::Busy(word),
                Parsed::Invalidated { word } => Found::Stale(word),
                Parsed::Value { word, header, payload_at } => {
                    let is_of_this_era =
                        header.era == capture.root.era || rules_out.is_out(Ablation::EraCheck);
                    let needed = |need: &Tag| header.depends_on.iter().any(|(tag, _)| tag == need);
                    let current = is_of_this_era
                        && header.format == self.ask.format
                        && at_ms < header.fresh_until_ms
                        && self.ask.needs.iter().all(needed);
                    let holds = match capture.holds(&header) {
                        Some(false) => Some(rules_out.is_out(Ablation::TokenCheck)),
                        holds => holds,
                    };
                    match holds {
                        Some(true) if current => {
                            Found::Hit { word, header, payload: Bytes::from(bytes).slice(payload_at..) }
                        }
                        None if current => {
                            // The guess fell short: once more, with the tags that the entry names.
                            self.tags.extend(header.depends_on.iter().map(|(tag, _)| *tag));
                            self.tags.sort_unstable();
                            self.tags.dedup();
                            return Ok(None);
                        }
                        _ => Found::Stale(word),
                    }
                }
            },
        };
        Ok(Some(Seen { found, capture, at_ms, healed: false }))
    }
}

/// The generation of an interval that begins, drawn for one attempt to begin it.
pub(super) fn new_generation(name: &str, rules_out: Ablations) -> [u8; 8] {
    if rules_out.is_out(Ablation::FreshGeneration) {
        let mut hasher = DefaultHasher::new(); // of fixed keys: the same in all processes
        name.hash(&mut hasher);
        return hasher.finish().to_be_bytes();
    }
    rand::rng().random()
}

/// Asks over a connection.
///
/// # Cancel safety
/// A lease may have been left behind; it is taken back.
pub(super) async fn read(
    link: &Arc<Link>,
    names: &Arc<Names>,
    ask: Ask<'_>,
    here_ms: u64,
    rules_out: Ablations,
) -> Result<Seen, Trouble> {
    let mut reading = Reading::new(ask);
    loop {
        let question = reading.question(names, rules_out);
        let lease = question.lease;
        let answer = gather::ask(link, names, question).await;
        if let Some(seen) = reading.understand(link, lease, answer, here_ms, rules_out)? {
            return Ok(seen);
        }
    }
}

/// What is in force for these tags, for a value that is not loaded.
///
/// # Cancel safety
/// It changes nothing that anybody sees.
pub(super) async fn capture(link: &Arc<Link>, names: &Arc<Names>, tags: &[Tag]) -> Result<Capture, Trouble> {
    let question = Question { key: None, lease: None, tags: tags.into(), may_put: true };
    gather::ask(link, names, question).await.map(|(_nothing, capture)| capture)
}
