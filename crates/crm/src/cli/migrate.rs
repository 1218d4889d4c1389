//! `crm migrate`: the tables, and nothing else.

use super::{Failure, open};
use crate::config::Settings;
use std::io::Write;

pub(super) async fn run(settings: &Settings) -> Result<(), Failure> {
    open(settings).await?.close().await;
    writeln!(std::io::stdout().lock(), "the tables of {} are up to date", settings.database_url)?;
    Ok(())
}
