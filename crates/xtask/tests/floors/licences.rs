//! Holds `deny.toml` against the crates that the workspace builds on.
//!
//! The file is in cargo-deny's format and cargo-deny reads it too (`cargo deny check`), but it takes minutes to
//! install and a moment to hold what we ask of it: these rules run in every `cargo test`. See
//! docs/decisions/0012-licence-rules-are-a-test.md.

use serde::Deserialize;
use spdx::{Expression, LicenseReq, ParseError, ParseMode};

use super::sources;

/// The part of `deny.toml` that these rules hold.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Deny {
    licenses: Licenses,
    bans: Bans,
    sources: Sources,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
    /// What single crates may be licensed by besides.
    #[serde(default)]
    exceptions: Vec<Exception>,
}

#[derive(Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    krate: String,
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    krate: String,
    reason: String,
    /// Who may depend on it all the same.
    #[serde(default)]
    wrappers: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: Vec<String>,
    allow_git: Vec<String>,
}

/// What `cargo metadata` says of all packages, ours included.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

/// Which packages one depends on, by their ids.
#[derive(Deserialize)]
struct Node {
    id: String,
    dependencies: Vec<String>,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    /// None for a crate of this workspace.
    source: Option<String>,
    /// The names of those that depend on it.
    #[serde(skip)]
    dependents: Vec<String>,
}

fn deny() -> Deny {
    let file = sources::below("", &["deny.toml"]).remove(0);
    toml::from_str(&file.text).expect("deny.toml has licences, bans and sources")
}

fn packages() -> Vec<Package> {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--all-features"])
        .current_dir(testkit::workspace_root())
        .output()
        .expect("cargo can be started");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let mut metadata: Metadata = serde_json::from_slice(&output.stdout).expect("cargo's metadata, format 1");
    assert!(metadata.packages.len() > 10, "the workspace has dependencies");
    let name = |id: &str| metadata.packages.iter().find(|package| package.id == id).map(|p| p.name.clone());
    let dependents = |of: &Package| {
        let nodes = metadata.resolve.nodes.iter().filter(|node| node.dependencies.contains(&of.id));
        nodes.filter_map(|node| name(&node.id)).collect()
    };
    let all: Vec<Vec<String>> = metadata.packages.iter().map(dependents).collect();
    for (package, dependents) in metadata.packages.iter_mut().zip(all) {
        package.dependents = dependents;
    }
    metadata.packages
}

/// What is wrong with a package, in the words of one rule.
fn findings(deny: &Deny, package: &Package) -> Vec<String> {
    let Package { name, version, license, source, dependents, .. } = package;
    let mut found = Vec::new();
    match license.as_deref().map(parse) {
        None => found.push("states no licence".to_owned()),
        Some(Err(error)) => {
            found.push(format!("states a licence that is no SPDX expression: {}", error.reason))
        }
        Some(Ok(expression)) if !expression.evaluate(|licence| is_allowed(deny, name, licence)) => {
            found.push(format!("is licensed {expression}, which `licenses.allow` does not cover"));
        }
        Some(Ok(_)) => {}
    }
    let is_wrapped = |ban: &Ban| {
        !ban.wrappers.is_empty() && dependents.iter().all(|dependent| ban.wrappers.contains(dependent))
    };
    if let Some(ban) = deny.bans.deny.iter().find(|ban| ban.krate == *name && !is_wrapped(ban)) {
        found.push(format!("is banned: {}", ban.reason));
    }
    let trusted = |source: &String| {
        let registry = source
            .strip_prefix("registry+")
            .is_some_and(|url| deny.sources.allow_registry.iter().any(|known| known == url));
        registry || deny.sources.allow_git.iter().any(|url| source.starts_with(&format!("git+{url}")))
    };
    if let Some(source) = source.as_ref().filter(|source| !trusted(source)) {
        found.push(format!("comes from {source}, which `sources` does not name"));
    }
    found.into_iter().map(|what| format!("{name} {version} {what}")).collect()
}

