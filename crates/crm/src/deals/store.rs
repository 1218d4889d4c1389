//! The SQL of deals.

use super::cache;
use super::model::{Deal, DealId, DealQuery, DealSort, DealView, Named};
use crate::caller::{CompanyId, UserId};
use crate::database::{Change, Statements};
use crate::error::Error;
use crate::http::csv::Record;
use crate::page::{Page, Select};
use crate::time::{Day, Moment};
use crate::words::search_pattern;
use crate::written::Written;
use sqlx::any::AnyRow;
use sqlx::{FromRow, Row};

/// The columns of a [`Deal`].
macro_rules! columns {
    () => {
        "id, company_id, external_id, title, contact_id, product_id, owner_id, stage, value_cents, lost_value_cents, engaged_on, \
         closed_on, created_at_ms, updated_at_ms, version"
    };
}

/// The columns of a [`DealView`], read from `deals d` and [`view_joins!`].
macro_rules! view_columns {
    () => {
        "d.id, d.company_id, d.external_id, d.title, d.stage, d.value_cents, d.lost_value_cents, d.engaged_on, d.closed_on, \
         d.created_at_ms, d.updated_at_ms, d.version, company.currency, d.contact_id, d.product_id, d.owner_id, \
         contact.name AS contact_name, product.name AS product_name, owner.name AS owner_name"
    };
}

macro_rules! view_joins {
    () => {
        " JOIN companies company ON company.id = d.company_id \
         LEFT JOIN contacts contact ON contact.id = d.contact_id \
         LEFT JOIN products product ON product.id = d.product_id \
         LEFT JOIN users owner ON owner.id = d.owner_id"
    };
}

impl<'r> FromRow<'r, AnyRow> for DealView {
    fn from_row(row: &'r AnyRow) -> Result<Self, sqlx::Error> {
        let named = |id, name| -> Result<Option<Named>, sqlx::Error> {
            let (id, name): (Option<String>, Option<String>) = (row.try_get(id)?, row.try_get(name)?);
            Ok(id.zip(name).map(|(id, name)| Named { id, name }))
        };
        Ok(Self {
            id: row.try_get("id")?,
            company_id: row.try_get("company_id")?,
            external_id: row.try_get("external_id")?,
            title: row.try_get("title")?,
            stage: row.try_get("stage")?,
            value_cents: row.try_get("value_cents")?,
            lost_value_cents: row.try_get("lost_value_cents")?,
            currency: row.try_get("currency")?,
            engaged_on: row.try_get("engaged_on")?,
            closed_on: row.try_get("closed_on")?,
            contact: named("contact_id", "contact_name")?,
            product: named("product_id", "product_name")?,
            owner: named("owner_id", "owner_name")?,
            created_at: row.try_get("created_at_ms")?,
            updated_at: row.try_get("updated_at_ms")?,
            version: row.try_get("version")?,
        })
    }
}

/// One deal of a company.
///
/// # Errors
/// What the database reports.
pub async fn find(
    statements: &mut impl Statements,
    company: &CompanyId,
    id: &DealId,
) -> Result<Option<Deal>, Error> {
    let sql = concat!("SELECT ", columns!(), " FROM deals WHERE company_id = $1 AND id = $2");
    Ok(sqlx::query_as(sql).bind(company).bind(id).fetch_optional(statements.statement()).await?)
}

/// The imported deal of this natural key in its company.
///
/// # Errors
/// What the database reports.
pub async fn by_external_id(
    statements: &mut impl Statements,
    company: &CompanyId,
    external_id: &str,
) -> Result<Option<Deal>, Error> {
    let sql = concat!("SELECT ", columns!(), " FROM deals WHERE company_id = $1 AND external_id = $2");
    let deal = sqlx::query_as(sql).bind(company).bind(external_id);
    Ok(deal.fetch_optional(statements.statement()).await?)
}

