//! The checks of single fields that several domains share; each names the field and says what to send instead.

use crate::error::FieldErrors;

/// Longest text of one field, in characters: room for any real name, no room for a novel in every list.
pub const MAX_TEXT_CHARS: usize = 200;
/// Largest amount of money, in cents: ten billion, so that sums of a million rows stay far inside 64 bits.
pub const MAX_CENTS: i64 = 1_000_000_000_000;

/// A text that must be there: trimmed, of 1 to [`MAX_TEXT_CHARS`] characters.
pub fn required_text(errors: &mut FieldErrors, field: &'static str, text: &str) -> String {
    let text = text.trim();
    if text.is_empty() {
        errors.add(field, "is empty", "give at least one letter");
    }
    bounded(errors, field, text);
    text.to_owned()
}

/// A text of several lines that must be there: trimmed, of 1 to `most` characters.
pub fn long_text(errors: &mut FieldErrors, field: &'static str, text: &str, most: usize) -> String {
    let text = text.trim();
    if text.is_empty() {
        errors.add(field, "is empty", "give at least one letter");
    }
    if text.chars().count() > most {
        errors.add(field, "is too long", format!("give at most {most} characters"));
    }
    if text.chars().any(|letter| letter.is_control() && !['\n', '\r', '\t'].contains(&letter)) {
        errors.add(field, "contains control characters", "send plain text");
    }
    text.to_owned()
}

/// A text that may be absent; an empty one counts as absent.
pub fn optional_text(errors: &mut FieldErrors, field: &'static str, text: Option<&str>) -> Option<String> {
    let text = text.map(str::trim).filter(|text| !text.is_empty())?;
    bounded(errors, field, text);
    Some(text.to_owned())
}

fn bounded(errors: &mut FieldErrors, field: &'static str, text: &str) {
    if text.chars().count() > MAX_TEXT_CHARS {
        errors.add(field, "is too long", format!("give at most {MAX_TEXT_CHARS} characters"));
    }
    if text.chars().any(char::is_control) {
        errors.add(field, "contains control characters", "send plain text in one line");
    }
}

/// An amount as people write it, `1054` or `1054.20`, as cents: digits, with at most two after a point and no separators.
#[must_use]
pub fn parse_cents(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "00"));
    if !all_digits(whole) || !all_digits(fraction) || fraction.len() > 2 {
        return None;
    }
    let cents: i64 = format!("{whole}{fraction:0<2}").parse().ok()?;
    (cents <= MAX_CENTS).then_some(cents)
}

/// Whether a text is a whole number that is written in digits alone.
#[must_use]
pub fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// An e-mail address, in lower case. Only its shape is checked: whether it works, a message to it will tell.
pub fn email(errors: &mut FieldErrors, text: Option<&str>) -> Option<String> {
    let text = optional_text(errors, "email", text)?.to_lowercase();
    let well_formed = text.split_once('@').is_some_and(|(name, domain)| {
        !name.is_empty() && domain.contains('.') && !domain.contains('@') && !domain.starts_with('.')
    });
    if !well_formed || text.contains(char::is_whitespace) {
        errors.add("email", "is not an e-mail address", "write it as name@example.com");
    }
    Some(text)
}

/// An ISO 3166-1 code of two capital letters; whether it is in use, the table of countries decides.
pub fn country(errors: &mut FieldErrors, text: Option<&str>) -> Option<String> {
    let text = text.filter(|text| !text.is_empty())?;
    if text.len() != 2 || !text.bytes().all(|byte| byte.is_ascii_uppercase()) {
        errors.add(
            "country",
            "is not a country code",
            "use one of the codes of /api/countries, for example DE",
        );
    }
    Some(text.to_owned())
}

/// An ISO 4217 code of three capital letters.
pub fn currency(errors: &mut FieldErrors, text: &str) -> String {
    if text.len() != 3 || !text.bytes().all(|byte| byte.is_ascii_uppercase()) {
        errors.add("currency", "is not a currency code", "use three capital letters, for example EUR");
    }
    text.to_owned()
}

/// An amount of money in cents, from 0 to [`MAX_CENTS`].
pub fn cents(errors: &mut FieldErrors, field: &'static str, cents: i64) -> i64 {
    if !(0..=MAX_CENTS).contains(&cents) {
        errors.add(field, "is out of range", format!("give whole cents from 0 to {MAX_CENTS}"));
    }
    cents
}

/// How fields look in the description of the API.
pub(crate) mod schema {
    use super::{MAX_CENTS, MAX_TEXT_CHARS};
    use crate::words::PLAIN_TEXT;
    use utoipa::openapi::schema::{
        KnownFormat, Object, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type,
    };

    fn text() -> ObjectBuilder {
        ObjectBuilder::new().schema_type(Type::String).max_length(Some(MAX_TEXT_CHARS))
    }

    fn or_null(object: ObjectBuilder, kind: Type) -> Object {
        object.schema_type(SchemaType::Array(vec![kind, Type::Null])).build()
    }

    /// A text that must be there.
    pub(crate) fn required_text() -> Schema {
        let text = text()
            .min_length(Some(1))
            .pattern(Some(r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"));
        Schema::Object(text.build())
    }

    /// A text of several lines that must be there.
    pub(crate) fn long_text(most: usize) -> Schema {
        let plain = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$";
        let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(most));
        Schema::Object(text.pattern(Some(plain)).build())
    }

    /// A text that may be absent.
    pub(crate) fn optional_text() -> Schema {
        Schema::Object(or_null(text().pattern(Some(PLAIN_TEXT)), Type::String))
    }

    /// An address of e-mail.
    pub(crate) fn email() -> Schema {
        let address = text().pattern(Some(r"^$|^[A-Za-z0-9._+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$"));
        Schema::Object(or_null(address, Type::String))
    }

    /// The code of a country; which are in use, the list of countries says.
    pub(crate) fn country() -> Schema {
        let code = ObjectBuilder::new().pattern(Some("^([A-Z]{2})?$"));
        Schema::Object(or_null(code, Type::String))
    }

    /// An amount of money.
    pub(crate) fn cents() -> Schema {
        let cents = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(MAX_CENTS));
        Schema::Object(cents.format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64))).build())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_cannot_work_are_refused() {
        for (address, good) in [
            ("a@b.c", true),
            ("A.B+c@X.org", true),
            ("a@b", false),
            ("@b.c", false),
            ("a b@c.d", false),
            ("a@b@c.d", false),
        ] {
            let mut errors = FieldErrors::default();
            email(&mut errors, Some(address));
            assert_eq!(errors.list().is_empty(), good, "{address}");
        }
    }

    #[test]
    fn empty_texts_are_absent_or_refused() {
        let mut errors = FieldErrors::default();
        assert_eq!(optional_text(&mut errors, "title", Some("  ")), None);
        assert!(errors.list().is_empty());
        required_text(&mut errors, "name", "  ");
        assert_eq!(errors.list().len(), 1);
    }
}
