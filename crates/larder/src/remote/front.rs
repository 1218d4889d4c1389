//! Copies in this process of what lies in Redis: whether they may be served, and what ends them.
//!
//! A connection that is tracked (`CLIENT TRACKING`, by RESP3) is told of each change of a key that was registered over it. What it is
//! told ends the copy in the connection's own reader, before any later answer is handed out, so that a copy which is put in by
//! an earlier answer meets a raised ticket. Beside that a lease of this process bounds it all: without an answer for
//! a second no copy is served, whatever has become of the connection.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::names::{Named, Names};
use super::reply::Reply;
use super::wire::Told;
use crate::clock::Clock;
use crate::entry::Era;
use crate::key::Tag;
use crate::lease::Lease;
use crate::local::{Grant, Local};

/// The copies.
pub(crate) struct Front {
    local: Arc<Local>,
    names: Arc<Names>,
    clock: Clock,
    /// When that was sent which was last answered, by the machine's clock.
    contact_ms: AtomicU64,
    /// Until when copies may be served; `None` where none are kept.
    lease: Option<Arc<Lease>>,
    /// The era that they are of.
    era: Mutex<Option<Era>>,
    /// Who waits for a change of a name, by its hash.
    watches: Mutex<HashMap<u64, Arc<Notify>>>,
    /// The key of whose change a new connection has to be told, to show that it is told of any.
    probe: Mutex<Option<String>>,
}

/// A name of whose change somebody wants to be told.
pub(crate) struct Watch {
    front: Arc<Front>,
    hash: u64,
    changed: Arc<Notify>,
}

impl Watch {
    /// Waits for the next change that this process is told of since the watch began, or since the last that was waited for. It
    /// may be one of another name.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watches = self.front.watches.lock();
        if watches.get(&self.hash).is_some_and(|changed| Arc::ptr_eq(changed, &self.changed)) {
            watches.remove(&self.hash);
        }
    }
}

/// A copy that is to be kept of what is read.
#[derive(Debug)]
pub(crate) struct Copying {
    /// What it is compared with when it is put in, taken before it was asked for.
    pub(crate) grant: Grant,
    /// Until when it may be kept, in milliseconds of this process's clock.
    pub(crate) expires_at_ms: u64,
    /// When it was asked for, by the same clock.
    pub(super) asked_ms: u64,
}

impl Front {
    pub(super) fn new(local: Arc<Local>, names: Arc<Names>, clock: Clock, keeps: bool) -> Arc<Front> {
        Arc::new(Front {
            local,
            names,
            clock,
            contact_ms: AtomicU64::new(0),
            era: Mutex::default(),
            watches: Mutex::default(),
            probe: Mutex::default(),
            lease: keeps.then(Arc::default),
        })
    }

    /// Whether copies are kept at all.
    pub(crate) fn keeps(&self) -> bool {
        self.lease.is_some()
    }

    /// Until when they may be served, if any are kept.
    pub(crate) fn lease(&self) -> Option<&Arc<Lease>> {
        self.lease.as_ref()
    }

    /// Begins a copy of what is about to be asked for, and may depend on these tags.
    pub(super) fn begin(&self, name: &str, tags: &[Tag]) -> Box<Copying> {
        let grant = self.local.begin(self.local.name(name), tags.iter().copied());
        Box::new(Copying { grant, expires_at_ms: 0, asked_ms: self.clock.now_ms() })
    }

    /// Begins to watch a name. Another watch of the same name is told no more.
    pub(crate) fn watch(self: &Arc<Self>, name: &str) -> Option<Watch> {
        self.keeps().then(|| {
            let (changed, hash) = (Arc::new(Notify::new()), self.local.name(name).hash);
            self.watches.lock().insert(hash, Arc::clone(&changed));
            Watch { front: Arc::clone(self), hash, changed }
        })
    }

    #[cfg(test)]
    pub(super) fn watched(&self) -> usize {
        self.watches.lock().len()
    }

    /// How long ago that was sent which Redis answered last, in milliseconds; `None` where it never did.
    pub(crate) fn silent_ms(&self, system_ms: u64) -> Option<u64> {
        let contact_ms = self.contact_ms.load(Ordering::Acquire);
        (self.keeps() && contact_ms > 0).then(|| system_ms.saturating_sub(contact_ms))
    }

