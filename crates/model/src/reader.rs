//! What readers do.

use crate::config::Rule;
use crate::protocol::{Action, OfReader, Protocol};
use crate::state::{Came, Copies, Entry, Grant, Id, Late, SAME, Server, State, Step, Value, Version};

impl Protocol {
    /// What readers may do next.
    pub(crate) fn readers_may(&self, state: &State, actions: &mut Vec<Action>) {
        for (reader, (step, left)) in state.readers.iter().enumerate() {
            let may_be_asked = self.may_be_asked(state);
            match step {
                Step::Idle if *left > 0 => {
                    let is_answered_here =
                        self.copy(state, reader).is_some() || self.load_of_other(state, reader).is_some();
                    actions.extend(
                        (may_be_asked || is_answered_here).then_some(Action::Reader(reader, OfReader::Begin)),
                    );
                }
                Step::Captured { .. } if may_be_asked => {
                    actions.push(Action::Reader(reader, OfReader::Ask));
                    actions
                        .extend((state.unknown > 0).then_some(Action::Reader(reader, OfReader::AskUnknown)));
                }
                Step::Granted { .. } => actions.push(Action::Reader(reader, OfReader::Load)),
                Step::Loaded { .. } => {
                    actions.push(Action::Reader(reader, OfReader::Fill));
                    actions
                        .extend((state.unknown > 0).then_some(Action::Reader(reader, OfReader::FillUnknown)));
                }
                Step::Filled { .. } => actions.push(Action::Reader(reader, OfReader::Answer)),
                Step::Copies { .. } => actions.push(Action::Reader(reader, OfReader::Copy)),
                Step::Idle | Step::Captured { .. } | Step::Joined { .. } => {}
            }
        }
    }

    /// Lets one do it; `false` if it cannot.
    pub(crate) fn reader_does(&self, state: &mut State, reader: usize, does: OfReader) -> bool {
        match does {
            OfReader::Ask => self.ask(state, reader),
            OfReader::AskUnknown => {
                let Step::Captured { floor, .. } = state.readers[reader].0 else { return false };
                state.unknown -= 1;
                let generation = self.generation(state);
                state.late.push(Late::Lease { generation, life: state.server.life });
                state.readers[reader].0 = self.capture(state, reader, floor);
            }
            OfReader::Load => {
                let Step::Granted { floor, grant, early } = state.readers[reader].0 else { return false };
                let version = if self.is_out(Rule::SnapshotAfterGrant) { early } else { state.database };
                state.readers[reader].0 = Step::Loaded { floor, grant, version };
            }
            OfReader::Fill => {
                let Step::Loaded { floor, grant, version } = state.readers[reader].0 else { return false };
                let vouched = self.reaches(state, grant.life) && self.fill(state, grant, version);
                state.readers[reader].0 = Step::Filled { version, vouched };
                if version < floor {
                    state.wrong = Some("a loader returned what is older than what was acknowledged");
                }
            }
            OfReader::FillUnknown => {
                let Step::Loaded { grant, version, .. } = state.readers[reader].0 else { return false };
                state.unknown -= 1;
                state.late.push(Late::Fill { grant, version });
                state.readers[reader].0 = Step::Filled { version, vouched: false };
            }
            OfReader::Answer => self.answer(state, reader),
            OfReader::Copy => {
                let Step::Copies { told_first, .. } = state.readers[reader].0 else { return false };
                if told_first && state.copies.told {
                    state.hear();
                }
                let Step::Copies { version, is_current, .. } = state.readers[reader].0 else { return false };
                if is_current || self.is_out(Rule::CopyTicket) {
                    state.copies.version = Some(version);
                }
                state.readers[reader].0 = Step::Idle;
                self.share(state, reader, version, false);
            }
            OfReader::Begin => self.begin(state, reader),
        }
        true
    }

    /// Whether a reader is of the process that keeps copies, and shares loads.
    fn is_of_first(reader: usize) -> bool {
        reader < 2
    }

    /// Whether a server may be asked for values.
    fn may_be_asked(&self, state: &State) -> bool {
        !state.is_suspect() || self.is_out(Rule::SuspectGate)
    }

    /// What the other reader of a process loads, if it does.
    fn load_of_other(&self, state: &State, reader: usize) -> Option<Came> {
        let other = Protocol::is_of_first(reader).then_some(1 - reader.min(1))?;
        match state.readers.get(other)?.0 {
            Step::Granted { .. } => Some(Came::BeforeLoad),
            Step::Loaded { .. } => Some(Came::BeforeFill),
            Step::Filled { .. } => Some(Came::AfterFill),
            Step::Copies { .. } if self.is_out(Rule::HitsUnshared) => Some(Came::AfterHit),
            _ => None,
        }
    }

    /// A copy may be served.
    fn copy(&self, state: &State, reader: usize) -> Option<Version> {
        let is_open = state.copies.open || self.is_out(Rule::LocalLease);
        state.copies.version.filter(|_| self.0.copies && Protocol::is_of_first(reader) && is_open)
    }

