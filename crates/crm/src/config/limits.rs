//! Who stands between browsers and the server, and how much each of them may ask.

use super::{ConfigError, within};
use ipnet::IpNet;
use larder::Limit;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// A million requests a minute is no limit any more.
const MOST_A_MINUTE: u64 = 1_000_000;
/// How many requests of a minute may come at once: what a page that opens asks for, several times.
const BURST_OF_A_MINUTE: u32 = 4;
/// How many requests a process may answer before it asks again how many were answered elsewhere, of a user or address that sends as many
/// within a second; in hundredths of the limit.
const SHARE_PER_CENT: u32 = 1;

/// The limits, and whom to believe about where a request came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Requests a minute of one user; 0 for any number.
    pub per_user: u32,
    /// Requests a minute from one address; 0 for any number.
    pub per_address: u32,
}

impl Limits {
    /// What the settings say.
    ///
    /// # Errors
    /// A network or a number is none.
    pub(super) fn of(
        proxies: Option<&str>,
        per_user: Option<u64>,
        per_address: Option<u64>,
    ) -> Result<Self, ConfigError> {
        let count = |name: &str, value: u64| {
            within(name, value, 0, MOST_A_MINUTE).map(|count| u32::try_from(count).unwrap_or(u32::MAX))
        };
        Ok(Self {
            trusted_proxies: networks(proxies.unwrap_or_default())?,
            per_user: count("limit_per_user", per_user.unwrap_or(1_200))?,
            per_address: count("limit_per_address", per_address.unwrap_or(6_000))?,
        })
    }

    /// What one user may ask; `None` for anything.
    #[must_use]
    pub fn of_user(&self) -> Option<Limit> {
        a_minute("user", self.per_user)
    }

    /// What may be asked from one address; `None` for anything.
    #[must_use]
    pub fn of_address(&self) -> Option<Limit> {
        a_minute("address", self.per_address)
    }
}

fn a_minute(name: &'static str, count: u32) -> Option<Limit> {
    let share = (count / 100 * SHARE_PER_CENT).max(1);
    (count > 0).then(|| {
        let burst = (count / BURST_OF_A_MINUTE).max(1);
        Limit::new(name, count, Duration::from_secs(60)).burst(burst).share(share)
    })
}

fn networks(text: &str) -> Result<Vec<IpNet>, ConfigError> {
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    let network = |word: &str| {
        let one = || word.parse::<IpAddr>().map(IpNet::from);
        word.parse::<IpNet>().or_else(|_not_a_network| one()).map_err(|_neither| {
            ConfigError::new(format!(
                "trusted_proxies: `{word}` is no address and no network: write them as 127.0.0.1, 10.0.0.0/8"
            ))
        })
    };
    words.map(network).collect()
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proxies: Vec<String> = self.trusted_proxies.iter().map(ToString::to_string).collect();
        writeln!(f, "trusted_proxies = \"{}\"", proxies.join(", "))?;
        writeln!(f, "limit_per_user = {}", self.per_user)?;
        writeln!(f, "limit_per_address = {}", self.per_address)
    }
}
