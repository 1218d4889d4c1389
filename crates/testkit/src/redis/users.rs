//! Users and passwords: those of `deploy/users.acl`, and one for the testkit itself.

use std::fs;
use std::path::{Path, PathBuf};

use super::home::Home;

/// The user of `deploy/users.acl` that may do what the library does.
pub const USER: &str = "larder";

/// Its password in tests. In `deploy/users.acl` it has none, so that nobody is let in by a password that all know.
pub const PASSWORD: &str = "a-password-of-tests";

/// Who the testkit is on a server that has users: it may do everything.
pub(crate) const OWN_USER: &str = "testkit";
pub(crate) const OWN_PASSWORD: &str = "only-through-the-socket-of-the-test";

/// Writes the file of users for one server: the deployed one with a password for larder, and our own user.
pub(crate) fn write(home: &Home, deployed: &Path) -> PathBuf {
    let text = fs::read_to_string(deployed)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", deployed.display()));
    let with_password =
        text.replace(&format!("user {USER} on resetpass "), &format!("user {USER} on >{PASSWORD} "));
    assert_ne!(text, with_password, "{}: {USER} is no longer `on resetpass`", deployed.display());
    home.write("users.acl", &format!("{with_password}user {OWN_USER} on >{OWN_PASSWORD} ~* &* +@all\n"))
}
