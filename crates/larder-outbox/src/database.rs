//! The databases that can have an outbox, behind two calls.
//!
//! What is asked and answered is text: each statement converts it where it is used. So one set of statements serves sqlx's own
//! types for SQLite and PostgreSQL and its `Any`, whatever each of them can encode.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, StreamExt};
use sqlx::{
    Any, AnyConnection, AssertSqlSafe, Connection, PgConnection, Pool, Postgres, Row, Sqlite,
    SqliteConnection,
};

use crate::dialect::{Dialect, POSTGRES, SQLITE};
use crate::error::Error;

/// One row of an answer.
pub(crate) type Texts = Vec<Option<String>>;

/// The kinds of pools that can have an outbox: [`Sqlite`], [`Postgres`], and [`Any`] of the two.
pub trait Database: sqlx::Database + sealed::Sealed {
    /// Executes a statement, and answers how many rows it changed.
    #[doc(hidden)]
    fn execute<'c>(
        connection: &'c mut Self::Connection,
        sql: &'c str,
        arguments: &'c [&'c str],
    ) -> BoxFuture<'c, Result<u64, sqlx::Error>>;

    /// Executes a statement whose rows are all texts.
    #[doc(hidden)]
    fn fetch<'c>(
        connection: &'c mut Self::Connection,
        sql: &'c str,
        arguments: &'c [&'c str],
    ) -> BoxStream<'c, Result<Texts, sqlx::Error>>;

    /// What it speaks.
    #[doc(hidden)]
    fn dialect(connection: &Self::Connection) -> Result<&'static Dialect, Error>;

    /// Another connection, like those of the pool.
    #[doc(hidden)]
    fn connect(pool: &Pool<Self>) -> BoxFuture<'_, Result<Self::Connection, sqlx::Error>>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for sqlx::Sqlite {}
    impl Sealed for sqlx::Postgres {}
    impl Sealed for sqlx::Any {}
}

macro_rules! database {
    ($database:ty, $connection:ty, $dialect:expr) => {
        impl Database for $database {
            fn execute<'c>(
                connection: &'c mut $connection,
                sql: &'c str,
                arguments: &'c [&'c str],
            ) -> BoxFuture<'c, Result<u64, sqlx::Error>> {
                Box::pin(async move {
                    let query = sqlx::query(AssertSqlSafe(sql.to_owned()));
                    let query =
                        arguments.iter().fold(query, |query, argument| query.bind(argument.to_string()));
                    Ok(query.execute(connection).await?.rows_affected())
                })
            }

            fn fetch<'c>(
                connection: &'c mut $connection,
                sql: &'c str,
                arguments: &'c [&'c str],
            ) -> BoxStream<'c, Result<Texts, sqlx::Error>> {
                let query = sqlx::query(AssertSqlSafe(sql.to_owned()));
                let query = arguments.iter().fold(query, |query, argument| query.bind(argument.to_string()));
                let texts = |row: Result<_, sqlx::Error>| {
                    row.and_then(|row: <$database as sqlx::Database>::Row| {
                        (0..row.len()).map(|at| row.try_get(at)).collect()
                    })
                };
                query.fetch(connection).map(texts).boxed()
            }

            fn dialect(connection: &$connection) -> Result<&'static Dialect, Error> {
                $dialect(connection)
            }

            fn connect(pool: &Pool<Self>) -> BoxFuture<'_, Result<$connection, sqlx::Error>> {
                Box::pin(
                    async move { <$connection>::connect_with(&Arc::clone(&pool.connect_options())).await },
                )
            }
        }
    };
}

database!(Sqlite, SqliteConnection, |_| Ok(&SQLITE));
database!(Postgres, PgConnection, |_| Ok(&POSTGRES));
database!(Any, AnyConnection, |connection: &AnyConnection| match connection.backend_name() {
    "SQLite" => Ok(&SQLITE),
    "PostgreSQL" => Ok(&POSTGRES),
    other => Err(Error::UnknownDatabase(other.to_owned())),
});
