//! The SQL of analytics: sums over the deals of a company.

use super::cache;
use super::model::{MonthRow, Ranked, StageRow};
use crate::caller::CompanyId;
use crate::caller::UserId;
use crate::database::{Change, Statements};
use crate::error::Error;
use crate::time::{Day, Moment};
use crate::written::Written;
use larder::Invalidation;

/// How many of the best are ranked.
const BEST: i64 = 5;

/// The sums of each stage of a company that has deals.
pub(super) async fn stages(
    statements: &mut impl Statements,
    company: &CompanyId,
) -> Result<Vec<StageRow>, Error> {
    let sql = "SELECT stage, COUNT(*) AS deals, CAST(SUM(value_cents) AS BIGINT) AS value_cents, \
               CAST(COALESCE(SUM(cycle_days), 0) AS BIGINT) AS cycle_days \
               FROM deals WHERE company_id = $1 GROUP BY stage";
    Ok(sqlx::query_as(sql).bind(company).fetch_all(statements.statement()).await?)
}

/// The sums of each stage of an owner that has deals.
pub(super) async fn stages_of_owner(
    statements: &mut impl Statements,
    company: &CompanyId,
    owner: &UserId,
) -> Result<Vec<StageRow>, Error> {
    let sql = "SELECT stage, COUNT(*) AS deals, CAST(SUM(value_cents) AS BIGINT) AS value_cents, \
               CAST(COALESCE(SUM(cycle_days), 0) AS BIGINT) AS cycle_days \
               FROM deals WHERE company_id = $1 AND owner_id = $2 GROUP BY stage";
    Ok(sqlx::query_as(sql).bind(company).bind(owner).fetch_all(statements.statement()).await?)
}

/// What happened in each month, ordered by month.
pub(super) async fn months(
    statements: &mut impl Statements,
    company: &CompanyId,
) -> Result<Vec<MonthRow>, Error> {
    let sql = "SELECT SUBSTR(engaged_on, 1, 7) AS month, 'opened' AS what, COUNT(*) AS deals, \
               CAST(SUM(value_cents) AS BIGINT) AS value_cents \
               FROM deals WHERE company_id = $1 AND engaged_on IS NOT NULL GROUP BY SUBSTR(engaged_on, 1, 7) \
               UNION ALL \
               SELECT SUBSTR(closed_on, 1, 7), stage, COUNT(*), CAST(SUM(value_cents) AS BIGINT) \
               FROM deals WHERE company_id = $1 AND closed_on IS NOT NULL \
               GROUP BY SUBSTR(closed_on, 1, 7), stage ORDER BY month";
    Ok(sqlx::query_as(sql).bind(company).fetch_all(statements.statement()).await?)
}

/// The users who won most since a month.
pub(super) async fn best_users(
    statements: &mut impl Statements,
    company: &CompanyId,
    since_month: &str,
) -> Result<Vec<Ranked>, Error> {
    let sql = "SELECT u.id, u.name, COUNT(*) AS won, CAST(SUM(d.value_cents) AS BIGINT) AS revenue_cents \
               FROM deals d JOIN users u ON u.id = d.owner_id \
               WHERE d.company_id = $1 AND d.stage = 'won' AND d.closed_on >= $2 \
               GROUP BY u.id, u.name ORDER BY revenue_cents DESC, u.id LIMIT $3";
    let query = sqlx::query_as(sql).bind(company).bind(since_month).bind(BEST);
    Ok(query.fetch_all(statements.statement()).await?)
}

/// The products that brought most since a month.
pub(super) async fn best_products(
    statements: &mut impl Statements,
    company: &CompanyId,
    since_month: &str,
) -> Result<Vec<Ranked>, Error> {
    let sql = "SELECT p.id, p.name, COUNT(*) AS won, CAST(SUM(d.value_cents) AS BIGINT) AS revenue_cents \
               FROM deals d JOIN products p ON p.id = d.product_id \
               WHERE d.company_id = $1 AND d.stage = 'won' AND d.closed_on >= $2 \
               GROUP BY p.id, p.name ORDER BY revenue_cents DESC, p.id LIMIT $3";
    let query = sqlx::query_as(sql).bind(company).bind(since_month).bind(BEST);
    Ok(query.fetch_all(statements.statement()).await?)
}

/// What the dashboard shows of one month.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct ThisMonth {
    pub(super) opened: i64,
    pub(super) won: i64,
    pub(super) won_value_cents: i64,
    pub(super) lost: i64,
}

/// What has happened in a month, from its first day until before the first of the next: dates may lie in the future.
pub(super) async fn month(
    statements: &mut impl Statements,
    company: &CompanyId,
    first: Day,
    next: Day,
) -> Result<ThisMonth, Error> {
    let sql = "SELECT (SELECT COUNT(*) FROM deals \
                       WHERE company_id = $1 AND engaged_on >= $2 AND engaged_on < $3) AS opened, \
               COALESCE(SUM(CASE stage WHEN 'won' THEN 1 ELSE 0 END), 0) AS won, \
               CAST(COALESCE(SUM(value_cents), 0) AS BIGINT) AS won_value_cents, \
               COALESCE(SUM(CASE stage WHEN 'lost' THEN 1 ELSE 0 END), 0) AS lost \
               FROM deals WHERE company_id = $1 AND closed_on >= $2 AND closed_on < $3";
    let query = sqlx::query_as(sql).bind(company).bind(first).bind(next);
    Ok(query.fetch_one(statements.statement()).await?)
}

/// How many open deals nobody has touched since a moment.
pub(super) async fn untouched_since(
    statements: &mut impl Statements,
    company: &CompanyId,
    moment: Moment,
) -> Result<i64, Error> {
    let sql = "SELECT COUNT(*) FROM deals WHERE company_id = $1 AND stage IN ('prospecting', 'engaging') \
               AND updated_at_ms < $2";
    Ok(sqlx::query_scalar(sql).bind(company).bind(moment).fetch_one(statements.statement()).await?)
}

/// That the months of a company are to be made anew.
pub(super) fn months_end(company: &CompanyId) -> Written<()> {
    Written::new((), cache::months_ended(company))
}

/// Claims the job until then, if it is due and nobody has it.
pub(super) async fn claim(
    change: &mut Change,
    now: Moment,
    until: Moment,
) -> Result<Option<Written<()>>, Error> {
    let sql = "UPDATE jobs SET claimed_until_ms = $2 \
               WHERE name = 'analytics' AND next_at_ms <= $1 AND claimed_until_ms <= $1";
    let claimed = sqlx::query(sql).bind(now).bind(until).execute(change.statement()).await?;
    Ok((claimed.rows_affected() > 0).then(|| Written::new((), Invalidation::new())))
}

/// Says that the job is done, and due again then.
pub(super) async fn done(change: &mut Change, next: Moment) -> Result<Written<()>, Error> {
    let sql = "UPDATE jobs SET next_at_ms = $1, claimed_until_ms = 0 WHERE name = 'analytics'";
    sqlx::query(sql).bind(next).execute(change.statement()).await?;
    Ok(Written::new((), Invalidation::new()))
}
