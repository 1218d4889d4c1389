//! Where the database of a test is: in a file, or, with `CRM_TEST_DATABASE=postgres`, in a PostgreSQL of this test process. The one test
//! command runs everything on both.

use std::path::Path;
use testkit::postgres;

/// Which database the tests run on.
const VARIABLE: &str = "CRM_TEST_DATABASE";

/// The file in a test's directory that says which database is its own.
const NOTE: &str = "database-url";

pub(crate) fn on_postgres() -> bool {
    std::env::var(VARIABLE).is_ok_and(|database| database == "postgres")
}

/// The URL of the database that belongs to a directory: always the same one, which is empty at first.
pub(crate) async fn url(directory: &Path) -> String {
    if !on_postgres() {
        return format!("sqlite:{}", directory.join("crm.db").display());
    }
    let note = directory.join(NOTE);
    if let Ok(url) = std::fs::read_to_string(&note) {
        return url;
    }
    let url = postgres::shared().await.database().await;
    std::fs::write(&note, &url).unwrap();
    url
}

/// The same, where nothing is awaited.
pub(crate) fn url_of(directory: &Path) -> String {
    if !on_postgres() {
        return format!("sqlite:{}", directory.join("crm.db").display());
    }
    if let Ok(url) = std::fs::read_to_string(directory.join(NOTE)) {
        return url;
    }
    // On a thread of its own: there may be a runtime on this one.
    std::thread::scope(|scope| {
        let made = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(url(directory))
        });
        made.join().unwrap()
    })
}
