//! Where the repository is, and the real data beside it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The root folder of this workspace.
///
/// # Panics
///
/// If the testkit is moved out of `crates/testkit`.
#[must_use]
pub fn workspace_root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    root.expect("the testkit lies in crates/testkit of the workspace").to_owned()
}

/// The path of real data in `shared/`, the folder beside the repository, if it is there.
///
/// The data is never copied into the repository, so a plain clone does not have it. Then this says on standard
/// error what is missing, past the capture of the test harness, and the test uses the project's own sample or
/// returns.
///
/// # Examples
///
/// ```
/// let Some(sales) = testkit::shared_data("data/crm_maven") else { return };
/// assert!(sales.join("accounts.csv").is_file());
/// ```
#[must_use]
pub fn shared_data(path: &str) -> Option<PathBuf> {
    let found = workspace_root().parent()?.join("shared").join(path);
    if found.exists() {
        return Some(found);
    }
    // Written directly, because `eprintln!` is captured and thrown away when the test passes. If standard
    // error is closed, there is nobody left to tell.
    writeln!(
        io::stderr().lock(),
        "NOTE: ../shared/{path} is absent: what needs it is not tested in this run"
    )
    .ok();
    None
}
