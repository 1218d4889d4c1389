//! The CRM as what is checked: servers of it, and what is asked of one. Its rows are deals; the title of a deal carries the nonce.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bench::terminal::tell;
use crm::app::App;
use crm::config::{Layer, Settings};
use crm::database::Database;
use crm::time::Day;
use crm::{demo, server};
use reqwest::header::{CACHE_CONTROL, COOKIE, HeaderMap};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{AnyPool, Row};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::clock::patiently;
use crate::judge::{Origin, Promise};
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
        server::serve(app, server::routes(), listener, std::future::pending()).await;
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
        limit_per_user: Some(0),
        limit_per_address: Some(0),
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
    keys: demo::Keys,
    deals: Vec<Deal>,
    pub(crate) hits: AtomicU64,
    /// Counts the answers that were loaded.
    pub(crate) loader: Arc<Loader>,
}

/// The deal that stands for a row.
pub(crate) struct Deal {
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
    /// What was answered is no answer to it.
    Wrong,
}

impl Crm {
    /// Chooses deals of the server at this address for so many rows: the newest, which are on the first pages of lists.
    pub(crate) async fn meet(
        url: &str,
        pool: AnyPool,
        rows: u64,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let deals = choose(&pool, rows).await?;
        let loader = Arc::new(Loader { pool, loads: AtomicU64::new(0) });
        let http = Client::builder().timeout(LIMIT).build()?;
        let keys = patiently(async || demo::sign_in(&http, url).await).await?;
        Ok(Crm { http, url: url.to_owned(), keys, deals, hits: AtomicU64::new(0), loader })
    }

    /// A request about a row, as an admin of its company.
    fn ask(&self, row: u64, method: Method, path: &str) -> RequestBuilder {
        let cookie = self.keys.of(&self.deals[row as usize].company);
        self.http.request(method, format!("{}{path}", self.url)).header(COOKIE, cookie)
    }

    fn deal(&self, row: u64, method: Method) -> RequestBuilder {
        self.ask(row, method, &format!("/api/deals/{}", self.deals[row as usize].id))
    }

    /// Reads a row: alone, or where the list of its company shows it.
    pub(crate) async fn read(&self, view: View, row: u64) -> Result<Answer, Failed> {
        let request = match view {
            View::Listed => {
                let company = &self.deals[row as usize].company;
                self.ask(row, Method::GET, &format!("/api/companies/{company}/deals?per_page=200"))
            }
            View::Strict => self.deal(row, Method::GET).header(CACHE_CONTROL, "no-cache"),
            _ => self.deal(row, Method::GET),
        };
        let answer = request.send().await.map_err(|_error| Failed)?;
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            return Err(Failed);
        }
        let (status, word) = (answer.status(), self.word(view, answer.headers()));
        let body = answer.bytes().await.map_err(|_cut_off| Failed)?;
        let id = &self.deals[row as usize].id;
        let shown: Option<Shown> = match view {
            View::Listed => {
                let page: Option<Page> = serde_json::from_slice(&body).ok();
                page.and_then(|page| page.items.into_iter().find(|shown| shown.id == *id))
            }
            _ => serde_json::from_slice(&body).ok(),
        };
        let (Some(shown), Some((promise, origin)), true) = (shown, word, status.is_success()) else {
            tell(&format!("{view:?} of row {row} is {status}: {:.300}", String::from_utf8_lossy(&body)));
            let nobodys = Arc::new(Value::plain(u64::MAX, 0, 0));
            return Ok(Answer { value: nobodys, promise: Promise::Strict, origin: Origin::Loaded });
        };
        let row = (0..).zip(&self.deals).find(|(_, deal)| deal.id == shown.id);
        let (version, nonce) = numbers(shown.version, &shown.title);
        let value = Value::plain(row.map_or(u64::MAX, |(row, _)| row), version, nonce);
        Ok(Answer { value: Arc::new(value), promise, origin })
    }

    /// What an answer is held to and where it came from, by what it says of itself. No space of the CRM allows what is stale.
    fn word(&self, view: View, headers: &HeaderMap) -> Option<(Promise, Origin)> {
        let source = headers.get("x-cache")?.to_str().ok()?;
        let counter = if source.starts_with("hit") { &self.hits } else { &self.loader.loads };
        counter.fetch_add(1, Ordering::Relaxed);
        Some(match source {
            "hit-local" if view == View::Strict => (Promise::Strict, Origin::Process),
            "hit-local" => (Promise::Local, Origin::Process),
            "hit" => (Promise::Strict, Origin::Redis),
            _ => (Promise::Strict, Origin::Loaded),
        })
    }

    /// Asks for a change of the row that has this version.
    pub(crate) async fn change(&self, row: u64, version: u64, nonce: u64) -> Patched {
        let title = format!("{NONCE}{nonce}");
        let change = json!({ "title": title, "version": version + 1 });
        let Ok(answer) = self.deal(row, Method::PATCH).json(&change).send().await else {
            return Patched::Unknown;
        };
        let status = answer.status();
        let word = answer.headers().get("x-acknowledged").and_then(|word| word.to_str().ok());
        let is_applied = word.map(|word| word == "applied");
        match status {
            StatusCode::CONFLICT => return Patched::Overtaken,
            // 412 is PostgreSQL's word for two that have met: here a request of before, which is still under way.
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::PRECONDITION_FAILED => return Patched::Unknown,
            _ => {}
        }
        let Ok(body) = answer.bytes().await else { return Patched::Unknown };
        let is_made = |shown: &Shown| shown.version == version + 2 && shown.title == title;
        match (serde_json::from_slice::<Shown>(&body), is_applied) {
            (Ok(shown), Some(is_applied)) if status == StatusCode::OK && is_made(&shown) => {
                Patched::Acknowledged { is_applied }
            }
            _ => {
                tell(&format!("a change of row {row} is {status}: {:.300}", String::from_utf8_lossy(&body)));
                Patched::Wrong
            }
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
        let answer = self.ask(0, Method::GET, "/api/health").send().await.ok()?;
        let health: Health = answer.json().await.ok()?;
        health.outbox.filter(|_| health.cache.status == "connected").map(|outbox| outbox.depth)
    }
}

/// The deals that stand for so many rows: the newest.
pub(crate) async fn choose(pool: &AnyPool, rows: u64) -> Result<Vec<Deal>, Box<dyn Error + Send + Sync>> {
    let sql = "SELECT id, company_id FROM deals ORDER BY created_at_ms DESC, id LIMIT $1";
    let found = sqlx::query(sql).bind(rows.cast_signed()).fetch_all(pool).await?;
    let deal = |row: &sqlx::any::AnyRow| Ok(Deal { id: row.try_get(0)?, company: row.try_get(1)? });
    let deals = found.iter().map(deal).collect::<sqlx::Result<Vec<_>>>()?;
    match deals.len() as u64 == rows {
        true => Ok(deals),
        false => {
            Err(format!("the demo data has {} deals, not {rows}: ask for fewer `--rows`", deals.len()).into())
        }
    }
}

/// The version and the nonce of a deal: a new one has the version 1, and a title that is nobody's nonce.
fn numbers(version: u64, title: &str) -> (u64, u64) {
    let nonce = title.strip_prefix(NONCE).and_then(|nonce| nonce.parse().ok());
    (version - 1, nonce.unwrap_or_default())
}
