//! Where the database is, as a setting says it.

use sqlx::postgres::PgConnectOptions;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Which database speaks behind the one SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseKind {
    /// A file, or the memory of this process.
    Sqlite,
    /// A server.
    Postgres,
}

impl DatabaseKind {
    /// Its name in `/api/health`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// Where the database is. It may hold a password, which it never shows.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    url: String,
    place: Place,
}

#[derive(Clone, PartialEq, Eq)]
enum Place {
    Memory,
    File(PathBuf),
    /// Without its password.
    Server(String),
}

impl DatabaseUrl {
    /// Reads `sqlite:PATH`, `sqlite::memory:` or `postgres://…`.
    ///
    /// # Errors
    /// A sentence on what is wrong and what to write instead; it never repeats the URL, which may hold a password.
    pub fn parse(url: &str) -> Result<Self, String> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Self::of_server(url);
        }
        let Some(rest) = url.strip_prefix("sqlite:") else {
            return Err("the database URL must begin with `sqlite:` or `postgres://`, for example `sqlite:crm.db` or \
                        `postgres://crm@localhost/crm`"
                .to_owned());
        };
        let path = rest.strip_prefix("//").unwrap_or(rest);
        if path == ":memory:" {
            return Ok(Self { url: "sqlite::memory:".to_owned(), place: Place::Memory });
        }
        if path.is_empty() || path.contains('?') {
            return Err(
                "the database URL must be `sqlite:` and the path of a file, without options".to_owned()
            );
        }
        // The driver decodes what follows a percent sign; the lock and the messages mean the same file as the setting.
        let encoded = path.replace('%', "%25");
        Ok(Self { url: format!("sqlite:{encoded}?mode=rwc"), place: Place::File(PathBuf::from(path)) })
    }

    fn of_server(url: &str) -> Result<Self, String> {
        // The driver's words may quote the URL.
        let options = PgConnectOptions::from_str(url).map_err(|_may_quote| {
            "the database URL must be like postgres://user:password@host:5432/database, with what is special in the \
             password written as `%` and two digits"
                .to_owned()
        })?;
        let database = options.get_database().filter(|database| !database.is_empty()).ok_or_else(|| {
            "the database URL names no database: write it behind the host, as in postgres://crm@localhost/crm".to_owned()
        })?;
        let (host, port) = (options.get_host(), options.get_port());
        let shown = format!("postgres://{}@{host}:{port}/{database}", options.get_username());
        Ok(Self { url: url.to_owned(), place: Place::Server(shown) })
    }

    /// Which database it is.
    #[must_use]
    pub const fn kind(&self) -> DatabaseKind {
        match self.place {
            Place::Memory | Place::File(_) => DatabaseKind::Sqlite,
            Place::Server(_) => DatabaseKind::Postgres,
        }
    }

    /// The file of the database, if it is in one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match &self.place {
            Place::File(path) => Some(path),
            Place::Memory | Place::Server(_) => None,
        }
    }

    /// Whether it ends with this process.
    #[must_use]
    pub const fn is_in_memory(&self) -> bool {
        matches!(self.place, Place::Memory)
    }

    /// The URL for the driver, with its password.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.url
    }
}

impl std::fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.place {
            Place::Memory => f.write_str("sqlite::memory:"),
            Place::File(file) => write!(f, "sqlite:{}", file.display()),
            Place::Server(shown) => f.write_str(shown),
        }
    }
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_urls_that_are_refused_say_what_to_write() {
        for wrong in [
            "",
            "crm.db",
            "mysql://localhost/crm",
            "sqlite:",
            "sqlite:crm.db?mode=ro",
            "postgres://crm:secret@localhost",
            "postgres://crm:secret@[/crm",
        ] {
            let message = DatabaseUrl::parse(wrong).unwrap_err();
            assert!(message.contains("sqlite:") || message.contains("postgres://"), "{wrong}: {message}");
            assert!(!message.contains("secret"), "{message}");
        }
        assert_eq!(DatabaseUrl::parse("sqlite::memory:").unwrap().file(), None);
        let file = DatabaseUrl::parse("sqlite://a/b.db").unwrap();
        assert_eq!((file.file(), file.kind()), (Some(Path::new("a/b.db")), DatabaseKind::Sqlite));
    }

    #[test]
    fn a_password_is_for_the_driver_alone() {
        let url = DatabaseUrl::parse("postgres://crm:s%40cret@db.internal/sales?sslmode=disable").unwrap();
        assert_eq!(url.to_string(), "postgres://crm@db.internal:5432/sales");
        assert_eq!(format!("{url:?}"), url.to_string());
        assert!(url.as_str().contains("s%40cret") && url.kind() == DatabaseKind::Postgres);
        assert!(!url.is_in_memory() && url.file().is_none());
    }
}