/// One deal of a company as readers see it.
///
/// # Errors
/// What the database reports.
pub async fn view(
    statements: &mut impl Statements,
    company: &CompanyId,
    id: &DealId,
) -> Result<Option<DealView>, Error> {
    let sql = concat!(
        "SELECT ",
        view_columns!(),
        " FROM deals d",
        view_joins!(),
        " WHERE d.company_id = $1 AND d.id = $2"
    );
    Ok(sqlx::query_as(sql).bind(company).bind(id).fetch_optional(statements.statement()).await?)
}

/// The company that a deal belongs to.
///
/// # Errors
/// What the database reports.
pub async fn company_of(statements: &mut impl Statements, id: &DealId) -> Result<Option<CompanyId>, Error> {
    let sql = "SELECT company_id FROM deals WHERE id = $1";
    Ok(sqlx::query_scalar(sql).bind(id).fetch_optional(statements.statement()).await?)
}

/// One page of a company's deals.
///
/// # Errors
/// What the database reports.
pub async fn page(
    statements: &mut impl Statements,
    company: &CompanyId,
    query: &DealQuery,
) -> Result<Page<DealView>, Error> {
    let direction = query.order.direction();
    let order = match query.order.by {
        DealSort::Created => format!("d.created_at_ms {direction}"),
        DealSort::Value => format!("d.value_cents {direction}"),
        // Without NULLS LAST, SQLite and PostgreSQL disagree on where deals without the date belong.
        DealSort::Engaged => format!("d.engaged_on {direction} NULLS LAST"),
        DealSort::Closed => format!("d.closed_on {direction} NULLS LAST"),
        DealSort::Title => format!("d.title {direction}"),
    };
    selected(company, query).page(statements, &format!("{order}, d.id {direction}"), query.paging).await
}

/// Which of a company's deals.
pub(super) fn selected(company: &CompanyId, query: &DealQuery) -> Select {
    Select::new(view_columns!(), "deals d")
        .joining(view_joins!(), "d.id")
        .and("d.company_id =", company.as_str(), "")
        .and_if("d.stage =", query.stage.map(|stage| stage.word()), "")
        .and_if("d.owner_id =", query.owner.as_ref().map(|owner| owner.as_str()), "")
        .and_if("d.contact_id =", query.contact.as_ref().map(|contact| contact.as_str()), "")
        .and_if("d.product_id =", query.product.as_ref().map(|product| product.as_str()), "")
        .and_if("d.search_text LIKE", query.search.as_deref().map(search_pattern), r"ESCAPE '\'")
}

/// Gives all deals of one owner to another, and raises their versions. Answers which.
///
/// # Errors
/// What the database reports.
pub async fn hand_over(
    change: &mut Change,
    company: &CompanyId,
    from: &UserId,
    to: &UserId,
) -> Result<Written<Vec<DealId>>, Error> {
    let sql = "SELECT id FROM deals WHERE company_id = $1 AND owner_id = $2 ORDER BY id";
    let ids = sqlx::query_scalar(sql).bind(company).bind(from);
    let ids: Vec<DealId> = ids.fetch_all(change.statement()).await?;
    let sql = "UPDATE deals SET owner_id = $3, updated_at_ms = $4, version = version + 1 \
               WHERE company_id = $1 AND owner_id = $2";
    let update = sqlx::query(sql).bind(company).bind(from).bind(to).bind(Moment::now());
    update.execute(change.statement()).await?;
    let changed = cache::handed_over(company, &ids, [from, to]);
    Ok(Written::new(ids, changed))
}

