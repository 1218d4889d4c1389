//! What can be asked of analytics, and the refresh of its months.

use super::model::{self, Dashboard, Freshness, Monthly, Pipeline, UserStats};
use super::{cache, store};
use crate::app::{App, Whose};
use crate::caller::{Caller, CompanyId, UserId};
use crate::companies;
use crate::contacts;
use crate::database::Snapshot;
use crate::deals::Stage;
use crate::error::Error;
use crate::time::{Day, Moment};
use crate::users;
use larder::Policy;
use larder_axum::Body;
use larder_axum::Served;

/// The pipeline of a company, as its users see it.
pub(super) async fn pipeline(app: &App, caller: &Caller, company: &CompanyId) -> Result<Served, Error> {
    caller.within(company, "company")?;
    load_pipeline(app, company).await
}

/// The pipeline of a company, whoever asks.
///
/// # Errors
/// [`Error::NotFound`] when there is no such company; what the database reports.
///
/// # Cancel safety
/// As [`App::read`].
pub async fn load_pipeline(app: &App, company: &CompanyId) -> Result<Served, Error> {
    let whose = Whose::Of(company.as_str());
    app.read(cache::PIPELINE.key(company), cache::pipeline_policy(company), whose, async |mut snapshot| {
        let currency = companies::require(&mut snapshot, company).await?.currency;
        let rows = store::stages(&mut snapshot, company).await?;
        Ok(Body::of(company, &Pipeline::of(company.clone(), currency, &rows))?)
    })
    .await
}

/// What one user has in hand and has achieved.
pub(super) async fn user_stats(app: &App, caller: &Caller, user: &UserId) -> Result<Served, Error> {
    users::within(app, caller, user).await?;
    let company = &caller.company;
    let key = cache::USER_STATS.key(&(user.clone(), company.clone()));
    let whose = Whose::Of(company.as_str());
    app.read(key, cache::user_stats_policy(user), whose, async |mut snapshot| {
        let currency = companies::require(&mut snapshot, company).await?.currency;
        let rows = store::stages_of_owner(&mut snapshot, company, user).await?;
        let Pipeline { company_id, currency, stages, results } =
            Pipeline::of(company.clone(), currency, &rows);
        let stats = UserStats { user_id: user.clone(), company_id, currency, stages, results };
        Ok(Body::of(company, &stats)?)
    })
    .await
}

/// The months of a company, up to an hour behind the deals.
pub(super) async fn monthly(app: &App, caller: &Caller, company: &CompanyId) -> Result<Served, Error> {
    caller.within(company, "company")?;
    let whose = Whose::Of(company.as_str());
    app.read(cache::MONTHLY.key(company), Policy::new(), whose, async |snapshot| {
        load_monthly(snapshot, company).await
    })
    .await
}

async fn load_monthly(mut snapshot: Snapshot, company: &CompanyId) -> Result<Body, Error> {
    let currency = companies::require(&mut snapshot, company).await?.currency;
    let months = model::months(&store::months(&mut snapshot, company).await?);
    let since = months.first().map_or("", |month| month.month.as_str());
    let best_users = store::best_users(&mut snapshot, company, since).await?;
    let best_products = store::best_products(&mut snapshot, company, since).await?;
    let freshness = Freshness { promise: "bounded", max_age_seconds: cache::monthly_max_age_seconds() };
    let company_id = company.clone();
    Ok(Body::of(company, &Monthly { company_id, currency, freshness, months, best_users, best_products })?)
}

/// Ends the lifetime of the months of a company, and makes them anew.
pub(super) async fn refresh(app: &App, caller: &Caller, company: &CompanyId) -> Result<Served, Error> {
    caller.within(company, "company")?;
    app.cache.delete(cache::MONTHLY.key(company)).await;
    monthly(app, caller, company).await
}

/// The numbers on a company's first page.
pub(super) async fn dashboard(app: &App, caller: &Caller, company: &CompanyId) -> Result<Served, Error> {
    caller.within(company, "company")?;
    let today = Day::today();
    let policy = cache::dashboard_policy(company, today);
    let whose = Whose::Of(company.as_str());
    app.read(cache::DASHBOARD.key(company), policy, whose, async |snapshot| {
        load_dashboard(snapshot, company, today).await
    })
    .await
}

async fn load_dashboard(mut snapshot: Snapshot, company: &CompanyId, today: Day) -> Result<Body, Error> {
    let details = companies::require(&mut snapshot, company).await?;
    let stages = store::stages(&mut snapshot, company).await?;
    let open = || stages.iter().filter(|row| !Stage::is_closed(row.stage));
    let (first, next) = (today.first_of_month(), today.first_of_next_month());
    let month = store::month(&mut snapshot, company, first, next).await?;
    let untouched = Moment::noon_of(today.plus_days(-details.settings.stale_after_days));
    let dashboard = Dashboard {
        company_id: company.clone(),
        currency: details.currency,
        month: today.month(),
        contacts: contacts::count(&mut snapshot, company).await?,
        active_users: users::count_active(&mut snapshot, company).await?,
        open_deals: open().map(|row| row.deals).sum(),
        open_value_cents: open().map(|row| row.value_cents).sum(),
        stale_deals: store::untouched_since(&mut snapshot, company, untouched).await?,
        opened_this_month: month.opened,
        won_this_month: month.won,
        won_value_this_month_cents: month.won_value_cents,
        lost_this_month: month.lost,
    };
    Ok(Body::of(company, &dashboard)?)
}
