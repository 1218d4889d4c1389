//! Edits: telling a field that is `null` (empty it) from one that is absent (leave it).

use serde::{Deserialize, Deserializer};

/// Reads a field that is there: `null` becomes `Some(None)`. With `#[serde(default)]` an absent one becomes `None`.
///
/// # Errors
/// What reading the value reports.
pub fn given<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}
