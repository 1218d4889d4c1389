//! One read: what lies under a name, and whether that may be believed.
//!
//! A hit needs three things, all read from Redis after the read began: the era of the root, the tokens of the tags that the
//! entry depends on, and that every tag that the reader declares is among them. Root and tokens travel in the pipeline of the
//! entry.

use std::sync::Arc;

use bytes::Bytes;
use rand::RngExt;
use redis::{Pipeline, Value};
use smallvec::SmallVec;
use tokio::time::Instant;

use super::link::Link;
use super::names::Names;
use super::root::{Root, Token, token_hash};
use super::trouble::{Trouble, string};
use crate::entry::{self, Dependencies, Header, Parsed, Word};
use crate::key::Tag;

/// 30 seconds: how long a lease stands when its holder dies, and nobody takes the load over.
pub(super) const LEASE_MS: u64 = 30_000;

/// 7 days: how long the token of a tag that nobody invalidates is kept. Losing it costs loads and is never stale.
const TOKEN_MS: u64 = 7 * 24 * 60 * 60 * 1_000;

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
}

/// What a read captured. Whatever is filled in with it goes over the connection that it came over.
#[derive(Clone, Debug)]
pub(crate) struct Capture {
    pub(super) link: Arc<Link>,
    pub(super) root: Root,
    tokens: SmallVec<[(Tag, Token); 8]>,
}

/// What there was.
#[derive(Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "a hit is what is mostly found, and a box would cost it an allocation"
)]
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

/// Asks over a connection.
///
/// # Cancel safety
/// A lease may have been left behind, for [`LEASE_MS`].
pub(crate) async fn read(
    link: &Arc<Link>,
    names: &Names,
    ask: Ask<'_>,
    here_ms: u64,
) -> Result<Seen, Trouble> {
    let deadline = link.deadline();
    let mut tags: SmallVec<[Tag; 8]> = ask.needs.into();
    tags.extend(ask.guess.iter().filter(|tag| !ask.needs.contains(tag)).copied());
    let mut ask_load = ask.intent == Intent::Load;
    loop {
        // Drawn for this attempt to send, and never sent again: a lease that was removed does not come back.
        let word = Word::lease(rand::rng().random());
        let (value, capture) =
            match ask_once(link, names, ask.name, ask_load.then_some(word), &tags, deadline).await {
                // A full server takes no lease. What is there can be read all the same.
                Err(Trouble::Full) if ask_load => {
                    ask_load = false;
                    continue;
                }
                answer => answer?,
            };
        let found = match value {
            Err(Trouble::WrongType) => Found::Foreign,
            Err(trouble) => return link.believe(Err(trouble)),
            Ok(None) if ask_load => Found::Granted(word),
            Ok(None) if ask.intent == Intent::Load => return Err(Trouble::Full),
            Ok(None) => Found::Nothing,
            Ok(Some(bytes)) => match entry::parse(&bytes) {
                Parsed::Foreign => Found::Foreign,
                Parsed::Lease { word } => Found::Busy(word),
                Parsed::Invalidated { word } => Found::Stale(word),
                Parsed::Value { word, header, payload_at } => {
                    let current = header.era == capture.root.era
                        && header.format == ask.format
                        && capture.server_ms(here_ms) < header.fresh_until_ms
                        && ask.needs.iter().all(|need| header.depends_on.iter().any(|(tag, _)| tag == need));
                    match capture.holds(&header) {
                        Some(true) if current => {
                            Found::Hit { word, header, payload: Bytes::from(bytes).slice(payload_at..) }
                        }
                        None if current => {
                            // The guess fell short: once more, with the tags that the entry names.
                            tags.extend(header.depends_on.iter().map(|(tag, _)| *tag));
                            tags.sort_unstable();
                            tags.dedup();
                            continue;
                        }
                        _ => Found::Stale(word),
                    }
                }
            },
        };
        return Ok(Seen { found, capture });
    }
}

