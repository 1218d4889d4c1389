//! The servers and the processes of a run, and what befalls them.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use tempfile::TempDir;
use testkit::faults::Faulty;
use testkit::postgres::PostgresServer;
use testkit::proxy::{Direction, FaultProxy};
use testkit::worker::Worker;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::clock::now_ns;
use crate::crm::{self, Place};
use crate::database;
use crate::history::History;
use crate::options::{Database, Options};
use crate::schedule::{Fault, OfProcess, Strike};
use crate::subject::Kind;
use crate::worker::{HISTORY, Order, Settings, Word};

/// 300 ms: how long a server that has become a replica is still asked by all, and how much a lagging replica has not heard of.
const BETWEEN: Duration = Duration::from_millis(300);

/// 120 ms: how much later a slow link brings everything.
const SLOW: Duration = Duration::from_millis(120);

/// 700: what arrives at once over a crumbled link; a large fill is a dozen of them, a question part of one.
const CRUMB_BYTES: usize = 700;

/// 1 minute: how long a process may take to answer when nothing is wrong any more. It then hangs.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// Where it all happens.
pub(crate) struct Ground {
    /// Dropped first: they end before what they depend on.
    pub(crate) processes: Vec<Process>,
    /// Two servers: one is the primary, the other one its replica.
    servers: [Faulty; 2],
    primary: AtomicUsize,
    postgres: Option<PostgresServer>,
    folder: TempDir,
    /// Who has ended without having been killed, in words.
    fallen: Mutex<Vec<String>>,
}

/// A process, and the way from it to Redis. Where the CRM is checked, what befalls the process befalls its server, and the process lives on.
pub(crate) struct Process {
    settings: Settings,
    link: FaultProxy,
    worker: Mutex<Arc<Worker>>,
    server: Option<Server>,
}

/// A server of the CRM.
struct Server {
    place: Place,
    /// Leads to wherever it listens now.
    front: Arc<FaultProxy>,
    worker: Mutex<Arc<Worker>>,
    starting: Mutex<JoinSet<()>>,
}

impl Ground {
    pub(crate) async fn new(options: &Options) -> Result<Self, Box<dyn Error + Send + Sync>> {
        // In memory, where there is such a place: what processes note there is read with every read that is judged.
        let folder = match Path::new("/dev/shm").is_dir() {
            true => tempfile::tempdir_in("/dev/shm")?,
            false => tempfile::tempdir()?,
        };
        let postgres = match options.database {
            Database::Sqlite => None,
            Database::Postgres => Some(PostgresServer::start_durable().await),
        };
        let database_url = match &postgres {
            None => {
                let file = folder.path().join("rows.db");
                std::fs::File::create(&file)?; // an empty file is an empty database
                format!("sqlite:{}", file.display())
            }
            Some(postgres) => postgres.database().await,
        };
        if options.kind != Kind::Crm {
            let pool = database::pool(&database_url).await?;
            database::prepare(&pool, options.rows).await?;
            larder_outbox::Outbox::<sqlx::Any>::migrate(&pool).await?;
            pool.close().await;
        }
        History::create(&folder.path().join(HISTORY), options.rows)?;
        let servers = [Faulty::start().await, Faulty::start().await];
        let begun_ns = now_ns();
        let mut processes = Vec::new();
        for number in 0..options.processes {
            let settings = Settings {
                name: format!("process {number}"),
                kind: options.kind,
                without: options.without.clone(),
                folder: folder.path().to_owned(),
                url: String::new(),
                database_url: database_url.clone(),
                rows: options.rows,
                seed: options.seed.wrapping_add(number as u64),
                number: number as u64,
                processes: options.processes as u64,
                writes: true,
                begun_ns,
            };
            processes.push(Process::start(settings, &servers[0]).await?);
        }
        let (primary, fallen) = (AtomicUsize::new(0), Mutex::default());
        let ground = Ground { servers, primary, postgres, processes, folder, fallen };
        for server in &ground.servers {
            server.remember().await;
        }
        ground.follow(&ground.servers[1], &ground.servers[0]).await;
        Ok(ground)
    }

