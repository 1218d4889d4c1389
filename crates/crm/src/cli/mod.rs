//! The command line: one subcommand a file.

mod backup;
mod check_config;
mod import;
mod migrate;
mod operator_token;
mod serve;
mod user;
mod warm;

use crate::backup::BackupError;
use crate::config::{self, ConfigError, Layer, Settings};
use crate::database::{Database, OpenError};
use crate::error::Error;
use crate::import::contacts::ContactsError;
use crate::import::sales::ImportError;
use crate::server::CacheError;
use crate::warm::AskError;
use clap::{Parser, Subcommand};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  crm                                     serve on 127.0.0.1:8080, with demo data when the database is new
  crm serve --listen 127.0.0.1:9000 --warm
  crm import sales exports/2026-11        bring in a sales pipeline; `crm import sales --help` says how
  crm import contacts people.csv --company 'Lee & Sons' --dry-run
  crm backup crm-monday.db                save the database while servers run; `crm restore` puts it back
  crm warm                                ask the running server to fill its cache
  crm user add ann@example.com --name Ann --new-company 'Lee & Sons'     a company and its first admin
  CRM_CACHE=off CRM_SHOW_QUERIES=on crm   ask the database for everything, and say how often
  CRM_REDIS_URL=redis://127.0.0.1 crm     keep the cache in Redis, together with others that do
  CRM_DATABASE_URL=postgres://crm@localhost/crm crm     keep the data in PostgreSQL

Once it serves, with the login that it prints:
  curl -c jar http://127.0.0.1:8080/api/auth/login -H 'Content-Type: application/json' -d '{\"email\": …, \"password\": …}'
  curl -b jar http://127.0.0.1:8080/api/companies

Under /api:
  POST auth/login, auth/logout; GET me; PUT me/password
  GET, DELETE                 me/sessions, me/sessions/{id}; POST me/tokens, for programs
  GET companies, products, countries, health
  GET, PATCH                  companies/{id}
  GET, POST                   companies/{id}/deals, …/contacts, …/users
  GET                         companies/{id}/pipeline, …/dashboard, …/analytics/monthly, …/audit
  GET                         companies/{id}/deals.csv, …/contacts.csv, …/users.csv
  POST                        companies/{id}/analytics/refresh
  GET, PATCH, DELETE          deals/{id}, contacts/{id}, users/{id}
  POST                        deals/{id}/stage, users/{id}/hand-over
  GET, POST                   deals/{id}/activities, contacts/{id}/activities
  GET, PATCH, DELETE          activities/{id}
  GET                         users/{id}/stats
  POST                        users/{id}/password, for admins: makes one
  PATCH                       products/{id}, for the operator: `crm operator-token`
All of it, to read and to try: /api/docs
Lists take page, per_page (at most 200), sort (-name for the reverse), q (words to search for) and filters.";

/// A CRM back end on SQLite or PostgreSQL whose every read goes through a cache, in its process or in Redis.
///
/// Without a command it serves. Settings come from flags, over CRM_… variables, over crm.toml.
#[derive(Debug, Parser)]
#[command(name = "crm", version, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    settings: Layer,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve over HTTP until a signal to stop (the default)
    Serve(serve::Arguments),
    /// Bring in data of another system
    #[command(subcommand)]
    Import(import::Import),
    /// Add users, and give them passwords
    #[command(subcommand)]
    User(user::User),
    /// Save the database in a file, while servers run
    #[command(long_about = backup::BACKUP, after_long_help = backup::BACKUP_EXAMPLES)]
    Backup(backup::BackupArguments),
    /// Put a backup in the place of the database
    #[command(long_about = backup::RESTORE, after_long_help = backup::RESTORE_EXAMPLES)]
    Restore(backup::RestoreArguments),
    /// Say that others have put the database back, as `pg_restore` does
    #[command(long_about = backup::RESTORED)]
    Restored,
    /// Create the database, or bring its tables up to date, and end
    Migrate,
    /// Ask the running server to load companies and their pipelines into its cache
    #[command(long_about = warm::LONG_ABOUT)]
    Warm(warm::Arguments),
    /// Print a token of the operator, who changes the price list
    #[command(long_about = operator_token::LONG_ABOUT, after_long_help = operator_token::EXAMPLES)]
    OperatorToken(operator_token::Arguments),
    /// Show the settings that hold, and what is wrong with them
    CheckConfig,
}

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("{0}")]
    Data(#[from] Error),
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error(
        "{address} cannot be listened on: {source}. Is another server running there? Name another port with --listen"
    )]
    Listen { address: std::net::SocketAddr, source: std::io::Error },
    #[error(
        "{0} can be reached from other machines, by itself or by its public URL, and users of the demo have the password of the \
         manual: give them others with `crm user password`, name another database, or serve this machine alone"
    )]
    DemoInTheOpen(std::net::SocketAddr),
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error(transparent)]
    Contacts(#[from] ContactsError),
    #[error(transparent)]
    Warm(#[from] AskError),
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Runs the command that the arguments of this process name.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(cli) {
        Ok(code) => code,
        Err(failure) => {
            // With stderr gone there is nobody left to tell.
            writeln!(std::io::stderr().lock(), "crm: {failure}").ok();
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli) -> Result<ExitCode, Failure> {
    let settings = Settings::load(cli.settings)?;
    log_to_stderr(&settings)?;
    let unknown = config::unknown_variables(std::env::vars_os().map(|(name, _)| name));
    if !unknown.is_empty() {
        // Not refused: whoever runs a service named `crm` may be given variables of that name by its surroundings.
        tracing::warn!(
            variables = unknown.join(", "),
            "these variables are no settings of crm and do nothing"
        );
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match cli.command.unwrap_or(Command::Serve(serve::Arguments::default())) {
        Command::Serve(arguments) => runtime.block_on(serve::run(settings, arguments)),
        // Only an import can end without success and without a failure: when it refuses what the files say.
        Command::Import(what) => return runtime.block_on(import::run(&settings, &what)),
        Command::User(user) => runtime.block_on(user::run(&settings, user)),
        Command::Backup(arguments) => runtime.block_on(backup::back_up(&settings, &arguments)),
        Command::Restore(arguments) => runtime.block_on(backup::restore(&settings, &arguments)),
        Command::Restored => runtime.block_on(backup::restored(&settings)),
        Command::Migrate => runtime.block_on(migrate::run(&settings)),
        Command::Warm(arguments) => runtime.block_on(warm::run(&settings, &arguments)),
        Command::OperatorToken(arguments) => runtime.block_on(operator_token::run(&settings, &arguments)),
        Command::CheckConfig => check_config::run(&settings),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn log_to_stderr(settings: &Settings) -> Result<(), ConfigError> {
    let filter = tracing_subscriber::EnvFilter::try_new(&settings.log)
        .map_err(|error| ConfigError::new(format!("log: {error}: write it as `warn,crm=info`")))?;
    tracing_subscriber::fmt()
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    Ok(())
}

/// Opens the database of these settings.
async fn open(settings: &Settings) -> Result<Database, Failure> {
    Ok(Database::open(&settings.database_url).await?)
}
