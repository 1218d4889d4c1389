//! Users and passwords: those of `deploy/users.acl`, and one for the testkit itself.

use std::fs;
use std::path::{Path, PathBuf};

use super::home::Home;

/// The user of `deploy/users.acl` that may do what the library does.
pub const USER: &str = "larder";

/// Its password in tests. In `deploy/users.acl` it has none, so that nobody is let in by a password that all know.
pub const PASSWORD: &str = "a password of tests";

/// The password in the form in which it stands in a URL.
pub(crate) const PASSWORD_IN_URL: &str = "a%20password%20of%20tests";

/// Who the testkit is on a server that has users: it may do everything.
pub(crate) const OWN_USER: &str = "testkit";
pub(crate) const OWN_PASSWORD: &str = "only-through-the-socket-of-the-test";

/// Writes the file of users for one server: the deployed one with a password for larder, and our own user.
pub(crate) fn write(home: &Home, deployed: &Path) -> PathBuf {
    let text = fs::read_to_string(deployed)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", deployed.display()));
    let password = format!("user {USER} on #{PASSWORD_SHA256} ");
    let with_password = text.replace(&format!("user {USER} on resetpass "), &password);
    assert_ne!(text, with_password, "{}: {USER} is no longer `on resetpass`", deployed.display());
    home.write("users.acl", &format!("{with_password}user {OWN_USER} on >{OWN_PASSWORD} ~* &* +@all\n"))
}

/// SHA-256 of [`PASSWORD`] in hex: a file of users cannot have a password with blanks in it.
const PASSWORD_SHA256: &str = "d67bbf1c04cd5f6b832e314591854436209d05f9a286460ae0ed920a4b0a69c6";
