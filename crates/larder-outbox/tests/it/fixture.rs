//! A database with a table of an application and an outbox, and caches in front of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use larder::testing::Ablation;
use larder::{Builder, CacheService, Invalidation, Policy, Redis, Tag};
use larder_outbox::{Outbox, Settings};
use sqlx::any::AnyPoolOptions;
use sqlx::{Any, AnyPool, AssertSqlSafe};
use tempfile::TempDir;
use testkit::postgres;

/// The kinds of databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

/// Both, for tests that try each.
pub(crate) const KINDS: [Kind; 2] = [Kind::Sqlite, Kind::Postgres];

/// A database of one test.
pub(crate) struct Base {
    pub(crate) url: String,
    pub(crate) pool: AnyPool,
    _folder: Option<TempDir>,
}

impl Base {
    pub(crate) async fn new(kind: Kind) -> Base {
        let (url, folder) = match kind {
            Kind::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                (format!("sqlite://{}?mode=rwc", folder.path().join("app.db").display()), Some(folder))
            }
            Kind::Postgres => (postgres::shared().await.database().await, None),
        };
        Base { _folder: folder, ..Base::at(&url).await }
    }

    pub(crate) async fn at(url: &str) -> Base {
        let pool = pool(url).await;
        if url.starts_with("sqlite") {
            sqlx::query("PRAGMA journal_mode = WAL").execute(&pool).await.unwrap();
        }
        Outbox::<Any>::migrate(&pool).await.unwrap();
        let table = "CREATE TABLE deals (id TEXT PRIMARY KEY, company TEXT, stage BIGINT NOT NULL)";
        sqlx::query(table).execute(&pool).await.unwrap();
        Base { url: url.to_owned(), pool, _folder: None }
    }

    /// Executes a statement of the test's own.
    pub(crate) async fn sql(&self, statement: &str) {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&self.pool).await.unwrap();
    }

    pub(crate) fn kind(&self) -> Kind {
        if self.url.starts_with("sqlite") { Kind::Sqlite } else { Kind::Postgres }
    }

    /// One number.
    pub(crate) async fn number(&self, query: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_one(&self.pool).await.unwrap()
    }
}

pub(crate) async fn pool(url: &str) -> AnyPool {
    sqlx::any::install_default_drivers();
    AnyPoolOptions::new().max_connections(4).connect(url).await.unwrap()
}

/// One process's worth of cache in front of a database.
pub(crate) struct Node {
    pub(crate) cache: CacheService,
    pub(crate) outbox: Outbox<Any>,
    pub(crate) pool: AnyPool,
    pub(crate) loads: Arc<AtomicU64>,
}

impl Node {
    pub(crate) async fn new(base: &Base, redis: Option<Redis>) -> Node {
        Node::with(base, redis, Settings::new()).await
    }

    pub(crate) async fn with(base: &Base, redis: Option<Redis>, settings: Settings) -> Node {
        let node = Node::start(&base.url, redis, settings).await;
        node.cache.ready().await;
        node
    }

    /// One that goes on before Redis is reached. It waits for Redis as long as that takes.
    pub(crate) async fn start(url: &str, redis: Option<Redis>, settings: Settings) -> Node {
        let builder = CacheService::builder();
        let builder = match redis {
            Some(redis) => builder.redis(redis).without(Ablation::Deadlines),
            None => builder,
        };
        Node::of(builder, url, settings).await
    }

    /// One in this process alone, whose hits do not end because the machine of a test stood still for a second.
    pub(crate) async fn patient(base: &Base) -> Node {
        let builder = CacheService::builder().without(Ablation::LocalLease);
        let node = Node::of(builder, &base.url, Settings::new()).await;
        node.cache.ready().await;
        node
    }

    /// One with a cache that is built so.
    pub(crate) async fn of(builder: Builder, url: &str, settings: Settings) -> Node {
        let cache = builder.relayed().build().unwrap();
        let pool = pool(url).await;
        let outbox = Outbox::start(&pool, &cache, settings).await.unwrap();
        Node { cache, outbox, pool, loads: Arc::default() }
    }

    /// Waits until it is told of all that was committed before.
    pub(crate) async fn synced(&self) {
        testkit::until("it is told of everything", async || self.cache.sync().await.is_ok()).await;
    }

    /// The stage of a deal, through the cache.
    pub(crate) async fn read(&self, id: &str) -> i64 {
        let policy = Policy::new().tag(Tag::new("deal", id));
        let stage = self.cache.get_or_set(format!("deal:{id}"), policy, || async {
            self.loads.fetch_add(1, Ordering::Relaxed);
            stage(&self.pool, id).await
        });
        *stage.await.unwrap()
    }

    pub(crate) fn loads(&self) -> u64 {
        self.loads.load(Ordering::Relaxed)
    }

    /// Writes the stage of a deal, and announces it.
    pub(crate) async fn write(&self, id: &str, stage: i64) -> larder::Acknowledged {
        let recorded = {
            let mut change = self.pool.begin().await.unwrap();
            put(&mut change, id, stage).await;
            let recorded = self.outbox.add(&mut change, changed(id)).await.unwrap();
            change.commit().await.unwrap();
            recorded
        };
        self.outbox.announce(recorded).await
    }
}

/// What a change of a deal makes untrue.
pub(crate) fn changed(id: &str) -> Invalidation {
    Invalidation::new().key(format!("deal:{id}")).tag(Tag::new("deals", "all"))
}

pub(crate) async fn put(connection: &mut sqlx::AnyConnection, id: &str, stage: i64) {
    let sql = "INSERT INTO deals (id, stage) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET stage = $2";
    sqlx::query(sql).bind(id).bind(stage).execute(connection).await.unwrap();
}

pub(crate) async fn stage(pool: &AnyPool, id: &str) -> Result<i64, Arc<sqlx::Error>> {
    let found =
        sqlx::query_scalar("SELECT stage FROM deals WHERE id = $1").bind(id).fetch_optional(pool).await;
    Ok(found.map_err(Arc::new)?.unwrap_or(0))
}
