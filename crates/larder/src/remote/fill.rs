//! Putting a value in: by comparing with what its loader saw, never blindly.

use rand::RngExt;
use redis::{Cmd, Pipeline};

use super::names::Names;
use super::read::{Capture, LEASE_MS};
use super::script::{FILL, FILL_STAGED, RELEASE};
use super::trouble::{Trouble, integer, okay};
use crate::codec::Encoding;
use crate::entry::{self, Header, Word};
use crate::key::Tag;
use crate::policy::Ttl;

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
    let stored_at_ms = capture.server_ms(here_ms);
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

pub(super) async fn fill(
    names: &Names,
    name: &str,
    (word, capture): (Word, &Capture),
    tags: &[Tag],
    fresh: Fresh<'_>,
    here_ms: u64,
) -> Result<bool, Trouble> {
    let bytes = bytes_of(word.filled(), capture, tags, fresh, here_ms)?;
    let key = names.entry(name);
    let mut commands = Pipeline::with_capacity(2);
    if bytes.len() < STAGED_FROM_BYTES {
        commands.add_command(compare_and_set(&key, word, &bytes, fresh.ttl));
    } else {
        // Drawn for this attempt: nobody else's bytes can be fetched in its place.
        let staging = names.staging(rand::rng().random());
        commands.cmd("SET").arg(&staging).arg(bytes).arg("PX").arg(STAGED_MS);
        let mut script = FILL_STAGED.on(&[&key, &staging]);
        script.arg(word.as_bytes()).arg(life_argument(fresh.ttl));
        commands.add_command(script);
    }
    let link = &capture.link;
    let answers = link.send(&commands, link.deadline()).await?;
    if let [staged, _] = &answers[..] {
        link.believe(okay(staged))?;
    }
    did(link.believe(answers.last().ok_or(Trouble::Garbled).and_then(integer)))
}

/// A lifetime in milliseconds, as Redis takes it; `None` is for ever, and so is what ends after all clocks of Redis.
pub(super) fn life_of(ttl: Ttl) -> Option<u64> {
    Some(ttl.as_millis()).filter(|ms| *ms < i64::MAX as u64 / 2)
}

/// A lifetime as the scripts take it.
fn life_argument(ttl: Ttl) -> String {
    life_of(ttl).map_or_else(String::new, |ms| ms.to_string())
}

/// Puts these bytes in if what is there has this word.
pub(super) fn compare_and_set(key: &str, word: Word, bytes: &[u8], ttl: Ttl) -> Cmd {
    FILL.on(&[key]).arg(word.as_bytes()).arg(bytes).arg(life_argument(ttl)).take()
}

pub(super) async fn lease_over(
    names: &Names,
    name: &str,
    word: Word,
    Capture { link, root, .. }: &Capture,
) -> Result<Option<Word>, Trouble> {
    let lease = Word::lease(rand::rng().random());
    let bytes = entry::lease(lease, root.era);
    let put = compare_and_set(&names.entry(name), word, &bytes, Ttl::millis(LEASE_MS));
    Ok(did(link.believe(integer(&link.ask(put).await?)))?.then_some(lease))
}

pub(super) async fn release(
    names: &Names,
    name: &str,
    word: Word,
    Capture { link, .. }: &Capture,
) -> Result<bool, Trouble> {
    let take_back = RELEASE.on(&[&names.entry(name)]).arg(word.as_bytes()).take();
    did(link.believe(integer(&link.ask(take_back).await?)))
}

/// A key of another type is not what was seen.
fn did(answer: Result<i64, Trouble>) -> Result<bool, Trouble> {
    match answer {
        Err(Trouble::WrongType) => Ok(false),
        answer => Ok(answer? == 1),
    }
}
