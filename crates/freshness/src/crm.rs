//! The CRM as what is checked: servers of it, and what is asked of one. Its rows are deals; the title of a deal carries the nonce.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crm::app::App;
use crm::config::{Layer, Settings};
use crm::database::Database;
use crm::time::Day;
use crm::{demo, server};
use reqwest::header::{CACHE_CONTROL, HeaderMap};
use reqwest::{Client, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{AnyPool, Row};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::clock::patiently;
use crate::judge::Promise;
use crate::loader::{Failed, Loader, Value};
use crate::view::{Answer, View};

/// 20 seconds: more than the server gives a request itself, and less than whoever asks the process waits.
const LIMIT: Duration = Duration::from_secs(20);

/// With what the title of a deal begins that was changed.
const NONCE: &str = "nonce ";

/// Where a server has its Redis and its database.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) redis_url: String,
    pub(crate) database_url: String,
}

/// The life of a server, which answers each order with its address.
pub(crate) async fn serve(place: Place) -> Result<(), Box<dyn Error + Send + Sync>> {
    let (sender, address) = watch::channel(String::new());
    let serving = async {
        let (listener, app) = patiently(async || start(&place).await).await?;
        sender.send(listener.local_addr()?.to_string())?;
        server::serve(app, server::routes(), listener, std::future::pending()).await?;
        Ok(())
    };
    let orders = testkit::worker::serve(move |_order| {
        let mut address = address.clone();
        async move {
            let known = address.wait_for(|address| !address.is_empty()).await;
            known.map(|address| address.clone()).unwrap_or_default()
        }
    });
    tokio::select! {
        served = serving => served,
        () = orders => Ok(()),
    }
}

/// As `crm serve` does it.
async fn start(place: &Place) -> Result<(TcpListener, Arc<App>), Box<dyn Error + Send + Sync>> {
    let layer = Layer {
        database_url: Some(place.database_url.clone().into()),
        redis_url: Some(place.redis_url.clone().into()),
        ..Layer::default()
    };
    let settings = Settings::of(layer, Layer::default())?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let cache = server::cache(&settings, larder::Clock::system())?;
    let database = Database::open(&settings.database_url).await?;
    demo::fill(&database, Day::today()).await?;
    let outbox = database.tell(&cache).await?;
    server::reach(&cache).await;
    Ok((listener, App::new(database, cache, outbox, settings)))
}

/// One server, as its clients see it.
pub(crate) struct Crm {
    http: Client,
    url: String,
    deals: Vec<Deal>,
    pub(crate) hits: AtomicU64,
    /// Counts the answers that were loaded.
    pub(crate) loader: Arc<Loader>,
}

/// The deal that stands for a row.
struct Deal {
    id: String,
    company: String,
}

/// What a deal looks like in answers.
#[derive(Deserialize)]
struct Shown {
    id: String,
    title: String,
    version: u64,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Shown>,
}

#[derive(Deserialize)]
struct Health {
    cache: CacheHealth,
    outbox: Option<OutboxHealth>,
}

#[derive(Deserialize)]
struct CacheHealth {
    status: String,
}

#[derive(Deserialize)]
struct OutboxHealth {
    depth: u64,
}

/// What came of a change.
pub(crate) enum Patched {
    /// It was acknowledged: as applied, or as durable and no more.
    Acknowledged { is_applied: bool },
    /// The deal has another version: it was changed before.
    Overtaken,
    /// Nobody knows; to be asked again.
    Unknown,
}

impl Crm {
    /// Chooses deals of the server at this address for so many rows: the newest, which are on the first pages of lists.
    pub(crate) async fn meet(
        url: &str,
        pool: AnyPool,
        rows: u64,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let sql = "SELECT id, company_id FROM deals ORDER BY created_at_ms DESC, id LIMIT $1";
        let found = sqlx::query(sql).bind(rows.cast_signed()).fetch_all(&pool).await?;
        let deal = |row: &sqlx::any::AnyRow| Ok(Deal { id: row.try_get(0)?, company: row.try_get(1)? });
        let deals = found.iter().map(deal).collect::<sqlx::Result<Vec<_>>>()?;
        if deals.len() as u64 != rows {
            return Err(format!("the demo data has {} deals, not {rows}: fewer `--rows`", deals.len()).into());
        }
        let loader = Arc::new(Loader { pool, loads: AtomicU64::new(0) });
        let http = Client::builder().timeout(LIMIT).build()?;
        Ok(Crm { http, url: url.to_owned(), deals, hits: AtomicU64::new(0), loader })
    }

