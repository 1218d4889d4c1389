//! `crm operator-token`: what only the operator may do over HTTP, for whoever has the database in hand.

use super::{Failure, open};
use crate::access;
use crate::config::Settings;
use clap::Args;
use std::io::Write;
use std::time::Duration;

pub(super) const LONG_ABOUT: &str = "\
Print a token of the operator: of whoever runs the service, and has its database in hand.

The operator sees all companies, changes the price list and has the cache warmed; what is of one company is for its users. The token is a \
secret until it ends by itself. Nothing but the token is written to standard output.";

pub(super) const EXAMPLES: &str = "\
Example, of a server on this database:
  curl -X PATCH http://127.0.0.1:8080/api/products/ID -H \"Authorization: Bearer $(crm operator-token)\" \\
    -H 'Content-Type: application/json' -d '{\"list_price_cents\": 129900}'";

/// What `operator-token` takes besides the settings.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How many minutes it lasts
    #[arg(long, value_name = "COUNT", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: u64,
}

pub(super) async fn run(settings: &Settings, arguments: &Arguments) -> Result<(), Failure> {
    let database = open(settings).await?;
    let token = access::operator_token(&database, Duration::from_secs(arguments.minutes * 60)).await?;
    database.close().await;
    Ok(writeln!(std::io::stdout().lock(), "{}", token.expose())?)
}
