//! Late installs refused: what a load took before it began is compared when its value is put in.

use parking_lot::{Mutex, MutexGuard};

/// How many counters there are. Names that share one refuse each other's late installs, which costs a load and is never
/// stale: with 1,000 removals a second and loads of 50 ms it happens to about 1 load in 80. Passing through all of them takes
/// some 50 microseconds.
const SLOTS: usize = 4_096;

/// One counter for each slot of names, raised by everything that changes what a name holds, except a load's own install.
#[derive(Debug)]
pub(crate) struct Tickets {
    slots: Box<[Mutex<u64>]>,
}

/// The state of a name's slot at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

/// A slot held still: nothing else is installed or removed under its names meanwhile.
#[derive(Debug)]
pub(crate) struct Slot<'a>(MutexGuard<'a, u64>);

impl Tickets {
    pub(crate) fn new() -> Self {
        Tickets { slots: (0..SLOTS).map(|_| Mutex::new(0)).collect() }
    }

    /// To be taken before the load begins.
    pub(crate) fn take(&self, hash: u64) -> Ticket {
        Ticket(*self.slot_of(hash).lock())
    }

    /// Holds the slot of a name still.
    pub(crate) fn hold(&self, hash: u64) -> Slot<'_> {
        Slot(self.slot_of(hash).lock())
    }

    /// Refuses every ticket there is: what was taken before installs nothing any more.
    pub(crate) fn refuse_all(&self) {
        for slot in &self.slots {
            *slot.lock() += 1;
        }
    }

    fn slot_of(&self, hash: u64) -> &Mutex<u64> {
        // Neither the bits that choose the shard of the map nor those that choose the part of the flights.
        &self.slots[(hash >> 8) as usize % SLOTS]
    }
}

impl Slot<'_> {
    /// Refuses the tickets that were taken before.
    pub(crate) fn bump(&mut self) {
        *self.0 += 1;
    }

    /// Whether nothing has happened since the ticket was taken.
    pub(crate) fn honours(&self, ticket: Ticket) -> bool {
        *self.0 == ticket.0
    }
}
