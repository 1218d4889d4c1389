//! What must hold before a change lands.

use crate::needs;
use crate::step::{Failure, cargo, run, tell};

/// Formatting, lints, documentation. A warning fails.
pub(crate) fn lint() -> Result<(), Failure> {
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]))?;
    run(cargo(&["doc", "--workspace", "--all-features", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    if needs::on_path("cargo-deny".as_ref()) {
        run(&mut cargo(&["deny", "check", "licenses", "bans", "sources"]))
    } else {
        tell(
            "cargo-deny is not installed: the tests of xtask hold the licences, bans and sources of deny.toml",
        );
        Ok(())
    }
}

/// Set-up, then the tests; `arguments` go to `cargo test`, and choose the crates if they name any. Without any, what a cache over
/// Redis promises is tested once more with copies in the process, and the application once more on PostgreSQL.
pub(crate) fn test(arguments: &[String]) -> Result<(), Failure> {
    needs::set_up()?;
    let mut command = cargo(&["test", "--all-features"]);
    if !names_a_package(arguments) {
        command.arg("--workspace");
    }
    run(command.args(arguments))?;
    if !arguments.is_empty() {
        return Ok(());
    }
    // Of the workspace, so that nothing is built anew; no other crate has such tests.
    let mut again = cargo(&["test", "--all-features", "--workspace", "--test", "it", "on_redis::"]);
    run(again.env("LARDER_TEST_LOCAL_TIER", "1"))?;
    let mut again = cargo(&["test", "--all-features", "--workspace", "--test", "it", "on_a_database::"]);
    run(again.env("CRM_TEST_DATABASE", "postgres"))
}

/// Whether the arguments for `cargo test` choose packages themselves. What follows `--` is for the tests.
fn names_a_package(arguments: &[String]) -> bool {
    arguments.iter().take_while(|argument| *argument != "--").any(|argument| {
        argument == "--package" || argument.starts_with("--package=") || argument.starts_with("-p")
    })
}

#[cfg(test)]
mod tests {
    use super::names_a_package;

    #[test]
    fn a_package_is_seen_in_each_of_its_spellings() {
        for (line, names) in [
            ("", false),
            ("deals", false),
            ("-p crm", true),
            ("-pcrm deals", true),
            ("--package crm", true),
            ("--package=crm", true),
            ("-- -p crm", false),
        ] {
            let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            assert_eq!(names_a_package(&arguments), names, "{line:?}");
        }
    }
}
