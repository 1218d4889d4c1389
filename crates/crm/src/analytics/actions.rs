//! What can be asked of analytics, and the refresh of its months.

use super::model::{self, Dashboard, Freshness, Monthly, Pipeline, UserStats};
use super::{cache, store};
use crate::app::{App, Whose};
use crate::caller::{Caller, CompanyId, UserId};
use crate::companies;
use crate::config::Schedule;
use crate::contacts;
use crate::database::Snapshot;
use crate::deals::Stage;
use crate::error::Error;
use crate::time::{Day, Moment};
use crate::users;
use larder::Policy;
use larder_axum::Body;
use larder_axum::Served;
use std::sync::Arc;
use std::time::Duration;

/// How long the job may take before another process takes it over: many times what a million deals take.
const CLAIM: Duration = Duration::from_secs(15 * 60);

/// The pipeline of a company, as its users see it.
///
/// # Errors
/// [`Error::NotFound`] when there is no such company for the caller; what the database reports.
///
/// # Cancel safety
/// As [`App::read`].
pub async fn pipeline(app: &App, caller: &Caller, company: &CompanyId) -> Result<Served, Error> {
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
    app.read(
        cache::PIPELINE.key(company),
        cache::pipeline_policy(company),
        whose,
        async |mut snapshot: Snapshot| {
            let currency = companies::require(&mut snapshot, company).await?.currency;
            let rows = store::stages(&mut snapshot, company).await?;
            Ok(Body::of(company, &Pipeline::of(company.clone(), currency, &rows))?)
        },
    )
    .await
}

/// What one user has in hand and has achieved.
pub(super) async fn user_stats(app: &App, caller: &Caller, user: &UserId) -> Result<Served, Error> {
    users::within(app, caller, user).await?;
    let company = &caller.company;
    let key = cache::USER_STATS.key(&(user.clone(), company.clone()));
    let whose = Whose::Of(company.as_str());
    app.read(key, cache::user_stats_policy(user), whose, async |mut snapshot: Snapshot| {
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
///
/// # Errors
/// [`Error::NotFound`] when there is no such company for the caller; what the database reports.
///
/// # Cancel safety
/// As [`App::read`].
pub async fn monthly(app: &App, caller: &Caller, company: &CompanyId) -> Result<Served, Error> {
    caller.within(company, "company")?;
    load_months(app, company).await
}

async fn load_months(app: &App, company: &CompanyId) -> Result<Served, Error> {
    let whose = Whose::Of(company.as_str());
    app.read(cache::MONTHLY.key(company), Policy::new(), whose, async |snapshot: Snapshot| {
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
    let freshness =
        Freshness { promise: "bounded".into(), max_age_seconds: cache::monthly_max_age_seconds() };
    let (company_id, computed_at) = (company.clone(), Moment::now());
    Ok(Body::of(
        company,
        &Monthly { company_id, currency, freshness, computed_at, months, best_users, best_products },
    )?)
}

/// Ends the lifetime of the months of a company, in every process, and makes them anew.
///
/// # Errors
/// [`Error::NotFound`] when there is no such company for the caller; what the database reports.
///
/// # Cancel safety
/// As [`App::finish`].
pub async fn refresh(app: &Arc<App>, caller: &Caller, company: &CompanyId) -> Result<Served, Error> {
    caller.within(company, "company")?;
    let (owned, of) = (Arc::clone(app), company.clone());
    app.finish(async move { end_months(&owned, &of).await }).await?;
    monthly(app, caller, company).await
}

async fn end_months(app: &App, company: &CompanyId) -> Result<(), Error> {
    let change = app.database.change().await?;
    app.commit(change, store::months_end(company)).await?;
    Ok(())
}

/// Makes the months of all companies anew, if that is due and no other process is at it. Answers of how many.
///
/// # Errors
/// What the database reports. The job is due again then, when its claim has run out.
///
/// # Cancel safety
/// Dropped early, some are made anew and others are not; it is due again when its claim has run out.
pub async fn run_if_due(app: &Arc<App>, schedule: Schedule) -> Result<Option<usize>, Error> {
    let now = Moment::now();
    let Some(every) = schedule.every() else { return Ok(None) };
    let mut change = app.database.change().await?;
    let claimed = store::claim(&mut change, now, now.plus(CLAIM)).await;
    let claimed = match claimed {
        Ok(Some(claimed)) => app.commit(change, claimed).await,
        Ok(None) => return Ok(None),
        Err(error) => Err(error),
    };
    match claimed {
        Err(Error::PreconditionFailed) => return Ok(None), // another process was quicker
        claimed => claimed?,
    };
    let ids = companies::ids(&mut app.database.snapshot().await?).await?;
    for company in &ids {
        end_months(app, company).await?;
        load_months(app, company).await?;
    }
    let mut change = app.database.change().await?;
    let done = store::done(&mut change, now.next_whole(every)).await?;
    app.commit(change, done).await?;
    Ok(Some(ids.len()))
}

/// The numbers on a company's first page.
///
/// # Errors
/// [`Error::NotFound`] when there is no such company for the caller; what the database reports.
///
/// # Cancel safety
/// As [`App::read`].
pub async fn dashboard(app: &App, caller: &Caller, company: &CompanyId) -> Result<Served, Error> {
    caller.within(company, "company")?;
    let today = Day::today();
    let policy = cache::dashboard_policy(company, today);
    let whose = Whose::Of(company.as_str());
    app.read(cache::DASHBOARD.key(company), policy, whose, async |snapshot: Snapshot| {
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
