//! One read: what lies under a name, and whether that may be believed.
//!
//! A hit needs three things, all read from Redis after the read began: the era of the root, the tokens of the tags that the
//! entry depends on, and that every tag that the reader declares is among them. Root and tokens travel in the pipeline of the
//! entry.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use rand::RngExt;

use super::front::{Copying, Front};
use super::gather::{self, Question, Said, Tokens, What};
use super::left_behind::take_back;
use super::link::Link;
use super::names::Names;
use super::root::{Root, Token};
use super::trouble::{Trouble, string};
use crate::ablation::{Ablation, Ablations};
use crate::entry::{self, Dependencies, Header, Parsed, TokenHash, Word};
use crate::key::{Tag, TagHasher, Tags};
use crate::lease::STALENESS_MS;

/// 30 seconds: how long a lease stands when its holder dies, and nobody takes the load over.
pub(super) const LEASE_MS: u64 = 30_000;

/// How often a read asks again, for the tags that an entry names.
const MORE_TAGS: u8 = 3;

/// How often what is in force is asked for, where something else than tokens lies under the keys of tags.
const CAPTURES: usize = 3;

/// What the reader does if there is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    /// It goes without, and leaves nothing behind.
    Look,
    /// It puts a value of its own there, which depends on the same tags.
    Put,
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
    /// A copy of what is found may be kept in this process.
    pub(crate) copies: bool,
}

/// What there was, with what an entry that replaces it is made of.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) found: Found,
    pub(crate) capture: Arc<Capture>,
    /// The server's time when it was asked, in milliseconds since 1970.
    pub(crate) at_ms: u64,
    /// Something foreign lay there and was removed.
    pub(crate) healed: bool,
    /// The copy that may be kept of a hit.
    pub(crate) copying: Option<Box<Copying>>,
}

/// What was in force when a pipeline was executed, for all who asked in it. Whatever is filled in with it goes over the connection
/// that it came over.
#[derive(Debug)]
pub(crate) struct Capture {
    pub(super) link: Arc<Link>,
    pub(super) root: Root,
    /// What was in force for each tag that was asked for.
    pub(super) tokens: HashMap<Tag, InForce, BuildHasherDefault<TagHasher>>,
    /// The tags whose tokens could not be told, or not be put. Nearly always there are none.
    pub(super) untold: Vec<Untold>,
}

/// What was in force for a tag.
#[derive(Clone, Copy, Debug)]
pub(super) struct InForce {
    /// Its token, with what an entry keeps of it; `None` where there is none.
    pub(super) token: Option<(Token, TokenHash)>,
    /// This process is told when it changes.
    pub(super) is_registered: bool,
}

/// Why the token of a tag is not told.
#[derive(Debug)]
pub(super) struct Untold {
    pub(super) tag: Tag,
    pub(super) trouble: Trouble,
    /// It was to be put, which is of no interest to who only reads.
    pub(super) wanted_put: bool,
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
    fn token(&self, tag: Tag) -> Option<(Token, TokenHash)> {
        self.tokens.get(&tag)?.token
    }

    /// Whether this process is told when a tag of an entry is invalidated.
    fn is_told_of(&self, header: &Header) -> bool {
        header.depends_on.iter().all(|(tag, _)| self.tokens.get(tag).is_some_and(|tag| tag.is_registered))
    }

    /// Whether all that was captured of these tags is still in force in what was captured later.
    pub(super) fn holds_still(&self, later: &Capture, tags: &[Tag]) -> bool {
        let is_same = |tag: &Tag| self.token(*tag).is_some_and(|token| later.token(*tag) == Some(token));
        self.root == later.root && tags.iter().all(is_same)
    }

    /// The dependencies on these tags; `None` if one of them was not captured, or has no token.
    pub(crate) fn dependencies(&self, tags: &[Tag]) -> Option<Dependencies> {
        tags.iter().map(|tag| Some((*tag, self.token(*tag)?.1))).collect()
    }

    /// Whether a value that depends on these tags can be filled in with it.
    pub(crate) fn has(&self, tags: &[Tag]) -> bool {
        tags.iter().all(|tag| self.token(*tag).is_some())
    }

    /// Whether a value depends on nothing that is out of force; `None` if that cannot be told from what was read.
    fn holds(&self, header: &Header) -> Option<bool> {
        for (tag, stored) in &header.depends_on {
            if self.tokens.get(tag)?.token.is_none_or(|(_, in_force)| in_force != *stored) {
                return Some(false);
            }
        }
        Some(true)
    }

    /// What kept the server from telling one of these tokens, or, for who wants them put, from putting it.
    fn trouble(&self, tags: &[Tag], puts: bool) -> Option<Trouble> {
        let matters = |untold: &&Untold| (puts || !untold.wanted_put) && tags.contains(&untold.tag);
        self.untold.iter().find(matters).map(|untold| untold.trouble.clone())
    }

    /// The server's time now, in milliseconds since 1970.
    pub(super) fn server_ms(&self, here_ms: u64) -> u64 {
        here_ms.saturating_add_signed(self.link.identity.offset_ms)
    }
}

