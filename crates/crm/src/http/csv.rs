//! Lists as CSV (RFC 4180): sent a batch of rows at a time, of any length, without holding a connection to the database meanwhile.

use crate::error::Error;
use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use std::collections::BTreeMap;
use utoipa::IntoResponses;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{ContentBuilder, RefOr, Response as Answer, ResponseBuilder};

/// Rows that are read at a time: some hundred kilobytes.
pub(crate) const BATCH: u32 = 1_000;

const TYPE: &str = "text/csv; charset=utf-8";

/// A row as a record of a CSV file.
pub(crate) trait Record: Send + 'static {
    /// The names of the columns.
    const COLUMNS: &'static [&'static str];

    /// What the row has in each column.
    fn cells(&self) -> Vec<String>;

    /// Its id, behind which the next batch begins.
    fn id(&self) -> &str;
}

/// A file that is sent as it is read.
#[derive(Debug)]
pub struct Csv {
    name: &'static str,
    body: Body,
}

impl Csv {
    /// The file of this name, of the rows that `next` reads: those behind an id, or the first ones, at most [`BATCH`]. The first of
    /// them are read before anything is answered, so that who may not have them is told so.
    ///
    /// # Errors
    /// What `next` reports at first; later it cuts the file off, in the middle of a chunk, so that nobody takes it for whole.
    pub(crate) async fn of<T: Record, Fut>(
        name: &'static str,
        next: impl Fn(Option<String>) -> Fut + Send + 'static,
    ) -> Result<Self, Error>
    where
        Fut: Future<Output = Result<Vec<T>, Error>> + Send,
    {
        let first = next(None).await?;
        let mut file = encoded([T::COLUMNS.iter().map(|column| (*column).to_owned()).collect()])?;
        file.extend(encoded(first.iter().map(T::cells))?);
        let behind = behind(&first);
        let rest = stream::try_unfold((next, behind), async |(next, behind)| {
            let Some(behind) = behind else { return Ok::<_, Error>(None) };
            let rows = next(Some(behind)).await;
            let rows = rows.inspect_err(|error| tracing::warn!(%error, "a file was cut off"))?;
            let chunk = Bytes::from(encoded(rows.iter().map(T::cells))?);
            let behind = self::behind(&rows);
            Ok(Some((chunk, (next, behind))))
        });
        let chunks = stream::StreamExt::chain(stream::iter([Ok(Bytes::from(file))]), rest);
        Ok(Self { name, body: Body::from_stream(chunks) })
    }
}

/// Behind what the next batch begins, if there can be one.
fn behind<T: Record>(rows: &[T]) -> Option<String> {
    let is_full = rows.len() >= BATCH as usize;
    rows.last().filter(|_| is_full).map(|last| last.id().to_owned())
}

fn encoded(records: impl IntoIterator<Item = Vec<String>>) -> Result<Vec<u8>, Error> {
    let mut writer = csv::WriterBuilder::new()
        .quote_style(csv::QuoteStyle::Always) // some programs take `;` for the end of a cell
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    for cells in records {
        let cells = cells.into_iter().map(harmless);
        writer.write_record(cells.collect::<Vec<_>>()).map_err(Error::internal)?;
    }
    writer.into_inner().map_err(|error| Error::internal(error.to_string()))
}

/// A cell that no spreadsheet takes for a formula: one that begins as such gets an apostrophe before it, unless it is a number, as of a
/// telephone, in which nothing can be called (OWASP, "CSV Injection").
fn harmless(cell: String) -> String {
    let begins = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let is_number = cell.chars().all(|letter| letter.is_ascii_digit() || "+-(). ".contains(letter));
    if begins && !is_number { format!("'{cell}") } else { cell }
}

impl IntoResponse for Csv {
    fn into_response(self) -> Response {
        let disposition = format!("attachment; filename=\"{}\"", self.name);
        let headers = [
            (header::CONTENT_TYPE, TYPE.to_owned()),
            (header::CONTENT_DISPOSITION, disposition),
            (header::CACHE_CONTROL, "no-store".to_owned()),
        ];
        (headers, self.body).into_response()
    }
}

impl IntoResponses for Csv {
    fn responses() -> BTreeMap<String, RefOr<Answer>> {
        let text = Schema::Object(ObjectBuilder::new().schema_type(Type::String).build());
        let content = ContentBuilder::new().schema(Some(text)).build();
        let file = ResponseBuilder::new().description("The file.").content(TYPE, content).build();
        [("200".to_owned(), file.into())].into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for (cell, shown) in [
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("+49 30 555-0100", "+49 30 555-0100"),
            ("-12.50", "-12.50"),
            ("-A1", "'-A1"),
            ("a=b", "a=b"),
            ("", ""),
        ] {
            assert_eq!(harmless(cell.to_owned()), shown);
        }
    }
}
