//! The CRM as a subject: its rows are deals of its demo data.

use std::path::Path;

use crm::demo::{self, Keys};
use reqwest::header::COOKIE;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::process::Command;

use super::case::{PROBES, ROWS, UNCHANGED};
use super::subject::{Health, Subject};
use crate::Failure;
use crate::process::crm_program;

/// The server, and the deals that stand for rows.
pub(crate) struct Crm {
    base: String,
    keys: Keys,
    deals: Vec<Deal>,
}

struct Deal {
    id: String,
    company: String,
}

impl Crm {
    /// How it is started, with a new database in `folder`. It was built beside this program.
    pub(crate) fn command(folder: &Path, redis: &str) -> Result<Command, Failure> {
        let mut command = crm_program()?;
        command
            .arg("serve")
            .current_dir(folder)
            .env("CRM_LISTEN", "127.0.0.1:0")
            .env("CRM_DATABASE_URL", "sqlite:crm.db")
            .env("CRM_LOG", "off")
            .env("CRM_LIMIT_PER_USER", "0")
            .env("CRM_LIMIT_PER_ADDRESS", "0")
            .env("CRM_REDIS_URL", redis);
        Ok(command)
    }

    /// Asks for its deals.
    pub(crate) async fn meet(base: String, http: &Client) -> Result<Self, Failure> {
        let keys = demo::sign_in(http, &base).await?;
        let mut deals = Vec::new();
        for company in keys.companies() {
            let request = http.get(format!("{base}/api/companies/{company}/deals?per_page=200"));
            let answer = request.header(COOKIE, keys.of(company)).send().await?.error_for_status()?;
            let page: Value = answer.json().await?;
            let ids = page["items"].as_array().into_iter().flatten().filter_map(|deal| deal["id"].as_str());
            deals.extend(ids.map(|id| Deal { id: id.to_owned(), company: company.to_owned() }));
        }
        if deals.len() < ROWS + UNCHANGED + PROBES {
            return Err(format!(
                "the demo data of the CRM has {} deals on its first pages; {} are needed",
                deals.len(),
                ROWS + UNCHANGED + PROBES
            )
            .into());
        }
        Ok(Self { base, keys, deals })
    }

    fn deal(&self, http: &Client, row: usize, method: Method) -> RequestBuilder {
        let Deal { id, company } = &self.deals[row];
        http.request(method, format!("{}/api/deals/{id}", self.base)).header(COOKIE, self.keys.of(company))
    }
}

impl Subject for Crm {
    fn read(&self, http: &Client, row: usize) -> RequestBuilder {
        self.deal(http, row, Method::GET)
    }

    /// Any title is a change: it raises the version of the deal.
    fn write(&self, http: &Client, row: usize) -> RequestBuilder {
        self.deal(http, row, Method::PATCH).json(&json!({ "title": format!("Changed under a fault: {row}") }))
    }

    fn health(&self, http: &Client) -> RequestBuilder {
        let cookie = self.keys.of(&self.deals[0].company);
        http.get(format!("{}/api/health", self.base)).header(COOKIE, cookie)
    }

    fn understand(&self, health: &Value) -> Health {
        let cache = &health["cache"];
        Health { loads: cache["stats"]["misses"].as_u64(), says: cache["status"].as_str().map(str::to_owned) }
    }

    fn key(&self, row: usize) -> String {
        format!("deal:{}", self.deals[row].id)
    }
}