/// Adds a deal, whose contact, product and owner the caller has found to exist.
///
/// # Errors
/// What the database reports.
pub async fn insert(change: &mut Change, deal: Deal) -> Result<Written<Deal>, Error> {
    let sql = "INSERT INTO deals (id, company_id, external_id, title, contact_id, product_id, owner_id, stage, \
               value_cents, engaged_on, closed_on, cycle_days, created_at_ms, updated_at_ms, version, search_text, \
               lost_value_cents) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
    sqlx::query(sql)
        .bind(&deal.id)
        .bind(&deal.company_id)
        .bind(&deal.external_id)
        .bind(&deal.title)
        .bind(&deal.contact_id)
        .bind(&deal.product_id)
        .bind(&deal.owner_id)
        .bind(deal.stage)
        .bind(deal.value_cents)
        .bind(deal.engaged_on)
        .bind(deal.closed_on)
        .bind(deal.cycle_days())
        .bind(deal.created_at)
        .bind(deal.updated_at)
        .bind(deal.version)
        .bind(deal.search_text())
        .bind(deal.lost_value_cents)
        .execute(change.statement())
        .await?;
    let changed = cache::changed(None, &deal);
    Ok(Written::new(deal, changed))
}

/// Writes a changed deal over the row `before`, and raises the version.
///
/// # Errors
/// [`Error::PreconditionFailed`] when the row is no longer that of `before`.
pub async fn save(change: &mut Change, before: &Deal, mut deal: Deal) -> Result<Written<Deal>, Error> {
    deal.updated_at = Moment::now();
    let sql = "UPDATE deals SET title = $3, contact_id = $4, product_id = $5, owner_id = $6, stage = $7, \
               value_cents = $8, engaged_on = $9, closed_on = $10, cycle_days = $11, updated_at_ms = $12, \
               search_text = $13, lost_value_cents = $14, version = version + 1 WHERE id = $1 AND version = $2";
    let result = sqlx::query(sql)
        .bind(&deal.id)
        .bind(before.version)
        .bind(&deal.title)
        .bind(&deal.contact_id)
        .bind(&deal.product_id)
        .bind(&deal.owner_id)
        .bind(deal.stage)
        .bind(deal.value_cents)
        .bind(deal.engaged_on)
        .bind(deal.closed_on)
        .bind(deal.cycle_days())
        .bind(deal.updated_at)
        .bind(deal.search_text())
        .bind(deal.lost_value_cents)
        .execute(change.statement())
        .await?;
    if result.rows_affected() == 0 {
        return Err(Error::PreconditionFailed);
    }
    deal.version = before.version + 1;
    let changed = cache::changed(Some(before), &deal);
    Ok(Written::new(deal, changed))
}

/// Removes a deal.
///
/// # Errors
/// [`Error::PreconditionFailed`] when the row has another version.
pub async fn delete(change: &mut Change, deal: Deal) -> Result<Written<Deal>, Error> {
    let sql = "DELETE FROM deals WHERE id = $1 AND version = $2";
    let query = sqlx::query(sql).bind(&deal.id).bind(deal.version);
    if query.execute(change.statement()).await?.rows_affected() == 0 {
        return Err(Error::PreconditionFailed);
    }
    let changed = cache::removed(&deal);
    Ok(Written::new(deal, changed))
}

impl Record for DealView {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "title",
        "stage",
        "value",
        "currency",
        "engaged_on",
        "closed_on",
        "contact",
        "product",
        "owner",
        "created_at",
    ];

    fn cells(&self) -> Vec<String> {
        let day = |day: Option<Day>| day.map_or_else(String::new, |day| day.to_string());
        let name =
            |named: &Option<Named>| named.as_ref().map_or_else(String::new, |named| named.name.clone());
        let decimal = |cents: i64| format!("{}.{:02}", cents / 100, cents % 100); // never negative
        vec![
            self.id.to_string(),
            self.title.clone(),
            self.stage.to_string(),
            decimal(self.value_cents),
            self.currency.clone(),
            day(self.engaged_on),
            day(self.closed_on),
            name(&self.contact),
            name(&self.product),
            name(&self.owner),
            self.created_at.to_string(),
        ]
    }

    fn id(&self) -> &str {
        self.id.as_str()
    }
}
