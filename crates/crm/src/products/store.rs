//! The SQL of products.

use super::cache;
use super::model::{Product, ProductId};
use crate::database::{Change, Statements};
use crate::error::Error;
use crate::time::Moment;
use crate::written::Written;

/// The columns of a [`Product`], in every `SELECT` of this file.
macro_rules! columns {
    () => {
        "id, external_id, name, series, list_price_cents, currency, created_at_ms, updated_at_ms, version"
    };
}

/// One product.
///
/// # Errors
/// What the database reports.
pub async fn find(statements: &mut impl Statements, id: &ProductId) -> Result<Option<Product>, Error> {
    let sql = concat!("SELECT ", columns!(), " FROM products WHERE id = $1");
    Ok(sqlx::query_as(sql).bind(id).fetch_optional(statements.statement()).await?)
}

/// The imported product of this natural key.
///
/// # Errors
/// What the database reports.
pub async fn by_external_id(
    statements: &mut impl Statements,
    external_id: &str,
) -> Result<Option<Product>, Error> {
    let sql = concat!("SELECT ", columns!(), " FROM products WHERE external_id = $1");
    Ok(sqlx::query_as(sql).bind(external_id).fetch_optional(statements.statement()).await?)
}

/// The whole price list, by series and name.
///
/// # Errors
/// What the database reports.
pub async fn all(statements: &mut impl Statements) -> Result<Vec<Product>, Error> {
    let sql = concat!("SELECT ", columns!(), " FROM products ORDER BY series, name");
    Ok(sqlx::query_as(sql).fetch_all(statements.statement()).await?)
}

/// Adds a product.
///
/// # Errors
/// [`Error::Conflict`] when another product has the name; what the database reports.
pub async fn insert(change: &mut Change, product: Product) -> Result<Written<Product>, Error> {
    let sql = "INSERT INTO products (id, external_id, name, series, list_price_cents, currency, created_at_ms, \
               updated_at_ms, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    sqlx::query(sql)
        .bind(&product.id)
        .bind(&product.external_id)
        .bind(&product.name)
        .bind(&product.series)
        .bind(product.list_price_cents)
        .bind(&product.currency)
        .bind(product.created_at)
        .bind(product.updated_at)
        .bind(product.version)
        .execute(change.statement())
        .await
        .map_err(refused)?;
    Ok(written(product))
}

/// Writes a changed product over the row of the version it was made from, and raises the version.
///
/// # Errors
/// [`Error::PreconditionFailed`] when the row has another version; [`Error::Conflict`] when another product has the name.
pub async fn save(change: &mut Change, mut product: Product) -> Result<Written<Product>, Error> {
    product.updated_at = Moment::now();
    let sql = "UPDATE products SET name = $3, series = $4, list_price_cents = $5, updated_at_ms = $6, \
               version = version + 1 WHERE id = $1 AND version = $2";
    let result = sqlx::query(sql)
        .bind(&product.id)
        .bind(product.version)
        .bind(&product.name)
        .bind(&product.series)
        .bind(product.list_price_cents)
        .bind(product.updated_at)
        .execute(change.statement())
        .await
        .map_err(refused)?;
    if result.rows_affected() == 0 {
        return Err(Error::PreconditionFailed);
    }
    product.version += 1;
    Ok(written(product))
}

fn written(product: Product) -> Written<Product> {
    let changed = cache::changed();
    Written::new(product, changed)
}

fn refused(error: sqlx::Error) -> Error {
    match error.as_database_error() {
        Some(cause) if cause.is_unique_violation() => {
            Error::Conflict("another product has this name: names on the price list are unique".to_owned())
        }
        _ => error.into(),
    }
}
