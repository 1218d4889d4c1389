//! `crm check-config`: the settings that hold, in the form of the settings file.

use super::Failure;
use crate::config::Settings;
use std::io::Write;

pub(super) fn run(settings: &Settings) -> Result<(), Failure> {
    settings.redis.connection()?; // the files that it names must be there
    write!(std::io::stdout().lock(), "{settings}")?;
    Ok(())
}