/// One round trip: the tokens, the root and the entry, of which the last may be trouble of its own.
async fn ask_once(
    link: &Arc<Link>,
    names: &Names,
    name: &str,
    lease: Option<Word>,
    tags: &[Tag],
    deadline: Instant,
) -> Result<(Result<Option<Vec<u8>>, Trouble>, Capture), Trouble> {
    let mut commands = Pipeline::with_capacity(tags.len() + 2);
    let drawn = ask_in_force(&mut commands, names, tags, lease.is_some());
    let key = names.entry(name);
    match lease {
        // What is in the lease beside its word is told by nobody to anybody.
        Some(word) => {
            let bytes = entry::lease(word, entry::Era([0; 8]));
            commands.cmd("SET").arg(&*key).arg(&bytes[..]).arg("NX").arg("GET").arg("PX").arg(LEASE_MS);
        }
        None => {
            commands.cmd("GETEX").arg(&*key);
        }
    }
    let mut answers = link.send(&commands, deadline).await?.into_iter();
    let capture = captured(link, names, tags, &drawn, &mut answers).await?;
    let value = answers.next().ok_or(Trouble::Garbled).and_then(string);
    if value == Err(Trouble::Full) {
        return Err(Trouble::Full);
    }
    Ok((value, capture))
}

/// What is in force for these tags, for a value that is not loaded.
///
/// # Cancel safety
/// It changes nothing that anybody sees.
pub(super) async fn capture(link: &Arc<Link>, names: &Names, tags: &[Tag]) -> Result<Capture, Trouble> {
    let mut commands = Pipeline::with_capacity(tags.len() + 1);
    let drawn = ask_in_force(&mut commands, names, tags, true);
    let mut answers = link.send(&commands, link.deadline()).await?.into_iter();
    captured(link, names, tags, &drawn, &mut answers).await
}

/// Asks for the tokens of the tags and for the root. A tag that has no token gets the drawn one, if it may.
fn ask_in_force(commands: &mut Pipeline, names: &Names, tags: &[Tag], may_put: bool) -> SmallVec<[Token; 8]> {
    let drawn: SmallVec<[Token; 8]> = tags.iter().map(|_| rand::rng().random()).collect();
    for (tag, token) in tags.iter().zip(&drawn) {
        if may_put {
            let set = commands.cmd("SET").arg(names.tag(*tag)).arg(&token[..]);
            set.arg("NX").arg("GET").arg("PX").arg(TOKEN_MS);
        } else {
            commands.cmd("GETEX").arg(names.tag(*tag));
        }
    }
    commands.cmd("GETEX").arg(names.root());
    drawn
}

/// Reads what [`ask_in_force`] asked for. Where a tag has no token and may not get one, the drawn one stands for it, of which
/// nothing is in force. So it does where something else lies under the tag's key, which is removed.
async fn captured(
    link: &Arc<Link>,
    names: &Names,
    tags: &[Tag],
    drawn: &[Token],
    answers: &mut impl Iterator<Item = Value>,
) -> Result<Capture, Trouble> {
    let mut tokens = SmallVec::new();
    let mut damaged = Pipeline::new();
    for (tag, drawn) in tags.iter().zip(drawn) {
        let token = match answers.next().ok_or(Trouble::Garbled).and_then(string) {
            Ok(None) => *drawn,
            Ok(Some(token)) if token.len() == drawn.len() => Token::try_from(token).unwrap_or(*drawn),
            Ok(Some(_)) | Err(Trouble::WrongType) => {
                damaged.cmd("UNLINK").arg(names.tag(*tag));
                *drawn
            }
            Err(trouble) => return link.believe(Err(trouble)),
        };
        tokens.push((*tag, token));
    }
    // Whatever is wrong with the root is for the handshake to mend.
    let root =
        answers.next().ok_or(Trouble::Garbled).and_then(string).map_err(|trouble| link.give_up(trouble))?;
    let root =
        root.as_deref().and_then(Root::parse).filter(|root| root.incarnation == link.identity.incarnation);
    let Some(root) = root else {
        return Err(link.give_up(Trouble::Away("its root is lost, or of another server".to_owned())));
    };
    if !damaged.is_empty() {
        link.send(&damaged, link.deadline()).await?;
    }
    Ok(Capture { link: Arc::clone(link), root, tokens })
}
