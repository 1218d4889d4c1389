//! `bench serve-bare`: the routes of the CRM over axum with constant bodies, and nothing behind them. As much as any server on axum can
//! do.

use std::io::{self, Read, Write};
use std::net::Ipv4Addr;

use axum::Router;
use axum::http::header;
use axum::routing::{MethodRouter, any};
use axum::serve::ListenerExt;
use bytes::Bytes;
use clap::Args;
use tokio::net::TcpListener;

use super::mix::Kind;
use crate::Failure;

/// Serves until its standard input ends; its first line names the address.
#[derive(Args, Clone, Debug)]
pub(crate) struct Bare {
    /// How long the bodies are, in bytes: deal, page, company, pipeline, months, moved deal
    #[arg(long, value_delimiter = ',')]
    bytes: Vec<usize>,
}

impl Bare {
    /// What it is started with, for bodies of these lengths, in the order of [`Kind::ALL`].
    pub(super) fn arguments(bytes: &[u64]) -> [String; 3] {
        let bytes: Vec<String> = bytes.iter().map(u64::to_string).collect();
        ["serve-bare".to_owned(), "--bytes".to_owned(), bytes.join(",")]
    }

    fn body(&self, kind: Kind) -> Bytes {
        Bytes::from(vec![b' '; self.bytes.get(kind as usize).copied().unwrap_or_default()])
    }
}

pub(crate) fn run(options: &Bare) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(options))
}

/// A route that always answers with this body.
fn always(body: Bytes) -> MethodRouter {
    any(async move || ([(header::CONTENT_TYPE, "application/json")], body.clone()))
}

async fn serve(options: &Bare) -> Result<(), Failure> {
    let routes = Router::new()
        .route("/api/deals/{id}", always(options.body(Kind::Deal)))
        .route("/api/companies/{id}/deals", always(options.body(Kind::Page)))
        .route("/api/companies/{id}", always(options.body(Kind::Company)))
        .route("/api/companies/{id}/pipeline", always(options.body(Kind::Pipeline)))
        .route("/api/companies/{id}/analytics/monthly", always(options.body(Kind::Monthly)))
        .route("/api/deals/{id}/stage", always(options.body(Kind::Move)));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    writeln!(io::stdout().lock(), "serves http://{}", listener.local_addr()?)?;
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let gone = tokio::task::spawn_blocking(|| io::stdin().lock().read(&mut [0]));
    tokio::select! {
        served = axum::serve(listener, routes).into_future() => Ok(served?),
        _ended = gone => Ok(()),
    }
}
