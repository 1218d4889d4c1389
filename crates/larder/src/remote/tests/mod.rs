//! The tier against real servers and real faults. Until the service asks it, this is its only door.

mod costs;
mod faults;
mod fronts;
mod gathering;
mod rights;
mod values;

use std::sync::Arc;

use tokio::task::JoinSet;

use super::Remote;
use super::fill::Fresh;
use super::read::{Ask, Capture, Found, Intent, Seen};
use super::settings::Redis;
use super::trouble::Trouble;
use crate::ablation::{Ablation, Ablations};
use crate::clock::Clock;
use crate::entry::Word;
use crate::key::Tag;
use crate::local::{Local, Size};
use crate::policy::{Encoding, Ttl};
use crate::tasks::Errands;

/// A tier whose connection is kept for as long as this lives.
struct Kept {
    remote: Remote,
    _keeps: JoinSet<()>,
}

impl Kept {
    /// Whether a read is under way.
    fn is_reading(&self) -> bool {
        self.remote.supervisor.link().is_ok_and(|link| link.questions.is_under_way())
    }
}

impl std::ops::Deref for Kept {
    type Target = Remote;

    fn deref(&self) -> &Remote {
        &self.remote
    }
}

fn errands() -> Arc<Errands> {
    Arc::new(Errands::here().expect("tests run in a runtime"))
}

fn local() -> Arc<Local> {
    let size = Size { capacity: 1 << 20, expected_entries: 1_000, max_weight: 1 << 20 };
    Arc::new(Local::new(size, Ablations::default()).expect("it is large enough"))
}

/// A tier that waits for its server as long as that takes: the machine of a test may stand still for a second.
fn kept(redis: &Redis, clock: Clock) -> Kept {
    kept_by(redis, clock, Ablations::default().with(Ablation::Deadlines))
}

fn kept_by(redis: &Redis, clock: Clock, without: Ablations) -> Kept {
    let remote =
        Remote::new(redis, local(), clock, errands(), None, without).expect("the settings are right");
    let mut keeps = JoinSet::new();
    keeps.spawn(remote.clone().run());
    Kept { remote, _keeps: keeps }
}

async fn connected(redis: &Redis) -> Kept {
    let kept = kept(redis, Clock::system());
    kept.ready().await;
    kept
}

/// The same, which gives up a connection that does not answer in time.
async fn connected_with_deadlines(redis: &Redis) -> Kept {
    let kept = kept_by(redis, Clock::system(), Ablations::default());
    kept.ready().await;
    kept
}

fn ask(name: &str, intent: Intent) -> Ask<'_> {
    Ask { name, intent, format: 1, needs: &[], guess: &[], copies: false }
}

async fn load(remote: &Remote, name: &str) -> Seen {
    remote.read(ask(name, Intent::Load)).await.expect("Redis is there")
}

/// The lease of a reader who has to load.
async fn granted(remote: &Remote, ask: Ask<'_>) -> (Word, Arc<Capture>) {
    match remote.read(ask).await.expect("Redis is there") {
        Seen { found: Found::Granted(word), capture, .. } => (word, capture),
        seen => panic!("{:?} is no lease", seen.found),
    }
}

fn fresh(payload: &[u8]) -> Fresh<'_> {
    Fresh {
        format: 1,
        encoding: Encoding::Json,
        version: None,
        load_cost_us: 50,
        age_ms: 0,
        ttl: Ttl::SHORT,
        payload,
    }
}

/// Fills in what depends on nothing.
async fn fill(
    remote: &Remote,
    name: &str,
    word: Word,
    capture: &Capture,
    payload: &[u8],
) -> Result<bool, Trouble> {
    fill_in(remote, name, (word, capture), &[], fresh(payload)).await
}

/// Fills in; what it brought is vouched for exactly if it was filled in.
async fn fill_in(
    remote: &Remote,
    name: &str,
    seen: (Word, &Capture),
    tags: &[Tag],
    fresh: Fresh<'_>,
) -> Result<bool, Trouble> {
    remote.fill(name, seen, tags, fresh).await.map(|settled| settled.done)
}

/// Loads a name that is not there and fills it in.
async fn store(remote: &Remote, name: &str, payload: &[u8]) {
    let (word, capture) = granted(remote, ask(name, Intent::Load)).await;
    assert!(fill(remote, name, word, &capture, payload).await.expect("Redis is there"));
}

/// What a plain look finds.
async fn look(remote: &Remote, name: &str) -> Option<Vec<u8>> {
    match remote.read(ask(name, Intent::Look)).await.expect("Redis is there").found {
        Found::Hit { payload, .. } => Some(payload.to_vec()),
        _ => None,
    }
}

async fn is_up_again(remote: &Remote) {
    testkit::until("there is a connection again", async || remote.supervisor.link().is_ok()).await;
}

fn bytes_of(word: Word, capture: &Capture, payload: &[u8]) -> Vec<u8> {
    let header = crate::entry::Header {
        era: capture.root.era,
        format: 1,
        encoding: Encoding::Json,
        stored_at_ms: 0,
        fresh_until_ms: u64::MAX,
        load_cost_us: 0,
        version: None,
        depends_on: capture.dependencies(&[]).expect("there are none"),
    };
    crate::entry::value(word.filled(), &header, payload)
}
