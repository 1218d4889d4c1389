//! Warming the cache of a running server.

use crate::running::Data;
use crm::access;
use crm::config::Switch;
use crm::warm::{AskError, Summary, ask};

#[test]
fn warmed_companies_and_pipelines_are_hits() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let token = access::operator_token(&data.database).await.unwrap();
        let mut steps = Vec::new();
        let summary =
            ask(server.address, &token, |progress| steps.push((progress.done, progress.of))).await.unwrap();
        assert_eq!(summary, Summary { companies: 3, loaded: 6, present: 0, failed: 0 });
        assert_eq!(steps, [(1, 3), (2, 3), (3, 3)]);
        let company = server.company().await;
        for path in [format!("/api/companies/{company}"), format!("/api/companies/{company}/pipeline")] {
            assert_eq!(server.get(&path).await.header("x-cache"), "hit-local", "{path}");
        }
        let again = ask(server.address, &token, |_| {}).await.unwrap();
        assert_eq!(again, Summary { companies: 3, loaded: 0, present: 6, failed: 0 });
    });
}

#[test]
fn without_a_server_or_a_cache_the_reason_is_told() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::Off).await;
        let token = access::operator_token(&data.database).await.unwrap();
        let refused = ask(server.address, &token, |_| {}).await.unwrap_err().to_string();
        assert!(refused.contains("CRM_CACHE=on"), "{refused}");
        let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert!(matches!(ask(nobody, &token, |_| {}).await, Err(AskError::NoServer(_))));
    });
}
