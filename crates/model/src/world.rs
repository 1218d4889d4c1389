//! What happens to the servers, the connection and the time.

use crate::config::Rule;
use crate::protocol::{Action, OfWorld, Protocol};
use crate::state::{Copies, Entry, Id, Late, State};

impl Protocol {
    /// What may happen next.
    pub(crate) fn world_may(&self, state: &State, actions: &mut Vec<Action>) {
        if state.evictions > 0 {
            actions.extend(state.server.entry.is_some().then_some(Action::World(OfWorld::EvictEntry)));
            actions.extend(state.server.token.is_some().then_some(Action::World(OfWorld::EvictToken)));
        }
        if !state.failed_over {
            actions.extend((state.replica != state.server).then_some(Action::World(OfWorld::Replicate)));
            actions.push(Action::World(OfWorld::FailOver));
        }
        actions.extend(state.is_suspect().then_some(Action::World(OfWorld::Confirm)));
        let is_forgotten = self.is_out(Rule::RootCompared) && state.server.era != state.remembered;
        actions.extend(is_forgotten.then_some(Action::World(OfWorld::PutRoot)));
        let Copies { told, broken, open, .. } = state.copies;
        actions.extend(broken.then_some(Action::World(OfWorld::Notice)));
        actions.extend(told.then_some(Action::World(OfWorld::Hear)));
        // A server that answers has told of what was changed before: without that, no second passes.
        let passes = self.0.copies
            && (broken || !told)
            && (state.second_ago != state.acknowledged || (broken && open));
        actions.extend(passes.then_some(Action::World(OfWorld::Second)));
        let arrives = state.late.iter().enumerate();
        let arrives = arrives.filter(|(_, late)| self.reaches(state, life_of(**late)));
        actions.extend(arrives.map(|(which, _)| Action::World(OfWorld::Late(which))));
    }

    /// Lets it happen; `false` if it cannot.
    pub(crate) fn world_does(&self, state: &mut State, does: OfWorld) -> bool {
        match does {
            OfWorld::EvictEntry => {
                state.evictions -= 1;
                state.server.entry = None;
                state.changed();
            }
            OfWorld::EvictToken => {
                state.evictions -= 1;
                state.server.token = None;
                state.changed();
            }
            OfWorld::Replicate => state.replica = state.server.clone(),
            OfWorld::FailOver => {
                state.failed_over = true;
                state.life_before = state.server.life;
                state.server = state.replica.clone();
                state.server.life = state.draw();
                // What was told and not heard is lost with the connection.
                state.copies.told = false;
                state.copies.registered = false;
                state.copies.broken = self.0.copies;
            }
            OfWorld::Confirm => self.confirm(state),
            OfWorld::PutRoot => state.server.era = state.remembered,
            OfWorld::Notice => {
                state.copies.broken = false;
                state.hear();
            }
            OfWorld::Hear => state.hear(),
            OfWorld::Second => {
                state.second_ago = state.acknowledged;
                state.copies.open &= !state.copies.broken;
            }
            OfWorld::Late(which) => self.late(state, which),
        }
        true
    }

    fn confirm(&self, state: &mut State) {
        if !self.0.recorded {
            state.server.era = state.draw();
        }
        for writer in 0..state.rows.len() {
            if self.is_due(state, writer) && !self.is_out(Rule::Replay) {
                self.relay(state, writer);
            }
        }
        state.server.confirmed = state.server.life;
    }

    fn late(&self, state: &mut State, which: usize) {
        match state.late.remove(which) {
            Late::Removal { writer, version, .. } => self.remove(state, writer, version),
            Late::Lease { generation, .. } => {
                if state.server.entry.is_none() {
                    state.server.entry = Some(Entry { generation, value: None });
                    state.changed();
                }
            }
            Late::Fill { grant, version } => drop(self.fill(state, grant, version)),
        }
    }
}

fn life_of(late: Late) -> Id {
    match late {
        Late::Removal { life, .. } | Late::Lease { life, .. } => life,
        Late::Fill { grant, .. } => grant.life,
    }
}
