//! The reference service: its own files and pinned libraries, over a database of its own, as its README sets it up.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command as Blocking;

use bench::machine;
use clap::Args;
use testkit::postgres::{self, PostgresServer};
use testkit::redis::RedisServer;
use tokio::process::Command;

use super::connection::Connection;
use crate::node::must_succeed;
use crate::{Failure, tell};

/// Whether the reference service is measured too.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Peers {
    /// Measure the reference service on ioredis too: needs node (20.6 or newer) and npm
    #[arg(long)]
    peers: bool,
    /// The folder of the reference service; by default ../shared/peers beside the repository
    #[arg(long, value_name = "DIR", env = "REFERENCE_CRM")]
    reference: Option<PathBuf>,
}

/// Where its files are copied to, below the root folder: what is shared is left as it is.
const PLACE: &str = "target/tools/reference";

/// What is copied: the service, the caches that it knows, and the versions of its libraries.
const FILES: [&str; 6] =
    ["package.json", "package-lock.json", "caches.mjs", "seedcache.mjs", "crm/server.mjs", "crm/schema.sql"];

/// Whose database its service asks for.
const ROLE: &str = "CREATE ROLE postgres SUPERUSER LOGIN";

/// The reference service, ready to be started.
pub(super) struct Reference {
    folder: PathBuf,
}

impl Peers {
    /// Sees to it that its files and libraries are there; nothing unless it is asked for.
    pub(super) fn prepare(&self) -> Result<Option<Reference>, Failure> {
        if !self.peers {
            return Ok(None);
        }
        for program in ["node", "npm"] {
            if machine::version_of(program).is_none() {
                return Err(format!(
                    "{program} is not on the PATH: the reference service needs Node.js 20.6 or newer with npm (on Debian: apt-get install \
                     nodejs npm). Leave `--peers` away to measure without it."
                )
                .into());
            }
        }
        let beside = || testkit::workspace_root().join("../shared/peers");
        let from = self.reference.clone().unwrap_or_else(beside);
        let folder = testkit::workspace_root().join(PLACE);
        copy(&from, &folder)?;
        if !folder.join("node_modules").is_dir() {
            tell(
                "installing the libraries of the reference service, at the versions of its package-lock.json …",
            );
            let mut install = Blocking::new("npm");
            install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&folder);
            must_succeed(&mut install, "npm ci")?;
        }
        Ok(Some(Reference { folder }))
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::create_dir_all(to.join("crm"))?;
    for file in FILES {
        let copied = fs::read(from.join(file)).and_then(|text| fs::write(to.join(file), text));
        copied.map_err(|error| {
            let name = from.join(file).display().to_string();
            format!("the reference service is not there: {name}: {error}; name its folder with --reference")
        })?;
    }
    Ok(())
}

impl Reference {
    /// Makes its tables and rows, by its own script.
    pub(super) async fn fill(&self, server: &PostgresServer) -> Result<(), Failure> {
        server.sql("postgres", ROLE).await;
        let psql = postgres::programs().ok_or("PostgreSQL is not there")?.join("psql");
        let mut psql = Blocking::new(psql);
        psql.args(["-Xq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "postgres"]);
        psql.args(["-p", &server.port().to_string(), "-d", "postgres", "-f"]);
        psql.arg(self.folder.join("crm/schema.sql"));
        must_succeed(psql.stderr(io::stderr()), "psql")
    }

    /// How it is started, uncached or with the specified service over this Redis, and the port that it will serve on.
    pub(super) fn command(
        &self,
        postgres: &PostgresServer,
        redis: Option<&RedisServer>,
    ) -> Result<(Command, u16), Failure> {
        // It takes no port of the system's choice: one that is free now is still free in a moment.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new("node");
        command
            .arg(self.folder.join("crm/server.mjs"))
            .env("NODE_ENV", "production")
            .env("MODE", redis.map_or("none", |_| "A"))
            .env("HTTP_PORT", port.to_string())
            .env("PG_PORT", postgres.port().to_string());
        if let Some(redis) = redis {
            command.env("REDIS_PORT", redis.port().to_string());
        }
        Ok((command, port))
    }

    /// The versions of what it is made of.
    pub(super) fn versions(&self) -> Result<String, Failure> {
        let lock: serde_json::Value =
            serde_json::from_slice(&fs::read(self.folder.join("package-lock.json"))?)?;
        let version = |name: &str| {
            let version = lock["packages"][format!("node_modules/{name}")]["version"].as_str();
            format!("{name} {}", version.unwrap_or("unknown"))
        };
        let node = machine::version_of("node").unwrap_or_default();
        Ok(format!("Node.js {node}, {}", ["fastify", "pg", "ioredis"].map(version).join(", ")))
    }
}

/// How many queries it has made since it was asked last.
pub(super) async fn queries(address: std::net::SocketAddr) -> Result<u64, Failure> {
    let mut connection = Connection::open(address).await?;
    let answer = connection.ask(b"GET /_stats HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").await?;
    let stats: serde_json::Value = serde_json::from_slice(answer.body)?;
    Ok(stats["queries"].as_u64().ok_or("it says how many queries it has made")?)
}
