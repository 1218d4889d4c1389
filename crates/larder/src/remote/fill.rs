//! Putting a value in: by comparing with what its loader saw, never blindly.

use std::sync::Arc;

use rand::RngExt;
use redis::Cmd;

use super::gather::{self, Question, Tokens, What};
use super::link::Link;
use super::names::Names;
use super::read::{self, Capture, LEASE_MS};
use super::script::{FILL, FILL_STAGED, RELEASE};
use super::trouble::{Trouble, integer, okay, string};
use crate::ablation::{Ablation, Ablations};
use crate::entry::{self, Header, Word};
use crate::key::Tag;
use crate::policy::{Encoding, Ttl};

/// 4 KiB: from here on a value is put aside and renamed into its place, since passing it through a script costs the server more
/// than two commands do.
const STAGED_FROM_BYTES: usize = 4 << 10;

/// 5 seconds: how long bytes that were put aside stay when nobody fetches them.
const STAGED_MS: u64 = 5_000;

/// A value, ready to be put in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fresh<'a> {
    pub(crate) format: u16,
    pub(crate) encoding: Encoding,
    pub(crate) version: Option<u64>,
    pub(crate) load_cost_us: u32,
    /// How long ago its load began, in milliseconds: it is as old as that, however long the load took.
    pub(crate) age_ms: u64,
    pub(crate) ttl: Ttl,
    pub(crate) payload: &'a [u8],
}

/// The bytes of an entry that depends on these tags. A tag that was not captured is an error of the caller, and refused.
pub(super) fn bytes_of(
    word: Word,
    capture: &Capture,
    tags: &[Tag],
    fresh: Fresh<'_>,
    here_ms: u64,
) -> Result<Vec<u8>, Trouble> {
    let depends_on = capture.dependencies(tags);
    let uncaptured = || Trouble::Refused("a tag that was not captured before the load".to_owned());
    let stored_at_ms = capture.server_ms(here_ms).saturating_sub(fresh.age_ms);
    let header = Header {
        era: capture.root.era,
        format: fresh.format,
        encoding: fresh.encoding,
        stored_at_ms,
        fresh_until_ms: life_of(fresh.ttl).map_or(u64::MAX, |ms| stored_at_ms.saturating_add(ms)),
        load_cost_us: fresh.load_cost_us,
        version: fresh.version,
        depends_on: depends_on.ok_or_else(uncaptured)?,
    };
    Ok(entry::value(word, &header, fresh.payload))
}

/// What became of a fill, or of a lease that was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    /// What the loader saw was still there, and was replaced or removed.
    pub(crate) done: bool,
    /// That, and root and tokens, read behind it, are still the captured ones: what was loaded vouches for itself.
    pub(crate) current: bool,
}

pub(super) async fn fill(
    names: &Arc<Names>,
    name: &str,
    (word, capture): (Word, &Capture),
    tags: &[Tag],
    fresh: Fresh<'_>,
    here_ms: u64,
    rules_out: Ablations,
) -> Result<Settled, Trouble> {
    let late;
    let capture = if rules_out.is_out(Ablation::EarlyTokens) {
        late = read::capture(&capture.link, names, tags).await?;
        &*late
    } else {
        capture
    };
    let bytes = bytes_of(word.filled(), capture, tags, fresh, here_ms)?;
    let key = names.entry(name);
    let mut commands = Vec::with_capacity(2);
    let staged = bytes.len() >= STAGED_FROM_BYTES;
    if rules_out.is_out(Ablation::TicketCheck) {
        commands.push(redis::cmd("SET").arg(&*key).arg(bytes).take());
        commands.push(redis::cmd("EXISTS").arg(&*key).take());
    } else if staged {
        // Drawn for this attempt: nobody else's bytes can be fetched in its place.
        let nonce = if rules_out.is_out(Ablation::OwnStaging) { 0 } else { rand::rng().random() };
        let staging = names.staging(nonce);
        commands.push(redis::cmd("SET").arg(&staging).arg(bytes).arg("PX").arg(STAGED_MS).take());
        let mut script = FILL_STAGED.on(&[&key, &staging]);
        script.arg(word.as_bytes()).arg(life_argument(fresh.life()));
        commands.push(script);
    } else {
        commands.push(compare_and_set(&key, word, &bytes, fresh.life()));
    }
    let settled = settle(names, capture, tags, commands).await?;
    capture.link.has_room();
    Ok(settled)
}

impl Fresh<'_> {
    /// How long it lives from now, in milliseconds; `None` is for ever. What took longer to load than it lives goes at once.
    pub(super) fn life(&self) -> Option<u64> {
        life_of(self.ttl).map(|ms| ms.saturating_sub(self.age_ms).max(1))
    }
}