    /// Ends the copies of these names, and of what depends on these tags: this process has changed them.
    pub(crate) fn changed<'n>(&self, names: impl IntoIterator<Item = &'n str>, tags: &[Tag]) {
        if self.keeps() {
            for name in names {
                self.local.remove(self.local.name(name), self.clock.now_ms());
            }
            tags.iter().for_each(|tag| self.local.invalidate(*tag));
        }
    }

    /// Ends all copies: this process has changed everything.
    pub(super) fn cleared(&self) {
        self.local.clear();
    }

    /// Notes that a primary answered what was sent at this time, with the root of its life: what it had to tell by then was told before
    /// the answer.
    fn extend(&self, sent_ms: u64) {
        self.contact_ms.fetch_max(sent_ms, Ordering::AcqRel);
        self.lease.iter().for_each(|lease| lease.extend(sent_ms));
    }

    /// Ends all copies with their connection, and serves none until there is an answer again. What was known last stays, for who asks for that.
    pub(super) fn close(&self) {
        if self.lease.as_ref().is_some_and(|lease| lease.close()) {
            self.local.retire();
        }
    }

    /// Notes that there is a connection again, and the era that is in force. What was read over another one is of no use any more,
    /// nor is what somebody is about to put in of it: nobody tells this connection of its changes.
    pub(super) fn reconnected(&self, era: Era) {
        let mut known = self.era.lock();
        self.local.clear();
        *known = Some(era);
    }

    /// Expects to be told of this key.
    pub(super) fn expect(&self, probe: String) {
        *self.probe.lock() = Some(probe);
    }

    /// Whether it was told of what it expected.
    pub(super) fn was_told(&self) -> bool {
        self.probe.lock().take().is_none()
    }

    /// Notes the era that was read; copies of another one end.
    pub(super) fn note_era(&self, era: Era) {
        let mut known = self.era.lock();
        if *known != Some(era) {
            self.local.clear();
            *known = Some(era);
        }
    }

    /// Acts on what the server tells, in the connection's reader.
    fn told(&self, push: &[Reply]) {
        match push {
            [Reply::Bytes(kind), what @ ..] if kind == b"invalidate" => match what {
                [Reply::Array(keys)] => {
                    for key in keys {
                        match key {
                            Reply::Bytes(key) => self.end(key),
                            _ => self.local.clear(),
                        }
                    }
                }
                // Everything was flushed; or it is told in a way that is not known.
                _ => self.local.clear(),
            },
            _ => {}
        }
    }

    /// Ends the copies that a key stands for.
    fn end(&self, key: &[u8]) {
        let Ok(key) = str::from_utf8(key) else { return };
        match self.names.meaning_of(key) {
            Named::Entry(name) => {
                let name = self.local.name(name);
                self.local.remove(name, self.clock.now_ms());
                if let Some(changed) = self.watches.lock().get(&name.hash) {
                    changed.notify_one();
                }
            }
            Named::Tag(tag) => self.local.invalidate(tag),
            Named::Root => self.local.clear(),
            Named::Nothing => drop(self.probe.lock().take_if(|probe| probe == key)),
        }
    }
}

/// What one connection does to the copies, until it ends: afterwards another one may have opened them.
pub(super) struct Tie {
    pub(super) front: Arc<Front>,
    /// Held while the copies are opened and closed, so that none are opened behind the end.
    state: Mutex<Tied>,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tied {
    /// It has opened nothing yet.
    New,
    /// Copies may be open by its word.
    Heard,
    Over,
}

impl Tie {
    pub(super) fn new(front: &Arc<Front>) -> Arc<Tie> {
        Arc::new(Tie { front: Arc::clone(front), state: Mutex::new(Tied::New) })
    }

    /// Acts on what the server tells, in the connection's reader.
    pub(super) fn told(&self, told: Told) {
        match told {
            Told::Over => self.end(),
            Told::Push(push) => {
                let is_over = *self.state.lock() == Tied::Over;
                if !is_over {
                    self.front.told(&push);
                }
            }
        }
    }

    /// Notes the era that was answered to what was sent at this time.
    pub(super) fn heard(&self, era: Era, sent_ms: u64) {
        let mut state = self.state.lock();
        if *state != Tied::Over {
            *state = Tied::Heard;
            self.front.note_era(era);
            self.front.extend(sent_ms);
        }
    }

    /// Ends it, and with it all copies; those of its successor are not, where its own handshake failed and it is told late.
    pub(super) fn end(&self) {
        let mut state = self.state.lock();
        if std::mem::replace(&mut *state, Tied::Over) == Tied::Heard {
            self.front.close();
        }
    }
}

impl std::fmt::Debug for Front {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Front").field("lease", &self.lease).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("hash", &self.hash).finish_non_exhaustive()
    }
}
