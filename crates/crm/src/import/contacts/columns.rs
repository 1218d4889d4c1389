//! Which column of a file is what.

use std::fmt;
use std::str::FromStr;

use csv::ByteRecord;

/// What a column can be, and the names that it has in files, without spaces and signs.
const FIELDS: [(&str, &[&str]); 8] = [
    ("external_id", &["externalid"]),
    ("kind", &["kind"]),
    ("name", &["name", "fullname", "contactname", "displayname"]),
    ("organisation", &["organisation", "organization", "company", "companyname", "account", "accountname"]),
    ("title", &["title", "jobtitle", "contacttitle", "position"]),
    ("email", &["email", "emailaddress", "mail"]),
    ("phone", &["phone", "phonenumber", "telephone", "mobile"]),
    ("country", &["country", "countrycode", "countryname"]),
];

/// Says that a field is taken from a column, from several with a space between them, or from none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    field: &'static str,
    columns: Vec<String>,
}

impl FromStr for Mapping {
    type Err = MapError;

    fn from_str(text: &str) -> Result<Self, MapError> {
        let (field, columns) = text.split_once('=').ok_or_else(|| MapError::NoMapping(text.to_owned()))?;
        let known = FIELDS.iter().find(|(known, _)| *known == field.trim());
        let (field, _) = known.ok_or_else(|| MapError::NoField(field.to_owned()))?;
        let columns = columns.split('+').map(str::trim).filter(|column| !column.is_empty());
        Ok(Self { field, columns: columns.map(str::to_owned).collect() })
    }
}

/// Why columns and fields do not fit together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// Not of the form.
    #[error("`{0}` does not say which column is what: write it as name=full_name, or name=first+last")]
    NoMapping(String),
    /// There is no such field.
    #[error("`{0}` is no field of a contact: they are {known}", known = fields())]
    NoField(String),
    /// There is no such column.
    #[error("there is no column `{column}`; the header has {header}")]
    NoColumn {
        /// Which.
        column: String,
        /// What there is.
        header: String,
    },
    /// Nothing is the name.
    #[error("no column is the name of a contact: say which with --map name=COLUMN; the header has {header}")]
    NoName {
        /// What there is.
        header: String,
    },
    /// The header is no text.
    #[error("the header is not UTF-8: name the encoding with --encoding windows-1252")]
    NoText,
}

fn fields() -> String {
    FIELDS.map(|(field, _)| field).join(", ")
}

/// Where each field stands in a row.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    of_fields: Vec<(&'static str, Vec<usize>)>,
    /// The columns that no field takes.
    pub(super) left_out: Vec<String>,
}

impl Columns {
    /// The columns of a header, as it names them, and as the mappings say instead.
    pub(super) fn of(header: &ByteRecord, mappings: &[Mapping]) -> Result<Self, MapError> {
        let names: Option<Vec<&str>> = header.iter().map(|name| str::from_utf8(name).ok()).collect();
        let names: Vec<&str> = names.ok_or(MapError::NoText)?.into_iter().map(str::trim).collect();
        let shown = || names.join(", ");
        let named = |column: &String| {
            let at = names.iter().position(|name| name == column);
            at.ok_or_else(|| MapError::NoColumn { column: column.clone(), header: shown() })
        };
        let mut of_fields = Vec::new();
        for (field, known) in FIELDS {
            let mapping = mappings.iter().rev().find(|mapping| mapping.field == field);
            let columns = match mapping {
                Some(mapping) => mapping.columns.iter().map(named).collect::<Result<_, _>>()?,
                None => {
                    names.iter().position(|name| known.contains(&plain(name).as_str())).into_iter().collect()
                }
            };
            of_fields.push((field, columns));
        }
        let takes = |at: usize| of_fields.iter().any(|(_, columns): &(_, Vec<usize>)| columns.contains(&at));
        let left_out = names.iter().enumerate().filter(|(at, _)| !takes(*at));
        let left_out = left_out.map(|(_, name)| (*name).to_owned()).collect();
        if of_fields.iter().any(|(field, columns)| *field == "name" && columns.is_empty()) {
            return Err(MapError::NoName { header: shown() });
        }
        Ok(Self { of_fields, left_out })
    }

    /// What a row says of a field; `None` where it says nothing.
    pub(super) fn text(&self, record: &ByteRecord, field: &str) -> Result<Option<String>, String> {
        let columns = self.of_fields.iter().find(|(known, _)| *known == field).map(|(_, columns)| columns);
        let mut parts = Vec::new();
        for at in columns.into_iter().flatten() {
            let bytes = record.get(*at).unwrap_or_default();
            let text = str::from_utf8(bytes).map_err(|_not_text| {
                format!("{field}: is not UTF-8, perhaps Windows-1252: name it with --encoding windows-1252")
            })?;
            parts.extend(Some(text.trim()).filter(|text| !text.is_empty()));
        }
        Ok((!parts.is_empty()).then(|| parts.join(" ")))
    }
}

/// A name without spaces and signs, in lower case.
fn plain(name: &str) -> String {
    name.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

impl fmt::Display for Columns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let taken: Vec<&str> = self
            .of_fields
            .iter()
            .filter(|(_, columns)| !columns.is_empty())
            .map(|(field, _)| *field)
            .collect();
        f.write_str(&taken.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(header: &[&str], mappings: &[&str]) -> Result<Columns, MapError> {
        let mappings: Vec<Mapping> = mappings.iter().map(|text| text.parse().unwrap()).collect();
        Columns::of(&ByteRecord::from(header.to_vec()), &mappings)
    }

    #[test]
    fn a_header_says_what_its_columns_are_and_a_mapping_says_it_better() {
        let row = ByteRecord::from(vec!["Ann", " Lee ", "ann@x.example", "", "1"]);
        let header = ["First Name", "Last Name", "E-mail", "Job_Title", "Shoe size"];
        assert!(matches!(columns(&header, &[]), Err(MapError::NoName { .. })));
        let mapped = columns(&header, &["name=First Name+Last Name"]).unwrap();
        assert_eq!(mapped.text(&row, "name").unwrap().as_deref(), Some("Ann Lee"));
        assert_eq!(mapped.text(&row, "email").unwrap().as_deref(), Some("ann@x.example"));
        assert_eq!((mapped.text(&row, "title").unwrap(), mapped.text(&row, "phone").unwrap()), (None, None));
        assert_eq!(mapped.left_out, ["Shoe size"]);
        assert_eq!(mapped.to_string(), "name, title, email");
        let without = columns(&header, &["name=Last Name", "email="]).unwrap();
        assert_eq!(without.text(&row, "email").unwrap(), None);
        assert_eq!(without.left_out, ["First Name", "E-mail", "Shoe size"]);
    }

    #[test]
    fn what_does_not_fit_says_what_there_is() {
        for (mapping, words) in [("name", "name=full_name"), ("nome=a", "organisation, title")] {
            assert!(mapping.parse::<Mapping>().unwrap_err().to_string().contains(words), "{mapping}");
        }
        let missing = columns(&["a", "b"], &["name=c"]).unwrap_err().to_string();
        assert!(missing.contains("`c`") && missing.contains("a, b"), "{missing}");
    }
}
