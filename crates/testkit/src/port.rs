//! Ports that are ours for as long as we hold them.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::ops::Range;

/// Where ports are taken from. Below the range that the system gives to outgoing connections (from 32768 on Linux),
/// because a connection could take the port of a server that is down for a moment; and low enough for the bus of a
/// Redis Cluster, 10000 above its port, to be below it too.
const PORTS: Range<u16> = 10_000..22_768;

/// How many ports are tried: 500. Thousands are free on any machine that runs tests.
const TRIES: u16 = 500;

/// A TCP port of 127.0.0.1, kept from other tests, of this process or another, until it is dropped.
///
/// Also while nothing listens on it: a server that was killed finds its port free when it is started again. The
/// claim is the UDP port of the same number, which no TCP server minds, and which the system takes back however
/// the process ends.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    _claim: UdpSocket,
}

impl Port {
    /// A port that is free and now ours. The choice is random, so that processes seldom try the same one.
    pub(crate) fn claim() -> Self {
        let random = RandomState::new().hash_one(());
        let span = u64::from(PORTS.end - PORTS.start);
        let first = u16::try_from(random % span).expect("less than the number of ports");
        let mut tries = (0..TRIES).map(|step| PORTS.start + (first + step) % (PORTS.end - PORTS.start));
        tries.find_map(Self::claim_number).expect("one of many ports is free")
    }

    fn claim_number(number: u16) -> Option<Self> {
        let claim = UdpSocket::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        // Programs that know nothing of our claims are seen by their listening.
        TcpListener::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        Some(Self { number, _claim: claim })
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.number))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn claimed_ports_are_different_and_below_the_ephemeral_range() {
        let ports: Vec<Port> = (0..200).map(|_| Port::claim()).collect();
        let numbers: BTreeSet<u16> = ports.iter().map(Port::number).collect();
        assert_eq!(numbers.len(), 200);
        assert!(numbers.iter().all(|number| (10_000..22_768).contains(number)), "{numbers:?}");
    }

    #[test]
    fn a_claim_ends_with_its_drop_and_not_before() {
        let port = Port::claim();
        let number = port.number();
        assert!(Port::claim_number(number).is_none(), "claimed twice");
        drop(port);
        assert!(Port::claim_number(number).is_some(), "still claimed");
    }

    #[test]
    fn a_port_on_which_a_stranger_listens_is_not_free() {
        let stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(Port::claim_number(stranger.local_addr().unwrap().port()).is_none());
    }
}
