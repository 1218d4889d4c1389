//! Reads one CSV file strictly: UTF-8, a header checked by name, every row as wide as the header, the end where an end
//! can be. Whatever a lenient reader would guess at is refused here with its line, because a guess at somebody's sales
//! figures is worse than a question.
//!
//! Accepted without a word: a byte order mark, `\r\n` or `\n`, columns in another order, blank lines. A file that ends
//! without a line break is refused even when its last row looks complete: cut there, `1054` may well have been `10540`.
//! A file that was cut exactly between two lines looks whole, and nothing in it can tell.

use std::array;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use csv::{ReaderBuilder, StringRecord};

use super::cell::Cell;
use super::findings::{Cause, Findings, Place, Refusal, quoted};

/// The largest file that is read, in bytes: it is held in memory, and 64 MiB are near a million deals.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// What to do about a file that does not end with a line break.
const CUT_OFF: &str = "the file ends in the middle of this line: export it again, or, if the row is complete, end it \
                       with a line break";

/// One row.
#[derive(Clone, Debug)]
pub(crate) struct Row<const N: usize> {
    /// Where it begins.
    pub(crate) place: Place,
    columns: &'static [&'static str; N],
    fields: [String; N],
}

impl<const N: usize> Row<N> {
    /// Its fields in the order of the columns that were asked for.
    pub(crate) fn cells(&self) -> [Cell<'_>; N] {
        array::from_fn(|at| Cell { place: self.place, column: self.columns[at], text: &self.fields[at] })
    }
}

/// Reads the `columns` of `directory/file`. Rows that are not as they must be are left out and added to `findings`; a file
/// that cannot be trusted at all gives no rows.
pub(crate) fn read<const N: usize>(
    directory: &Path,
    file: &'static str,
    columns: &'static [&'static str; N],
    findings: &mut Findings,
) -> Vec<Row<N>> {
    let rows = load(&directory.join(file), file).and_then(|text| parse(&text, file, columns, findings));
    findings.keep(rows).unwrap_or_default()
}

/// The text of the file, when it is a text.
fn load(path: &Path, file: &'static str) -> Result<String, Refusal> {
    let unreadable = |error: std::io::Error| {
        Place::file(file).refuse(Cause::Unreadable, format!("cannot read {}: {error}", path.display()))
    };
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|open| open.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let message = format!("larger than {} MiB: split it and import the parts", MAX_FILE_BYTES >> 20);
        return Err(Place::file(file).refuse(Cause::TooLarge, message));
    }
    decode(bytes, file)
}

/// The text without its byte order mark.
fn decode(bytes: Vec<u8>, file: &'static str) -> Result<String, Refusal> {
    let wrong = |at: usize, what: &str, bytes: &[u8]| {
        let message = format!("{what}: save the file as UTF-8 and import it again");
        Place::line(file, line_at(bytes, at)).refuse(Cause::WrongEncoding, message)
    };
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(wrong(0, "the file is UTF-16", &bytes));
    }
    if let Some(at) = bytes.iter().position(|&byte| byte == 0) {
        return Err(wrong(at, "a zero byte, as in UTF-16 or a binary file", &bytes));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let (bytes, error) = (error.as_bytes(), error.utf8_error());
        let at = error.valid_up_to();
        match error.error_len() {
            None => Place::line(file, line_at(bytes, at)).refuse(Cause::CutOff, CUT_OFF),
            Some(_) => {
                let what = format!("byte {:#04x} is not UTF-8, perhaps Latin-1 or Windows-1252", bytes[at]);
                wrong(at, &what, bytes)
            }
        }
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// The rows of the text. Fails where nothing after the failure can be trusted.
fn parse<const N: usize>(
    text: &str,
    file: &'static str,
    columns: &'static [&'static str; N],
    findings: &mut Findings,
) -> Result<Vec<Row<N>>, Refusal> {
    let mut records = Records::new(text, file);
    let Some(header) = records.next() else {
        let message =
            format!("the file is empty: its first line must name the columns {}", columns.join(", "));
        return Err(Place::file(file).refuse(Cause::NoRows, message));
    };
    let (place, header) = header?;
    let order = column_order(place, &header, columns)?;
    let mut rows = Vec::new();
    let mut refused = 0_usize;
    for record in records {
        let (place, record) = record?;
        if record.len() == header.len() {
            rows.push(Row { place, columns, fields: order.map(|index| record[index].to_owned()) });
        } else {
            refused += 1;
            let message = format!(
                "{} fields where the header has {}: quote a field that holds a comma, complete a row that was cut",
                record.len(),
                header.len()
            );
            findings.refused.push(place.refuse(Cause::WrongFieldCount, message));
        }
    }
    if rows.is_empty() && refused == 0 {
        let message = "a header and nothing below it: export the file again";
        return Err(place.refuse(Cause::NoRows, message));
    }
    Ok(rows)
}