/// A read under way: what it asks next, until it knows what there is.
pub(super) struct Reading<'a> {
    ask: Ask<'a>,
    key: Cow<'a, str>,
    tags: Tags,
    /// Leases and tokens are left where there are none. A full server takes neither.
    puts: bool,
    /// How often it may still ask for tags that an entry names: somebody may write another entry each time.
    asks: u8,
    /// The copy that is to be kept of what this attempt finds.
    copying: Option<Box<Copying>>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(ask: Ask<'a>, names: &Names) -> Self {
        let mut tags: Tags = ask.needs.into();
        tags.extend(ask.guess.iter().filter(|tag| !ask.needs.contains(tag)).copied());
        let puts = ask.intent != Intent::Look;
        Reading { ask, key: names.entry(ask.name), tags, puts, asks: MORE_TAGS, copying: None }
    }

    /// To be called before each attempt to ask.
    pub(super) fn begin(&mut self, front: &Front) {
        self.copying = self.ask.copies.then(|| front.begin(self.ask.name, &self.tags));
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// What to ask now. A lease is drawn for this attempt to send, and never sent again: one that was removed does not come
    /// back.
    pub(super) fn question(&self, rules_out: Ablations) -> Question<'_> {
        let what = match self.puts && self.ask.intent == Intent::Load {
            true => What::Lease(&self.key, Word::lease(new_generation(self.ask.name, rules_out))),
            false => What::Look(&self.key),
        };
        let tokens = if self.puts { Tokens::PutNew } else { Tokens::AsTheyAre };
        Question { what, tags: &self.tags, tokens, registers: self.copying.is_some() }
    }

    /// Understands an answer; `None` if there is more to ask.
    pub(super) fn understand(
        &mut self,
        link: &Arc<Link>,
        lease: Option<Word>,
        answer: gather::Answer,
        here_ms: u64,
        rules_out: Ablations,
    ) -> Result<Option<Seen>, Trouble> {
        let (Said { value, left_ms }, capture) = answer?;
        let mut value = string(value);
        if let Some(trouble) = capture.trouble(&self.tags, self.puts) {
            if value == Ok(None) {
                // Nobody is told of it.
                take_back(link, lease.map(|word| (self.key.to_string(), word)).into_iter().collect());
            }
            value = Err(trouble);
        }
        let at_ms = capture.server_ms(here_ms);
        let found = match link.believe(value) {
            // What is there can be read all the same.
            Err(Trouble::Full) if self.puts => {
                self.puts = false;
                return Ok(None);
            }
            Err(Trouble::WrongType) => Found::Foreign,
            Err(trouble) => return Err(trouble),
            Ok(None) => match lease {
                Some(word) => Found::Granted(word),
                None if self.ask.intent == Intent::Load => return Err(Trouble::Full),
                None => Found::Nothing,
            },
            Ok(Some(bytes)) => match self.find(&capture, bytes, at_ms, rules_out) {
                Some(found) => found,
                None => return Ok(None),
            },
        };
        let copying = match (&found, left_ms, self.copying.take()) {
            (Found::Hit { header, .. }, Some(left_ms), Some(copying)) => {
                let is_tracked = link.identity.is_tracked;
                let left_ms = if is_tracked { left_ms } else { left_ms.min(STALENESS_MS) };
                // The entry may say less than its key, which others can make live longer.
                let fresh_ms = header.fresh_until_ms.saturating_sub(at_ms);
                let expires_at_ms =
                    copying.asked_ms.saturating_add(left_ms).min(here_ms.saturating_add(fresh_ms));
                (!is_tracked || capture.is_told_of(header))
                    .then(|| Box::new(Copying { expires_at_ms, ..*copying }))
            }
            _ => None,
        };
        Ok(Some(Seen { found, capture, at_ms, healed: false, copying }))
    }

    /// What these bytes are; `None` if tags that they name are to be asked for.
    fn find(&mut self, capture: &Capture, bytes: Vec<u8>, at_ms: u64, rules_out: Ablations) -> Option<Found> {
        let (word, header, payload_at) = match entry::parse(&bytes) {
            Parsed::Foreign => return Some(Found::Foreign),
            Parsed::Lease { word } => return Some(Found::Busy(word)),
            Parsed::Invalidated { word } => return Some(Found::Stale(word)),
            Parsed::Value { word, header, payload_at } => (word, header, payload_at),
        };
        let is_of_this_era = header.era == capture.root.era || rules_out.is_out(Ablation::EraCheck);
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
                let mut payload = Bytes::from(bytes);
                payload.advance(payload_at); // a slice would share it, at the price of an allocation
                Some(Found::Hit { word, header, payload })
            }
            None if current && self.asks > 0 => {
                // The guess fell short: once more, with the tags that the entry names.
                self.asks -= 1;
                self.tags.extend(header.depends_on.iter().map(|(tag, _)| *tag));
                self.tags.sort_unstable();
                self.tags.dedup();
                None
            }
            _ => Some(Found::Stale(word)),
        }
    }
}

/// The generation of an interval that begins, drawn for one attempt to begin it.
pub(super) fn new_generation(name: &str, rules_out: Ablations) -> [u8; 8] {
    if rules_out.is_out(Ablation::FreshGeneration) {
        let mut hasher = DefaultHasher::new(); // of fixed keys: the same in all processes
        name.hash(&mut hasher);
        return hasher.finish().to_be_bytes();
    }
    rand::rng().random::<u64>().to_be_bytes()
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
    let mut reading = Reading::new(ask, names);
    loop {
        reading.begin(&link.tie.front);
        let question = reading.question(rules_out);
        let lease = question.lease().map(|(_, word)| word);
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
pub(super) async fn capture(
    link: &Arc<Link>,
    names: &Arc<Names>,
    tags: &[Tag],
) -> Result<Arc<Capture>, Trouble> {
    for _ in 0..CAPTURES {
        let question = Question { what: What::Nothing, tags, tokens: Tokens::Put, registers: false };
        let (_nothing, capture) = gather::ask(link, names, question).await?;
        if let Some(trouble) = capture.trouble(tags, true) {
            return link.believe(Err(trouble));
        }
        if capture.has(tags) {
            return Ok(capture);
        } // else something else lay under the key of a tag, and was removed
    }
    Err(Trouble::Refused("what lies under the key of a tag is no token, time and again".to_owned()))
}
