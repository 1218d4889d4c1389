//! What the import tests share: directories of sales files to import, whole and broken, and the command that does it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::ground;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};

/// The project's own sample: each defect of the real data in 60 deals.
pub(crate) fn sample() -> PathBuf {
    testkit::workspace_root().join("crates/crm/samples/sales")
}

/// A directory of one test, with a database file that does not exist yet.
pub(crate) struct Desk {
    directory: tempfile::TempDir,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    /// The database, as the setting names it.
    pub(crate) fn url(&self) -> String {
        ground::url_of(self.directory.path())
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A copy of the sample with `edit` applied to the bytes of one of its files.
    pub(crate) fn sample_but(&self, file: &str, edit: impl FnOnce(Vec<u8>) -> Vec<u8>) -> PathBuf {
        let copy = tempfile::tempdir_in(self.directory.path()).unwrap().keep();
        for entry in fs::read_dir(sample()).unwrap() {
            let entry = entry.unwrap();
            fs::write(copy.join(entry.file_name()), fs::read(entry.path()).unwrap()).unwrap();
        }
        let edited = edit(fs::read(copy.join(file)).unwrap());
        fs::write(copy.join(file), edited).unwrap();
        copy
    }

    /// Runs `crm import sales DIR` on this desk's database.
    pub(crate) fn import(&self, directory: &Path, flags: &[&str]) -> Output {
        self.crm().args(["import", "sales"]).arg(directory).args(flags).output().unwrap()
    }

    /// Adds a user with this password, as who runs the service does it.
    pub(crate) fn add_user(&self, arguments: &[&str], password: &str) {
        let mut command = self.crm();
        command.args(["user", "add", "--password-stdin"]).args(arguments);
        let mut adding = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        adding.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
        assert!(adding.wait().unwrap().success(), "{arguments:?}");
    }

    /// The report of an import that ends well.
    pub(crate) fn imported(&self, directory: &Path) -> serde_json::Value {
        let output = self.import(directory, &["--json"]);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The report of an import that is refused for what the files say.
    pub(crate) fn refused(&self, directory: &Path) -> serde_json::Value {
        let output = self.import(directory, &["--json"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["outcome"], "refused");
        report
    }

    /// The command with this desk's database and no other settings.
    pub(crate) fn crm(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crm"));
        let settings = std::env::vars_os().map(|(name, _)| name);
        for name in settings.filter(|name| name.to_string_lossy().starts_with("CRM_")) {
            command.env_remove(name);
        }
        command.current_dir(self.directory.path()).env("CRM_DATABASE_URL", self.url());
        command
    }

    /// Every value of every row of every table, as SQL literals: what must be equal when nothing has changed.
    pub(crate) fn dump(&self) -> Vec<String> {
        self.with_database(async |mut connection| {
            let mut dump = Vec::new();
            for (table, columns) in tables(&mut connection).await {
                let sql = format!("SELECT {columns} AS row FROM {table} ORDER BY 1");
                let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap();
                dump.extend(rows.iter().map(|row| format!("{table}: {}", row.get::<String, _>("row"))));
            }
            connection.close().await.unwrap();
            dump
        })
    }

    /// Does to the database what no command of the application does.
    pub(crate) fn execute(&self, sql: &'static str) {
        self.with_database(async |mut connection| {
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        });
    }

    fn with_database<T>(&self, work: impl AsyncFnOnce(AnyConnection) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            sqlx::any::install_default_drivers();
            work(AnyConnection::connect(&self.url()).await.unwrap()).await
        })
    }
}

/// The tables, each with an SQL expression that shows all of a row.
async fn tables(connection: &mut AnyConnection) -> Vec<(String, String)> {
    let sql = if ground::on_postgres() {
        "SELECT CAST(tablename AS TEXT) AS name, 'CAST(' || tablename || '.* AS TEXT)' AS columns \
         FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
    } else {
        "SELECT name, (SELECT GROUP_CONCAT('QUOTE(' || c.name || ')', ' || '','' || ') \
         FROM pragma_table_info(t.name) c) AS columns \
         FROM sqlite_master t WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    };
    let tables = sqlx::query(sql).fetch_all(connection).await.unwrap();
    tables.iter().map(|table| (table.get("name"), table.get("columns"))).collect()
}