/// Sends what settles an interval, whose last command answers whether it did, and asks what is in force behind it.
async fn settle(
    names: &Arc<Names>,
    capture: &Capture,
    tags: &[Tag],
    commands: Vec<Cmd>,
) -> Result<Settled, Trouble> {
    let link = &capture.link;
    let question = Question { what: What::Run(commands), tags, tokens: Tokens::AsTheyAre, registers: false };
    let (answer, behind) = gather::ask(link, names, question).await?;
    let done = did(link.believe(integer(&answer.value)))?;
    Ok(Settled { done, current: done && capture.holds_still(&behind, tags) })
}

/// A lifetime in milliseconds, as Redis takes it; `None` is for ever, and so is what ends after all clocks of Redis.
pub(super) fn life_of(ttl: Ttl) -> Option<u64> {
    Some(ttl.as_millis()).filter(|ms| *ms < i64::MAX as u64 / 2)
}

/// The rest of a life as the scripts take it.
fn life_argument(life: Option<u64>) -> String {
    life.map_or_else(String::new, |ms| ms.to_string())
}

/// Puts these bytes in if what is there has this word.
pub(super) fn compare_and_set(key: &str, word: Word, bytes: &[u8], life: Option<u64>) -> Cmd {
    FILL.on(&[key]).arg(word.as_bytes()).arg(bytes).arg(life_argument(life)).take()
}

pub(super) async fn lease_over(
    names: &Arc<Names>,
    name: &str,
    old: Word,
    (lease, Capture { link, root, .. }): (Word, &Capture),
    tags: &[Tag],
) -> Result<Option<Arc<Capture>>, Trouble> {
    let bytes = entry::lease(lease, root.era);
    let put = compare_and_set(&names.entry(name), old, &bytes, Some(LEASE_MS));
    let question = Question { what: What::Run(vec![put]), tags, tokens: Tokens::PutNew, registers: false };
    let (answer, capture) = gather::ask(link, names, question).await?;
    Ok(did(link.believe(integer(&answer.value)))?.then_some(capture))
}

pub(super) async fn release(
    names: &Arc<Names>,
    name: &str,
    (word, capture): (Word, &Capture),
    tags: &[Tag],
) -> Result<Settled, Trouble> {
    let release = RELEASE.on(&[&names.entry(name)]).arg(word.as_bytes()).take();
    settle(names, capture, tags, vec![release]).await
}

/// Takes a lease back over another connection than the one that it was granted over.
pub(super) async fn release_over(
    link: &Link,
    names: &Names,
    name: &str,
    word: Word,
) -> Result<bool, Trouble> {
    remove_if(link, &names.entry(name), word.as_bytes()).await
}

/// Removes a key if it begins so. Answers whether it did.
async fn remove_if(link: &Link, key: &str, begins: &[u8]) -> Result<bool, Trouble> {
    let release = RELEASE.on(&[key]).arg(begins).take();
    did(link.believe(integer(&link.ask(release).await?)))
}

/// Takes the claim of this interval for so long: leave to load in place of a holder that is taken to be gone. A claim of an
/// earlier interval does not count. Two may have it at once, which costs a load: what both fill in is compared.
pub(super) async fn claim(
    names: &Names,
    name: &str,
    (word, Capture { link, .. }): (Word, &Capture),
    ms: u64,
) -> Result<bool, Trouble> {
    let key = names.claim(name);
    let generation = word.generation();
    let mut set = redis::cmd("SET");
    set.arg(&key).arg(&generation[..]).arg("PX").arg(ms);
    let other = link.believe(string(link.ask(set.clone().arg("NX").arg("GET").take()).await?));
    match other {
        Ok(None) => Ok(true),
        Ok(Some(other)) if other == generation => Ok(false),
        // Of an earlier interval, or none of ours.
        Ok(Some(_)) | Err(Trouble::WrongType) => link.believe(okay(&link.ask(set).await?)),
        // A full server takes no claim; whoever waits there may load.
        Err(Trouble::Full) => Ok(true),
        Err(trouble) => Err(trouble),
    }
}

/// Takes the claim of this interval back.
pub(super) async fn unclaim(link: &Link, names: &Names, name: &str, word: Word) -> Result<bool, Trouble> {
    remove_if(link, &names.claim(name), &word.generation()).await
}

/// A key of another type is not what was seen.
fn did(answer: Result<i64, Trouble>) -> Result<bool, Trouble> {
    match answer {
        Err(Trouble::WrongType) => Ok(false),
        answer => Ok(answer? == 1),
    }
}
