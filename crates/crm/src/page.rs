//! Pages of a list: what is asked for, what is answered, and the conditions in between.

use crate::database::Statements;
use crate::error::Error;
use larder_axum::digest;
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, FromRow, Row};

/// Rows of a page when the request does not say.
pub const DEFAULT_PER_PAGE: u32 = 50;
/// Most rows of one page: about 100 kB of JSON, which a reader can still wait for.
pub const MAX_PER_PAGE: u32 = 200;
/// Last page that is looked for: rows are skipped one by one, so that a page beyond it costs more than it can be worth.
pub const MAX_PAGE: u32 = 100_000;

/// Longest filter that stands in the name of an entry as it is, in bytes: room for an id and a few words. Escaped, each
/// byte can become three.
pub const MAX_FILTER_BYTES: usize = 100;

/// Which page of a list, and how long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paging {
    /// From 1.
    pub page: u32,
    /// From 1 to [`MAX_PER_PAGE`].
    pub per_page: u32,
}

impl Default for Paging {
    fn default() -> Self {
        Self { page: 1, per_page: DEFAULT_PER_PAGE }
    }
}

/// By what a list is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order<S> {
    /// The column.
    pub by: S,
    /// From the greatest to the least.
    pub descending: bool,
}

impl<S> Order<S> {
    /// SQL's word for the direction.
    #[must_use]
    pub const fn direction(&self) -> &'static str {
        if self.descending { "DESC" } else { "ASC" }
    }
}

/// What a list is narrowed and ordered by, written in one way only, so that two requests for the same list share an entry.
#[derive(Debug)]
pub(crate) struct Filter(String);

impl Filter {
    pub(crate) fn new(paging: Paging, sort: &str, descending: bool) -> Self {
        let minus = if descending { "-" } else { "" };
        Self(format!("per_page={},sort={minus}{sort}", paging.per_page))
    }

    /// Adds a condition, if there is one. Its length stands before its value: no value can look like a further condition.
    pub(crate) fn and(mut self, name: &str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            self.0.push_str(&format!(",{name}={}={value}", value.len()));
        }
        self
    }

    /// The conditions, or, when they are longer than [`MAX_FILTER_BYTES`], a digest of them: names stay short, whatever
    /// somebody searches for.
    pub(crate) fn into_segment(self) -> String {
        if self.0.len() <= MAX_FILTER_BYTES {
            return self.0;
        }
        format!("digest={}", digest(&self.0))
    }
}

/// One page of a list, and how many rows there are on all pages.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The rows of this page; empty after the last page.
    pub items: Vec<T>,
    /// The number of this page, from 1.
    pub page: u32,
    /// Rows of a full page.
    pub per_page: u32,
    /// Rows on all pages.
    pub total: i64,
}

/// A `SELECT` whose conditions depend on the request. Its values are all bound, never written into the text.
#[derive(Debug, Clone)]
pub(crate) struct Select {
    columns: &'static str,
    id: &'static str,
    from: &'static str,
    joins: &'static str,
    conditions: String,
    values: Vec<String>,
}

impl Select {
    /// `SELECT columns FROM from`, without conditions yet.
    pub(crate) fn new(columns: &'static str, from: &'static str) -> Self {
        Self { columns, id: "id", from, joins: "", conditions: String::new(), values: Vec::new() }
    }

    /// Adds what is joined to each row without adding or removing any, and what the id of a row is called then: rows are counted
    /// without it.
    pub(crate) const fn joining(mut self, joins: &'static str, id: &'static str) -> Self {
        self.joins = joins;
        self.id = id;
        self
    }

    /// Adds `before $n after`, with the value bound as `$n`.
    pub(crate) fn and(mut self, before: &str, value: impl Into<String>, after: &str) -> Self {
        self.values.push(value.into());
        let joint = if self.values.len() == 1 { "WHERE" } else { "AND" };
        let number = self.values.len();
        self.conditions.push_str(&format!(" {joint} {before} ${number} {after}"));
        self
    }

