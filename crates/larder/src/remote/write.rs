//! Putting values in without a load, and having one at a time.

use std::sync::Arc;

use redis::Cmd;

use super::fill::{Fresh, bytes_of, compare_and_set, life_of};
use super::gather::{self, Gather, Question, Tokens, What};
use super::link::Link;
use super::names::Names;
use super::read::{Ask, Found, Intent, Seen, capture, new_generation, read};
use super::reply::Reply;
use super::script::{NEW_ROOT, RELEASE, SUCCEED};
use super::trouble::{Trouble, integer, okay, string};
use crate::ablation::Ablations;
use crate::entry::{self, Word};
use crate::key::Tag;
use crate::policy::Ttl;

/// How often a conditional set looks again after somebody else was quicker.
const ATTEMPTS: usize = 3;

/// What became of a versioned set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Succeeded {
    Stored,
    /// The row that is there is of this version or a newer one.
    Older,
    /// There was none to replace; what was there instead is removed.
    Absent,
}

/// That of a value which no load filled in.
fn generation() -> [u8; 8] {
    new_generation("", Ablations::default())
}

/// Sends one command, and reads its answer.
async fn one<T>(
    link: &Link,
    command: Cmd,
    answer: impl FnOnce(Reply) -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    link.believe(answer(link.ask(command).await?))
}

/// A `SET` of these bytes, for so long.
fn set(key: &str, bytes: &[u8], life: Option<u64>) -> Cmd {
    let mut command = redis::cmd("SET");
    command.arg(key).arg(bytes);
    if let Some(ms) = life {
        command.arg("PX").arg(ms);
    }
    command
}

/// Sets a value whatever was there: the last set wins. In one round trip where what was last heard to be in force still is, which is read behind
/// the set; else once more, on what is in force now.
pub(super) async fn put(
    link: &Arc<Link>,
    names: &Arc<Names>,
    name: &str,
    tags: &[Tag],
    fresh: Fresh<'_>,
    here_ms: u64,
) -> Result<(), Trouble> {
    if let Some(guess) = Gather::guess(link, tags) {
        let bytes = bytes_of(Word::value(generation()), &guess, tags, fresh, here_ms)?;
        let put = vec![set(&names.entry(name), &bytes, fresh.life())];
        let question = Question { what: What::Run(put), tags, tokens: Tokens::AsTheyAre, registers: false };
        let (answer, behind) = gather::ask(link, names, question).await?;
        link.believe(okay(&answer.value))?;
        if guess.holds_still(&behind, tags) {
            return Ok(());
        }
    }
    let capture = capture(link, names, tags).await?;
    let bytes = bytes_of(Word::value(generation()), &capture, tags, fresh, here_ms)?;
    one(link, set(&names.entry(name), &bytes, fresh.life()), |answer| okay(&answer)).await.map(drop)
}

