//! One field of a row, and what it can be read as. Strictly: what is not written exactly as it must be is refused.

use crate::checks::{MAX_TEXT_CHARS, all_digits, parse_cents};
use crate::time::Day;

use super::findings::{Cause, Place, Refusal, quoted};

/// One field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell<'r> {
    /// Where its row begins.
    pub(crate) place: Place,
    /// Its column.
    pub(crate) column: &'static str,
    /// What it says.
    pub(crate) text: &'r str,
}

impl<'r> Cell<'r> {
    /// Refuses the row for what this field says.
    pub(crate) fn refuse(&self, cause: Cause, what_to_do: &str) -> Refusal {
        self.place.refuse(cause, format!("{} is {}: {what_to_do}", self.column, quoted(self.text)))
    }

    /// What it says, or nothing when it is empty.
    pub(crate) fn optional(self) -> Option<Self> {
        (!self.text.is_empty()).then_some(self)
    }

    /// What it says, which must be something, and something that the CRM can show in a line.
    pub(crate) fn required(self) -> Result<&'r str, Refusal> {
        let bad = |why: &str| Err(self.refuse(Cause::BadText, why));
        match self.text {
            "" => Err(self.refuse(Cause::EmptyField, "say what it is")),
            text if text.trim() != text => bad("remove the space at its ends"),
            text if text.contains(char::is_control) => bad("remove the control characters"),
            text if text.chars().count() > MAX_TEXT_CHARS => {
                bad(&format!("shorten it to {MAX_TEXT_CHARS} characters"))
            }
            text => Ok(text),
        }
    }

    /// A day, written as 2017-03-01.
    pub(crate) fn day(self) -> Result<Day, Refusal> {
        Day::parse(self.text).ok_or_else(|| {
            self.refuse(Cause::BadDate, "write a day of the calendar as YYYY-MM-DD, from 1900 on")
        })
    }

    /// A whole number from 0 upwards.
    pub(crate) fn count(self) -> Result<u32, Refusal> {
        let digits = self.unsigned()?;
        let number = all_digits(digits).then(|| digits.parse().ok()).flatten();
        number.ok_or_else(|| self.refuse(Cause::BadNumber, "write a whole number in digits alone"))
    }

    /// An amount in dollars, as cents: `1054` and `1054.20`.
    pub(crate) fn cents(self) -> Result<i64, Refusal> {
        parse_cents(self.unsigned()?).ok_or_else(|| {
            self.refuse(
                Cause::BadNumber,
                "write dollars in digits, with at most two after a point and no separators, up to ten billion",
            )
        })
    }

    /// What it says, unless that is a number below zero.
    fn unsigned(self) -> Result<&'r str, Refusal> {
        match self.text.strip_prefix('-').map(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
            Some(true) => Err(self.refuse(Cause::NegativeValue, "it cannot be below zero")),
            _ => Ok(self.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(text: &str) -> Cell<'_> {
        Cell { place: Place::line("deals.csv", 7), column: "field", text }
    }

    #[test]
    fn dollars_become_cents_exactly() {
        for (text, cents) in [
            ("0", 0),
            ("1054", 105_400),
            ("1054.2", 105_420),
            ("1054.02", 105_402),
            ("0.29", 29),
            ("007", 700),
            ("10000000000", 1_000_000_000_000),
        ] {
            assert_eq!(cell(text).cents(), Ok(cents), "{text}");
        }
    }

    #[test]
    fn amounts_that_need_a_guess_are_refused() {
        for text in [
            "",
            " ",
            "1,054",
            "1 054",
            "$1054",
            "1054.",
            ".5",
            "1.234",
            "1e3",
            "+5",
            "٣",
            "nan",
            "10000000001",
            "--5",
            "99999999999999999999",
        ] {
            assert_eq!(
                cell(text).cents().map_err(|refusal| refusal.cause),
                Err(Cause::BadNumber),
                "{text:?}"
            );
        }
        assert_eq!(cell("-5").cents().map_err(|refusal| refusal.cause), Err(Cause::NegativeValue));
    }

    #[test]
    fn a_count_is_a_whole_number() {
        assert_eq!(cell("2822").count(), Ok(2822));
        for (text, cause) in [
            ("1.5", Cause::BadNumber),
            ("", Cause::BadNumber),
            ("4294967296", Cause::BadNumber),
            ("-1", Cause::NegativeValue),
        ] {
            assert_eq!(cell(text).count().map_err(|refusal| refusal.cause), Err(cause), "{text:?}");
        }
    }

    #[test]
    fn a_date_is_a_day_of_the_calendar_written_one_way() {
        assert_eq!(cell("2016-02-29").day().map(|day| day.to_string()), Ok("2016-02-29".to_owned()));
        for text in [
            "",
            "2017-02-29",
            "2017-13-01",
            "2017-1-1",
            "20170101",
            "01/02/2017",
            " 2017-01-01",
            "2017–01–01",
            "0217-01-01",
        ] {
            assert_eq!(cell(text).day().map_err(|refusal| refusal.cause), Err(Cause::BadDate), "{text:?}");
        }
    }

    #[test]
    fn a_refusal_says_which_field_what_it_says_and_what_to_do() {
        let refusal = cell("soon").day().map_err(|refusal| refusal.to_string());
        assert_eq!(
            refusal,
            Err("deals.csv:7: bad date: field is \"soon\": write a day of the calendar as YYYY-MM-DD, from 1900 on"
                .to_owned())
        );
    }

    #[test]
    fn a_text_is_one_plain_line() {
        assert_eq!(cell("Fjordfisk Ålesund").required(), Ok("Fjordfisk Ålesund"));
        let long = "x".repeat(MAX_TEXT_CHARS + 1);
        for (text, cause) in [
            ("", Cause::EmptyField),
            (" ", Cause::BadText),
            (" a", Cause::BadText),
            ("a\nb", Cause::BadText),
            (&long, Cause::BadText),
        ] {
            assert_eq!(cell(text).required().map_err(|refusal| refusal.cause), Err(cause), "{text:?}");
        }
    }
}
