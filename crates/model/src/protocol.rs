//! The protocol as a model: what may happen next, and what it makes of everything.

use std::iter::repeat_n;

use arrayvec::ArrayVec;
use stateright::{Model, Property};

use crate::config::{Config, Rule};
use crate::state::{Copies, Entry, Server, State, Step, Value, Writer};

/// What happens next. The number is that of the writer or the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    Writer(usize, OfWriter),
    Reader(usize, OfReader),
    World(OfWorld),
}

/// What a writer does, or the relay for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum OfWriter {
    Commit,
    /// The removal is executed, and its answer arrives.
    Announce,
    /// The removal is sent, and no answer arrives.
    AnnounceUnknown,
    /// The old server, which is no more, executes the removal and answers.
    AnnounceIsolated,
    /// It had gone on with the old server, and meets the new one.
    Rejoin,
    /// The relay removes what its row says.
    Relay,
}

/// What a reader does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum OfReader {
    /// It begins to read: a copy answers, it joins, or it captures the token.
    Begin,
    /// It asks for the entry, or a lease of its own; the root with it.
    Ask,
    AskUnknown,
    /// It opens its snapshot and loads.
    Load,
    Fill,
    FillUnknown,
    /// The answer to its fill arrives: it returns what it loaded, and so do those who may share it.
    Answer,
    /// It copies its hit, and returns it.
    Copy,
}

/// What happens to the servers, the connection and the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum OfWorld {
    EvictEntry,
    EvictToken,
    /// The replica hears of everything up to now.
    Replicate,
    /// The replica takes over.
    FailOver,
    /// The relay makes up for what the new life has not heard of, and it is served from.
    Confirm,
    /// Somebody puts the root in from memory.
    PutRoot,
    /// The first process notices that its connection is gone.
    Notice,
    /// It hears what the server tells.
    Hear,
    /// A second passes.
    Second,
    /// A command whose outcome nobody knew is executed after all.
    Late(usize),
}

/// The protocol, of a size.
pub(crate) struct Protocol(pub(crate) Config);

impl Protocol {
    pub(crate) fn is_out(&self, rule: Rule) -> bool {
        self.0.without == Some(rule)
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let life = 1;
        // Version 0 is cached, as it was before all changes.
        let value = Some(Value { version: 0, token: 3, era: 2 });
        let entry = Some(Entry { generation: 4, value });
        let server = Server { entry, token: Some(3), era: 2, confirmed: life, life };
        let copies = Copies { version: None, registered: false, told: false, broken: false, open: true };
        vec![State {
            database: 0,
            acknowledged: 0,
            second_ago: 0,
            next: 4,
            replica: server.clone(),
            server,
            failed_over: !self.0.failover,
            life_before: life,
            remembered: 2,
            evictions: self.0.evictions,
            unknown: self.0.unknown,
            writers: repeat_n(Writer::Idle, self.0.writers).collect(),
            rows: repeat_n(None, self.0.writers).collect(),
            readers: repeat_n((Step::Idle, self.0.reads), self.0.readers).collect(),
            copies,
            late: ArrayVec::new(),
            wrong: None,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.wrong.is_none() {
            self.writers_may(state, actions);
            self.readers_may(state, actions);
            self.world_may(state, actions);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let happens = match action {
            Action::Writer(writer, does) => self.writer_does(&mut state, writer, does),
            Action::Reader(reader, does) => self.reader_does(&mut state, reader, does),
            Action::World(does) => self.world_does(&mut state, does),
        };
        state.renumber();
        happens.then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let is_right = |_: &Self, state: &State| state.wrong.is_none();
        vec![Property::always("nothing older than what was acknowledged", is_right)]
    }
}