/// Sets a value where what a look finds is not readable. Answers whether it did.
pub(super) async fn put_absent(
    link: &Arc<Link>,
    names: &Arc<Names>,
    ask: Ask<'_>,
    is_readable: impl Fn(&Found) -> bool,
    fresh: Fresh<'_>,
    here_ms: u64,
) -> Result<bool, Trouble> {
    let key = names.entry(ask.name);
    let ask = Ask { intent: Intent::Put, ..ask };
    let tags = [ask.guess, ask.needs].concat();
    for _ in 0..ATTEMPTS {
        let Seen { found, capture, .. } = read(link, names, ask, here_ms, Ablations::default()).await?;
        if is_readable(&found) {
            return Ok(false);
        }
        let seen = match &found {
            Found::Hit { word, .. } | Found::Busy(word) | Found::Stale(word) => Some(*word),
            Found::Foreign => {
                one(link, redis::cmd("UNLINK").arg(&*key).take(), |answer| integer(&answer)).await?;
                None
            }
            Found::Granted(_) | Found::Nothing => None,
        };
        let capture = if capture.has(&tags) { capture } else { self::capture(link, names, &tags).await? };
        let bytes = bytes_of(Word::value(generation()), &capture, &tags, fresh, here_ms)?;
        let put = match seen {
            None => {
                one(link, set(&key, &bytes, fresh.life()).arg("NX").take(), |answer| okay(&answer)).await?
            }
            Some(word) => {
                one(link, compare_and_set(&key, word, &bytes, fresh.life()), |answer| integer(&answer))
                    .await?
                    == 1
            }
        };
        if put {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Puts a newer version of a row in place of an older one, and never creates.
pub(super) async fn succeed(
    link: &Arc<Link>,
    names: &Arc<Names>,
    name: &str,
    version: u64,
    fresh: Fresh<'_>,
    now_ms: u64,
) -> Result<Succeeded, Trouble> {
    let mut script = SUCCEED.on(&[&names.entry(name)]);
    script.arg(&generation()[..]).arg(&entry::form(fresh.format, fresh.encoding)[..]);
    script.arg(&version.to_be_bytes()[..]).arg(now_ms).arg(fresh.payload);
    match one(link, script, |answer| integer(&answer)).await {
        Ok(2) => Ok(Succeeded::Stored),
        Ok(1) => Ok(Succeeded::Older),
        Ok(_) => Ok(Succeeded::Absent),
        // Full, or of another type: nothing that is older may stay.
        Err(Trouble::Full | Trouble::WrongType) => {
            one(link, redis::cmd("UNLINK").arg(&*names.entry(name)).take(), |answer| integer(&answer))
                .await?;
            Ok(Succeeded::Absent)
        }
        Err(trouble) => Err(trouble),
    }
}

/// Begins a new era, in which nothing that is there is in force.
pub(super) async fn clear(link: &Arc<Link>, names: &Arc<Names>) -> Result<(), Trouble> {
    for _ in 0..ATTEMPTS {
        let root = capture(link, names, &[]).await?.root;
        let mut put = NEW_ROOT.on(&[names.root()]);
        put.arg(&root.to_bytes()[..]).arg(&root.next().to_bytes()[..]);
        if one(link, put, |answer| integer(&answer)).await? == 1 {
            return Ok(());
        }
    }
    Err(Trouble::Refused("the root is changed all the time".to_owned()))
}

/// Sets bytes as they are, for readers who know nothing of this library: whoever comes last wins.
pub(super) async fn put_raw(
    link: &Link,
    key: &str,
    bytes: &[u8],
    life: Option<u64>,
    absent: bool,
) -> Result<bool, Trouble> {
    let mut set = set(key, bytes, life);
    if absent {
        set.arg("NX");
    }
    one(link, set, |answer| okay(&answer)).await
}

/// Takes the lock of this name with this token, if it is free. Answers whether it did.
pub(super) async fn lock(
    link: &Arc<Link>,
    names: &Arc<Names>,
    name: &str,
    token: &[u8; 16],
    ttl: Ttl,
) -> Result<bool, Trouble> {
    let set = set(&names.lock(name), token, life_of(ttl)).arg("NX").take();
    one(link, set, |answer| okay(&answer)).await
}

/// Gives a lock back, if this token still holds it. Answers whether it did.
pub(super) async fn unlock(
    link: &Arc<Link>,
    names: &Arc<Names>,
    name: &str,
    token: &[u8; 16],
) -> Result<bool, Trouble> {
    let mut script = RELEASE.on(&[&names.lock(name)]);
    script.arg(&token[..]);
    Ok(one(link, script, |answer| integer(&answer)).await? == 1)
}

/// One step of a scan: the next cursor, and the keys that it found.
pub(super) async fn scan(
    link: &Arc<Link>,
    glob: &str,
    cursor: u64,
    count: usize,
) -> Result<(u64, Vec<String>), Trouble> {
    let mut command = redis::cmd("SCAN");
    command.arg(cursor).arg("MATCH").arg(glob).arg("COUNT").arg(count);
    one(link, command, |answer| {
        let [cursor, keys] = match answer {
            Reply::Array(parts) => <[_; 2]>::try_from(parts).map_err(|_other| Trouble::Garbled)?,
            Reply::Error(refusal) => return Err(Trouble::from(&refusal)),
            _ => return Err(Trouble::Garbled),
        };
        let cursor = string(cursor)?.and_then(|cursor| str::from_utf8(&cursor).ok()?.parse().ok());
        let Reply::Array(keys) = keys else { return Err(Trouble::Garbled) };
        // A name is text: what is none was not named by us.
        let keys = keys.into_iter().filter_map(|key| String::from_utf8(string(key).ok()??).ok()).collect();
        Ok((cursor.ok_or(Trouble::Garbled)?, keys))
    })
    .await
}
