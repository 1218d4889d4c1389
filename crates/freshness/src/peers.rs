//! Caches that others have made, asked the same as larder: get or load, and remove after a commit.

use std::error::Error;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use amalgam::provider::{
    Backplane, DistributedCache, DistributedLocker, DistributedSerializer, JsonSerializer, RedisBackplane,
    RedisDistributedCache, RedisDistributedLocker,
};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use crate::loader::{Failed, LIFE, Loader, Value};

/// 1 second: an answer of Redis that takes longer is given up.
const LIMIT: Duration = Duration::from_secs(1);

/// 20 seconds: as long as one of the Node world may think about an answer, and less than whoever asks the process waits.
const NODE_LIMIT: Duration = Duration::from_secs(20);

/// What is asked of each.
#[expect(clippy::large_enum_variant, reason = "a process has one")]
pub(crate) enum Peer {
    Amalgam { cache: amalgam::Cache<Arc<Value>>, in_redis_alone: bool, loader: Arc<Loader> },
    Node(Node),
}

/// A cache of the Node world, in a process of its own, which loads from this one.
pub(crate) struct Node {
    http: reqwest::Client,
    url: String,
    _process: Child,
    _truth: JoinSet<std::io::Result<()>>,
}

impl Peer {
    /// amalgam-cache with memory, Redis, its backplane and its locks, and its defaults; strict: as its documentation has it, and in Redis alone.
    pub(crate) async fn amalgam(
        url: &str,
        loader: Arc<Loader>,
        is_strict: bool,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let builder = amalgam::Cache::builder();
        let builder = if is_strict { builder.strict() } else { builder };
        let cache = builder
            .distributed(Arc::new(RedisDistributedCache::connect(url).await?) as Arc<dyn DistributedCache>)
            .serializer(Arc::new(JsonSerializer) as Arc<dyn DistributedSerializer<Arc<Value>>>)
            .backplane(Arc::new(RedisBackplane::connect(url).await?) as Arc<dyn Backplane>)
            .distributed_locker(
                Arc::new(RedisDistributedLocker::connect(url).await?) as Arc<dyn DistributedLocker>
            )
            .try_build()?;
        cache.ready().await?;
        Ok(Peer::Amalgam { cache, in_redis_alone: is_strict, loader })
    }

    /// BentoCache with memory, Redis and its bus, and its defaults; strict: with Redis alone, whose errors it shows.
    pub(crate) async fn bento(
        url: &str,
        loader: Arc<Loader>,
        is_strict: bool,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let truth = format!("http://{}", listener.local_addr()?);
        let routes = Router::new().route("/row/{row}", get(load)).with_state(loader);
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, routes).await });
        let mut process = Command::new("node")
            .arg(testkit::workspace_root().join("bench/peers/serve.mjs"))
            .args(["--subject", if is_strict { "bento-strict" } else { "bento" }])
            .args(["--redis", url, "--truth", &truth])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let said = process.stdout.take().ok_or("standard output is a pipe")?;
        let line = BufReader::new(said).lines().next_line().await?.ok_or("it has ended at once")?;
        let url = line.strip_prefix("serves ").ok_or("it says where it serves")?.to_owned();
        let http = reqwest::Client::builder().timeout(NODE_LIMIT).build()?;
        Ok(Peer::Node(Node { http, url, _process: process, _truth: serving }))
    }

    /// Reads a row through it.
    pub(crate) async fn read(&self, row: u64) -> Result<Arc<Value>, Failed> {
        match self {
            Peer::Amalgam { cache, in_redis_alone, loader } => {
                let alone = *in_redis_alone;
                let options = move |options: amalgam::EntryOptions| {
                    options.with_duration(LIFE).with_skip_memory(alone, alone)
                };
                let loader = Arc::clone(loader);
                let load = move |_| {
                    let loader = Arc::clone(&loader);
                    async move { loader.load(row, 0).await.map(Arc::new) }
                };
                cache.get_or_set(&name(row), load).options(options).await.map_err(|_error| Failed)
            }
            Peer::Node(node) => {
                let url = format!("{}/row/{row}", node.url);
                let answer = node.http.get(url).send().await.map_err(|_error| Failed)?;
                if !answer.status().is_success() {
                    return Err(Failed);
                }
                answer.json().await.map(Arc::new).map_err(|_error| Failed)
            }
        }
    }

    /// Removes rows; answers whether it says that it did.
    pub(crate) async fn remove(&self, rows: &[u64]) -> bool {
        let mut removed = true;
        for row in rows {
            removed &= match self {
                Peer::Amalgam { cache, in_redis_alone, .. } => {
                    let alone = *in_redis_alone;
                    let options = move |options: amalgam::EntryOptions| {
                        options.with_skip_memory(alone, alone).with_rethrow_distributed_exceptions(true)
                    };
                    tokio::time::timeout(LIMIT, cache.remove(&name(*row)).options(options))
                        .await
                        .is_ok_and(|removed| removed.is_ok())
                }
                Peer::Node(node) => {
                    let url = format!("{}/row/{row}", node.url);
                    let answer = node.http.delete(url).send().await;
                    answer.is_ok_and(|answer| answer.status().is_success())
                }
            };
        }
        removed
    }
}

fn name(row: u64) -> String {
    format!("row:{row}")
}

async fn load(State(loader): State<Arc<Loader>>, Path(row): Path<u64>) -> Result<Json<Value>, StatusCode> {
    loader.load(row, 0).await.map(Json).map_err(|Failed| StatusCode::SERVICE_UNAVAILABLE)
}
