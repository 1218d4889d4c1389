//! What writers do, and the relay for them.

use crate::config::{Removal, Rule};
use crate::protocol::{Action, OfWriter, Protocol};
use crate::state::{Entry, Id, Late, Row, SAME, State, Value, Version, Writer};

impl Protocol {
    /// What writers may do next.
    pub(crate) fn writers_may(&self, state: &State, actions: &mut Vec<Action>) {
        for (writer, at) in state.writers.iter().enumerate() {
            match at {
                Writer::Idle => actions.push(Action::Writer(writer, OfWriter::Commit)),
                Writer::Isolated(_) => {
                    let is_quiet = !state.is_suspect() && !self.is_due(state, writer);
                    actions.extend(is_quiet.then_some(Action::Writer(writer, OfWriter::Rejoin)));
                }
                Writer::Committed(_) => {
                    let is_split = self.0.split_brain && state.server.life != state.life_before;
                    actions.extend(is_split.then_some(Action::Writer(writer, OfWriter::AnnounceIsolated)));
                    actions.push(Action::Writer(writer, OfWriter::Announce));
                    actions.extend(
                        (state.unknown > 0).then_some(Action::Writer(writer, OfWriter::AnnounceUnknown)),
                    );
                }
                Writer::Acknowledged | Writer::Unsure => {}
            }
            actions.extend(
                (self.is_due(state, writer) && !state.is_suspect())
                    .then_some(Action::Writer(writer, OfWriter::Relay)),
            );
        }
    }

    /// Lets one do it; `false` if it cannot.
    pub(crate) fn writer_does(&self, state: &mut State, writer: usize, does: OfWriter) -> bool {
        match does {
            OfWriter::Commit => {
                state.database += 1;
                state.writers[writer] = Writer::Committed(state.database);
                let is_recorded = self.0.recorded && !self.is_out(Rule::OutboxRow);
                state.rows[writer] = is_recorded.then_some(Row { done: None });
            }
            OfWriter::Announce => {
                let Writer::Committed(version) = state.writers[writer] else { return false };
                self.remove(state, writer, version);
                state.acknowledged = state.acknowledged.max(version);
                state.writers[writer] = Writer::Acknowledged;
                let life = state.server.life;
                state.rows[writer].iter_mut().for_each(|row| row.done = Some(life));
            }
            OfWriter::AnnounceUnknown => {
                let Writer::Committed(version) = state.writers[writer] else { return false };
                state.unknown -= 1;
                state.writers[writer] = Writer::Unsure;
                state.late.push(Late::Removal { writer, version, life: state.server.life });
            }
            OfWriter::AnnounceIsolated => {
                let Writer::Committed(version) = state.writers[writer] else { return false };
                state.writers[writer] = Writer::Isolated(version);
                let life = state.life_before;
                state.rows[writer].iter_mut().for_each(|row| row.done = Some(life));
            }
            OfWriter::Rejoin => {
                let Writer::Isolated(version) = state.writers[writer] else { return false };
                if !self.0.recorded && !self.is_out(Rule::OwnEra) {
                    state.server.era = state.draw();
                }
                state.acknowledged = state.acknowledged.max(version);
                state.writers[writer] = Writer::Acknowledged;
            }
            OfWriter::Relay => self.relay(state, writer),
        }
        true
    }

    fn removal_of(&self, writer: usize) -> Removal {
        if writer == 0 { Removal::Key } else { self.0.second }
    }

    pub(crate) fn remove(&self, state: &mut State, writer: usize, version: Version) {
        match self.removal_of(writer) {
            Removal::Key => state.server.entry = None,
            Removal::Tag => state.server.token = None,
            Removal::Era => state.server.era = state.draw(),
            Removal::Write => self.write(state, version),
        }
        state.changed();
    }

    /// Writes a version through: it takes the place of an older one, of which it keeps what it depends on.
    fn write(&self, state: &mut State, version: Version) {
        let there = state.server.entry.and_then(|entry| entry.value);
        let value = match there {
            Some(value) if value.version > version => return,
            Some(value) => Some(Value { version, ..value }),
            None if self.is_out(Rule::NeverCreates) => {
                let token = self.token(state);
                Some(Value { version, token, era: state.server.era })
            }
            None => None,
        };
        let generation = self.generation(state);
        state.server.entry = value.map(|value| Entry { generation, value: Some(value) });
    }

    /// The token of the tag, which it gets where it has none.
    pub(crate) fn token(&self, state: &mut State) -> Id {
        if state.server.token.is_none() {
            let token = if self.is_out(Rule::FreshToken) { SAME } else { state.draw() };
            state.server.token = Some(token);
        }
        state.server.token.unwrap_or(SAME)
    }

    /// Whether the relay has to remove what a row says.
    pub(crate) fn is_due(&self, state: &State, writer: usize) -> bool {
        state.rows[writer].is_some_and(|row| match self.is_out(Rule::DoneIncarnation) {
            true => row.done.is_none(),
            false => row.done != Some(state.server.life),
        })
    }

    /// Removes what a row says, whatever its writer did itself.
    pub(crate) fn relay(&self, state: &mut State, writer: usize) {
        match self.removal_of(writer) {
            Removal::Write => state.server.entry = None,
            _ => self.remove(state, writer, 0),
        }
        state.changed();
        state.rows[writer] = Some(Row { done: Some(state.server.life) });
    }
}
