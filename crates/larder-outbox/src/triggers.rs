//! Triggers that record what raw SQL changes.

use larder::{Id, Space};
use xxhash_rust::xxh3::xxh3_64;

/// Row triggers for a table, which write into the outbox what a change of a row makes untrue, whoever changes it: a shell, a
/// migration, a program that has never heard of a cache.
///
/// ```
/// use larder::Space;
/// use larder_outbox::Triggers;
///
/// static DEAL: Space<str, String> = Space::new("deal:{id}", "Read by whoever works on the deal.");
///
/// let triggers = Triggers::on("deals").key(&DEAL, &["id"]).tag("deals", "company_id");
/// for statement in triggers.sqlite() {
///     println!("{statement};");
/// }
/// ```
///
/// The statements are to be executed in their order on one connection. What stands in a column, before and after the change, is written as [`Space::key`] and [`Tag::new`](larder::Tag::new) write it. A
/// column that is `NULL` names nothing. `TRUNCATE` removes everything.
///
/// In SQLite, a row that `INSERT OR REPLACE` displaces is deleted without a trigger, unless the connection says `PRAGMA
/// recursive_triggers = ON`; `ON CONFLICT … DO UPDATE` is a change like any other.
#[derive(Clone, Debug)]
#[must_use = "it is the statements that make the triggers"]
pub struct Triggers {
    table: String,
    items: Vec<Item>,
}

/// One thing that a change makes untrue.
#[derive(Clone, Debug)]
enum Item {
    /// The parts of a template between its placeholders, and the column for each of those.
    Key {
        literals: Vec<String>,
        columns: Vec<String>,
    },
    Tag {
        kind: String,
        column: String,
    },
    Named {
        name: String,
    },
    Everything,
}

impl Triggers {
    /// Triggers for a table of this name, which is quoted as it is.
    pub fn on(table: impl Into<String>) -> Self {
        Triggers { table: table.into(), items: Vec::new() }
    }

    /// The entry of this space whose id stands in these columns, one for each placeholder of its template.
    ///
    /// # Panics
    /// If there are more or fewer columns than placeholders.
    pub fn key<K: Id + ?Sized, V>(mut self, space: &Space<K, V>, columns: &[&str]) -> Self {
        let template = space.template();
        let mut literals = Vec::new();
        let mut rest = template;
        while let Some((literal, behind)) = rest.split_once('{') {
            literals.push(literal.to_owned());
            rest = behind.split_once('}').map_or("", |(_placeholder, behind)| behind);
        }
        assert_eq!(literals.len(), columns.len(), "`{template}` has one column for each placeholder");
        literals.push(rest.to_owned());
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        self.items.push(Item::Key { literals, columns });
        self
    }

    /// Everything that depends on the tag of this kind whose id stands in a column.
    pub fn tag(mut self, kind: impl Into<String>, column: impl Into<String>) -> Self {
        self.items.push(Item::Tag { kind: kind.into(), column: column.into() });
        self
    }

    /// Everything that depends on the one tag of this [name](larder::Tag::named).
    pub fn named_tag(mut self, name: impl Into<String>) -> Self {
        self.items.push(Item::Named { name: name.into() });
        self
    }

    /// Everything there is: for tables on which all depends, and that seldom change.
    pub fn everything(mut self) -> Self {
        self.items.push(Item::Everything);
        self
    }

    /// The statements that make the triggers in SQLite, in place of those that were there.
    pub fn sqlite(&self) -> Vec<String> {
        let table = quoted(&self.table);
        let mut statements = Vec::new();
        for (event, rows) in EVENTS {
            let (name, items) = (self.name(event), self.items(Speech::Sqlite, rows));
            statements.push(format!("DROP TRIGGER IF EXISTS {name}"));
            statements.push(format!(
                "CREATE TRIGGER {name} AFTER {event} ON {table} FOR EACH ROW BEGIN \
                 INSERT INTO larder_outbox (removes) SELECT list FROM \
                 (SELECT json_group_array(json(item)) AS list FROM ({items}) WHERE item IS NOT NULL) \
                 WHERE list <> '[]'; END"
            ));
        }
        statements
    }

    /// The statements that make the triggers in PostgreSQL, in place of those that were there.
    pub fn postgres(&self) -> Vec<String> {
        let table = quoted(&self.table);
        let mut statements = vec![POSTGRES_SEGMENT.to_owned()];
        for (event, rows) in EVENTS {
            let (name, items) = (self.name(event), self.items(Speech::Postgres, rows));
            statements.push(format!(
                "CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $larder$ BEGIN \
                 INSERT INTO larder_outbox (removes) SELECT list FROM \
                 (SELECT json_agg(item::JSON)::TEXT AS list FROM ({items}) AS items WHERE item IS NOT NULL) AS lists \
                 WHERE list IS NOT NULL; RETURN NULL; END $larder$"
            ));
            statements.push(format!("DROP TRIGGER IF EXISTS {name} ON {table}"));
            statements.push(format!(
                "CREATE TRIGGER {name} AFTER {event} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()"
            ));
        }
        let (name, everything) = (self.name("TRUNCATE"), Item::Everything.sql(Speech::Postgres, ""));
        statements.push(format!(
            "CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $larder$ BEGIN \
             INSERT INTO larder_outbox (removes) VALUES (json_build_array({everything}::JSON)::TEXT); \
             RETURN NULL; END $larder$"
        ));
        statements.push(format!("DROP TRIGGER IF EXISTS {name} ON {table}"));
        statements.push(format!(
            "CREATE TRIGGER {name} AFTER TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
        ));
        statements
    }