    fn deal_url(&self, row: u64) -> String {
        format!("{}/api/deals/{}", self.url, self.deals[row as usize].id)
    }

    /// Reads a row: alone, or where the list of its company shows it.
    pub(crate) async fn read(&self, view: View, row: u64) -> Result<Answer, Failed> {
        let request = match view {
            View::Listed => {
                let company = &self.deals[row as usize].company;
                self.http.get(format!("{}/api/companies/{company}/deals?per_page=200", self.url))
            }
            View::Strict => self.http.get(self.deal_url(row)).header(CACHE_CONTROL, "no-cache"),
            _ => self.http.get(self.deal_url(row)),
        };
        let answer = request.send().await.map_err(|_error| Failed)?;
        if !answer.status().is_success() {
            return Err(Failed);
        }
        let promise = self.promise(view, answer.headers())?;
        let shown: Shown = match view {
            View::Listed => {
                let page: Page = answer.json().await.map_err(|_error| Failed)?;
                let id = &self.deals[row as usize].id;
                page.items.into_iter().find(|shown| shown.id == *id).ok_or(Failed)?
            }
            _ => answer.json().await.map_err(|_error| Failed)?,
        };
        let row =
            (0..).zip(&self.deals).find(|(_, deal)| deal.id == shown.id).map_or(u64::MAX, |(row, _)| row);
        let (version, nonce) = numbers(shown.version, &shown.title);
        Ok(Answer { value: Arc::new(Value::plain(row, version, nonce)), promise })
    }

    /// What an answer is held to, by what it says of itself.
    fn promise(&self, view: View, headers: &HeaderMap) -> Result<Promise, Failed> {
        let source = headers.get("x-cache").and_then(|source| source.to_str().ok()).ok_or(Failed)?;
        let counter = if source.starts_with("hit") { &self.hits } else { &self.loader.loads };
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(match source {
            "stale" => {
                let age = headers.get("age").and_then(|age| age.to_str().ok()).ok_or(Failed)?;
                let seconds: u64 = age.parse().map_err(|_error| Failed)?;
                // It says whole seconds, those that have passed.
                Promise::Labelled { age_ns: (seconds + 1) * 1_000_000_000 }
            }
            "hit-local" if view != View::Strict => Promise::Local,
            _ => Promise::Strict,
        })
    }

    /// Asks for a change of the row that has this version.
    pub(crate) async fn change(&self, row: u64, version: u64, nonce: u64) -> Patched {
        let change = json!({ "title": format!("{NONCE}{nonce}"), "version": version + 1 });
        let Ok(answer) = self.http.patch(self.deal_url(row)).json(&change).send().await else {
            return Patched::Unknown;
        };
        let word = answer.headers().get("x-acknowledged").and_then(|word| word.to_str().ok());
        match (answer.status(), word) {
            (StatusCode::OK, Some(word)) => Patched::Acknowledged { is_applied: word == "applied" },
            (StatusCode::CONFLICT, _) => Patched::Overtaken,
            _ => Patched::Unknown,
        }
    }

    /// The version and the nonce of each row, from the database.
    pub(crate) async fn truth(&self) -> sqlx::Result<Vec<(u64, u64)>> {
        let mut truth = Vec::new();
        for deal in &self.deals {
            let query = sqlx::query("SELECT version, title FROM deals WHERE id = $1").bind(&deal.id);
            let found = query.fetch_one(&self.loader.pool).await?;
            let version = found.try_get::<i64, _>(0)?.cast_unsigned();
            truth.push(numbers(version, &found.try_get::<String, _>(1)?));
        }
        Ok(truth)
    }

    /// How many changes wait in its outbox; nothing while it has no Redis, or does not answer.
    pub(crate) async fn waiting(&self) -> Option<u64> {
        let answer = self.http.get(format!("{}/api/health", self.url)).send().await.ok()?;
        let health: Health = answer.json().await.ok()?;
        health.outbox.filter(|_| health.cache.status == "connected").map(|outbox| outbox.depth)
    }
}

/// The version and the nonce of a deal: a new one has the version 1, and a title that is nobody's nonce.
fn numbers(version: u64, title: &str) -> (u64, u64) {
    let nonce = title.strip_prefix(NONCE).and_then(|nonce| nonce.parse().ok());
    (version - 1, nonce.unwrap_or_default())
}
