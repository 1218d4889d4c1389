//! How large the model is, and which rule is missing from it.

use clap::ValueEnum;

/// A rule of the protocol that can be taken out, to see that a stale read is found then. They are those that `freshness` takes out of
/// the library itself, but for that on large fills, which needs two names, and some that only the model can do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Rule {
    /// a fill compares the lease that its load was granted
    FillCompare,
    /// a hit needs the token that it was stored with
    TokenCheck,
    /// a hit needs the era of the root
    EraCheck,
    /// who joins after a load began takes its value only if its fill was accepted
    Vouching,
    /// and only if the tokens and the era, read again behind the fill, are those of before the load
    ReadAgain,
    /// and not at all once the fill was sent
    ClosedFlight,
    /// who comes while a hit is on its way does not share it
    HitsUnshared,
    /// each attempt to take a lease has a generation of its own
    FreshGeneration,
    /// a tag that is forgotten gets a token that it never had
    FreshToken,
    /// tokens and the era are those of before the load
    CaptureBefore,
    /// the snapshot of a load is opened after the lease was granted
    SnapshotAfterGrant,
    /// a copy is put in only under the ticket taken before its read
    CopyTicket,
    /// copies are served for a second after the last word of Redis, and no longer
    LocalLease,
    /// a fill goes to the life of the server that granted it alone
    GrantedLife,
    /// a server that took over is not served from before it has heard of everything
    SuspectGate,
    /// it is told of what it has not executed
    Replay,
    /// what is done is done for the life of the server that did it
    DoneIncarnation,
    /// what a change makes untrue commits with it
    OutboxRow,
    /// a root is put in the place of the one that was read, never from memory
    RootCompared,
    /// without a record, each process begins an era of its own on a server that it meets anew
    OwnEra,
    /// writing through replaces, and never creates
    NeverCreates,
}

/// How the second writer announces its change; the first one removes the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Removal {
    /// the key
    Key,
    /// the tag that the entry depends on
    Tag,
    /// everything, by a new era
    Era,
    /// it writes its version through
    Write,
}

/// The size of the model. Each of its numbers multiplies the states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// One or two writers, each of which changes the row once.
    pub writers: usize,
    /// Up to three readers. The first two are of one process, which keeps copies; the third is of another one.
    pub readers: usize,
    /// How often each reader reads.
    pub reads: u8,
    /// Whether the first process keeps copies.
    pub copies: bool,
    /// How the second writer announces.
    pub second: Removal,
    /// How often the entry or the token of its tag is evicted.
    pub evictions: u8,
    /// Whether the replica may take over, once.
    pub failover: bool,
    /// Whether writers may go on with the old server for a while then.
    pub split_brain: bool,
    /// Whether what changes make untrue is recorded with them. Else whoever meets a server anew begins a new era there.
    pub recorded: bool,
    /// How many commands are given up whose outcome nobody knows: each may be executed later, or never.
    pub unknown: u8,
    /// What is missing.
    pub without: Option<Rule>,
}

impl Config {
    /// What is searched within seconds: every subject of the protocol, some of them apart. The smallest come first.
    pub fn small() -> Vec<Config> {
        let base = Config {
            writers: 2,
            readers: 3,
            reads: 1,
            copies: false,
            second: Removal::Tag,
            evictions: 0,
            failover: false,
            split_brain: false,
            recorded: true,
            unknown: 0,
            without: None,
        };
        vec![
            Config { readers: 2, failover: true, split_brain: true, recorded: false, ..base },
            Config { writers: 1, readers: 2, reads: 2, copies: true, failover: true, ..base },
            Config { readers: 2, reads: 2, second: Removal::Write, evictions: 1, ..base },
            Config { readers: 2, reads: 2, copies: true, second: Removal::Era, ..base },
            Config { readers: 2, reads: 2, copies: true, ..base },
            Config { readers: 2, failover: true, split_brain: true, ..base },
            Config { readers: 2, second: Removal::Key, failover: true, unknown: 1, ..base },
            Config { readers: 2, second: Removal::Write, failover: true, unknown: 1, ..base },
            Config { second: Removal::Key, unknown: 1, ..base },
            Config { readers: 2, copies: true, failover: true, ..base },
            Config { readers: 2, failover: true, unknown: 1, ..base },
            Config { evictions: 1, ..base },
            Config { unknown: 1, ..base },
            Config { second: Removal::Era, evictions: 1, ..base },
        ]
    }

    /// What is searched for minutes: two writers, three readers, copies, tags and a failover at once, with an eviction or a command of unknown
    /// outcome.
    pub fn large() -> Vec<Config> {
        let base = Config {
            writers: 2,
            readers: 3,
            reads: 1,
            copies: true,
            second: Removal::Tag,
            evictions: 0,
            failover: true,
            split_brain: true,
            recorded: true,
            unknown: 0,
            without: None,
        };
        vec![
            base,
            Config { second: Removal::Era, ..base },
            Config { second: Removal::Write, ..base },
            Config { split_brain: false, unknown: 1, ..base },
            Config { split_brain: false, evictions: 1, ..base },
        ]
    }
}
