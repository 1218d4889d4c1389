//! The command's side of `crm warm`: it asks the server, and reads its lines as they come.

use super::{Line, Progress, Summary};
use larder::session::Token;
use std::net::SocketAddr;

/// Why a server was not warmed.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens there.
    #[error(
        "no server answers at {0}. The cache lives in the server's process: start `crm serve` first, name its address \
         with --listen, or start it with `crm serve --warm`"
    )]
    NoServer(SocketAddr),
    /// Somebody listens, and says no.
    #[error("the server at {0} refused: {1}")]
    Refused(SocketAddr, String),
    /// The answer broke off.
    #[error("the server at {0} stopped answering before it was done; its log says why")]
    BrokenOff(SocketAddr),
}

/// Asks the server at this address to warm its cache, so many companies at a time, with a token of the operator, and tells `progress` of
/// each step.
///
/// # Errors
/// There is no server, it refuses, or its answer breaks off.
///
/// # Cancel safety
/// The server ends its warming when it notices that nobody listens.
pub async fn ask(
    server: SocketAddr,
    token: &Token,
    concurrency: u32,
    mut progress: impl FnMut(&Progress),
) -> Result<Summary, AskError> {
    // The server is on this machine: a proxy that the environment names for the world outside would not find it.
    let client = reqwest::Client::builder().no_proxy().build();
    let client = client.map_err(|_not_reachable| AskError::NoServer(server))?;
    let request = client
        .post(format!("http://{server}/api/cache/warm?concurrency={concurrency}"))
        .bearer_auth(token.expose());
    let mut response = request.send().await.map_err(|_not_reachable| AskError::NoServer(server))?;
    if !response.status().is_success() {
        let problem: serde_json::Value = response.json().await.unwrap_or_default();
        let detail = problem["detail"].as_str().unwrap_or("it gave no reason that can be read");
        return Err(AskError::Refused(server, detail.to_owned()));
    }
    let mut unread = Vec::new();
    loop {
        let chunk = response.chunk().await.map_err(|_broken| AskError::BrokenOff(server))?;
        unread.extend_from_slice(&chunk.ok_or(AskError::BrokenOff(server))?);
        while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = unread.drain(..=end).collect();
            match serde_json::from_slice(&line) {
                Ok(Line::Progress(step)) => progress(&step),
                Ok(Line::Summary(summary)) => return Ok(summary),
                Err(_not_ours) => {
                    return Err(AskError::Refused(server, "it is not a `crm` server".to_owned()));
                }
            }
        }
    }
}
