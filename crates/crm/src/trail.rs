//! The audit trail: who changed what, written in the transaction of the change.

use crate::caller::{Caller, UserId};
use crate::database::{Change, Statements};
use crate::error::Error;
use crate::time::Moment;
use crate::words::word_enum;
use serde::Serialize;
use serde_json::{Map, Value, json};

word_enum! {
    /// What was done to a row.
    Verb {
        /// It is new.
        Added = "added",
        /// It is another one.
        Changed = "changed",
        /// It is gone.
        Removed = "removed",
    }
}

/// What is of every row and tells nothing.
const SAID_BY_EACH: [&str; 5] = ["id", "company_id", "created_at", "updated_at", "version"];

/// Writes down that a caller has changed a row of its company from what it was `before` to what it is `after`; one of them may be
/// missing. A change of nothing is not written down.
///
/// # Errors
/// What the database reports; [`Error::Internal`] when a row cannot be written as JSON.
pub async fn note<T: Serialize>(
    change: &mut Change,
    caller: &Caller,
    (kind, id): (&str, &str),
    before: Option<&T>,
    after: Option<&T>,
) -> Result<(), Error> {
    let verb = match (before, after) {
        (None, _) => Verb::Added,
        (_, None) => Verb::Removed,
        _ => Verb::Changed,
    };
    let changes = difference(&members(before)?, &members(after)?);
    if changes.is_empty() && verb == Verb::Changed {
        return Ok(());
    }
    write(change, caller, (kind, id), verb, &Value::Object(changes)).await
}

/// Writes down that a caller has given each of these rows of one owner to another.
///
/// # Errors
/// What the database reports.
pub async fn note_owner(
    change: &mut Change,
    caller: &Caller,
    (kind, ids): (&str, impl Iterator<Item = &str>),
    (from, to): (&UserId, &UserId),
) -> Result<(), Error> {
    let changes = json!({"owner_id": {"from": from, "to": to}});
    for id in ids {
        write(change, caller, (kind, id), Verb::Changed, &changes).await?;
    }
    Ok(())
}

/// Writes down that a caller has changed something of a row that nobody may read.
///
/// # Errors
/// What the database reports.
pub async fn note_secret(
    change: &mut Change,
    caller: &Caller,
    (kind, id): (&str, &str),
    field: &str,
) -> Result<(), Error> {
    write(change, caller, (kind, id), Verb::Changed, &json!({ field: {} })).await
}

async fn write(
    change: &mut Change,
    caller: &Caller,
    (kind, id): (&str, &str),
    verb: Verb,
    changes: &Value,
) -> Result<(), Error> {
    let sql = "INSERT INTO audit (id, company_id, at_ms, user_id, user_name, verb, kind, row_id, changes) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    sqlx::query(sql)
        .bind(uuid::Uuid::now_v7().to_string())
        .bind(&caller.company)
        .bind(Moment::now())
        .bind(&caller.user)
        .bind(&caller.name)
        .bind(verb)
        .bind(kind)
        .bind(id)
        .bind(changes.to_string())
        .execute(change.statement())
        .await?;
    Ok(())
}

/// The members of a row.
fn members<T: Serialize>(row: Option<&T>) -> Result<Map<String, Value>, Error> {
    match row.map(serde_json::to_value).transpose()? {
        Some(Value::Object(members)) => Ok(members),
        _ => Ok(Map::new()),
    }
}

/// For each member that is another one, what it was and what it is; nothing stands for null.
fn difference(before: &Map<String, Value>, after: &Map<String, Value>) -> Map<String, Value> {
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    let mut difference = Map::new();
    for name in names.filter(|name| !SAID_BY_EACH.contains(&name.as_str())) {
        let (from, to) = (before.get(name), after.get(name));
        let known = |value: Option<&Value>| value.filter(|value| !value.is_null()).cloned();
        let (from, to) = (known(from), known(to));
        if from != to {
            let sides = [("from", from), ("to", to)];
            let sides = sides.into_iter().filter_map(|(side, value)| Some((side.to_owned(), value?)));
            difference.insert(name.clone(), Value::Object(sides.collect()));
        }
    }
    difference
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_another_one_is_told() {
        let object = |value: Value| value.as_object().unwrap().clone();
        let before = object(json!({"id": "1", "name": "a", "phone": "1", "title": null, "version": 1}));
        let after = object(json!({"id": "1", "name": "b", "phone": null, "title": null, "version": 2}));
        let changed = json!({"name": {"from": "a", "to": "b"}, "phone": {"from": "1"}});
        assert_eq!(Value::Object(difference(&before, &after)), changed);
        let added = json!({"name": {"to": "b"}});
        assert_eq!(Value::Object(difference(&Map::new(), &after)), added);
    }
}
