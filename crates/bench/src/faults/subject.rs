//! Who is measured: a process that answers HTTP, and the words in which it is asked.

use std::path::Path;

use reqwest::{Client, RequestBuilder};
use serde_json::Value;
use tokio::process::Command;

use super::crm::Crm;
use crate::process::Process;
use crate::{Failure, node};

/// A server whose rows are read through its cache. All answer `{…, "version": V}` to reads and to writes.
pub(crate) trait Subject: Send + Sync {
    /// Reads a row.
    fn read(&self, http: &Client, row: usize) -> RequestBuilder;
    /// Raises the version of a row, and answers when that is announced to the cache.
    fn write(&self, http: &Client, row: usize) -> RequestBuilder;
    /// Asks how it is.
    fn health(&self, http: &Client) -> RequestBuilder;
    /// What it answered to that.
    fn understand(&self, health: &Value) -> Health;
    /// How the key of a row ends in Redis.
    fn key(&self, row: usize) -> String;
}

/// How a subject is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Health {
    /// How often it has asked its source of truth.
    pub(crate) loads: Option<u64>,
    /// Its own word for how its Redis is.
    pub(crate) says: Option<String>,
}

/// The subjects by name, in the order in which tables show them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Name {
    /// larder, behind three routes
    Larder,
    /// the same, with its outbox in SQLite
    LarderOutbox,
    /// the CRM of this workspace: reads and changes of deals
    Crm,
    /// the specified service on ioredis with its defaults
    Ioredis,
    /// the same, set up to fail fast: 1 retry, no queue while it is not connected, 500 ms for a command
    IoredisFailfast,
    /// BentoCache: memory, Redis, and the bus over Redis
    Bento,
    /// BentoCache with Redis only
    BentoL2,
}

impl Name {
    pub(crate) const ALL: [Self; 7] = [
        Self::Larder,
        Self::LarderOutbox,
        Self::Crm,
        Self::Ioredis,
        Self::IoredisFailfast,
        Self::Bento,
        Self::BentoL2,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Larder => "larder",
            Self::LarderOutbox => "larder-outbox",
            Self::Crm => "crm",
            Self::Ioredis => "ioredis",
            Self::IoredisFailfast => "ioredis-failfast",
            Self::Bento => "bento",
            Self::BentoL2 => "bento-l2",
        }
    }

    pub(crate) fn is_of_node(self) -> bool {
        !matches!(self, Self::Larder | Self::LarderOutbox | Self::Crm)
    }
}

/// A running subject; dropping it ends its process.
pub(crate) struct Running {
    pub(crate) subject: Box<dyn Subject>,
    _process: Process,
}

/// Starts a subject over the Redis at `redis`, and returns when it answers.
pub(crate) async fn start(
    name: Name,
    redis: &str,
    seed_cache: Option<&Path>,
    http: &Client,
) -> Result<Running, Failure> {
    match name {
        Name::Larder | Name::LarderOutbox => {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["serve-subject", "--redis", redis]);
            let folder = tempfile::tempdir()?;
            if name == Name::LarderOutbox {
                command.arg("--outbox").arg(folder.path().join("outbox.db"));
            }
            let mut process = Process::start(&mut command).await?;
            process.folder = Some(folder);
            Ok(Running { subject: Box::new(Rows { base: process.base()?.to_owned() }), _process: process })
        }
        Name::Crm => {
            let folder = tempfile::tempdir()?;
            let mut process = Process::start(&mut Crm::command(folder.path(), redis)?).await?;
            process.folder = Some(folder);
            let subject = Crm::meet(process.base()?.to_owned(), http).await?;
            Ok(Running { subject: Box::new(subject), _process: process })
        }
        Name::Ioredis | Name::IoredisFailfast | Name::Bento | Name::BentoL2 => {
            let mut command = node::adapter("serve.mjs", name.as_str(), redis, seed_cache).into();
            let process = Process::start(&mut command).await?;
            Ok(Running { subject: Box::new(Rows { base: process.base()?.to_owned() }), _process: process })
        }
    }
}

/// The three routes of `bench serve-subject` and of `bench/peers/serve.mjs`.
struct Rows {
    base: String,
}

impl Subject for Rows {
    fn read(&self, http: &Client, row: usize) -> RequestBuilder {
        http.get(format!("{}/read/{row}", self.base))
    }

    fn write(&self, http: &Client, row: usize) -> RequestBuilder {
        http.post(format!("{}/write/{row}", self.base))
    }

    fn health(&self, http: &Client) -> RequestBuilder {
        http.get(format!("{}/health", self.base))
    }

    fn understand(&self, health: &Value) -> Health {
        Health { loads: health["loads"].as_u64(), says: health["says"].as_str().map(str::to_owned) }
    }

    fn key(&self, row: usize) -> String {
        format!("row:{row}")
    }
}
