//! Two ways to declare a type that is a word in the database, in JSON and in a URL: an id, and a choice of few words.

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

/// Declares an opaque id: a newtype over text, so that an id of one kind cannot stand where another is meant.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize, sqlx::Type)]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(#[serde(deserialize_with = "crate::words::id_text")] String);

        impl $name {
            /// A new id, greater than those made before it (UUIDv7).
            #[must_use]
            pub fn new() -> Self {
                Self(uuid::Uuid::now_v7().to_string())
            }

            /// The id that somebody named; whether a row has it, the database says.
            #[must_use]
            pub fn named(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                crate::words::id_schema().into()
            }
        }

        impl utoipa::ToSchema for $name {}

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
pub(crate) use id;

/// Longest id that is looked for: ours have 36 characters, and what is longer finds nothing but would be a key of the cache.
pub const MAX_ID_CHARS: usize = 100;

/// Whether a text can be an id at all: PostgreSQL takes no zero byte, and no id has a line of its own.
#[must_use]
pub fn is_id_text(text: &str) -> bool {
    text.chars().count() <= MAX_ID_CHARS && !text.contains(char::is_control)
}

/// Reads the id that a request names.
pub(crate) fn id_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let expected = "an id as it was answered, of 36 characters";
    if is_id_text(&text) {
        Ok(text)
    } else {
        Err(D::Error::invalid_value(Unexpected::Other("a text that is none"), &expected))
    }
}

/// Declares an enum whose variants are words: the same word in the database, in JSON and in a URL.
macro_rules! word_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// All the choices, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The words, for messages.
            pub const WORDS: &'static [&'static str] = &[$($word,)+];

            /// The word of this choice.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The choice of this word, in exactly this spelling.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                crate::words::choice_schema(Self::WORDS).into()
            }
        }

        impl utoipa::ToSchema for $name {}

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.word())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = String::deserialize(deserializer)?;
                Self::parse(&word).ok_or_else(|| serde::de::Error::unknown_variant(&word, Self::WORDS))
            }
        }

        impl sqlx::Type<sqlx::Any> for $name {
            fn type_info() -> sqlx::any::AnyTypeInfo {
                <String as sqlx::Type<sqlx::Any>>::type_info()
            }
        }

        impl sqlx::Encode<'_, sqlx::Any> for $name {
            fn encode_by_ref(
                &self,
                buffer: &mut <sqlx::Any as sqlx::Database>::ArgumentBuffer,
            ) -> Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
                sqlx::Encode::<sqlx::Any>::encode(self.word().to_owned(), buffer)
            }
        }

        impl<'r> sqlx::Decode<'r, sqlx::Any> for $name {
            fn decode(
                value: <sqlx::Any as sqlx::Database>::ValueRef<'r>,
            ) -> Result<Self, sqlx::error::BoxDynError> {
                let word = <&str as sqlx::Decode<'r, sqlx::Any>>::decode(value)?;
                Self::parse(word).ok_or_else(|| format!("the database holds an unknown word: {word}").into())
            }
        }
    };
}
pub(crate) use word_enum;

/// What an id looks like in the description of the API: opaque, as it was answered.
pub(crate) fn id_schema() -> Schema {
    // No control characters: those of C0 and C1, and the one between.
    let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some(PLAIN_TEXT));
    Schema::Object(text.max_length(Some(MAX_ID_CHARS)).build())
}

/// Text without control characters, as a regular expression.
pub(crate) const PLAIN_TEXT: &str = r"^[^\x00-\x1f\x7f-\x9f]*$";

/// What a choice of words looks like there.
pub(crate) fn choice_schema(words: &[&str]) -> Schema {
    let words = words.iter().map(|word| serde_json::Value::from(*word));
    Schema::Object(ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build())
}

/// What a search looks through: the given parts, one a line, in lower case by Unicode's rules.
#[must_use]
pub fn search_text(parts: &[Option<&str>]) -> String {
    let mut text = String::new();
    for part in parts.iter().flatten() {
        text.push_str(&part.to_lowercase());
        text.push('\n');
    }
    text
}

/// The `LIKE` pattern that finds `words` anywhere in a `search_text`, with `\` as its escape character.
#[must_use]
pub fn search_pattern(words: &str) -> String {
    let mut pattern = String::from("%");
    for letter in words.to_lowercase().chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_word_is_never_a_wildcard() {
        assert_eq!(search_pattern("50%_Ä\\"), "%50\\%\\_ä\\\\%");
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_eq!(search_text(&[Some("Ann"), None, Some("ÅBO")]), "ann\nåbo\n");
    }
}
