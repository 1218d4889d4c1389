//! The CRM as a subject: its rows are deals of its demo data.

use std::path::Path;

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tokio::process::Command;

use super::case::{PROBES, ROWS, UNCHANGED};
use super::subject::{Health, Subject};
use crate::Failure;

/// The server, and the deals that stand for rows.
pub(crate) struct Crm {
    base: String,
    deals: Vec<String>,
}

impl Crm {
    /// How it is started, with a new database in `folder`. It was built beside this program.
    pub(crate) fn command(folder: &Path, redis: &str) -> Result<Command, Failure> {
        let program = std::env::current_exe()?.with_file_name("crm");
        let mut command = Command::new(program);
        command
            .arg("serve")
            .current_dir(folder)
            .env("CRM_LISTEN", "127.0.0.1:0")
            .env("CRM_DATABASE_URL", "sqlite:crm.db")
            .env("CRM_LOG", "off")
            .env("CRM_REDIS_URL", redis);
        Ok(command)
    }

    /// Asks for its deals.
    pub(crate) async fn meet(base: String, http: &Client) -> Result<Self, Failure> {
        let companies = get(http, &format!("{base}/api/companies")).await?;
        let mut deals = Vec::new();
        for company in items(&companies) {
            let Some(id) = company["id"].as_str() else { continue };
            let page = get(http, &format!("{base}/api/companies/{id}/deals?per_page=200")).await?;
            deals.extend(items(&page).iter().filter_map(|deal| deal["id"].as_str().map(str::to_owned)));
        }
        if deals.len() < ROWS + UNCHANGED + PROBES {
            return Err(format!(
                "the demo data of the CRM has {} deals on its first pages; {} are needed",
                deals.len(),
                ROWS + UNCHANGED + PROBES
            )
            .into());
        }
        Ok(Self { base, deals })
    }

    fn url(&self, row: usize) -> String {
        format!("{}/api/deals/{}", self.base, self.deals[row])
    }
}

impl Subject for Crm {
    fn read(&self, http: &Client, row: usize) -> RequestBuilder {
        http.get(self.url(row))
    }

    /// Any title is a change: it raises the version of the deal.
    fn write(&self, http: &Client, row: usize) -> RequestBuilder {
        http.patch(self.url(row)).json(&json!({ "title": format!("Changed under a fault: {row}") }))
    }

    fn health(&self, http: &Client) -> RequestBuilder {
        http.get(format!("{}/api/health", self.base))
    }

    fn understand(&self, health: &Value) -> Health {
        let cache = &health["cache"];
        Health { loads: cache["stats"]["misses"].as_u64(), says: cache["status"].as_str().map(str::to_owned) }
    }

    fn key(&self, row: usize) -> String {
        format!("deal:{}", self.deals[row])
    }
}

async fn get(http: &Client, url: &str) -> Result<Value, Failure> {
    Ok(http.get(url).send().await?.error_for_status()?.json().await?)
}

/// The rows of a page, or of a list that has no pages.
fn items(answer: &Value) -> &[Value] {
    let list = answer.as_array().or_else(|| answer["items"].as_array());
    list.map_or(&[], Vec::as_slice)
}
