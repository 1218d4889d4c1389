//! What the trail tells.

use crate::caller::UserId;
use crate::page::Paging;
use crate::time::Moment;
use crate::trail::Verb;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// One change.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Entry {
    /// Its id.
    pub id: String,
    /// When it was made.
    #[sqlx(rename = "at_ms")]
    pub at: Moment,
    /// Who made it; the user may be gone.
    pub user_id: UserId,
    /// The name that it had.
    pub user_name: String,
    /// What was done.
    pub verb: Verb,
    /// To what kind of row: `deal`, `contact`, `user`, `company`, `activity`.
    pub kind: String,
    /// To which.
    pub row_id: String,
    /// For each field that is another one now: what it was, `from`, and what it is, `to`.
    #[serde(serialize_with = "as_json")]
    #[schema(value_type = Object)]
    pub changes: String,
}

/// The changes stand in the table as JSON.
fn as_json<S: Serializer>(changes: &str, serializer: S) -> Result<S::Ok, S::Error> {
    let json = RawValue::from_string(changes.to_owned()).map_err(serde::ser::Error::custom)?;
    json.serialize(serializer)
}

/// Which changes, the newest first.
#[derive(Debug, Clone)]
pub struct EntryQuery {
    /// Which page.
    pub paging: Paging,
    /// Only those of this row.
    pub row: Option<String>,
    /// Only those of this user.
    pub user: Option<UserId>,
}
