//! `crm migrate`: the tables, and nothing else.

use super::{Failure, open};
use crate::config::Settings;
use crate::lock::DatabaseLock;
use std::io::Write;

pub(super) async fn run(settings: &Settings) -> Result<(), Failure> {
    // Alone, whatever cache there is: what others show is made of the tables as they know them.
    let _lock = DatabaseLock::take(&settings.database_url)?;
    open(settings).await?.close().await;
    writeln!(std::io::stdout().lock(), "the tables of {} are up to date", settings.database_url)?;
    Ok(())
}