/// Where each wanted column stands in the header.
fn column_order<const N: usize>(
    place: Place,
    header: &StringRecord,
    columns: &'static [&'static str; N],
) -> Result<[usize; N], Refusal> {
    let position = |column: &str| header.iter().position(|name| name == column);
    let missing = Vec::from_iter(columns.iter().copied().filter(|column| position(column).is_none()));
    if !missing.is_empty() {
        let found = quoted(&Vec::from_iter(header).join(","));
        let message = format!("the header is {found} and lacks {}: add it", missing.join(", "));
        return Err(place.refuse(Cause::MissingColumn, message));
    }
    let order = columns.map(|column| position(column).unwrap_or_default());
    // The header holds every wanted column, so a longer one holds something that the import would lose.
    match (0..header.len()).find(|index| !order.contains(index)) {
        None => Ok(order),
        Some(index) => {
            let message = format!(
                "the import has no place for {}: remove the column; {} belong here",
                quoted(&header[index]),
                columns.join(", ")
            );
            Err(place.refuse(Cause::UnknownColumn, message))
        }
    }
}

/// The records of a text, each with the line on which it begins.
struct Records<'t> {
    text: &'t str,
    file: &'static str,
    reader: csv::Reader<&'t [u8]>,
    /// Lines are counted from the bytes: the reader takes the blank lines before a record for its first.
    counted_to: usize,
    line: u64,
}

impl<'t> Records<'t> {
    fn new(text: &'t str, file: &'static str) -> Self {
        let reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
        Self { text, file, reader, counted_to: 0, line: 1 }
    }

    /// The line of the record's first byte, and the record as it stands in the file.
    fn locate(&mut self, from: usize, to: usize) -> (Place, &'t str) {
        let raw = self.text[from..to].trim_start_matches(['\r', '\n']);
        let start = to - raw.len();
        self.line += newlines(&self.text.as_bytes()[self.counted_to..start]);
        self.counted_to = start;
        (Place::line(self.file, self.line), raw)
    }
}

impl Iterator for Records<'_> {
    type Item = Result<(Place, StringRecord), Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        let from = byte_offset(&self.reader);
        let mut record = StringRecord::new();
        match self.reader.read_record(&mut record) {
            Ok(false) => return None,
            Ok(true) => {}
            Err(error) => {
                return Some(Err(Place::file(self.file).refuse(Cause::Unreadable, error.to_string())));
            }
        }
        let to = byte_offset(&self.reader);
        let (place, raw) = self.locate(from, to);
        if let Err(what) = check_quotes(raw.trim_end_matches(['\r', '\n'])) {
            return Some(Err(place.refuse(Cause::BrokenQuotes, what)));
        }
        if to == self.text.len() && !self.text.ends_with('\n') {
            return Some(Err(place.refuse(Cause::CutOff, CUT_OFF)));
        }
        Some(Ok((place, record)))
    }
}

/// Where the reader stands. A text in memory is shorter than `usize` counts.
fn byte_offset(reader: &csv::Reader<&[u8]>) -> usize {
    usize::try_from(reader.position().byte()).unwrap_or(usize::MAX)
}

/// Whether every quote of a record opens a field, closes one, or is doubled inside one.
fn check_quotes(mut record: &str) -> Result<(), &'static str> {
    loop {
        let rest = match record.strip_prefix('"') {
            Some(quoted) => after_closing_quote(quoted)?,
            None => record.trim_start_matches(|c| c != ',' && c != '"'),
        };
        match rest.strip_prefix(',') {
            Some(next) => record = next,
            None if rest.is_empty() => return Ok(()),
            None => return Err("a quote in the middle of a field: double it and quote the whole field"),
        }
    }
}

/// What follows the quote that closes the field which `quoted` begins with.
fn after_closing_quote(mut quoted: &str) -> Result<&str, &'static str> {
    loop {
        let (_, after) = quoted
            .split_once('"')
            .ok_or("a quote that opens here is never closed: the file was cut, or a quote is missing")?;
        match after.strip_prefix('"') {
            Some(doubled) => quoted = doubled,
            None => return Ok(after),
        }
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|&&byte| byte == b'\n').count() as u64
}

