//! The SQL of contacts.

use super::cache;
use super::model::{Contact, ContactId, ContactQuery, ContactSort};
use crate::caller::{CompanyId, UserId};
use crate::companies;
use crate::database::{Change, Statements};
use crate::error::Error;
use crate::http::csv::Record;
use crate::page::{Page, Select};
use crate::time::Moment;
use crate::words::search_pattern;
use crate::written::Written;

/// The columns of a [`Contact`], in every `SELECT` of this file.
macro_rules! columns {
    () => {
        "id, company_id, external_id, kind, name, organisation, title, email, phone, country, owner_id, \
         created_at_ms, updated_at_ms, version"
    };
}

/// One contact of a company.
///
/// # Errors
/// What the database reports.
pub async fn find(
    statements: &mut impl Statements,
    company: &CompanyId,
    id: &ContactId,
) -> Result<Option<Contact>, Error> {
    let sql = concat!("SELECT ", columns!(), " FROM contacts WHERE company_id = $1 AND id = $2");
    Ok(sqlx::query_as(sql).bind(company).bind(id).fetch_optional(statements.statement()).await?)
}

/// A contact of a company that has to be there.
///
/// # Errors
/// [`Error::NotFound`]; what the database reports.
pub(super) async fn require(
    statements: &mut impl Statements,
    company: &CompanyId,
    id: &ContactId,
) -> Result<Contact, Error> {
    find(statements, company, id).await?.ok_or(Error::NotFound("contact"))
}

/// The company that a contact belongs to.
///
/// # Errors
/// What the database reports.
pub(super) async fn company_of(
    statements: &mut impl Statements,
    id: &ContactId,
) -> Result<Option<CompanyId>, Error> {
    let sql = "SELECT company_id FROM contacts WHERE id = $1";
    Ok(sqlx::query_scalar(sql).bind(id).fetch_optional(statements.statement()).await?)
}

/// The imported contact of this natural key in its company.
///
/// # Errors
/// What the database reports.
pub async fn by_external_id(
    statements: &mut impl Statements,
    company: &CompanyId,
    external_id: &str,
) -> Result<Option<Contact>, Error> {
    let sql = concat!("SELECT ", columns!(), " FROM contacts WHERE company_id = $1 AND external_id = $2");
    let contact = sqlx::query_as(sql).bind(company).bind(external_id);
    Ok(contact.fetch_optional(statements.statement()).await?)
}

/// One page of a company's contacts.
///
/// # Errors
/// What the database reports.
pub async fn page(
    statements: &mut impl Statements,
    company: &CompanyId,
    query: &ContactQuery,
) -> Result<Page<Contact>, Error> {
    let column = match query.order.by {
        ContactSort::Name => "name",
        ContactSort::Created => "created_at_ms",
    };
    let direction = query.order.direction();
    selected(company, query)
        .page(statements, &format!("{column} {direction}, id {direction}"), query.paging)
        .await
}

/// Which of a company's contacts.
pub(super) fn selected(company: &CompanyId, query: &ContactQuery) -> Select {
    Select::new(columns!(), "contacts")
        .and("company_id =", company.as_str(), "")
        .and_if("kind =", query.kind.map(|kind| kind.word()), "")
        .and_if("country =", query.country.as_deref(), "")
        .and_if("owner_id =", query.owner.as_ref().map(UserId::as_str), "")
        .and_if("search_text LIKE", query.search.as_deref().map(search_pattern), r"ESCAPE '\'")
}

/// Whether a company has a contact that is taken for the same: of the same `external_id`, or else address of e-mail, or else kind, name and
/// organisation.
///
/// # Errors
/// What the database reports.
pub async fn has_twin(statements: &mut impl Statements, contact: &Contact) -> Result<bool, Error> {
    let query = match (&contact.external_id, &contact.email) {
        (Some(id), _) => {
            let sql = "SELECT 1 FROM contacts WHERE company_id = $1 AND external_id = $2 LIMIT 1";
            sqlx::query(sql).bind(&contact.company_id).bind(id)
        }
        (None, Some(email)) => {
            let sql = "SELECT 1 FROM contacts WHERE company_id = $1 AND email = $2 LIMIT 1";
            sqlx::query(sql).bind(&contact.company_id).bind(email)
        }
        (None, None) => {
            let sql = "SELECT 1 FROM contacts WHERE company_id = $1 AND name = $2 \
                       AND COALESCE(organisation, '') = $3 AND kind = $4 LIMIT 1";
            let organisation = contact.organisation.as_deref().unwrap_or_default();
            sqlx::query(sql)
                .bind(&contact.company_id)
                .bind(&contact.name)
                .bind(organisation)
                .bind(contact.kind)
        }
    };
    Ok(query.fetch_optional(statements.statement()).await?.is_some())
}

/// How many contacts a company has.
///
/// # Errors
/// What the database reports.
pub async fn count(statements: &mut impl Statements, company: &CompanyId) -> Result<i64, Error> {
    let sql = "SELECT COUNT(*) FROM contacts WHERE company_id = $1";
    Ok(sqlx::query_scalar(sql).bind(company).fetch_one(statements.statement()).await?)
}