    fn name(&self, event: &str) -> String {
        // PostgreSQL cuts names at 63 bytes.
        let table = match self.table.len() {
            ..=LONGEST_NAME => self.table.clone(),
            _ => format!("{:016x}", xxh3_64(self.table.as_bytes())),
        };
        quoted(&format!("larder_outbox_{}_{table}", event.to_lowercase()))
    }

    /// What these rows name, each once, as a query whose column is `item`.
    fn items(&self, speech: Speech, rows: &[&str]) -> String {
        let selects = self.items.iter().flat_map(|item| {
            let rows = if item.is_of_the_row() { rows } else { &rows[..1] };
            rows.iter().map(move |row| format!("SELECT {} AS item", item.sql(speech, row)))
        });
        selects.collect::<Vec<_>>().join(" UNION ")
    }
}

/// The longest name of a table that stands in that of a trigger, in bytes.
const LONGEST_NAME: usize = 40;

/// What triggers are made for, and the rows that there are then.
const EVENTS: [(&str, &[&str]); 3] =
    [("INSERT", &["NEW"]), ("UPDATE", &["OLD", "NEW"]), ("DELETE", &["OLD"])];

/// How one database writes it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Speech {
    Sqlite,
    Postgres,
}

/// Writes an id as a segment of a name, in PostgreSQL: as `KeyWriter::segment` does.
const POSTGRES_SEGMENT: &str = "\
    CREATE OR REPLACE FUNCTION larder_outbox_segment(id TEXT) RETURNS TEXT LANGUAGE sql IMMUTABLE STRICT AS $larder$ \
    SELECT CASE WHEN id = '' THEN '%' WHEN id ~ '^[-+,./0-9=@A-Z_a-z~]*$' THEN id ELSE ( \
    SELECT string_agg(CASE WHEN c ~ '[-+,./0-9=@A-Z_a-z~]' OR ascii(c) > 127 THEN c \
    ELSE '%' || upper(lpad(to_hex(ascii(c)), 2, '0')) END, '' ORDER BY at) \
    FROM regexp_split_to_table(id, '') WITH ORDINALITY AS t (c, at)) END $larder$";

/// Writes an id as a segment of a name, in SQLite, which has no functions of its users in SQL: what is not plain is replaced, one
/// character after the other, where there is any.
fn sqlite_segment(id: &str) -> String {
    let mut replaced = format!("replace({id}, '%', '%25')");
    for byte in (0..0x80_u8).filter(|byte| *byte != b'%' && !is_plain(*byte)) {
        replaced = format!("replace({replaced}, char({byte}), '%{byte:02X}')");
    }
    format!(
        "CASE WHEN {id} = '' THEN '%' WHEN {id} GLOB '*[^-+,./0-9=@A-Z_a-z~]*' THEN {replaced} ELSE {id} END"
    )
}

/// Whether an ASCII character stands in a name as it is.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.@+=,~/".contains(&byte)
}

impl Item {
    /// Whether it is another one in each row.
    fn is_of_the_row(&self) -> bool {
        matches!(self, Item::Key { .. } | Item::Tag { .. })
    }

    /// The text of one item, or null.
    fn sql(&self, speech: Speech, row: &str) -> String {
        let (object, array) = match speech {
            Speech::Sqlite => ("json_object", "json_array"),
            Speech::Postgres => ("json_build_object", "json_build_array"),
        };
        let text = |column: &str| format!("CAST({row}.{} AS TEXT)", quoted(column));
        let (item, columns) = match self {
            Item::Key { literals, columns } => {
                let mut parts = Vec::new();
                for (at, literal) in literals.iter().enumerate() {
                    if !literal.is_empty() {
                        parts.push(word(literal));
                    }
                    if let Some(column) = columns.get(at) {
                        parts.push(match speech {
                            Speech::Sqlite => sqlite_segment(&text(column)),
                            Speech::Postgres => format!("larder_outbox_segment({})", text(column)),
                        });
                    }
                }
                (format!("{object}('key', {})", parts.join(" || ")), &columns[..])
            }
            Item::Tag { kind, column } => {
                let item = format!("{object}('tag', {array}({}, {}))", word(kind), text(column));
                (item, std::slice::from_ref(column))
            }
            Item::Named { name } => (format!("{object}('tag', {array}({}, ''))", word(name)), &[][..]),
            Item::Everything => {
                let yes = if speech == Speech::Sqlite { "json('true')" } else { "TRUE" };
                (format!("{object}('everything', {yes})"), &[][..])
            }
        };
        let item = if speech == Speech::Postgres { format!("CAST({item} AS TEXT)") } else { item };
        if columns.is_empty() {
            return item;
        }
        let there: Vec<String> =
            columns.iter().map(|column| format!("{row}.{} IS NOT NULL", quoted(column))).collect();
        format!("CASE WHEN {} THEN {item} END", there.join(" AND "))
    }
}

/// A name of the database.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text.
fn word(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
