//! Rules that a test build can take out, to see that the tests find the stale values that follow.

/// A rule of the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "ablations"),
    expect(unreachable_pub, reason = "only test builds can name it from outside")
)]
pub enum Ablation {
    /// A life of a server that was reached anew is not served from before it has heard of everything.
    SuspectGate,
    /// It is told of what it has not executed.
    Replay,
    /// `done` names the life that executed a row. Without it, what any life has executed is done.
    DoneIncarnation,
    /// What a change makes untrue is written with it.
    OutboxRow,
}

/// The rules that are out; none, and no code at all, in ordinary builds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ablations {
    #[cfg(feature = "ablations")]
    out: u8,
}

impl Ablations {
    #[cfg(feature = "ablations")]
    pub(crate) fn with(mut self, rule: Ablation) -> Self {
        self.out |= 1 << rule as u8;
        self
    }

    #[cfg(feature = "ablations")]
    pub(crate) fn is_out(self, rule: Ablation) -> bool {
        self.out & (1 << rule as u8) != 0
    }

    #[cfg(not(feature = "ablations"))]
    #[expect(clippy::unused_self, reason = "the test build's form needs it")]
    pub(crate) fn is_out(self, _rule: Ablation) -> bool {
        false
    }
}
