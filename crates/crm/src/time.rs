//! Moments and calendar days as the database stores them and as JSON shows them.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Deserializer, Serialize, de};
use sqlx::any::{Any, AnyTypeInfo};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::{Decode, Encode, Type};
use std::fmt;
use std::time::{Duration, SystemTime};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{self, KnownFormat, ObjectBuilder, Schema, SchemaFormat, SchemaType};
use utoipa::{PartialSchema, ToSchema};

/// A moment in UTC: integer milliseconds in the database, RFC 3339 text in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(Timestamp);

impl Moment {
    /// The present, cut to the millisecond that the database keeps.
    #[must_use]
    pub fn now() -> Self {
        Self::from_millis(Timestamp::now().as_millisecond())
    }

    /// The moment so many milliseconds after 1970 UTC; moments outside the calendar become 1970.
    #[must_use]
    pub fn from_millis(millis: i64) -> Self {
        Self(Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH))
    }

    /// Noon UTC of a day: when something that only has a date is said to have happened.
    #[must_use]
    pub fn noon_of(day: Day) -> Self {
        Self(TimeZone::UTC.to_timestamp(day.0.at(12, 0, 0, 0)).unwrap_or(Timestamp::UNIX_EPOCH))
    }

    /// The beginning of the next span of this length since 1970 UTC: of the next hour, or day.
    #[must_use]
    pub fn next_whole(self, span: Duration) -> Self {
        let span = i64::try_from(span.as_millis()).unwrap_or(i64::MAX).max(1);
        Self::from_millis((self.millis() / span).saturating_add(1).saturating_mul(span))
    }

    /// The moment so much later; stays at the calendar's end.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(Timestamp::from_millisecond(self.millis().saturating_add(millis)).unwrap_or(Timestamp::MAX))
    }

    /// The same moment, as the standard library has it.
    #[must_use]
    pub fn system_time(self) -> SystemTime {
        let since_1970 = u64::try_from(self.millis()).unwrap_or(0); // nothing here happened before
        SystemTime::UNIX_EPOCH + Duration::from_millis(since_1970)
    }

    fn millis(self) -> i64 {
        self.0.as_millisecond()
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<SystemTime> for Moment {
    /// Cut to the millisecond that the database keeps; what the calendar does not reach is its end.
    fn from(time: SystemTime) -> Self {
        Self::from_millis(Timestamp::try_from(time).unwrap_or(Timestamp::MAX).as_millisecond())
    }
}

impl PartialSchema for Moment {
    fn schema() -> RefOr<Schema> {
        text_of(KnownFormat::DateTime).into()
    }
}

impl ToSchema for Moment {}

impl PartialSchema for Day {
    fn schema() -> RefOr<Schema> {
        text_of(KnownFormat::Date).into()
    }
}

impl ToSchema for Day {}

fn text_of(format: KnownFormat) -> Schema {
    let text = ObjectBuilder::new().schema_type(SchemaType::Type(schema::Type::String));
    Schema::Object(text.format(Some(SchemaFormat::KnownFormat(format))).build())
}

impl Type<Any> for Moment {
    fn type_info() -> AnyTypeInfo {
        <i64 as Type<Any>>::type_info()
    }
}

impl Encode<'_, Any> for Moment {
    fn encode_by_ref(
        &self,
        buffer: &mut <Any as sqlx::Database>::ArgumentBuffer,
    ) -> Result<IsNull, BoxDynError> {
        Encode::<Any>::encode(self.millis(), buffer)
    }
}

impl<'r> Decode<'r, Any> for Moment {
    fn decode(value: <Any as sqlx::Database>::ValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(Timestamp::from_millisecond(<i64 as Decode<'r, Any>>::decode(value)?)?))
    }
}

/// The earliest year of a day. Years of other than four digits would sort wrongly as text, and one such as 0206 is a slip.
const MIN_YEAR: i16 = 1900;

/// A calendar day without a time zone: text `YYYY-MM-DD` in the database and in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Day(Date);

impl Day {
    /// Today in UTC.
    #[must_use]
    pub fn today() -> Self {
        Self(TimeZone::UTC.to_datetime(Timestamp::now()).date())
    }

    /// Reads `YYYY-MM-DD`; `None` for anything else, for days that no calendar has, and for those before 1900.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let date: Date = text.parse().ok()?;
        // jiff also reads other ISO 8601 forms; one spelling is enough, and only that one sorts as text.
        (date.year() >= MIN_YEAR && date.to_string() == text).then_some(Self(date))
    }

    /// The day so many days later (earlier, when negative); stays at the calendar's ends.
    #[must_use]
    pub fn plus_days(self, days: i64) -> Self {
        Self(self.0.saturating_add(jiff::Span::new().days(days.clamp(-100_000, 100_000))))
    }

    /// How many days lie between `earlier` and this day; negative when `earlier` is later.
    #[must_use]
    pub fn days_since(self, earlier: Self) -> i64 {
        self.0.duration_since(earlier.0).as_hours() / 24
    }

    /// The month of this day, as `YYYY-MM`.
    #[must_use]
    pub fn month(self) -> String {
        format!("{:04}-{:02}", self.0.year(), self.0.month())
    }

    /// The first day of this day's month.
    #[must_use]
    pub fn first_of_month(self) -> Self {
        Self(self.0.first_of_month())
    }

    /// The first day of the month after this day's; stays at the calendar's end.
    #[must_use]
    pub fn first_of_next_month(self) -> Self {
        Self(self.0.first_of_month().saturating_add(jiff::Span::new().months(1)))
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            let expected = "a day of the calendar as YYYY-MM-DD, from 1900-01-01 on";
            de::Error::invalid_value(de::Unexpected::Str(&text), &expected)
        })
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Type<Any> for Day {
    fn type_info() -> AnyTypeInfo {
        <String as Type<Any>>::type_info()
    }
}

impl Encode<'_, Any> for Day {
    fn encode_by_ref(
        &self,
        buffer: &mut <Any as sqlx::Database>::ArgumentBuffer,
    ) -> Result<IsNull, BoxDynError> {
        Encode::<Any>::encode(self.0.to_string(), buffer)
    }
}

impl<'r> Decode<'r, Any> for Day {
    fn decode(value: <Any as sqlx::Database>::ValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(<&str as Decode<'r, Any>>::decode(value)?.parse()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_spelling_of_a_day_is_read() {
        for wrong in [
            "",
            "2026-2-1",
            "2026-02-30",
            "20260201",
            "2026-02-01T00:00:00",
            "01.02.2026",
            "-000001-01-01",
            "0206-02-01",
            "1899-12-31",
            "10000-01-01",
        ] {
            assert_eq!(Day::parse(wrong), None, "{wrong}");
            assert!(serde_json::from_value::<Day>(wrong.into()).is_err(), "{wrong}");
        }
        assert_eq!(Day::parse("2024-02-29").map(|day| day.to_string()).as_deref(), Some("2024-02-29"));
    }

    #[test]
    fn days_are_counted_across_months_and_leap_years() {
        let day = |text| Day::parse(text).unwrap();
        assert_eq!(day("2024-03-01").days_since(day("2024-02-28")), 2);
        assert_eq!(day("2024-02-28").days_since(day("2024-03-01")), -2);
        assert_eq!(day("2024-02-28").plus_days(2), day("2024-03-01"));
        assert_eq!(day("2024-02-29").first_of_month(), day("2024-02-01"));
        assert_eq!(day("2024-12-31").first_of_next_month(), day("2025-01-01"));
        assert_eq!(day("2024-03-31").month(), "2024-03");
    }
}
