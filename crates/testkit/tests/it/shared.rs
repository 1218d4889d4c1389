//! Finding the repository and the data beside it.

use testkit::{shared_data, workspace_root};

#[test]
fn the_workspace_root_holds_the_lock_file() {
    assert!(workspace_root().join("Cargo.lock").is_file());
}

#[test]
fn absent_data_is_none() {
    assert_eq!(shared_data("no/such/data"), None);
}

#[test]
fn present_data_is_found() {
    let Some(sales) = shared_data("data/crm_maven") else { return };
    assert!(sales.join("sales_pipeline.csv").is_file(), "{}", sales.display());
}
