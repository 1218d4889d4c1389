//! The truth: rows with a version and a nonce, in SQLite or PostgreSQL.

use std::str::FromStr;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{Any, AnyPool, AssertSqlSafe, Row, Transaction};

/// 12: what a process reads and writes with at once, as an application's pool.
const CONNECTIONS: u32 = 12;

/// 2 seconds: a database that gives no connection for so long is away.
const ACQUIRE_LIMIT: Duration = Duration::from_secs(2);

/// Where rows are.
pub(crate) async fn pool(url: &str) -> sqlx::Result<AnyPool> {
    sqlx::any::install_default_drivers();
    let is_sqlite = url.starts_with("sqlite");
    let options = AnyPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(ACQUIRE_LIMIT);
    let options = options.after_connect(move |connection, _| {
        Box::pin(async move {
            let pragmas = ["journal_mode = WAL", "synchronous = NORMAL", "busy_timeout = 5000"];
            for pragma in pragmas.into_iter().filter(|_| is_sqlite) {
                sqlx::query(AssertSqlSafe(format!("PRAGMA {pragma}"))).execute(&mut *connection).await?;
            }
            Ok(())
        })
    });
    options.connect_with(AnyConnectOptions::from_str(url)?).await
}

/// Makes so many rows, all of version 0.
pub(crate) async fn prepare(pool: &AnyPool, rows: u64) -> sqlx::Result<()> {
    sqlx::query("CREATE TABLE rows (id BIGINT PRIMARY KEY, version BIGINT NOT NULL, nonce BIGINT NOT NULL)")
        .execute(pool)
        .await?;
    for id in 0..rows {
        sqlx::query("INSERT INTO rows VALUES ($1, 0, 0)").bind(id.cast_signed()).execute(pool).await?;
    }
    Ok(())
}

/// The version and the nonce of a row.
pub(crate) async fn load(pool: &AnyPool, row: u64) -> sqlx::Result<(u64, u64)> {
    let query = sqlx::query("SELECT version, nonce FROM rows WHERE id = $1").bind(row.cast_signed());
    let found = query.fetch_one(pool).await?;
    Ok((number(&found, 0)?, number(&found, 1)?))
}

/// All rows, in order.
pub(crate) async fn load_all(pool: &AnyPool) -> sqlx::Result<Vec<(u64, u64)>> {
    let rows = sqlx::query("SELECT version, nonce FROM rows ORDER BY id").fetch_all(pool).await?;
    rows.iter().map(|row| Ok((number(row, 0)?, number(row, 1)?))).collect()
}

/// Raises the version of a row; answers the new one, whose row is locked until the transaction ends.
pub(crate) async fn raise(change: &mut Transaction<'_, Any>, row: u64, nonce: u64) -> sqlx::Result<u64> {
    let sql = "UPDATE rows SET version = version + 1, nonce = $1 WHERE id = $2 RETURNING version";
    let query = sqlx::query(sql).bind(nonce.cast_signed()).bind(row.cast_signed());
    number(&query.fetch_one(&mut **change).await?, 0)
}

fn number(row: &sqlx::any::AnyRow, column: usize) -> sqlx::Result<u64> {
    Ok(row.try_get::<i64, _>(column)?.cast_unsigned())
}
