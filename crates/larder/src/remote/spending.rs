//! A limit that processes share: one key for each name, one script, one round trip.

use std::sync::Arc;

use super::link::Link;
use super::names::Names;
use super::reply::Reply;
use super::script::SPEND;
use super::trouble::{Trouble, integer};

/// What came of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spent {
    /// How many of those that were wanted.
    pub(crate) granted: u32,
    /// How long until all is earned again, in microseconds.
    pub(crate) owed_us: u64,
}

/// Takes up to `wanted`, of which each costs `interval_us`, while no more than `window_us` is owed.
pub(super) async fn spend(
    link: &Arc<Link>,
    names: &Names,
    digest: u128,
    (interval_us, window_us, wanted): (u64, u64, u32),
) -> Result<Spent, Trouble> {
    let mut script = SPEND.on(&[&names.limit(digest)]);
    script.arg(interval_us).arg(window_us).arg(wanted);
    let answer = match link.ask(script).await? {
        Reply::Array(parts) => match &parts[..] {
            [granted, owed_us] => both(granted, owed_us),
            _ => Err(Trouble::Garbled),
        },
        Reply::Error(refusal) => Err(Trouble::from(&refusal)),
        _ => Err(Trouble::Garbled),
    };
    link.believe(answer)
}

fn both(granted: &Reply, owed_us: &Reply) -> Result<Spent, Trouble> {
    let (granted, owed_us) = (integer(granted)?.try_into().ok(), integer(owed_us)?.try_into().ok());
    granted.zip(owed_us).map(|(granted, owed_us)| Spent { granted, owed_us }).ok_or(Trouble::Garbled)
}
