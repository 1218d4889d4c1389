//! Who is measured: real servers, each a process of its own, with its own database and, where it has one, its own Redis.

use std::net::SocketAddr;
use std::sync::Arc;

use testkit::postgres::PostgresServer;
use testkit::redis::RedisServer;
use tokio::process::Command;

use super::bare::Bare;
use super::board::Board;
use super::cost;
use super::data::{self, World};
use super::dialect::Dialect;
use super::load::Target;
use super::reference::{self, Reference};
use crate::Failure;
use crate::process::{Process, crm_program};

/// The subjects, in the order of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Bare,
    InProcess,
    BothTiers,
    Redis,
    Off,
    ReferenceCached,
    ReferenceUncached,
}

impl Who {
    /// Those of the CRM that cache: to them the bars apply.
    pub(super) const CACHED: [Self; 3] = [Self::InProcess, Self::BothTiers, Self::Redis];

    pub(super) const CRM: [Self; 4] = [Self::InProcess, Self::BothTiers, Self::Redis, Self::Off];

    pub(super) const REFERENCE: [Self; 2] = [Self::ReferenceCached, Self::ReferenceUncached];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare axum",
            Self::InProcess => "CRM: in-process",
            Self::BothTiers => "CRM: both tiers",
            Self::Redis => "CRM: Redis alone",
            Self::Off => "CRM: cache off",
            Self::ReferenceCached => "ioredis service (Node)",
            Self::ReferenceUncached => "the same: uncached (Node)",
        }
    }

    /// Whether it has something to warm.
    pub(super) fn is_cached(self) -> bool {
        !matches!(self, Self::Bare | Self::Off | Self::ReferenceUncached)
    }

    fn has_redis(self) -> bool {
        matches!(self, Self::BothTiers | Self::Redis | Self::ReferenceCached)
    }

    /// The name of its database and of its part of Redis.
    fn word(self) -> &'static str {
        match self {
            Self::InProcess => "in_process",
            Self::BothTiers => "both_tiers",
            Self::Redis => "redis",
            _ => "off",
        }
    }
}

/// A running subject; dropping it ends its processes.
pub(super) struct Subject {
    pub(super) who: Who,
    pub(super) target: Arc<Target>,
    process: Process,
    redis: Option<RedisServer>,
}

/// What there is for all subjects.
pub(super) struct Ground {
    pub(super) postgres: PostgresServer,
    /// The database of which each server of the CRM has a copy.
    pub(super) template: String,
    pub(super) world: Arc<World>,
}

impl Ground {
    /// Starts a server of the CRM.
    pub(super) async fn crm(&self, who: Who) -> Result<Subject, Failure> {
        let redis = if who.has_redis() { Some(RedisServer::start().await) } else { None };
        let url = data::copy(&self.postgres, &self.template, &format!("crm_{}", who.word())).await?;
        let process = Self::serve(who, &url, redis.as_ref().map(RedisServer::url).as_deref()).await?;
        let address = address(process.base()?)?;
        Ok(self.subject(who, (process, redis), address, Dialect::Crm))
    }

    /// Starts a server of the CRM over this database and this Redis.
    pub(super) async fn serve(who: Who, url: &str, redis: Option<&str>) -> Result<Process, Failure> {
        let mut command = crm_program()?;
        let on_or_off = |on| if on { "on" } else { "off" };
        let folder = tempfile::tempdir()?; // where no crm.toml is
        command
            .args(["serve", "--no-demo"])
            .current_dir(folder.path())
            .env("CRM_LISTEN", "127.0.0.1:0")
            .env("CRM_DATABASE_URL", url)
            .env("CRM_LOG", "off")
            .env("CRM_LIMIT_PER_USER", "0")
            .env("CRM_LIMIT_PER_ADDRESS", "0")
            .env("CRM_ANALYTICS_JOB", "off")
            .env("CRM_SHOW_QUERIES", "on")
            .env("CRM_CACHE", on_or_off(who != Who::Off))
            .env("CRM_REDIS_LOCAL_TIER", on_or_off(who == Who::BothTiers));
        if let Some(redis) = redis {
            command.env("CRM_REDIS_URL", redis);
        }
        let mut process = Process::start(&mut command).await?;
        process.folder = Some(folder);
        Ok(process)
    }

    /// Starts the bare handler, with bodies of these lengths.
    pub(super) async fn bare(&self, bytes: &[u64]) -> Result<Subject, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        let process = Process::start(command.args(Bare::arguments(bytes))).await?;
        let address = address(process.base()?)?;
        Ok(self.subject(Who::Bare, (process, None), address, Dialect::Bare))
    }

    /// Starts the reference service.
    pub(super) async fn reference(&self, reference: &Reference, who: Who) -> Result<Subject, Failure> {
        let redis = if who.has_redis() { Some(RedisServer::start().await) } else { None };
        let (mut command, port) = reference.command(&self.postgres, redis.as_ref())?;
        let process = Process::start(&mut command).await?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Ok(self.subject(who, (process, redis), address, Dialect::Reference))
    }

    fn subject(
        &self,
        who: Who,
        (process, redis): (Process, Option<RedisServer>),
        address: SocketAddr,
        dialect: Dialect,
    ) -> Subject {
        let board = Arc::new(Board::new(&self.world));
        let target = Arc::new(Target { address, dialect, board, world: Arc::clone(&self.world) });
        Subject { who, target, process, redis }
    }
}

/// Where a server is that names its place so.
pub(super) fn address(base: &str) -> Result<SocketAddr, Failure> {
    let address = base.strip_prefix("http://").map(str::parse);
    Ok(address.ok_or("a server says where it serves")??)
}

/// What everybody has cost so far, in microseconds of a processor.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Costs {
    /// The server.
    pub(super) server: f64,
    /// PostgreSQL and Redis behind it.
    pub(super) behind: f64,
    /// The load.
    pub(super) client: f64,
}

impl Subject {
    pub(super) fn pid(&self) -> Result<u32, Failure> {
        self.process.pid()
    }

    pub(super) fn costs(&self, ground: &Ground) -> Result<Costs, Failure> {
        let redis = self.redis.as_ref().map_or(0.0, |redis| cost::with_children_us(redis.pid()));
        Ok(Costs {
            server: cost::of_us(self.process.pid()?),
            behind: redis + cost::with_children_us(ground.postgres.pid()),
            client: cost::of_us(std::process::id()),
        })
    }

    /// The statements that a server has made which counts them itself, since it was asked last.
    pub(super) async fn own_queries(&self) -> Result<Option<u64>, Failure> {
        match self.target.dialect {
            Dialect::Reference => reference::queries(self.target.address).await.map(Some),
            _ => Ok(None),
        }
    }
}
