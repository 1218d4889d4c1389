//! What Redis counted: commands, the time that it spent on them, bytes.

use std::collections::BTreeMap;

use super::RedisServer;

/// How often a command was executed, and how long it took in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// How often.
    pub count: u64,
    /// The time that the server spent on it in all, in microseconds.
    pub time_us: u64,
}

/// Bytes that went over the server's sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes that the server received.
    pub input_bytes: u64,
    /// Bytes that the server sent.
    pub output_bytes: u64,
}

/// Counting what was asked of it.
impl RedisServer {
    /// How often each command was executed since the start or the last [`reset_stats`](RedisServer::reset_stats), by
    /// name in lower case, subcommands as `client|id`; what a script calls counts too. Those of the testkit
    /// count, but for the reset, and this call's `info` shows only in the next one.
    ///
    /// # Cancel safety
    ///
    /// Nothing changes but the count of `info`.
    pub async fn calls(&self) -> BTreeMap<String, Calls> {
        let mut calls = calls(&self.must(&["INFO", "commandstats"]).await.text());
        calls.remove("config|resetstat");
        calls
    }

    /// How many bytes it received and sent since the start or the last [`reset_stats`](RedisServer::reset_stats),
    /// with the few that the testkit's own commands take.
    ///
    /// # Cancel safety
    ///
    /// Nothing changes but the count of `info`.
    pub async fn traffic(&self) -> Traffic {
        let info = self.must(&["INFO", "stats"]).await.text();
        Traffic {
            input_bytes: number(&info, "total_net_input_bytes"),
            output_bytes: number(&info, "total_net_output_bytes"),
        }
    }

    /// Lets [`calls`](RedisServer::calls) and [`traffic`](RedisServer::traffic) begin at nothing.
    ///
    /// # Cancel safety
    ///
    /// They may begin anew.
    pub async fn reset_stats(&self) {
        self.must(&["CONFIG", "RESETSTAT"]).await;
    }
}

/// The number called `field` in an answer to `INFO`.
pub(crate) fn number(info: &str, field: &str) -> u64 {
    let value = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let number = value.and_then(|value| value.parse().ok());
    number.unwrap_or_else(|| panic!("INFO has no number {field}:\n{info}"))
}

/// Reads `INFO commandstats`: lines as `cmdstat_get:calls=2,usec=7,usec_per_call=3.50,…`.
pub(crate) fn calls(info: &str) -> BTreeMap<String, Calls> {
    let lines = info.lines().filter_map(|line| line.strip_prefix("cmdstat_")?.split_once(':'));
    lines
        .map(|(name, numbers)| {
            let number = |wanted: &str| {
                let found = numbers.split(',').find_map(|part| part.strip_prefix(wanted)?.strip_prefix('='));
                found.and_then(|number| number.parse().ok()).unwrap_or(0)
            };
            (name.to_owned(), Calls { count: number("calls"), time_us: number("usec") })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_by_name_with_their_subcommands() {
        let info = "# Commandstats\r\n\
            cmdstat_get:calls=2,usec=7,usec_per_call=3.50,rejected_calls=0,failed_calls=0\r\n\
            cmdstat_client|id:calls=1,usec=1,usec_per_call=1.00,rejected_calls=3,failed_calls=0\r\n";
        let expected = [
            ("client|id".to_owned(), Calls { count: 1, time_us: 1 }),
            ("get".to_owned(), Calls { count: 2, time_us: 7 }),
        ];
        assert_eq!(calls(info), BTreeMap::from(expected));
    }

    #[test]
    fn a_number_is_found_by_its_whole_name() {
        assert_eq!(number("used_memory_rss:9\r\nused_memory:7\r\n", "used_memory"), 7);
    }

    #[test]
    #[should_panic(expected = "INFO has no number used")]
    fn a_number_that_is_not_there_is_missed() {
        number("used_memory:7\r\n", "used");
    }
}