    /// Adds the condition if there is a value.
    pub(crate) fn and_if<V: Into<String>>(self, before: &str, value: Option<V>, after: &str) -> Self {
        match value {
            Some(value) => self.and(before, value, after),
            None => self,
        }
    }

    /// The rows behind the one of this id, in the order of their ids, at most so many: one statement.
    pub(crate) async fn behind<T>(
        self,
        statements: &mut impl Statements,
        behind: Option<&str>,
        limit: u32,
    ) -> Result<Vec<T>, Error>
    where
        T: for<'r> FromRow<'r, AnyRow> + Send + Unpin,
    {
        let greater = format!("{} >", self.id);
        let Self { columns, id, from, joins, conditions, values } = self.and_if(&greater, behind, "");
        let rows = format!("SELECT {columns} FROM {from}{joins}{conditions} ORDER BY {id} LIMIT {limit}");
        let mut rows = sqlx::query_as::<_, T>(AssertSqlSafe(rows));
        for value in values {
            rows = rows.bind(value);
        }
        Ok(rows.fetch_all(statements.statement()).await?)
    }

    /// One page in this order, and the number of all rows: one statement.
    pub(crate) async fn page<T>(
        self,
        statements: &mut impl Statements,
        order_by: &str,
        Paging { page, per_page }: Paging,
    ) -> Result<Page<T>, Error>
    where
        T: for<'r> FromRow<'r, AnyRow> + Send + Unpin,
    {
        let Self { columns, from, joins, conditions, values, .. } = self;
        // As numbers in the text: PostgreSQL would plan anew each time what it is not told how much of it is wanted.
        let behind = u64::from(page.saturating_sub(1)) * u64::from(per_page);
        // The count stands in a row also where the page is empty. Their order is that of the page, which what is around it need not keep.
        let sql = format!(
            "SELECT page.*, counted.total FROM (SELECT COUNT(*) AS total FROM {from}{conditions}) counted \
             LEFT JOIN (SELECT {columns}, ROW_NUMBER() OVER (ORDER BY {order_by}) AS place FROM {from}{joins}{conditions} \
             ORDER BY {order_by} LIMIT {per_page} OFFSET {behind}) page ON TRUE ORDER BY page.place"
        );
        let mut rows = sqlx::query_as::<_, Counted<T>>(AssertSqlSafe(sql));
        for value in values {
            rows = rows.bind(value);
        }
        let rows = rows.fetch_all(statements.statement()).await?;
        let total = rows.first().map_or(0, |row| row.total);
        Ok(Page { items: rows.into_iter().filter_map(|row| row.item).collect(), page, per_page, total })
    }
}

/// A row of a page, if there is one, and how many there are on all pages.
struct Counted<T> {
    item: Option<T>,
    total: i64,
}

impl<'r, T: FromRow<'r, AnyRow>> FromRow<'r, AnyRow> for Counted<T> {
    fn from_row(row: &'r AnyRow) -> Result<Self, sqlx::Error> {
        let place: Option<i64> = row.try_get("place")?;
        let item = place.is_some().then(|| T::from_row(row)).transpose()?;
        Ok(Self { item, total: row.try_get("total")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(owner: &str, words: &str) -> String {
        let filter = Filter::new(Paging::default(), "name", false);
        filter.and("owner", Some(owner)).and("q", Some(words)).into_segment()
    }

    #[test]
    fn a_filter_is_read_as_it_is_and_a_long_one_by_its_digest() {
        assert_eq!(segment("7", "ann"), "per_page=50,sort=name,owner=1=7,q=3=ann");
        let long = "x".repeat(100);
        assert_eq!(segment("7", &long).len(), "digest=".len() + 32);
        assert_ne!(segment("7", &long), segment("8", &long));
    }

    #[test]
    fn no_value_looks_like_a_further_condition() {
        assert_ne!(segment("7,q=1=a", "b"), segment("7", "a,q=1=b"));
    }
}
