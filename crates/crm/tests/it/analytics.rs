//! Pipelines, months, statistics of users and the dashboard over HTTP.

use crate::running::{Data, Running};
use crm::analytics;
use crm::config::{Schedule, Switch};
use crm::database::Statements;
use crm::written::Bulk;
use reqwest::StatusCode;
use serde_json::{Value, json};

async fn deals(server: &Running, company: &str, query: &str) -> Vec<Value> {
    let path = format!("/api/companies/{company}/deals?per_page=200{query}");
    server.get(&path).await.json()["items"].as_array().unwrap().clone()
}

fn sum(deals: &[Value], stage: &str) -> (i64, i64) {
    let of_stage = deals.iter().filter(|deal| deal["stage"] == stage);
    of_stage.fold((0, 0), |(count, cents), deal| (count + 1, cents + deal["value_cents"].as_i64().unwrap()))
}

#[test]
fn the_pipeline_adds_up_to_its_deals() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let company = server.company().await;
        let deals = deals(&server, &company, "").await;
        let pipeline = server.get(&format!("/api/companies/{company}/pipeline")).await.json();
        for (index, stage) in ["prospecting", "engaging", "won", "lost"].iter().enumerate() {
            let (count, value_cents) = sum(&deals, stage);
            let expected = json!({"stage": stage, "count": count, "value_cents": value_cents});
            assert_eq!(pipeline["stages"][index], expected);
        }
        let ((won, cents), (lost, _)) = (sum(&deals, "won"), sum(&deals, "lost"));
        let rate = f64::from(u32::try_from(won).unwrap()) / f64::from(u32::try_from(won + lost).unwrap());
        assert!((pipeline["win_rate"].as_f64().unwrap() - rate).abs() < 0.000_051);
        assert_eq!(pipeline["average_won_value_cents"], (cents * 2 + won) / (won * 2));
    });
}

#[test]
fn the_users_of_a_company_add_up_to_its_pipeline() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let company = server.company().await;
        let users = server.get(&format!("/api/companies/{company}/users")).await.json();
        let mut counts = [0; 4];
        for user in users["items"].as_array().unwrap() {
            let path = format!("/api/users/{}/stats", user["id"].as_str().unwrap());
            let stats = server.get(&path).await.json();
            for (index, count) in counts.iter_mut().enumerate() {
                *count += stats["stages"][index]["count"].as_i64().unwrap();
            }
        }
        let pipeline = server.get(&format!("/api/companies/{company}/pipeline")).await.json();
        for (index, count) in counts.iter().enumerate() {
            assert_eq!(pipeline["stages"][index]["count"], *count);
        }
    });
}

#[test]
fn the_months_lag_behind_as_they_say_until_they_are_refreshed() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let company = server.company().await;
        let path = format!("/api/companies/{company}/analytics/monthly");
        let before = server.get(&path).await;
        assert_eq!(before.json()["freshness"], json!({"promise": "bounded", "max_age_seconds": 3600}));
        let won: i64 =
            before.json()["months"].as_array().unwrap().iter().filter_map(|m| m["won"].as_i64()).sum();
        assert_eq!(won, sum(&deals(&server, &company, "").await, "won").0);

        let day = crm::time::Day::today().to_string();
        let new =
            json!({"title": "t", "stage": "won", "engaged_on": day, "closed_on": day, "value_cents": 7});
        let created = server.post(&format!("/api/companies/{company}/deals"), &new).await;
        assert_eq!(created.status, StatusCode::CREATED);
        assert_eq!(server.get(&path).await.text, before.text);
        let refresh = format!("/api/companies/{company}/analytics/refresh");
        let refreshed = server.send(reqwest::Method::POST, &refresh, None, &[]).await;
        assert_eq!(refreshed.header("x-cache"), "miss");
        assert_ne!(refreshed.text, before.text);
        let after = server.get(&path).await;
        assert_eq!((after.text.as_str(), after.header("x-cache")), (refreshed.text.as_str(), "hit-local"));
    });
}

#[test]
fn the_dashboard_counts_what_the_lists_show() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let company = server.company().await;
        let dashboard = server.get(&format!("/api/companies/{company}/dashboard")).await.json();
        let deals = deals(&server, &company, "").await;
        let ((engaging, value), (prospecting, more)) = (sum(&deals, "engaging"), sum(&deals, "prospecting"));
        assert_eq!(dashboard["open_deals"], engaging + prospecting);
        assert_eq!(dashboard["open_value_cents"], value + more);
        let month = crm::time::Day::today().month();
        assert_eq!(dashboard["month"], month);
        let this_month = |field: &str, stage: &str| {
            deals
                .iter()
                .filter(|deal| stage.is_empty() || deal["stage"] == stage)
                .filter(|deal| deal[field].as_str().is_some_and(|day| day.starts_with(&month)))
                .count()
        };
        assert_eq!(dashboard["opened_this_month"], this_month("engaged_on", ""));
        assert_eq!(dashboard["won_this_month"], this_month("closed_on", "won"));
        assert_eq!(dashboard["lost_this_month"], this_month("closed_on", "lost"));
        let contacts = server.get(&format!("/api/companies/{company}/contacts")).await.json();
        assert_eq!(dashboard["contacts"], contacts["total"]);
    });
}

#[test]
fn what_is_dated_after_this_month_is_not_counted_in_it() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let company = server.company().await;
        let path = format!("/api/companies/{company}/dashboard");
        let before = server.get(&path).await.json();
        let next_month = crm::time::Day::today().first_of_next_month().to_string();
        for stage in ["won", "lost"] {
            let new =
                json!({"title": "t", "stage": stage, "engaged_on": next_month, "closed_on": next_month});
            let created = server.post(&format!("/api/companies/{company}/deals"), &new).await;
            assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
        }
        assert_eq!(server.get(&path).await.json(), before);
    });
}

#[test]
fn one_process_adds_the_months_up_anew_when_that_is_due_and_all_show_it() {
    testkit::run(async {
        let data = Data::demo().await;
        let (one, other) = (data.serve(Switch::On).await, data.serve(Switch::On).await);
        let path = format!("/api/companies/{}/analytics/monthly", one.company().await);
        let computed = async |server: &Running| server.get_latest(&path).await.json()["computed_at"].clone();
        let before = (computed(&one).await, computed(&other).await);
        assert_eq!(analytics::run_if_due(&one.app, Schedule::Off).await.unwrap(), None);

        let runs = tokio::join!(
            analytics::run_if_due(&one.app, Schedule::Daily),
            analytics::run_if_due(&other.app, Schedule::Daily)
        );
        let ran: Vec<Option<usize>> = vec![runs.0.unwrap(), runs.1.unwrap()];
        assert!(ran.contains(&Some(3)) && ran.contains(&None), "{ran:?}");
        assert!(computed(&one).await != before.0 && computed(&other).await != before.1);
        assert_eq!(analytics::run_if_due(&one.app, Schedule::Daily).await.unwrap(), None, "it is done");

        let execute = async |sql: &'static str| {
            let mut change = data.database.change().await.unwrap();
            sqlx::query(sql).execute(change.statement()).await.unwrap();
            change.commit_bulk(Bulk::new()).await.unwrap();
        };
        execute("UPDATE jobs SET next_at_ms = 0, claimed_until_ms = 99999999999999").await;
        assert_eq!(analytics::run_if_due(&one.app, Schedule::Daily).await.unwrap(), None, "another has it");
        execute("UPDATE jobs SET claimed_until_ms = 1").await;
        assert_eq!(analytics::run_if_due(&one.app, Schedule::Daily).await.unwrap(), Some(3), "and is gone");
    });
}
