//! The SQL of companies and countries.

use super::cache;
use super::model::{Company, CompanyQuery, CompanySort, Country};
use crate::caller::CompanyId;
use crate::database::{Change, Statements};
use crate::error::{Error, FieldErrors};
use crate::page::{Page, Select};
use crate::time::Moment;
use crate::words::search_pattern;
use crate::written::Written;

/// The columns of a [`Company`], in every `SELECT` of this file.
macro_rules! columns {
    () => {
        "id, external_id, name, sector, country, currency, stale_after_days, created_at_ms, updated_at_ms, version"
    };
}

/// One company.
///
/// # Errors
/// What the database reports.
pub async fn find(statements: &mut impl Statements, id: &CompanyId) -> Result<Option<Company>, Error> {
    let sql = concat!("SELECT ", columns!(), " FROM companies WHERE id = $1");
    Ok(sqlx::query_as(sql).bind(id).fetch_optional(statements.statement()).await?)
}

/// The imported company of this natural key.
///
/// # Errors
/// What the database reports.
pub async fn by_external_id(
    statements: &mut impl Statements,
    external_id: &str,
) -> Result<Option<Company>, Error> {
    let sql = concat!("SELECT ", columns!(), " FROM companies WHERE external_id = $1");
    Ok(sqlx::query_as(sql).bind(external_id).fetch_optional(statements.statement()).await?)
}

/// The company of this name or id.
///
/// # Errors
/// [`Error::Conflict`] when there is none, or several have the name; what the database reports.
pub async fn named(statements: &mut impl Statements, name: &str) -> Result<Company, Error> {
    let sql = concat!("SELECT ", columns!(), " FROM companies WHERE id = $1 OR name = $1");
    let found: Vec<Company> = sqlx::query_as(sql).bind(name).fetch_all(statements.statement()).await?;
    match <[Company; 1]>::try_from(found) {
        Ok([company]) => Ok(company),
        Err(found) if found.is_empty() => Err(Error::Conflict(format!("there is no company `{name}`"))),
        Err(_several) => {
            Err(Error::Conflict(format!("several companies are named `{name}`: give the id of one")))
        }
    }
}

/// One page of all companies, or of the only one that is there for whoever asks.
///
/// # Errors
/// What the database reports.
pub async fn page(
    statements: &mut impl Statements,
    only: Option<&CompanyId>,
    query: &CompanyQuery,
) -> Result<Page<Company>, Error> {
    let column = match query.order.by {
        CompanySort::Name => "name",
        CompanySort::Created => "created_at_ms",
    };
    let direction = query.order.direction();
    Select::new(columns!(), "companies")
        .and_if("id =", only.map(CompanyId::as_str), "")
        .and_if("search_text LIKE", query.search.as_deref().map(search_pattern), r"ESCAPE '\'")
        .page(statements, &format!("{column} {direction}, id {direction}"), query.paging)
        .await
}

/// The ids of all companies, in the order in which they were added.
///
/// # Errors
/// What the database reports.
pub async fn ids(statements: &mut impl Statements) -> Result<Vec<CompanyId>, Error> {
    Ok(sqlx::query_scalar("SELECT id FROM companies ORDER BY id").fetch_all(statements.statement()).await?)
}

/// Adds a company.
///
/// # Errors
/// [`Error::Invalid`] for a country that is not listed; what the database reports.
pub async fn insert(change: &mut Change, company: Company) -> Result<Written<Company>, Error> {
    known_country(change, company.country.as_deref()).await?;
    let sql = "INSERT INTO companies (id, external_id, name, sector, country, currency, stale_after_days, \
               created_at_ms, updated_at_ms, version, search_text) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    sqlx::query(sql)
        .bind(&company.id)
        .bind(&company.external_id)
        .bind(&company.name)
        .bind(&company.sector)
        .bind(&company.country)
        .bind(&company.currency)
        .bind(company.settings.stale_after_days)
        .bind(company.created_at)
        .bind(company.updated_at)
        .bind(company.version)
        .bind(company.search_text())
        .execute(change.statement())
        .await?;
    Ok(written(company))
}

/// Writes a changed company over the row of the version it was made from, and raises the version.
///
/// # Errors
/// [`Error::PreconditionFailed`] when the row has another version; [`Error::Invalid`] for a country that is not listed.
pub async fn save(change: &mut Change, mut company: Company) -> Result<Written<Company>, Error> {
    known_country(change, company.country.as_deref()).await?;
    company.updated_at = Moment::now();
    let sql = "UPDATE companies SET name = $3, sector = $4, country = $5, stale_after_days = $6, \
               updated_at_ms = $7, search_text = $8, version = version + 1 WHERE id = $1 AND version = $2";
    let result = sqlx::query(sql)
        .bind(&company.id)
        .bind(company.version)
        .bind(&company.name)
        .bind(&company.sector)
        .bind(&company.country)
        .bind(company.settings.stale_after_days)
        .bind(company.updated_at)
        .bind(company.search_text())
        .execute(change.statement())
        .await?;
    if result.rows_affected() == 0 {
        return Err(Error::PreconditionFailed);
    }
    company.version += 1;
    Ok(written(company))
}

fn written(company: Company) -> Written<Company> {
    let changed = cache::changed(&company);
    Written::new(company, changed)
}

/// All countries, by name.
///
/// # Errors
/// What the database reports.
pub async fn countries(statements: &mut impl Statements) -> Result<Vec<Country>, Error> {
    let sql = "SELECT code, name FROM countries ORDER BY name";
    Ok(sqlx::query_as(sql).fetch_all(statements.statement()).await?)
}

/// Refuses a country code that is not in the table of countries.
///
/// # Errors
/// [`Error::Invalid`] naming the field; what the database reports.
pub async fn known_country(statements: &mut impl Statements, code: Option<&str>) -> Result<(), Error> {
    let Some(code) = code else { return Ok(()) };
    let sql = "SELECT COUNT(*) FROM countries WHERE code = $1";
    let found: i64 = sqlx::query_scalar(sql).bind(code).fetch_one(statements.statement()).await?;
    if found > 0 {
        return Ok(());
    }
    let mut errors = FieldErrors::default();
    errors.add("country", "is no country", "use one of the codes of /api/countries");
    Err(errors.into())
}
