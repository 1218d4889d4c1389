//! One SQLite file: what is in it, whether it is whole, and how it is copied.

use super::{BackupError, Step};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, SqliteConnection};
use std::path::Path;
use std::time::Duration;

/// How often is told how far a copy has come.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// What a database holds, after it was found to be whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// The migration that has made its tables last.
    pub migration: i64,
    /// How many rows there are, by table.
    pub rows: Vec<(String, i64)>,
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// By whoever works with the database.
    Shared,
    /// To be looked at, and left as it is.
    Read,
}

async fn open(file: &Path, access: Access) -> Result<SqliteConnection, BackupError> {
    let options = SqliteConnectOptions::new().filename(file).read_only(access == Access::Read);
    options.connect().await.map_err(of(file))
}

fn of(file: &Path) -> impl FnOnce(sqlx::Error) -> BackupError + use<> {
    let file = file.to_owned();
    move |source| {
        let code = source.as_database_error().and_then(|error| error.code()).unwrap_or_default();
        match code.as_ref() {
            // SQLite's words for a file that is damaged, or none of its own.
            "11" => BackupError::Damaged { file, what: source.to_string() },
            "26" => BackupError::Foreign { file, reason: "it is no SQLite file".to_owned() },
            _ => BackupError::Sqlite { file, source },
        }
    }
}

/// Looks through a file from its beginning to its end.
///
/// # Errors
/// It is not whole, no database of this CRM, or one of a newer program.
///
/// # Cancel safety
/// It changes nothing.
pub(super) async fn examine(file: &Path) -> Result<Contents, BackupError> {
    let mut connection = open(file, Access::Read).await?;
    let migration = known_migration(file, &mut connection).await?;
    let found = sqlx::query_scalar("PRAGMA integrity_check(1)").fetch_one(&mut connection);
    let found: String = found.await.map_err(of(file))?;
    if found != "ok" {
        return Err(BackupError::Damaged { file: file.to_owned(), what: found });
    }
    let rows = count(&mut connection).await.map_err(of(file))?;
    connection.close().await.map_err(of(file))?;
    Ok(Contents { migration, rows })
}

/// The last migration of a file, all of which this program knows.
async fn known_migration(file: &Path, connection: &mut SqliteConnection) -> Result<i64, BackupError> {
    let foreign = || BackupError::Foreign {
        file: file.to_owned(),
        reason: "its tables are made by another program".to_owned(),
    };
    let sql = "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'";
    let has_any: i64 = sqlx::query_scalar(sql).fetch_one(&mut *connection).await.map_err(of(file))?;
    if has_any == 0 {
        return Err(foreign());
    }
    let sql = "SELECT version, checksum FROM _sqlx_migrations ORDER BY version";
    let made: Vec<(i64, Vec<u8>)> = sqlx::query_as(sql).fetch_all(connection).await.map_err(of(file))?;
    let migrations = sqlx::migrate!();
    let known = |version| migrations.iter().find(|migration| migration.version == version);
    let is_ours = made.first().is_some_and(|(version, _)| known(*version).is_some())
        && made.iter().all(|(version, sum)| known(*version).is_none_or(|known| *known.checksum == **sum));
    if !is_ours {
        return Err(foreign());
    }
    if made.iter().any(|(version, _)| known(*version).is_none()) {
        return Err(BackupError::Newer(file.to_owned()));
    }
    made.last().map(|(version, _)| *version).ok_or_else(foreign)
}

async fn count(connection: &mut SqliteConnection) -> Result<Vec<(String, i64)>, sqlx::Error> {
    // What the tables of others are for, the record of changes and the list of migrations, tells nobody anything.
    let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB 'sqlite_*' AND name NOT GLOB '_sqlx*' \
               AND name NOT GLOB 'larder_*' ORDER BY name";
    let tables: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut *connection).await?;
    let mut rows = Vec::new();
    for table in tables {
        let sql = AssertSqlSafe(format!("SELECT COUNT(*) FROM \"{}\"", table.replace('"', "\"\"")));
        rows.push((table, sqlx::query(sql).fetch_one(&mut *connection).await?.get(0)));
    }
    Ok(rows)
}

/// Writes one state of a database into an empty file, whoever writes to it meanwhile.
///
/// # Errors
/// What SQLite reports.
///
/// # Cancel safety
/// Dropped early, something of it may be written.
pub(super) async fn copy(
    from: &Path,
    access: Access,
    to: &Path,
    tell: &impl Fn(Step),
) -> Result<(), BackupError> {
    let mut connection = open(from, access).await?;
    let sql = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    let size: i64 = sqlx::query_scalar(sql).fetch_one(&mut connection).await.map_err(of(from))?;
    let of_bytes = u64::try_from(size).unwrap_or_default();
    let name = to.to_str().ok_or_else(|| {
        super::of(to)(std::io::Error::new(std::io::ErrorKind::InvalidFilename, "its name is no text"))
    })?;
    {
        // A transaction that reads: writers go on, and what they commit is not in it.
        let copying = sqlx::query("VACUUM INTO $1").bind(name).execute(&mut connection);
        let mut copying = std::pin::pin!(copying);
        loop {
            let written_bytes = std::fs::metadata(to).map_or(0, |file| file.len());
            tell(Step::Copy { written_bytes, of_bytes });
            match tokio::time::timeout(TELL_EVERY, &mut copying).await {
                Ok(copied) => break copied.map_err(of(from))?,
                Err(_goes_on) => {}
            }
        }
    };
    connection.close().await.map_err(of(from))
}

/// Takes what lies in the log of a database into its file, so that the file alone is all of it.
///
/// # Errors
/// What SQLite reports: that somebody else has it open, or that it is damaged.
///
/// # Cancel safety
/// Dropped early, it may be done or not.
pub(super) async fn fold(file: &Path) -> Result<(), BackupError> {
    let options = SqliteConnectOptions::new().filename(file).journal_mode(SqliteJournalMode::Delete);
    let connection = options.connect().await.map_err(of(file))?;
    connection.close().await.map_err(of(file))
}
