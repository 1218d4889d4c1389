//! The dashboard of a company: where it stands, and plots of its pipeline and of its months.

use super::plot::{self, Column};
use super::shown::Shown;
use super::visit::{Place, Visit, read};
use super::words::{capital, count, counted, minute, money, per_cent};
use crate::analytics::{self, Dashboard, Month, Monthly, Pipeline, Ranked};
use crate::app::App;
use crate::error::Error;
use crate::http::params::NoParams;
use maud::{Markup, html};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Months that are plotted.
const MONTHS: usize = 12;

/// The dashboard.
#[utoipa::path(get, path = "/dashboard", tag = "pages")]
async fn show(visit: Visit, _none: NoParams) -> Result<Shown, Error> {
    let (app, caller) = (&visit.app, &visit.caller);
    let (numbers, pipeline, monthly) = tokio::try_join!(
        analytics::dashboard(app, caller, &caller.company),
        analytics::pipeline(app, caller, &caller.company),
        analytics::monthly(app, caller, &caller.company)
    )?;
    visit.answer(Place::Dashboard, "Dashboard", &[&numbers, &pipeline, &monthly], || {
        let monthly: Monthly = read(&monthly)?;
        Ok(html! {
            div.head { h1 { "Dashboard" } }
            (tiles(&read(&numbers)?))
            div.two { (stages(&read(&pipeline)?)) (months(&monthly)) }
            div.two {
                (best("best-users", "Who won most", &monthly.best_users, &monthly))
                (best("best-products", "What brought most", &monthly.best_products, &monthly))
            }
        })
    })
}

fn tiles(numbers: &Dashboard) -> Markup {
    let money = |cents| money(cents, &numbers.currency);
    let tiles = [
        ("open-deals", "Open deals", counted(numbers.open_deals)),
        ("open-value", "Worth together", money(numbers.open_value_cents)),
        ("won", "Won this month", counted(numbers.won_this_month)),
        ("won-value", "Revenue this month", money(numbers.won_value_this_month_cents)),
        ("lost", "Lost this month", counted(numbers.lost_this_month)),
        ("opened", "Opened this month", counted(numbers.opened_this_month)),
        ("stale", "Open and untouched for long", counted(numbers.stale_deals)),
        ("contacts", "Contacts", counted(numbers.contacts)),
    ];
    html! {
        dl.tiles { @for (id, name, number) in tiles { div { dt { (name) } dd id=(id) { (number) } } } }
    }
}

fn stages(pipeline: &Pipeline) -> Markup {
    let most = pipeline.stages.iter().map(|stage| stage.value_cents).max().unwrap_or(0).max(1);
    let results = &pipeline.results;
    html! {
        section.box aria-labelledby="pipeline" {
            h2 #pipeline { "Pipeline" }
            table.bars {
                thead { tr { th scope="col" { "Stage" } th scope="col" { span.hide { "Plot" } } th.number scope="col" { "Deals" } th.number scope="col" { "Value" } } }
                tbody {
                    @for stage in &pipeline.stages {
                        tr {
                            td { (capital(stage.stage.word())) }
                            td { (plot::bar(stage.value_cents as f64 / most as f64, "bar")) }
                            td.number { (counted(stage.count)) }
                            td.number { (money(stage.value_cents, &pipeline.currency)) }
                        }
                    }
                }
            }
            dl.facts {
                @if let Some(rate) = results.win_rate { dt { "Won among closed" } dd { (per_cent(rate)) } }
                @if let Some(value) = results.average_won_value_cents { dt { "A won deal is worth" } dd { (money(value, &pipeline.currency)) } }
                @if let Some(days) = results.average_cycle_days { dt { "It takes" } dd { (days) " days" } }
            }
        }
    }
}

