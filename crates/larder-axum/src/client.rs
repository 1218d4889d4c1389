//! Where a request came from.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap, HeaderValue};
use ipnet::IpNet;

/// Who is limited by address: an IPv4 address, or the network of 64 bits that an IPv6 address is of, of which its holder has all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.to_canonical() {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(address) => {
                let network = u128::from(address) >> 64 << 64;
                write!(f, "{}/64", Ipv6Addr::from(network))
            }
        }
    }
}

impl ClientAddress {
    /// The address that a request came from: that of its connection, or, as long as that is a trusted proxy's, the last in
    /// `X-Forwarded-For` that is not. `None` where the router was made without
    /// [`into_make_service_with_connect_info`](axum::Router::into_make_service_with_connect_info).
    #[must_use]
    pub fn of(extensions: &Extensions, headers: &HeaderMap, trusted_proxies: &[IpNet]) -> Option<Self> {
        let trusts =
            |address: IpAddr| trusted_proxies.iter().any(|network| network.contains(&address.to_canonical()));
        let mut address = extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip();
        let lines = headers.get_all("x-forwarded-for").iter().map(HeaderValue::as_bytes);
        let forwarded: Vec<&[u8]> = lines.flat_map(|line| line.split(|byte| *byte == b',')).collect();
        for before in forwarded.into_iter().rev() {
            if !trusts(address) {
                break;
            }
            // What is none was written by nobody who is trusted: the proxy itself is who asks then.
            let Some(before) = str::from_utf8(before).ok().and_then(|text| parse(text.trim())) else { break };
            address = before;
        }
        Some(Self(address))
    }
}

/// An address, as proxies write it: with its port or without, one of IPv6 in brackets or without.
fn parse(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    text.parse().ok().or_else(with_port).or_else(bracketed)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted = ["127.0.0.1/32", "10.0.0.0/8", "::1/128"].map(|network| network.parse().unwrap());
        for (peer, forwarded, shown) in [
            ("203.0.113.9", "1.2.3.4", "203.0.113.9"),
            ("127.0.0.1", "", "127.0.0.1"),
            ("127.0.0.1", "1.2.3.4", "1.2.3.4"),
            ("127.0.0.1", "6.6.6.6, 1.2.3.4", "1.2.3.4"),
            ("127.0.0.1", "6.6.6.6, 1.2.3.4, 10.1.1.1", "1.2.3.4"),
            ("127.0.0.1", "no address", "127.0.0.1"),
            ("10.1.1.1", "unknown, 10.2.2.2", "10.2.2.2"),
            ("::1", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("::ffff:127.0.0.1", "1.2.3.4", "1.2.3.4"),
            ("127.0.0.1", "1.2.3.4:5678", "1.2.3.4"),
            ("127.0.0.1", "[2001:db8:1:2::1]:443", "2001:db8:1:2::/64"),
            ("127.0.0.1", "[2001:db8:1:2::1]", "2001:db8:1:2::/64"),
            ("127.0.0.1", "\u{ff}, 1.2.3.4", "1.2.3.4"),
            ("127.0.0.1", "6.6.6.6, \u{ff}", "127.0.0.1"),
        ] {
            let mut extensions = Extensions::new();
            extensions.insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1)));
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", HeaderValue::from_bytes(forwarded.as_bytes()).unwrap());
            let address = ClientAddress::of(&extensions, &headers, &trusted).unwrap();
            assert_eq!(address.to_string(), shown, "{peer} {forwarded}");
        }
    }
}
