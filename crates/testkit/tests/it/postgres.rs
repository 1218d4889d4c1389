//! The server that tests of a database stand on.

use testkit::postgres::{self, PostgresServer};

fn name(url: &str) -> &str {
    url.rsplit('/').next().expect("a URL names its database")
}

#[test]
fn each_database_of_a_server_is_empty_and_its_own() {
    testkit::run(async {
        let server = postgres::shared().await;
        let (one, other) = (server.database().await, server.database().await);
        server.sql(name(&one), "CREATE TABLE t (x INT); INSERT INTO t VALUES (1), (2)").await;
        assert_eq!(server.sql(name(&one), "SELECT count(*), sum(x) FROM t").await, "2|3");
        assert_eq!(
            server.sql(name(&other), "SELECT count(*) FROM pg_tables WHERE tablename = 't'").await,
            "0"
        );
    });
}

#[test]
fn it_comes_back_with_what_was_committed() {
    testkit::run(async {
        let server = PostgresServer::start().await;
        let url = server.database().await;
        server.sql(name(&url), "CREATE TABLE t (x INT)").await;
        server.kill().await;
        server.restart().await;
        assert_eq!(server.sql(name(&url), "SELECT count(*) FROM t").await, "0");
        assert!(server.log().contains("database system was interrupted"), "{}", server.log());
    });
}
