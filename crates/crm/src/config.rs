//! The settings.

use std::path::PathBuf;

/// Where the database is, as a setting says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    url: String,
    file: Option<PathBuf>,
}

impl DatabaseUrl {
    /// Reads `sqlite:PATH` or `sqlite::memory:`.
    ///
    /// # Errors
    /// A sentence on what is wrong and what to write instead; it never repeats the URL, which may hold a password.
    pub fn parse(url: &str) -> Result<Self, String> {
        let Some(rest) = url.strip_prefix("sqlite:") else {
            return Err("the database URL must begin with `sqlite:`, for example `sqlite:crm.db`".to_owned());
        };
        let path = rest.strip_prefix("//").unwrap_or(rest);
        if path == ":memory:" {
            return Ok(Self { url: "sqlite::memory:".to_owned(), file: None });
        }
        if path.is_empty() || path.contains('?') {
            return Err(
                "the database URL must be `sqlite:` and the path of a file, without options".to_owned()
            );
        }
        Ok(Self { url: format!("sqlite:{path}?mode=rwc"), file: Some(PathBuf::from(path)) })
    }

    /// The file of the database; `None` for one in memory.
    #[must_use]
    pub fn file(&self) -> Option<&std::path::Path> {
        self.file.as_deref()
    }

    /// The URL for the driver.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_urls_that_are_refused_say_what_to_write() {
        for wrong in ["", "crm.db", "postgres://localhost/crm", "sqlite:", "sqlite:crm.db?mode=ro"] {
            let message = DatabaseUrl::parse(wrong).unwrap_err();
            assert!(message.contains("sqlite:"), "{wrong}: {message}");
        }
        assert_eq!(DatabaseUrl::parse("sqlite::memory:").unwrap().file(), None);
        assert_eq!(
            DatabaseUrl::parse("sqlite://a/b.db").unwrap().file(),
            Some(std::path::Path::new("a/b.db"))
        );
    }
}
