//! Numbers, days and moments, as people read them.

use crate::time::Moment;

/// An amount with its currency: `12,345 EUR`, `12,345.60 EUR`.
pub(super) fn money(cents: i64, currency: &str) -> String {
    let fraction = match cents.unsigned_abs() % 100 {
        0 => String::new(),
        cents => format!(".{cents:02}"),
    };
    let minus = if cents < 0 { "-" } else { "" };
    format!("{minus}{}{fraction} {currency}", count(cents.unsigned_abs() / 100))
}

/// An amount as it is typed: `12345.60`.
pub(super) fn amount(cents: i64) -> String {
    if cents % 100 == 0 { (cents / 100).to_string() } else { format!("{}.{:02}", cents / 100, cents % 100) }
}

/// A whole number in groups of three: `12,345`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group).into_owned());
    groups.collect::<Vec<_>>().join(",")
}

/// A number that is never negative.
pub(super) fn counted(number: i64) -> String {
    count(number.unsigned_abs())
}

/// A share as per cent: `63.2 %`.
pub(super) fn per_cent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A moment to the minute: `2026-01-31 14:05 UTC`.
pub(super) fn minute(moment: Moment) -> String {
    let text = moment.to_string(); // RFC 3339
    match (text.get(..10), text.get(11..16)) {
        (Some(day), Some(time)) => format!("{day} {time} UTC"),
        _ => text,
    }
}

/// A word as it begins a sentence.
pub(super) fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(money(123_456_700, "EUR"), "1,234,567 EUR");
        assert_eq!(money(-9_905, "USD"), "-99.05 USD");
        assert_eq!(money(0, "EUR"), "0 EUR");
        assert_eq!((amount(10_000), amount(9_905)), ("100".to_owned(), "99.05".to_owned()));
        assert_eq!(
            (count(999), count(1_000), count(12_345_678)),
            ("999".into(), "1,000".into(), "12,345,678".into())
        );
        assert_eq!(minute(Moment::from_millis(1_000 * 60 * 61)), "1970-01-01 01:01 UTC");
        assert_eq!(capital("engaging"), "Engaging");
    }
}