    /// Where processes write down what is wrong.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Who has ended by itself so far, in words.
    pub(crate) fn fallen(&self) -> Vec<String> {
        let fallen_now = self.processes.iter().filter_map(Process::fallen);
        self.fallen.lock().iter().cloned().chain(fallen_now).collect()
    }

    /// Kills a process, and starts another one in its place, which changes nothing.
    pub(crate) async fn replace_by_reader(&self, process: usize) -> Result<(), Box<dyn Error + Send + Sync>> {
        let process = &self.processes[process];
        let settings = Settings { writes: false, ..process.settings.clone() };
        self.fallen.lock().extend(process.fallen());
        process.replace(&settings).await
    }

    fn primary(&self) -> &Faulty {
        &self.servers[self.primary.load(Ordering::Acquire)]
    }

    /// Lets the primary remember what it holds, to come back with it later.
    pub(crate) async fn remember(&self) {
        self.primary().remember().await;
    }

    async fn follow(&self, replica: &Faulty, primary: &Faulty) {
        let address = primary.server().address();
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        replica.server().command(&["REPLICAOF", &host, &port]).await;
    }

    /// Lets something happen.
    pub(crate) async fn begin(&self, strike: Strike) -> Result<(), Box<dyn Error + Send + Sync>> {
        let process = &self.processes[strike.process];
        match strike.fault {
            Fault::Server(fault) => fault.begin(self.primary()).await,
            Fault::Process(fault) => {
                if fault == OfProcess::Killed {
                    self.fallen.lock().extend(process.fallen());
                }
                process.begin(fault).await?;
            }
            Fault::Failover | Fault::LaggingFailover => {
                self.fail_over(strike.fault == Fault::LaggingFailover).await;
            }
            Fault::Crumbled => {
                let links = self.processes.iter().map(|process| &process.link);
                links.for_each(|link| link.crumble(CRUMB_BYTES, Duration::from_millis(1)));
            }
            Fault::DatabaseKilled => self.postgres.as_ref().expect("it is over PostgreSQL").kill().await,
        }
        Ok(())
    }

    /// Ends it.
    pub(crate) async fn end(&self, strike: Strike) {
        match strike.fault {
            Fault::Server(fault) => fault.end(self.primary()).await,
            Fault::Process(fault) => self.processes[strike.process].end(fault).await,
            Fault::Failover | Fault::LaggingFailover => {}
            Fault::Crumbled => {
                for process in &self.processes {
                    process.link.heal().await;
                }
            }
            Fault::DatabaseKilled => self.postgres.as_ref().expect("it is over PostgreSQL").restart().await,
        }
    }

    /// The replica takes over. A lagging one has stopped listening before, and nobody reaches the old primary from then on; otherwise that
    /// is still asked for a while, and refuses as a replica does. In no case do two serve at once, of which nothing is promised.
    async fn fail_over(&self, lags: bool) {
        let old = self.primary.load(Ordering::Acquire);
        let (old, new) = (&self.servers[old], &self.servers[1 - old]);
        new.server().command(&["REPLICAOF", "NO", "ONE"]).await;
        let says = new.server().command(&["INFO", "replication"]).await.text();
        assert!(says.contains("role:master"), "the replica did not take over: {says}");
        if lags {
            sleep(BETWEEN).await;
            old.proxy().refuse().await;
            old.proxy().cut().await;
        } else {
            self.follow(old, new).await;
            sleep(BETWEEN).await;
        }
        for process in &self.processes {
            process.link.lead_to(new.proxy().address()).await;
        }
        if lags {
            self.follow(old, new).await;
            old.proxy().accept().await;
        }
        self.primary.fetch_xor(1, Ordering::AcqRel);
    }
}