/// Gives all contacts of one owner to another, and raises their versions. Answers which.
///
/// # Errors
/// What the database reports.
pub async fn hand_over(
    change: &mut Change,
    company: &CompanyId,
    from: &UserId,
    to: &UserId,
) -> Result<Written<Vec<ContactId>>, Error> {
    let sql = "SELECT id FROM contacts WHERE company_id = $1 AND owner_id = $2 ORDER BY id";
    let ids = sqlx::query_scalar(sql).bind(company).bind(from);
    let ids: Vec<ContactId> = ids.fetch_all(change.statement()).await?;
    let sql = "UPDATE contacts SET owner_id = $3, updated_at_ms = $4, version = version + 1 \
               WHERE company_id = $1 AND owner_id = $2";
    let update = sqlx::query(sql).bind(company).bind(from).bind(to).bind(Moment::now());
    update.execute(change.statement()).await?;
    let changed = cache::handed_over(company, &ids);
    Ok(Written::new(ids, changed))
}

/// Adds a contact.
///
/// # Errors
/// [`Error::Invalid`] for a country that is not listed; what the database reports.
pub async fn insert(change: &mut Change, contact: Contact) -> Result<Written<Contact>, Error> {
    companies::known_country(change, contact.country.as_deref()).await?;
    let sql = "INSERT INTO contacts (id, company_id, external_id, kind, name, organisation, title, email, phone, \
               country, owner_id, created_at_ms, updated_at_ms, version, search_text) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
    sqlx::query(sql)
        .bind(&contact.id)
        .bind(&contact.company_id)
        .bind(&contact.external_id)
        .bind(contact.kind)
        .bind(&contact.name)
        .bind(&contact.organisation)
        .bind(&contact.title)
        .bind(&contact.email)
        .bind(&contact.phone)
        .bind(&contact.country)
        .bind(&contact.owner_id)
        .bind(contact.created_at)
        .bind(contact.updated_at)
        .bind(contact.version)
        .bind(contact.search_text())
        .execute(change.statement())
        .await?;
    Ok(written(contact))
}

/// Writes a changed contact over the row of the version it was made from, and raises the version.
///
/// # Errors
/// [`Error::PreconditionFailed`] when the row has another version; [`Error::Invalid`] for a country that is not listed.
pub async fn save(change: &mut Change, mut contact: Contact) -> Result<Written<Contact>, Error> {
    companies::known_country(change, contact.country.as_deref()).await?;
    contact.updated_at = Moment::now();
    let sql = "UPDATE contacts SET kind = $3, name = $4, organisation = $5, title = $6, email = $7, phone = $8, \
               country = $9, owner_id = $10, updated_at_ms = $11, search_text = $12, version = version + 1 \
               WHERE id = $1 AND version = $2";
    let result = sqlx::query(sql)
        .bind(&contact.id)
        .bind(contact.version)
        .bind(contact.kind)
        .bind(&contact.name)
        .bind(&contact.organisation)
        .bind(&contact.title)
        .bind(&contact.email)
        .bind(&contact.phone)
        .bind(&contact.country)
        .bind(&contact.owner_id)
        .bind(contact.updated_at)
        .bind(contact.search_text())
        .execute(change.statement())
        .await?;
    if result.rows_affected() == 0 {
        return Err(Error::PreconditionFailed);
    }
    contact.version += 1;
    Ok(written(contact))
}

/// Removes a contact that no deal names.
///
/// # Errors
/// [`Error::Conflict`] when deals name the contact; [`Error::PreconditionFailed`] when the row has another version.
pub async fn delete(change: &mut Change, contact: Contact) -> Result<Written<Contact>, Error> {
    let sql = "DELETE FROM contacts WHERE id = $1 AND version = $2";
    let query = sqlx::query(sql).bind(&contact.id).bind(contact.version);
    let result = query.execute(change.statement()).await.map_err(refused)?;
    if result.rows_affected() == 0 {
        return Err(Error::PreconditionFailed);
    }
    let changed = cache::removed(&contact);
    Ok(Written::new(contact, changed))
}

fn written(contact: Contact) -> Written<Contact> {
    let changed = cache::changed(&contact);
    Written::new(contact, changed)
}

fn refused(error: sqlx::Error) -> Error {
    match error.as_database_error() {
        Some(cause) if cause.is_foreign_key_violation() => {
            Error::Conflict("deals still name the contact: give them another contact first".to_owned())
        }
        _ => error.into(),
    }
}

impl Record for Contact {
    const COLUMNS: &'static [&'static str] =
        &["id", "kind", "name", "organisation", "title", "email", "phone", "country", "created_at"];

    fn cells(&self) -> Vec<String> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        vec![
            self.id.to_string(),
            self.kind.to_string(),
            self.name.clone(),
            text(&self.organisation),
            text(&self.title),
            text(&self.email),
            text(&self.phone),
            text(&self.country),
            self.created_at.to_string(),
        ]
    }

    fn id(&self) -> &str {
        self.id.as_str()
    }
}
