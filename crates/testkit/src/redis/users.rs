//! Users and passwords: those of `deploy/users.acl`, and one for the testkit itself.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::home::Home;

/// The user of `deploy/users.acl` that may do what the library does.
pub const USER: &str = "larder";

/// Its password in tests. In `deploy/users.acl` it has none, so that nobody is let in by a password that all know.
pub const PASSWORD: &str = "a-password-of-tests";

/// Whom a server that asks for a password lets in.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) user: &'static str,
    pub(crate) password: String,
}

impl Login {
    /// The user of `deploy/users.acl`.
    pub(crate) fn larder() -> Self {
        Self { user: USER, password: PASSWORD.to_owned() }
    }

    /// The user that the testkit adds for itself: it may do everything.
    pub(crate) fn testkit() -> Self {
        Self { user: "testkit", password: "only-through-the-socket-of-the-test".to_owned() }
    }

    /// Everybody, where there is one password (`requirepass`).
    pub(crate) fn everybody(password: &str) -> Self {
        Self { user: "default", password: password.to_owned() }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Writes the file of users for one server: the deployed one with a password for larder, and our own user.
pub(crate) fn write(home: &Home, deployed: &Path) -> PathBuf {
    let text = fs::read_to_string(deployed)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", deployed.display()));
    let with_password =
        text.replace(&format!("user {USER} on resetpass "), &format!("user {USER} on >{PASSWORD} "));
    assert_ne!(text, with_password, "{}: {USER} is no longer `on resetpass`", deployed.display());
    let Login { user, password } = Login::testkit();
    home.write("users.acl", &format!("{with_password}user {user} on >{password} ~* &* +@all\n"))
}