impl Process {
    async fn start(mut settings: Settings, server: &Faulty) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let link = FaultProxy::to(server.proxy().address()).await;
        settings.url = link.url();
        let mut crm = None;
        if settings.kind == Kind::Crm {
            let place = Place { redis_url: link.url(), database_url: settings.database_url.clone() };
            let server = Server::start(place).await?;
            let pool = database::pool(&settings.database_url).await?;
            crm::choose(&pool, settings.rows).await?; // it has so many
            pool.close().await;
            settings.url = format!("http://{}", server.front.address());
            crm = Some(server);
        }
        let worker = Mutex::new(Arc::new(start(&settings)?));
        Ok(Process { settings, link, worker, server: crm })
    }

    /// The process that there is now.
    fn worker(&self) -> Arc<Worker> {
        Arc::clone(&self.worker.lock())
    }

    /// That which faults befall.
    fn victim(&self) -> Arc<Worker> {
        let worker = self.server.as_ref().map_or(&self.worker, |server| &server.worker);
        Arc::clone(&worker.lock())
    }

    /// Says so if it, or its server, has ended though nobody killed it.
    fn fallen(&self) -> Option<String> {
        let has_ended = self.victim().has_ended() || self.worker().has_ended();
        has_ended.then(|| format!("{} has ended by itself: a panic is above", self.settings.name))
    }

    async fn replace(&self, settings: &Settings) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.victim().kill().await;
        match &self.server {
            Some(server) => server.restart().await,
            None => {
                *self.worker.lock() = Arc::new(start(settings)?);
                Ok(())
            }
        }
    }

    /// Asks it; nothing if it has ended meanwhile.
    pub(crate) async fn ask(&self, order: &Order) -> Option<Word> {
        let order = serde_json::to_string(order).expect("orders are plain data");
        let word = self.worker().try_ask(&order).await?;
        serde_json::from_str(&word).ok()
    }

    /// Asks it when nothing is wrong any more; the error says that it hangs.
    pub(crate) async fn ask_healthy(&self, order: &Order) -> Result<Word, String> {
        match timeout(ANSWER_LIMIT, self.ask(order)).await {
            Ok(Some(word)) => Ok(word),
            Ok(None) => Err(format!("{}: it has ended", self.settings.name)),
            Err(_elapsed) => {
                Err(format!("{}: no answer within {ANSWER_LIMIT:?}: it hangs", self.settings.name))
            }
        }
    }

    async fn begin(&self, fault: OfProcess) -> Result<(), Box<dyn Error + Send + Sync>> {
        match fault {
            OfProcess::Killed => self.replace(&self.settings).await?,
            OfProcess::Paused => self.victim().pause().await,
            OfProcess::Cut => self.link.cut().await,
            OfProcess::CutOff => {
                self.link.refuse().await;
                self.link.cut().await;
            }
            OfProcess::HalfOpen => self.link.half_open(),
            OfProcess::Deaf => self.link.one_way(Direction::ToClient),
            OfProcess::Mute => self.link.one_way(Direction::ToServer),
            OfProcess::Slow => self.link.delay(SLOW),
        }
        Ok(())
    }

    async fn end(&self, fault: OfProcess) {
        match fault {
            OfProcess::Paused => self.victim().resume().await,
            _ => self.link.heal().await,
        }
    }
}

impl Server {
    /// Starts one, and returns when it serves.
    async fn start(place: Place) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let worker = spawn("crm", &place)?;
        let address = worker.try_ask("where").await.ok_or("a server of the CRM has ended at once")?;
        let front = Arc::new(FaultProxy::to(address.parse()?).await);
        Ok(Server { place, front, worker: Mutex::new(Arc::new(worker)), starting: Mutex::default() })
    }

    /// Starts one in the place of that which was killed. It may be a while until it serves; who asks meanwhile finds nobody.
    async fn restart(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.front.refuse().await; // another program may have its port by now
        let worker = Arc::new(spawn("crm", &self.place)?);
        *self.worker.lock() = Arc::clone(&worker);
        let front = Arc::clone(&self.front);
        let mut starting = JoinSet::new();
        starting.spawn(async move {
            // Without an address it has ended, or was killed as well.
            if let Some(address) = worker.try_ask("where").await.and_then(|address| address.parse().ok()) {
                front.lead_to(address).await;
                front.accept().await;
            }
        });
        *self.starting.lock() = starting;
        Ok(())
    }
}

/// A process of the run.
fn start(settings: &Settings) -> Result<Worker, Box<dyn Error + Send + Sync>> {
    spawn("worker", settings)
}

/// This program once more, with another task.
fn spawn(task: &str, settings: &impl Serialize) -> Result<Worker, Box<dyn Error + Send + Sync>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(task);
    Ok(Worker::spawn(command, &serde_json::to_string(settings)?))
}
