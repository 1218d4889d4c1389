//! What a row becomes.

use std::collections::HashMap;

use csv::ByteRecord;

use super::columns::Columns;
use crate::companies::Country;
use crate::contacts::{ContactKind, NewContact};
use crate::import::findings::quoted;

/// Names of countries that are in use beside those of the list.
const OTHER_NAMES: [(&str, &str); 8] = [
    ("uk", "GB"),
    ("great britain", "GB"),
    ("england", "GB"),
    ("usa", "US"),
    ("united states of america", "US"),
    ("holland", "NL"),
    ("the netherlands", "NL"),
    ("turkey", "TR"),
];

/// The codes of countries, by code and by name, in lower case.
#[derive(Debug)]
pub(super) struct Countries(HashMap<String, String>);

impl Countries {
    pub(super) fn new(listed: Vec<Country>) -> Self {
        let other = OTHER_NAMES.map(|(name, code)| (name.to_owned(), code.to_owned()));
        let listed = listed.into_iter().flat_map(|Country { code, name }| {
            [(code.to_lowercase(), code.clone()), (name.to_lowercase(), code)]
        });
        Self(listed.chain(other).collect())
    }

    fn code(&self, text: &str) -> Result<String, String> {
        let known = self.0.get(&text.to_lowercase()).cloned();
        known.ok_or_else(|| {
            format!("country: {} is none of the list: use a code or a name of /api/countries", quoted(text))
        })
    }
}

/// The contact of a row, whose rules are still to be looked at, or why it can be none.
pub(super) fn read(
    columns: &Columns,
    record: &ByteRecord,
    countries: &Countries,
    kind: ContactKind,
) -> Result<NewContact, String> {
    let text = |field| columns.text(record, field);
    let kind = match text("kind")? {
        None => kind,
        Some(word) => ContactKind::parse(&word.to_lowercase()).ok_or_else(|| {
            format!("kind: {} is none of the choices: use {}", quoted(&word), ContactKind::WORDS.join(" or "))
        })?,
    };
    Ok(NewContact {
        external_id: text("external_id")?,
        kind,
        name: text("name")?.unwrap_or_default(),
        organisation: text("organisation")?,
        title: text("title")?,
        email: text("email")?,
        phone: text("phone")?,
        country: text("country")?.map(|country| countries.code(&country)).transpose()?,
        owner_id: None,
    })
}
