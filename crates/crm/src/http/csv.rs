//! Lists as CSV (RFC 4180): sent a batch of rows at a time, of any length, without holding a connection to the database meanwhile.

use crate::app::App;
use crate::database::{Single, State};
use crate::error::Error;
use crate::page::Select;
use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use sqlx::FromRow;
use sqlx::any::AnyRow;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::IntoResponses;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{ContentBuilder, RefOr, Response as Answer, ResponseBuilder};

/// Rows that are read at a time: some hundred kilobytes.
const BATCH: u32 = 1_000;

const TYPE: &str = "text/csv; charset=utf-8";

/// A row as a record of a CSV file.
pub(crate) trait Record: for<'r> FromRow<'r, AnyRow> + Send + Unpin + 'static {
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
    /// The file of this name, of rows in the order of their ids. The first of them are read before anything is answered, so that who
    /// may not have them is told so.
    ///
    /// # Errors
    /// What the database reports at first; later it cuts the file off, in the middle of a chunk, so that nobody takes it for whole.
    pub(crate) async fn of<T: Record>(
        app: &Arc<App>,
        name: &'static str,
        rows: Select,
    ) -> Result<Self, Error> {
        let first = batch::<T>(app, &rows, None).await?;
        let mut file = encoded([T::COLUMNS.iter().map(|column| (*column).to_owned()).collect()])?;
        file.extend(encoded(first.iter().map(T::cells))?);
        let last = last_of_full(&first);
        let rest = stream::try_unfold((Arc::clone(app), rows, last), async |(app, rows, last)| {
            let Some(last) = last else { return Ok::<_, Error>(None) };
            let batch = batch::<T>(&app, &rows, Some(&last)).await;
            let batch = batch.inspect_err(|error| tracing::warn!(%error, "a file was cut off"))?;
            let chunk = Bytes::from(encoded(batch.iter().map(T::cells))?);
            let last = last_of_full(&batch);
            Ok(Some((chunk, (app, rows, last))))
        });
        let chunks = stream::StreamExt::chain(stream::iter([Ok(Bytes::from(file))]), rest);
        Ok(Self { name, body: Body::from_stream(chunks) })
    }
}

/// The rows behind the one of this id, or the first ones, at most [`BATCH`].
async fn batch<T: Record>(app: &App, rows: &Select, behind: Option<&str>) -> Result<Vec<T>, Error> {
    let mut single = Single::open(&app.database).await?;
    rows.clone().behind(&mut single, behind, BATCH).await
}

/// Behind what the next batch begins, if there can be one.
fn last_of_full<T: Record>(rows: &[T]) -> Option<String> {
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
