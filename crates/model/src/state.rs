//! Everything there is at one moment.

use arrayvec::ArrayVec;

/// A version of the row.
pub(crate) type Version = u8;

/// What is drawn at random in the protocol, and never twice: generations, tokens, eras, lives of a server.
pub(crate) type Id = u8;

/// The generation that all leases have where none is drawn.
pub(crate) const SAME: Id = 0;

/// What lies under the name of the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    /// Names the interval between two removals.
    pub(crate) generation: Id,
    /// A lease without it.
    pub(crate) value: Option<Value>,
}

/// What was stored, and what it depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Value {
    pub(crate) version: Version,
    pub(crate) token: Id,
    pub(crate) era: Id,
}

/// A server, or its replica.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    pub(crate) entry: Option<Entry>,
    pub(crate) token: Option<Id>,
    pub(crate) era: Id,
    /// The life that the root names: the server may be served from if it is its own.
    pub(crate) confirmed: Id,
    pub(crate) life: Id,
}

/// Who changes the row, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Writer {
    /// It has not begun.
    Idle,
    /// Its change is committed.
    Committed(Version),
    /// Its removal was executed, and it knows.
    Acknowledged,
    /// Its removal has no answer: the relay will see to it.
    Unsure,
    /// Its removal was executed by the old server, of which it does not know that it is no more.
    Isolated(Version),
}

/// What is recorded with a change: which life of a server has executed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    pub(crate) done: Option<Id>,
}

/// When a reader came to another one's load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Came {
    /// Before the load began: its snapshot is newer.
    BeforeLoad,
    /// Before the fill was sent.
    BeforeFill,
    /// When it was on its way.
    AfterFill,
    /// While a hit was on its way.
    AfterHit,
}

/// What was in force before a load, and where it was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Grant {
    pub(crate) generation: Id,
    pub(crate) token: Id,
    pub(crate) era: Id,
    pub(crate) life: Id,
}

impl Grant {
    fn ids(&mut self) -> impl Iterator<Item = &mut Id> {
        [&mut self.generation, &mut self.token, &mut self.era, &mut self.life].into_iter()
    }
}

/// Where a reader stands. The floor is what was acknowledged when it began: nothing older may be returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Step {
    /// It reads nothing.
    Idle,
    /// It has the token, and is about to ask for the entry. Its ticket is current until its process hears of a change.
    Captured { floor: Version, token: Id, is_current: bool, early: Version },
    /// It may load.
    Granted { floor: Version, grant: Grant, early: Version },
    /// It has loaded.
    Loaded { floor: Version, grant: Grant, version: Version },
    /// Its fill was executed, refused or given up; the answer is on its way.
    Filled { version: Version, vouched: bool },
    /// It has a hit, and is about to copy it. What it was told before the hit was answered comes first.
    Copies { version: Version, is_current: bool, told_first: bool },
    /// It follows the other reader of its process.
    Joined { floor: Version, came: Came },
}

/// The copies of the first process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Copies {
    pub(crate) version: Option<Version>,
    /// The server will tell of the next change.
    pub(crate) registered: bool,
    /// It has told of one, which was not heard yet.
    pub(crate) told: bool,
    /// The connection is gone, and the process does not know.
    pub(crate) broken: bool,
    /// The lease of a second holds.
    pub(crate) open: bool,
}

/// A command whose outcome nobody knows. It may still be executed, by the life of the server to which it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Late {
    Removal { writer: usize, version: Version, life: Id },
    Lease { generation: Id, life: Id },
    Fill { grant: Grant, version: Version },
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) database: Version,
    pub(crate) acknowledged: Version,
    /// What had been acknowledged a second ago.
    pub(crate) second_ago: Version,
    pub(crate) next: Id,
    pub(crate) server: Server,
    pub(crate) replica: Server,
    pub(crate) failed_over: bool,
    /// The life before, and the era that some process still remembers.
    pub(crate) life_before: Id,
    pub(crate) remembered: Id,
    pub(crate) evictions: u8,
    pub(crate) unknown: u8,
    pub(crate) writers: ArrayVec<Writer, 2>,
    pub(crate) rows: ArrayVec<Option<Row>, 2>,
    pub(crate) readers: ArrayVec<(Step, u8), 3>,
    pub(crate) copies: Copies,
    pub(crate) late: ArrayVec<Late, 2>,
    /// What a read returned that it must not.
    pub(crate) wrong: Option<&'static str>,
}

impl State {
    pub(crate) fn draw(&mut self) -> Id {
        self.next += 1;
        self.next
    }

    /// Gives what was drawn the numbers in which it stands here, and the two readers of a process an order, so that states that differ in
    /// these alone are one.
    pub(crate) fn renumber(&mut self) {
        let of_first = self.readers.len().min(2);
        self.readers[..of_first].sort_unstable();
        let mut order: ArrayVec<Id, 32> = ArrayVec::new();
        let mut number = |id: &mut Id| {
            if *id != SAME {
                let at = order.iter().position(|known| known == id).unwrap_or_else(|| {
                    order.push(*id);
                    order.len() - 1
                });
                *id = at as Id + 1;
            }
        };
        for server in [&mut self.server, &mut self.replica] {
            number(&mut server.era);
            number(&mut server.confirmed);
            number(&mut server.life);
            server.token.iter_mut().for_each(&mut number);
            if let Some(Entry { generation, value }) = &mut server.entry {
                number(generation);
                value.iter_mut().flat_map(|value| [&mut value.token, &mut value.era]).for_each(&mut number);
            }
        }
        number(&mut self.life_before);
        number(&mut self.remembered);
        self.rows.iter_mut().flatten().filter_map(|row| row.done.as_mut()).for_each(&mut number);
        for (step, _) in &mut self.readers {
            match step {
                Step::Captured { token, .. } => number(token),
                Step::Granted { grant, .. } | Step::Loaded { grant, .. } => grant.ids().for_each(&mut number),
                Step::Idle | Step::Filled { .. } | Step::Copies { .. } | Step::Joined { .. } => {}
            }
        }
        for late in &mut self.late {
            match late {
                Late::Removal { life, .. } => number(life),
                Late::Lease { generation, life } => [generation, life].into_iter().for_each(&mut number),
                Late::Fill { grant, .. } => grant.ids().for_each(&mut number),
            }
        }
        self.next = order.len() as Id;
    }

    /// The server tells of a change of what the process has registered, once.
    pub(crate) fn changed(&mut self) {
        if std::mem::take(&mut self.copies.registered) && !self.copies.broken {
            self.copies.told = true;
        }
    }

    /// The process hears what it was told.
    pub(crate) fn hear(&mut self) {
        self.copies.told = false;
        self.copies.version = None;
        for (step, _) in &mut self.readers {
            if let Step::Captured { is_current, .. } | Step::Copies { is_current, .. } = step {
                *is_current = false;
            }
        }
    }

    pub(crate) fn is_suspect(&self) -> bool {
        self.server.confirmed != self.server.life
    }
}
