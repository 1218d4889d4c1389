//! Imports: data of other systems becomes rows of the domains. Whole or not at all, and never by guessing: what is known
//! to be misspelt is repaired and reported, anything else that is wrong refuses the import with its file and line.

mod cell;
mod findings;
mod progress;
pub mod sales;
mod table;

use crate::config::DatabaseUrl;

/// What can be imported.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum ImportCommand {
    /// A sales pipeline from four CSV files.
    Sales(sales::SalesArgs),
}

impl ImportCommand {
    /// Imports, and prints what came of it.
    ///
    /// # Errors
    /// When the import cannot be carried out; what is wrong with the files is in the report instead.
    ///
    /// # Cancel safety
    /// Dropped midway, the database is as it was, or, when the commit was under way, holds the whole import.
    pub async fn run(&self, url: &DatabaseUrl) -> Result<sales::Ended, sales::ImportError> {
        match self {
            Self::Sales(args) => sales::run(args, url).await,
        }
    }
}
