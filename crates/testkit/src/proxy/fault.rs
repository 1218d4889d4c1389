//! What is wrong at the moment.

use std::time::Duration;

/// Which way bytes go through a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Commands: from the client to the server.
    ToServer,
    /// Answers: from the server to the client.
    ToClient,
}

/// What happens to bytes that go one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Flow {
    #[default]
    Pass,
    Swallow,
    Garble,
}

/// All faults of a proxy, as switched last.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) to_server: Flow,
    pub(crate) to_client: Flow,
    /// Of answers.
    pub(crate) delay: Duration,
    /// Of commands: the bytes of a piece at most, and the time until the next; `None` is as they come.
    pub(crate) crumbs: Option<(usize, Duration)>,
    /// Connections with a lower number are to close.
    pub(crate) cut_below: u64,
}

impl Faults {
    pub(crate) fn flow(&self, direction: Direction) -> Flow {
        match direction {
            Direction::ToServer => self.to_server,
            Direction::ToClient => self.to_client,
        }
    }

    pub(crate) fn flow_mut(&mut self, direction: Direction) -> &mut Flow {
        match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }

    pub(crate) fn delay(&self, direction: Direction) -> Duration {
        match direction {
            Direction::ToServer => Duration::ZERO,
            Direction::ToClient => self.delay,
        }
    }

    /// How many bytes arrive in one piece at most, and how long after it the next.
    pub(crate) fn crumbs(&self, direction: Direction) -> (usize, Duration) {
        match direction {
            Direction::ToServer => self.crumbs.unwrap_or((usize::MAX, Duration::ZERO)),
            Direction::ToClient => (usize::MAX, Duration::ZERO),
        }
    }

    /// Whether nothing arrives anywhere: no connection could be made.
    pub(crate) fn is_silent(&self) -> bool {
        self.to_server == Flow::Swallow && self.to_client == Flow::Swallow
    }
}
