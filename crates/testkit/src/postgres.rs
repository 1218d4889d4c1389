//! A real PostgreSQL for one test, or for all tests of a process.
//!
//! It runs in a folder of its own and on a port of its own, and never outlives the test. Nothing that it writes is forced to the
//! disk unless that is asked for: what is tested is what processes see of each other, and not the end of the machine.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::port::Port;
use crate::process::{Process, Stopped};
use crate::supervisor::Supervisor;
use crate::wait::Patience;

/// Whom it belongs to where the tests run as root, as whom it refuses to run.
const SYSTEM_USER: &str = "postgres";

/// Who may do everything in it, without a password.
const USER: &str = "larder";

/// Where Debian and its relatives install each version, beside what is on the `PATH`.
const DEBIAN: &str = "/usr/lib/postgresql";

/// A running PostgreSQL; dropping it ends it and removes its folder.
///
/// # Panics
///
/// Its methods panic, with what the server said, where a test could not go on.
///
/// # Examples
///
/// ```
/// # testkit::run(async {
/// let url = testkit::postgres::shared().await.database().await;
/// assert!(url.starts_with("postgres://larder@127.0.0.1:"));
/// # });
/// ```
#[derive(Debug)]
pub struct PostgresServer {
    /// Dropped first: it ends the server, and then removes the folder.
    supervisor: Mutex<Supervisor>,
    process: Mutex<Option<Process>>,
    home: TempDir,
    port: Port,
    programs: PathBuf,
    databases: AtomicU64,
}

/// A server for all tests of this process, each with databases of its own. Never stop it.
///
/// # Panics
///
/// If it does not start.
///
/// # Cancel safety
///
/// If the first caller is dropped, the next one starts the server.
pub async fn shared() -> &'static PostgresServer {
    static SHARED: OnceCell<PostgresServer> = OnceCell::const_new();
    SHARED.get_or_init(PostgresServer::start).await
}

