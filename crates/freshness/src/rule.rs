//! The rules of the protocol that can be taken out, to see that the checker finds what then goes wrong.

use larder::testing::Ablation as OfCache;
use larder_outbox::Ablation as OfOutbox;
use serde::{Deserialize, Serialize};

/// One rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
pub(crate) enum Rule {
    /// a fill compares the lease that its load was granted, and a copy its ticket
    FillCompare,
    /// what is loaded is read after the load was granted
    LateSnapshot,
    /// tags and scopes: a hit needs every token that it was stored with
    TokenCheck,
    /// what is filled in has the tokens of before its load
    EarlyTokens,
    /// a hit needs the era of the root
    EraCheck,
    /// who joins a load late takes its value only if it was stored
    Vouching,
    /// each attempt to take a lease has a generation of its own
    FreshGeneration,
    /// a copy is put in only under the ticket taken before its read
    CopyTicket,
    /// a large fill is put aside under a name of its own
    OwnStaging,
    /// copies are served for a second after the last word of Redis, and no longer
    LocalLease,
    /// a server that was reached anew is not served from before it has heard of everything
    SuspectGate,
    /// it is told of what it has not executed
    Replay,
    /// what is done is done for the life of the server that did it
    DoneIncarnation,
    /// what a change makes untrue commits with it
    OutboxRow,
}

impl Rule {
    /// The rule of the cache that it is.
    pub(crate) fn of_cache(self) -> Option<OfCache> {
        Some(match self {
            Rule::FillCompare => OfCache::TicketCheck,
            Rule::TokenCheck => OfCache::TokenCheck,
            Rule::EarlyTokens => OfCache::EarlyTokens,
            Rule::EraCheck => OfCache::EraCheck,
            Rule::Vouching => OfCache::Vouching,
            Rule::FreshGeneration => OfCache::FreshGeneration,
            Rule::CopyTicket => OfCache::CopyTicket,
            Rule::OwnStaging => OfCache::OwnStaging,
            Rule::LocalLease => OfCache::LocalLease,
            Rule::LateSnapshot
            | Rule::SuspectGate
            | Rule::Replay
            | Rule::DoneIncarnation
            | Rule::OutboxRow => return None,
        })
    }

    /// The rule of the outbox that it is.
    pub(crate) fn of_outbox(self) -> Option<OfOutbox> {
        Some(match self {
            Rule::SuspectGate => OfOutbox::SuspectGate,
            Rule::Replay => OfOutbox::Replay,
            Rule::DoneIncarnation => OfOutbox::DoneIncarnation,
            Rule::OutboxRow => OfOutbox::OutboxRow,
            _ => return None,
        })
    }

    /// The faults, with commas, under which it is missed: some races need a cut at one place.
    pub(crate) fn shown_by(self) -> &'static str {
        match self {
            Rule::OwnStaging => "crumbled",
            Rule::LocalLease => "process-paused",
            Rule::OutboxRow => "process-killed,cut-off,killed",
            Rule::SuspectGate | Rule::Replay | Rule::DoneIncarnation => {
                "restarted-with-old-rdb,lagging-failover,killed"
            }
            _ => "all",
        }
    }
}
