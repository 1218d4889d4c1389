//! What is reported, and the arithmetic of it: whole numbers from the database, shares and averages rounded once, here.

use crate::caller::CompanyId;
use crate::caller::UserId;
use crate::deals::Stage;
use crate::time::Moment;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Most months of a monthly report: three years, the latest in which something happened.
pub const MAX_MONTHS: usize = 36;

/// Count and value of the deals of one stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StageSum {
    /// The stage.
    pub stage: Stage,
    /// How many deals are in it.
    pub count: i64,
    /// What they are worth together.
    pub value_cents: i64,
}

/// What closed deals say about how well selling goes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Results {
    /// Won among won and lost deals, from 0 to 1, to four decimals; nothing while no deal is closed.
    pub win_rate: Option<f64>,
    /// What a won deal is worth on average, rounded half up; nothing while none is won.
    pub average_won_value_cents: Option<i64>,
    /// Days from engage date to close date of a won deal on average, to one decimal; nothing while none is won.
    pub average_cycle_days: Option<f64>,
}

/// The sums of one stage as the database adds them up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct StageRow {
    /// The stage.
    pub stage: Stage,
    /// How many deals are in it.
    pub deals: i64,
    /// What they are worth together.
    pub value_cents: i64,
    /// The days that the closed ones took, together.
    pub cycle_days: i64,
}

impl Results {
    /// The results of these sums.
    #[must_use]
    pub fn of(rows: &[StageRow]) -> Self {
        let sums = |stage| rows.iter().find(|row| row.stage == stage);
        let won = sums(Stage::Won).filter(|row| row.deals > 0);
        let lost = sums(Stage::Lost).map_or(0, |row| row.deals);
        Self {
            win_rate: win_rate(won.map_or(0, |row| row.deals), lost),
            average_won_value_cents: won.map(|row| divided(row.value_cents, row.deals)),
            average_cycle_days: won.map(|row| decimal(divided(row.cycle_days * 10, row.deals), 10.0)),
        }
    }
}

/// Won among won and lost, to four decimals.
fn win_rate(won: i64, lost: i64) -> Option<f64> {
    (won + lost > 0).then(|| decimal(divided(won * 10_000, won + lost), 10_000.0))
}

/// `sum / count`, rounded half up; both are never negative.
const fn divided(sum: i64, count: i64) -> i64 {
    (sum * 2 + count) / (count * 2)
}

/// Sums of days and shares are far below 2^53, up to where f64 is exact.
fn decimal(scaled: i64, scale: f64) -> f64 {
    scaled as f64 / scale
}

/// The pipeline of a company.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Pipeline {
    /// Whose it is.
    pub company_id: CompanyId,
    /// The currency of all values.
    pub currency: String,
    /// Every stage, in order, those without deals too.
    pub stages: Vec<StageSum>,
    /// What the closed deals say.
    #[serde(flatten)]
    pub results: Results,
}

impl Pipeline {
    /// The pipeline of these sums.
    #[must_use]
    pub fn of(company_id: CompanyId, currency: String, rows: &[StageRow]) -> Self {
        let stages = Stage::ALL.iter().map(|stage| {
            let row = rows.iter().find(|row| row.stage == *stage);
            StageSum {
                stage: *stage,
                count: row.map_or(0, |row| row.deals),
                value_cents: row.map_or(0, |row| row.value_cents),
            }
        });
        Self { company_id, currency, stages: stages.collect(), results: Results::of(rows) }
    }
}

/// What one user has in hand and has achieved.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct UserStats {
    /// Whose deals these are.
    pub user_id: UserId,
    /// In which company.
    pub company_id: CompanyId,
    /// The currency of all values.
    pub currency: String,
    /// Every stage, in order, those without deals too.
    pub stages: Vec<StageSum>,
    /// What the closed deals say.
    #[serde(flatten)]
    pub results: Results,
}

/// One month of a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Month {
    /// `YYYY-MM`.
    pub month: String,
    /// Deals engaged in it.
    pub opened: i64,
    /// Deals won in it.
    pub won: i64,
    /// Deals lost in it.
    pub lost: i64,
    /// What the won deals are worth together.
    pub revenue_cents: i64,
    /// Won among won and lost deals.
    pub win_rate: Option<f64>,
}

/// Somebody or something, by what was won.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Ranked {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Deals won.
    pub won: i64,
    /// What they are worth together.
    pub revenue_cents: i64,
}

/// How fresh a report is promised to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Freshness {
    /// `bounded`: it may be older than the latest changes, but not by more than `max_age_seconds`.
    pub promise: Cow<'static, str>,
    /// The most that it may be out of date, in seconds; the `Age` header says how old it is.
    pub max_age_seconds: u64,
}