/// The folder of PostgreSQL's programs: on the `PATH`, or the newest of those that Debian has installed.
#[must_use]
pub fn programs() -> Option<PathBuf> {
    let on_path =
        env::var_os("PATH").map(|path| env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
    let version = |folder: &PathBuf| folder.file_name()?.to_str()?.parse::<u32>().ok();
    let mut versions: Vec<PathBuf> = fs::read_dir(DEBIAN)
        .map(|folders| folders.flatten().map(|folder| folder.path()).collect())
        .unwrap_or_default();
    versions.sort_by_key(version);
    let installed = versions.into_iter().rev().map(|version| version.join("bin"));
    let has_all = |folder: &PathBuf| {
        ["initdb", "postgres", "psql", "pg_isready"].iter().all(|program| folder.join(program).is_file())
    };
    installed.chain(on_path).find(has_all)
}

impl PostgresServer {
    /// Starts a server, and returns when it answers.
    ///
    /// # Panics
    ///
    /// If it does not start; `cargo xtask setup` installs PostgreSQL.
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends the server.
    pub async fn start() -> Self {
        Self::start_with(&["fsync=off", "full_page_writes=off"]).await
    }

    /// Starts a server that forces to the disk what it commits, as one that is installed does: for measurements.
    ///
    /// # Panics
    ///
    /// If it does not start.
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends the server.
    pub async fn start_durable() -> Self {
        Self::start_durable_with(&[]).await
    }

    /// The same, with lines of postgresql.conf that stand over the testkit's own, as `shared_buffers=512MB`.
    ///
    /// # Panics
    ///
    /// If it does not start.
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends the server.
    pub async fn start_durable_with(settings: &[&str]) -> Self {
        Self::start_with(settings).await
    }

    /// The id of its first process, whose children serve its connections.
    ///
    /// # Panics
    ///
    /// If it does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.lock().as_ref().expect("it runs").pid()
    }

    /// The port on 127.0.0.1 that it answers on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    async fn start_with(settings: &[&str]) -> Self {
        let programs = programs().expect("PostgreSQL is installed; `cargo xtask setup` does it");
        let home = tempfile::Builder::new().prefix("testkit-postgres-").tempdir();
        let home = home.expect("a temporary folder can be made");
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).expect("the folder is ours");
        let data = home.path().join("data");
        fs::create_dir(&data).expect("a folder can be made in an empty one");
        let becomes = becomes(&data).await;
        let mut initdb = becomes.clone();
        initdb.push(programs.join("initdb").into_os_string());
        let words = [
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
            "--username",
            USER,
            "--pgdata",
        ];
        initdb.extend(words.map(OsString::from));
        initdb.push(data.clone().into_os_string());
        run(&initdb, home.path()).await;
        let port = Port::claim();
        let mut command = becomes;
        command.push(programs.join("postgres").into_os_string());
        command.extend(["-D".into(), data.into_os_string(), "-p".into(), port.number().to_string().into()]);
        let ours = [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "shared_buffers=64MB",
            "max_connections=1000",
        ];
        for setting in ours.iter().chain(settings) {
            command.extend(["-c".into(), setting.into()]);
        }
        // QUIT: it ends at once, and with it all that it has started.
        let supervisor = Mutex::new(Supervisor::new("postgres", home.path(), "QUIT", &command));
        let (process, databases) = (Mutex::default(), AtomicU64::new(0));
        let server = PostgresServer { supervisor, process, home, port, programs, databases };
        server.run().await;
        server
    }

    async fn run(&self) {
        let process = self.supervisor.lock().start();
        let patience = Patience::with_a_process();
        while !self.answers().await {
            assert!(process.is_running(), "PostgreSQL did not start; it said:\n{}", self.log());
            patience.pause(|| format!("PostgreSQL answers; it said:\n{}", self.log())).await;
        }
        *self.process.lock() = Some(process);
    }

    async fn answers(&self) -> bool {
        let mut ready = Command::new(self.programs.join("pg_isready"));
        ready.args(["-q", "-h", "127.0.0.1", "-p", &self.port.number().to_string()]);
        ready.stdin(Stdio::null()).kill_on_drop(true).status().await.is_ok_and(|status| status.success())
    }

    /// Makes a new, empty database, and answers its URL.
    ///
    /// # Cancel safety
    ///
    /// The database may have been made.
    pub async fn database(&self) -> String {
        let name = format!("test_{}_{}", std::process::id(), self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}")).await;
        format!("postgres://{USER}@127.0.0.1:{}/{name}", self.port.number())
    }

    /// What `psql` answers to a statement in a database, in lines of columns with `|` between them.
    ///
    /// # Panics
    ///
    /// If the statement fails.
    ///
    /// # Cancel safety
    ///
    /// The statement may have been executed.
    pub async fn sql(&self, database: &str, statement: &str) -> String {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", USER]);
        psql.args(["-p", &self.port.number().to_string(), "-d", database, "-c", statement]);
        let output =
            psql.stdin(Stdio::null()).kill_on_drop(true).output().await.expect("psql can be started");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "psql {statement}: {said}\n{}", self.log());
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Ends it at once, as a crash would, and waits until it is gone.
    ///
    /// # Cancel safety
    ///
    /// It ends, perhaps a moment later.
    pub async fn kill(&self) {
        let process = self.process.lock().take();
        if let Some(process) = process {
            process.signal(Signal::QUIT);
            process.signal(Signal::CONT);
            process.ended().await;
        }
    }

    /// Starts it again, on the same port and with its data; first [kills](PostgresServer::kill) it if it runs.
    ///
    /// # Cancel safety
    ///
    /// It may be killed, or running.
    pub async fn restart(&self) {
        self.kill().await;
        self.run().await;
    }

    /// Stops its first process where it stands: nobody gets a new connection, those that there are go on.
    ///
    /// # Panics
    ///
    /// If it does not run.
    ///
    /// # Cancel safety
    ///
    /// It is paused, perhaps a moment later.
    pub async fn pause(&self) {
        let process = self.process.lock().take().expect("it runs");
        process.signal(Signal::STOP);
        process.stopped(Stopped::Yes).await;
        *self.process.lock() = Some(process);
    }

    /// What it wrote to its log, in all its runs.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.home.path().join("output")).unwrap_or_default()).into_owned()
    }
}

/// What a command begins with that runs as the owner of the data: nothing, unless we are root.
async fn becomes(data: &Path) -> Vec<OsString> {
    if !rustix::process::geteuid().is_root() {
        return Vec::new();
    }
    let [user, group] = [id("-u").await, id("-g").await];
    chown(data, Some(user), Some(group)).expect("root gives files away");
    let words = [
        "setpriv".to_owned(),
        format!("--reuid={user}"),
        format!("--regid={group}"),
        "--clear-groups".to_owned(),
    ];
    words.map(OsString::from).to_vec()
}

async fn id(what: &str) -> u32 {
    let id = Command::new("id").args([what, SYSTEM_USER]).output().await.expect("`id` can be started");
    let id = String::from_utf8_lossy(&id.stdout).trim().parse();
    id.expect("PostgreSQL's package makes the user `postgres`")
}

async fn run(words: &[OsString], home: &Path) {
    let mut command = Command::new(&words[0]);
    let command = command.args(&words[1..]).current_dir(home).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.expect("initdb can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "initdb: {}: {said}", output.status);
}