/// Reads a licence expression as crates.io did over the years: `MIT/Apache-2.0` means either.
fn parse(expression: &str) -> Result<Expression, ParseError> {
    Expression::parse_mode(expression, ParseMode::LAX)
}

fn is_allowed(deny: &Deny, name: &str, licence: &LicenseReq) -> bool {
    let exceptions = deny.licenses.exceptions.iter().filter(|exception| exception.krate == name);
    let mut allowed = exceptions.flat_map(|exception| &exception.allow).chain(&deny.licenses.allow);
    let licence = licence.to_string();
    allowed.any(|allowed| *allowed == licence)
}

#[test]
fn dependencies_keep_the_rules_of_deny_toml() {
    let deny = deny();
    let found: Vec<String> = packages().iter().flat_map(|package| findings(&deny, package)).collect();
    assert!(found.is_empty(), "use another crate, or decide for it in deny.toml:\n  {}", found.join("\n  "));
}

#[test]
fn every_allowed_licence_is_needed() {
    let packages = packages();
    let Licenses { allow, exceptions } = deny().licenses;
    for exception in exceptions {
        let package = packages.iter().find(|package| package.name == exception.krate);
        let stated = package.and_then(|package| package.license.as_ref());
        assert!(
            stated.is_some_and(|stated| exception.allow.contains(stated)),
            "not needed: {}",
            exception.krate
        );
    }
    let needed: Vec<Expression> =
        packages.iter().filter_map(|package| parse(package.license.as_deref()?).ok()).collect();
    for allowed in allow {
        let used = needed.iter().any(|expression| {
            expression.requirements().any(|requirement| requirement.req.to_string() == allowed)
        });
        assert!(used, "no dependency offers {allowed} any more: take it out of deny.toml");
    }
}

#[test]
fn each_rule_finds_what_breaks_it() {
    let deny = deny();
    let crates_io = "registry+https://github.com/rust-lang/crates.io-index";
    let judge_under = |dependents: &[&str], name: &str, license: Option<&str>, source: &str| {
        let package = Package {
            id: String::new(),
            dependents: dependents.iter().map(|name| (*name).to_owned()).collect(),
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            license: license.map(str::to_owned),
            source: Some(source.to_owned()),
        };
        findings(&deny, &package).join("\n")
    };
    let judge =
        |name: &str, license: Option<&str>, source: &str| judge_under(&["crm"], name, license, source);
    assert_eq!(judge("fine", Some("MIT"), crates_io), "");
    assert_eq!(judge("fine", Some("GPL-3.0-only OR MIT"), crates_io), "");
    assert_eq!(judge("fine", Some("MIT/Apache-2.0"), crates_io), "");
    assert!(judge("copyleft", Some("GPL-3.0-only"), crates_io).contains("is licensed GPL-3.0-only"));
    assert_eq!(judge("webdriver", Some("MPL-2.0"), crates_io), "");
    assert!(judge("other", Some("MPL-2.0"), crates_io).contains("does not cover"));
    assert!(judge("half", Some("MIT AND GPL-3.0-only"), crates_io).contains("does not cover"));
    assert!(judge("silent", None, crates_io).contains("states no licence"));
    assert!(judge("odd", Some("see LICENSE"), crates_io).contains("no SPDX expression"));
    assert!(judge("openssl", Some("MIT"), crates_io).contains("is banned"));
    assert!(judge("dashmap", Some("MIT"), crates_io).contains("is banned"));
    assert_eq!(judge_under(&["amalgam-cache"], "dashmap", Some("MIT"), crates_io), "");
    assert!(judge_under(&["amalgam-cache", "crm"], "dashmap", Some("MIT"), crates_io).contains("is banned"));
    assert!(judge("forked", Some("MIT"), "git+https://example.com/fork#1234").contains("comes from git+"));
    assert!(judge("elsewhere", Some("MIT"), "registry+https://example.com/index").contains("does not name"));
}