/// The months of a company. Of all that is served, this alone may lag behind the deals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Monthly {
    /// Whose it is.
    pub company_id: CompanyId,
    /// The currency of all values.
    pub currency: String,
    /// How fresh it is promised to be.
    pub freshness: Freshness,
    /// When it was added up.
    pub computed_at: Moment,
    /// The latest [`MAX_MONTHS`] in which something happened, from the earliest.
    pub months: Vec<Month>,
    /// The users who won most in these months, the best first.
    pub best_users: Vec<Ranked>,
    /// The products that brought most in these months, the best first.
    pub best_products: Vec<Ranked>,
}

/// What happened in one month, as the database adds it up.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(super) struct MonthRow {
    /// `YYYY-MM`.
    pub(super) month: String,
    /// `opened`, `won` or `lost`.
    pub(super) what: String,
    /// How many deals.
    pub(super) deals: i64,
    /// What they are worth together.
    pub(super) value_cents: i64,
}

/// The latest months of these rows, which come ordered by month.
#[must_use]
pub(super) fn months(rows: &[MonthRow]) -> Vec<Month> {
    let mut months: Vec<Month> = Vec::new();
    for rows in rows.chunk_by(|one, next| one.month == next.month) {
        let sum = |what: &str| rows.iter().find(|row| row.what == what);
        let count = |what| sum(what).map_or(0, |row| row.deals);
        months.push(Month {
            month: rows[0].month.clone(),
            opened: count("opened"),
            won: count("won"),
            lost: count("lost"),
            revenue_cents: sum("won").map_or(0, |row| row.value_cents),
            win_rate: win_rate(count("won"), count("lost")),
        });
    }
    months.split_off(months.len().saturating_sub(MAX_MONTHS))
}

/// The numbers on a company's first page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Dashboard {
    /// Whose they are.
    pub company_id: CompanyId,
    /// The currency of all values.
    pub currency: String,
    /// The month, `YYYY-MM` in UTC, that `…_this_month` is about.
    pub month: String,
    /// Contacts.
    pub contacts: i64,
    /// Users who may sign in.
    pub active_users: i64,
    /// Deals that are neither won nor lost.
    pub open_deals: i64,
    /// What they may be worth together.
    pub open_value_cents: i64,
    /// Open deals that nobody has touched for as many days as the company's settings say.
    pub stale_deals: i64,
    /// Deals engaged this month.
    pub opened_this_month: i64,
    /// Deals won this month.
    pub won_this_month: i64,
    /// What they are worth together.
    pub won_value_this_month_cents: i64,
    /// Deals lost this month.
    pub lost_this_month: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(stage: Stage, deals: i64, value_cents: i64, cycle_days: i64) -> StageRow {
        StageRow { stage, deals, value_cents, cycle_days }
    }

    #[test]
    fn averages_are_of_won_deals_and_rounded_half_up() {
        let rows = [row(Stage::Won, 2, 5, 7), row(Stage::Lost, 1, 0, 100), row(Stage::Engaging, 9, 900, 0)];
        let results = Results::of(&rows);
        assert_eq!(results.win_rate, Some(0.6667));
        assert_eq!(results.average_won_value_cents, Some(3));
        assert_eq!(results.average_cycle_days, Some(3.5));
    }

    #[test]
    fn without_closed_deals_there_is_no_rate_and_no_average() {
        let pipeline =
            Pipeline::of(CompanyId::named("c"), "EUR".to_owned(), &[row(Stage::Prospecting, 1, 7, 0)]);
        let none = Results { win_rate: None, average_won_value_cents: None, average_cycle_days: None };
        assert_eq!(pipeline.results, none);
        assert_eq!(pipeline.stages.len(), 4);
        assert_eq!(pipeline.stages[0].count, 1);
    }

    #[test]
    fn only_lost_deals_are_a_rate_of_zero() {
        assert_eq!(Results::of(&[row(Stage::Lost, 4, 0, 4)]).win_rate, Some(0.0));
    }

    #[test]
    fn the_rows_of_a_month_become_one_and_the_latest_stay() {
        let mut rows: Vec<MonthRow> = (0..MAX_MONTHS + 3)
            .map(|number| MonthRow {
                month: format!("{:04}-{:02}", 2020 + number / 12, number % 12 + 1),
                what: "opened".to_owned(),
                deals: 1,
                value_cents: 0,
            })
            .collect();
        let last = rows[rows.len() - 1].month.clone();
        let won = MonthRow { month: last.clone(), what: "won".to_owned(), deals: 3, value_cents: 30 };
        let lost = MonthRow { month: last.clone(), what: "lost".to_owned(), deals: 1, value_cents: 0 };
        rows.extend([won, lost]);
        let months = months(&rows);
        assert_eq!((months.len(), months[0].month.as_str()), (MAX_MONTHS, "2020-04"));
        let expected =
            Month { month: last, opened: 1, won: 3, lost: 1, revenue_cents: 30, win_rate: Some(0.75) };
        assert_eq!(months.last(), Some(&expected));
    }
}