/// The line of a byte, counted from 1.
fn line_at(bytes: &[u8], at: usize) -> u64 {
    1 + newlines(&bytes[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "rows.csv";

    /// The line and the fields of a row.
    type Read = (Option<u64>, [String; 2]);

    /// What `bytes` are read as: the rows with their lines, and what was refused.
    fn reading(bytes: &[u8]) -> (Vec<Read>, Vec<String>) {
        let mut findings = Findings::default();
        let rows = decode(bytes.to_vec(), FILE)
            .and_then(|text| parse(&text, FILE, &["name", "size"], &mut findings));
        let rows = findings.keep(rows).unwrap_or_default();
        let rows = rows.into_iter().map(|row| (row.place.line, row.fields)).collect();
        (rows, findings.refused.iter().map(ToString::to_string).collect())
    }

    fn row(line: u64, name: &str, size: &str) -> Read {
        (Some(line), [name.to_owned(), size.to_owned()])
    }

    #[test]
    fn accepts_what_loses_nothing() {
        for (what, text) in [
            ("unix lines", "name,size\na,1\nb,2\n"),
            ("windows lines", "name,size\r\na,1\r\nb,2\r\n"),
            ("a byte order mark", "\u{feff}name,size\r\na,1\r\nb,2\r\n"),
            ("columns in another order", "size,name\n1,a\n2,b\n"),
            ("quotes around plain fields", "\"name\",size\n\"a\",\"1\"\nb,\"2\"\n"),
        ] {
            assert_eq!(
                reading(text.as_bytes()),
                (vec![row(2, "a", "1"), row(3, "b", "2")], vec![]),
                "{what}"
            );
        }
    }

    #[test]
    fn lines_are_those_of_the_file() {
        for end in ["\n", "\r\n"] {
            let text = "name,size||a,1|\"b|c\",2||\"d \"\"e\"\"\",3|".replace('|', end);
            let rows = vec![row(3, "a", "1"), row(4, &format!("b{end}c"), "2"), row(7, "d \"e\"", "3")];
            assert_eq!(reading(text.as_bytes()), (rows, vec![]), "{end:?}");
        }
    }

    #[test]
    fn refuses_what_would_be_a_guess() {
        for (text, refusal) in [
            (&b""[..], "rows.csv: no rows: "),
            (b"name,size\n", "rows.csv:1: no rows: "),
            (b"name,siz\na,1\n", "rows.csv:1: missing column: the header is \"name,siz\" and lacks size"),
            (b"name,size,age\na,1,2\n", "rows.csv:1: unknown column: the import has no place for \"age\""),
            (b"name,size,size\na,1,2\n", "rows.csv:1: unknown column: the import has no place for \"size\""),
            (b"name,size\na,1\nb\n", "rows.csv:3: wrong number of fields: 1 fields where the header has 2"),
            (b"name,size\na,1,2\nb,2\n", "rows.csv:2: wrong number of fields: 3 fields"),
            (b"name,size\na,1\nb,2", "rows.csv:3: cut off: "),
            (b"name,size\r\na,1\r\nb,2\r", "rows.csv:3: cut off: "),
            (b"name,size\na,1\nb", "rows.csv:3: cut off: "),
            (b"name,si", "rows.csv:1: cut off: "),
            (b"name,size\na,1\n\xc3", "rows.csv:3: cut off: "),
            (
                b"name,size\na,1\n\"b,2\nc,3\n",
                "rows.csv:3: broken quotes: a quote that opens here is never closed",
            ),
            (b"name,size\n\"a,1\nb,2\n\"c\",3\n", "rows.csv:2: broken quotes: a quote in the middle"),
            (b"name,size\na \"b\",1\n", "rows.csv:2: broken quotes: a quote in the middle"),
            (b"name,size\n\"a\"b,1\n", "rows.csv:2: broken quotes: a quote in the middle"),
            (b"name,size\na,1\nb\0,2\n", "rows.csv:3: wrong encoding: a zero byte"),
            (b"name,size\na,1\ncaf\xe9,2\n", "rows.csv:3: wrong encoding: byte 0xe9 is not UTF-8"),
            (b"\xff\xfen\0a\0", "rows.csv:1: wrong encoding: the file is UTF-16"),
            (b"\xfe\xff\0n\0a", "rows.csv:1: wrong encoding: the file is UTF-16"),
        ] {
            let (_, refused) = reading(text);
            assert_eq!(refused.len(), 1, "{}: {refused:?}", text.escape_ascii());
            assert!(refused[0].starts_with(refusal), "{}: {refused:?}", text.escape_ascii());
        }
    }

    #[test]
    fn a_row_that_is_refused_leaves_the_others() {
        let (rows, refused) = reading(b"name,size\na\nb,2\nc,3,4\nd,5\n");
        assert_eq!(rows, [row(3, "b", "2"), row(5, "d", "5")]);
        assert_eq!(refused.len(), 2);
    }

    #[test]
    fn a_file_cut_anywhere_but_between_lines_is_refused() {
        let whole = "name,size\r\nÅse,1\r\n\"b, \"\"c\"\"\",25\r\n\"d\r\ne\",3\r\n";
        let (rows, _) = reading(whole.as_bytes());
        assert_eq!(rows.len(), 3);
        for end in 0..whole.len() {
            let (kept, refused) = reading(&whole.as_bytes()[..end]);
            let between_lines = [19, 34].contains(&end);
            assert_eq!(refused.is_empty(), between_lines, "{end}: {refused:?}");
            assert_eq!(kept, if between_lines { &rows[..kept.len()] } else { &[] }, "{end}");
        }
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let file = File::create(directory.path().join(FILE)).unwrap();
        file.set_len(MAX_FILE_BYTES + 1).unwrap();
        let mut findings = Findings::default();
        assert!(read(directory.path(), FILE, &["name", "size"], &mut findings).is_empty());
        assert_eq!(
            findings.refused[0].to_string(),
            "rows.csv: file too large: larger than 64 MiB: split it and import the parts"
        );
    }
}
