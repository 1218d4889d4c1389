//! The same outbox over each kind of pool.

use larder::{Acknowledged, CacheService, Policy};
use larder_outbox::{Database, Outbox, SQLITE_SCHEMA, Settings};
use sqlx::{Any, Pool, Postgres, Sqlite};

use crate::fixture::{Base, Kind, changed};

/// Records in one pool, and is told by another of its kind.
async fn told_by<DB: Database>(pool: Pool<DB>) {
    Outbox::<DB>::migrate(&pool).await.unwrap(); // once more, which changes nothing
    let cache = CacheService::builder().relayed().build().unwrap();
    let outbox = Outbox::start(&pool, &cache, Settings::new()).await.unwrap();
    testkit::until("the relay reads", async || cache.sync().await.is_ok()).await;
    cache.set("deal:a", 1, Policy::new()).await;
    let recorded = {
        let mut change = pool.begin().await.unwrap();
        let recorded = outbox.add(&mut change, changed("a")).await.unwrap();
        assert_eq!(cache.get::<i32>("deal:a").await.as_deref(), Some(&1));
        change.commit().await.unwrap();
        recorded
    };
    assert_eq!(outbox.announce(recorded).await, Acknowledged::Applied);
    assert!(cache.get::<i32>("deal:a").await.is_none());
    outbox.shutdown().await;
}

#[test]
fn pools_of_one_kind_and_of_any_have_the_same_outbox() {
    testkit::run(async {
        for kind in [Kind::Sqlite, Kind::Postgres] {
            let base = Base::new(kind).await;
            told_by::<Any>(base.pool.clone()).await;
            match kind {
                Kind::Sqlite => told_by::<Sqlite>(Pool::connect(&base.url).await.unwrap()).await,
                Kind::Postgres => told_by::<Postgres>(Pool::connect(&base.url).await.unwrap()).await,
            }
            assert_eq!(base.number("SELECT count(*) FROM larder_outbox").await, 2);
        }
    });
}

#[test]
fn a_database_in_memory_has_one_connection_and_an_outbox() {
    testkit::run(async {
        let pool = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await;
        told_by::<Sqlite>(pool.unwrap()).await;
    });
}

#[test]
fn the_statements_of_the_files_are_those_of_the_migration() {
    testkit::run(async {
        let pool = Pool::<Sqlite>::connect("sqlite::memory:").await.unwrap();
        sqlx::raw_sql(SQLITE_SCHEMA).execute(&pool).await.unwrap();
        sqlx::raw_sql(SQLITE_SCHEMA).execute(&pool).await.unwrap();
        let states: i64 =
            sqlx::query_scalar("SELECT count(*) FROM larder_outbox_state").fetch_one(&pool).await.unwrap();
        assert_eq!(states, 1);
    });
}