    fn capture(&self, state: &mut State, reader: usize, floor: Version) -> Step {
        let token = self.token(state);
        let copies = self.0.copies && Protocol::is_of_first(reader);
        if copies {
            // A new connection takes the place of one that is gone before anything is asked.
            if std::mem::take(&mut state.copies.broken) {
                state.hear();
            }
            state.copies.registered = true;
            state.copies.open = true;
        }
        let early = if self.is_out(Rule::SnapshotAfterGrant) { state.database } else { 0 };
        Step::Captured { floor, token, is_current: true, early }
    }

    pub(crate) fn generation(&self, state: &mut State) -> Id {
        if self.is_out(Rule::FreshGeneration) { SAME } else { state.draw() }
    }

    fn begin(&self, state: &mut State, reader: usize) {
        let floor = state.acknowledged;
        state.readers[reader].1 -= 1;
        if let Some(version) = self.copy(state, reader) {
            let Copies { told, broken, .. } = state.copies;
            // Older than what is acknowledged only while the word of it is on its way, and never by more than a second.
            let allowed = if told || broken { state.second_ago } else { floor };
            if version < allowed {
                state.wrong = Some("a copy is older than it may be");
            }
        } else {
            state.readers[reader].0 = match self.load_of_other(state, reader) {
                Some(came) => Step::Joined { floor, came },
                None => self.capture(state, reader, floor),
            };
        }
    }

    fn ask(&self, state: &mut State, reader: usize) {
        let Step::Captured { floor, token, is_current, early } = state.readers[reader].0 else { return };
        let Server { era, life, .. } = state.server;
        let granted = |generation| {
            let grant = Grant { generation, token, era, life };
            Step::Granted { floor, grant, early }
        };
        let step = match state.server.entry {
            // Somebody else loads, and is waited for no longer.
            Some(Entry { generation, value: None }) => granted(generation),
            Some(Entry { value: Some(value), .. }) if self.is_hit(value, token, era) => {
                if value.version < floor {
                    state.wrong = Some("a hit is older than what was acknowledged");
                }
                match self.0.copies && Protocol::is_of_first(reader) {
                    true => {
                        Step::Copies { version: value.version, is_current, told_first: state.copies.told }
                    }
                    false => Step::Idle,
                }
            }
            // Nothing, or what no longer holds: a lease takes its place.
            _ => {
                let generation = self.generation(state);
                state.server.entry = Some(Entry { generation, value: None });
                state.changed();
                granted(generation)
            }
        };
        state.readers[reader].0 = step;
    }

    fn is_hit(&self, value: Value, token: Id, era: Id) -> bool {
        (value.token == token || self.is_out(Rule::TokenCheck))
            && (value.era == era || self.is_out(Rule::EraCheck))
    }

    /// Executes a fill; answers whether it is vouched for.
    pub(crate) fn fill(&self, state: &mut State, grant: Grant, version: Version) -> bool {
        let Grant { generation, token, era, .. } = grant;
        let is_lease = |entry: Entry| entry == Entry { generation, value: None };
        if !state.server.entry.is_some_and(is_lease) && !self.is_out(Rule::FillCompare) {
            return false;
        }
        let (token, era) = match self.is_out(Rule::CaptureBefore) {
            true => (state.server.token.unwrap_or(token), state.server.era),
            false => (token, era),
        };
        state.server.entry = Some(Entry { generation, value: Some(Value { version, token, era }) });
        state.changed();
        self.is_out(Rule::ReadAgain) || (state.server.token == Some(token) && state.server.era == era)
    }

    /// Whether a fill reaches the server: a new life has not granted it.
    pub(crate) fn reaches(&self, state: &State, life: Id) -> bool {
        life == state.server.life || self.is_out(Rule::GrantedLife)
    }

    fn answer(&self, state: &mut State, reader: usize) {
        let Step::Filled { version, vouched } = state.readers[reader].0 else { return };
        state.readers[reader].0 = Step::Idle;
        self.share(state, reader, version, vouched);
    }

    /// Hands a value to the other reader of the process, if it follows and may take it.
    fn share(&self, state: &mut State, reader: usize, version: Version, vouched: bool) {
        if !Protocol::is_of_first(reader) {
            return;
        }
        let Some(other) = state.readers.get_mut(1 - reader) else { return };
        let Step::Joined { floor, came } = other.0 else { return };
        let takes = match came {
            Came::BeforeLoad | Came::AfterHit => true,
            Came::BeforeFill => vouched || self.is_out(Rule::Vouching),
            Came::AfterFill => vouched && self.is_out(Rule::ClosedFlight),
        };
        other.0 = Step::Idle;
        if !takes {
            other.1 += 1; // it starts again
        } else if version < floor {
            state.wrong = Some("a joiner was given what is older than what was acknowledged");
        }
    }
}
