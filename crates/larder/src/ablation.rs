//! Rules of the protocol that a test build can take out, to see that the tests find what then goes wrong.

/// One rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "ablations"),
    expect(unreachable_pub, reason = "only test builds can name it from outside")
)]
pub enum Ablation {
    /// An install compares the ticket that its load took.
    TicketCheck,
    /// A hit, and an install, need every captured tag token to be still in force.
    TokenCheck,
    /// A hit, and an install, need the era in which they began.
    EraCheck,
    /// What is filled in in Redis has the tokens that were in force before its load.
    EarlyTokens,
    /// Who joined a load after it began takes its value only if the install was accepted.
    Vouching,
    /// Each interval in Redis, and each attempt to begin one, has a generation of its own. Without it, a name has always the same, so that
    /// a lease that was removed comes back with the next attempt, and a load of before the removal fills in under it.
    FreshGeneration,
    /// A copy of what was read from Redis is put in only with the ticket that was taken before it was asked for.
    CopyTicket,
    /// Copies in front of Redis are served for a second after its last answer, and no longer; what it did not tell of meanwhile ends none.
    LocalLease,
    /// Bytes that are put aside in Redis before they are renamed into their place lie under a key of that attempt alone.
    OwnStaging,
    /// A connection that was given up is ended at the server before the next one is used, so that nothing it sent is executed late.
    EndPredecessors,
    /// A connection that does not answer in time is given up. Tests of anything else do without, where they run on machines that stand
    /// still for a second now and then.
    Deadlines,
}

/// The rules that are out; none, and no code at all, in ordinary builds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ablations {
    #[cfg(feature = "ablations")]
    out: u16,
}

impl Ablations {
    #[cfg(feature = "ablations")]
    pub(crate) fn with(mut self, rule: Ablation) -> Self {
        self.out |= 1 << rule as u8;
        self
    }

    #[cfg(feature = "ablations")]
    #[inline]
    pub(crate) fn is_out(self, rule: Ablation) -> bool {
        self.out & (1 << rule as u8) != 0
    }

    #[cfg(not(feature = "ablations"))]
    pub(crate) fn with(self, _rule: Ablation) -> Self {
        self
    }

    #[cfg(not(feature = "ablations"))]
    #[inline]
    #[expect(clippy::unused_self, reason = "the test build's form needs it")]
    pub(crate) fn is_out(self, _rule: Ablation) -> bool {
        false
    }

    /// Those of the tier in this process: in front of Redis its tickets are those of copies.
    pub(crate) fn of_local(self, in_front: bool) -> Self {
        if in_front && self.is_out(Ablation::CopyTicket) { self.with(Ablation::TicketCheck) } else { self }
    }
}