fn months(monthly: &Monthly) -> Markup {
    let latest = &monthly.months[monthly.months.len().saturating_sub(MONTHS)..];
    let highest = latest.iter().map(|month| month.revenue_cents).max().unwrap_or(0);
    let columns: Vec<Column> = latest
        .iter()
        .map(|month| Column {
            name: month.month.get(2..).unwrap_or_default().replace('-', "/"),
            words: format!("{}: {}", month.month, money(month.revenue_cents, &monthly.currency)),
            value: month.revenue_cents as f64,
        })
        .collect();
    html! {
        section.box aria-labelledby="months" {
            h2 #months { "Revenue by month, in " (monthly.currency) }
            @if latest.is_empty() { p.soft { "Nothing has happened yet." } }
            @else { (plot::columns("Revenue by month", &columns, &rounded(highest))) }
            (month_table(latest, &monthly.currency))
            form method="post" action="/dashboard/refresh" {
                p.soft {
                    (as_of(monthly)) ". "
                    button.plain { "Add it up now" }
                }
            }
        }
    }
}

/// An amount in few letters: `950`, `12k`, `3.4M`.
fn rounded(cents: i64) -> String {
    let units = cents as f64 / 100.0;
    match units {
        ..1e3 => format!("{units:.0}"),
        1e3..1e4 => format!("{:.1}k", units / 1e3),
        1e4..1e6 => format!("{:.0}k", units / 1e3),
        1e6..1e7 => format!("{:.1}M", units / 1e6),
        _ => format!("{}M", count((units / 1e6) as u64)),
    }
}

fn month_table(months: &[Month], currency: &str) -> Markup {
    html! {
        details {
            summary { "The numbers" }
            table {
                thead { tr { th scope="col" { "Month" } th.number scope="col" { "Opened" } th.number scope="col" { "Won" } th.number scope="col" { "Lost" } th.number scope="col" { "Revenue" } } }
                tbody {
                    @for month in months.iter().rev() {
                        tr {
                            td { (month.month) }
                            td.number { (counted(month.opened)) }
                            td.number { (counted(month.won)) }
                            td.number { (counted(month.lost)) }
                            td.number { (money(month.revenue_cents, currency)) }
                        }
                    }
                }
            }
        }
    }
}

fn best(id: &str, title: &str, ranked: &[Ranked], monthly: &Monthly) -> Markup {
    let currency = &monthly.currency;
    let most = ranked.iter().map(|one| one.revenue_cents).max().unwrap_or(0).max(1);
    html! {
        section.box aria-labelledby=(id) {
            h2 id=(id) { (title) }
            table.bars {
                thead { tr { th scope="col" { "Name" } th scope="col" { span.hide { "Plot" } } th.number scope="col" { "Won" } th.number scope="col" { "Revenue" } } }
                tbody {
                    @for one in ranked {
                        tr {
                            td { (one.name) }
                            td { (plot::bar(one.revenue_cents as f64 / most as f64, "bar-2")) }
                            td.number { (counted(one.won)) }
                            td.number { (money(one.revenue_cents, currency)) }
                        }
                    }
                }
            }
            p.soft { (as_of(monthly)) "." }
        }
    }
}

/// How old the numbers of months are, and may be.
fn as_of(monthly: &Monthly) -> String {
    let most = monthly.freshness.max_age_seconds / 60;
    format!("As of {}; at most {most} minutes behind", minute(monthly.computed_at))
}

/// Adds the months up anew.
#[utoipa::path(post, path = "/dashboard/refresh", tag = "pages")]
async fn refresh(visit: Visit) -> Result<Shown, Error> {
    analytics::refresh(&visit.app, &visit.caller, &visit.caller.company).await?;
    Ok(Shown::at("/dashboard"))
}

/// The routes.
pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(show)).routes(routes!(refresh))
}

#[cfg(test)]
mod tests {
    use super::rounded;

    #[test]
    fn the_height_of_a_plot_is_written_in_few_letters() {
        let amounts = [0, 95_000, 123_400, 1_234_500, 99_900_000, 340_000_000, 250_000_000_000];
        assert_eq!(amounts.map(rounded), ["0", "950", "1.2k", "12k", "999k", "3.4M", "2,500M"]);
    }
}
