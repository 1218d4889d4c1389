//! Habits that are cheap to hold and dear to lose.

use proc_macro2::{TokenStream, TokenTree};

use super::sources::{Source, below};

/// At this length a file asks for a reason, in its `//!`, as "… lines because …".
const LONG_FILE_LINES: usize = 600;

/// What the rules read: sources, documents, settings, SQL.
const TEXTS: [&str; 7] = [".rs", ".md", ".toml", ".sql", ".sh", ".yml", ".ci/run"];

/// Fails with every finding, each with what to do.
fn none(what_to_do: &str, findings: impl Iterator<Item = String>) {
    let findings: Vec<String> = findings.collect();
    assert!(findings.is_empty(), "{what_to_do}:\n  {}", findings.join("\n  "));
}

/// `path:line` of every line in which `wrong` finds something.
fn lines(source: &Source, wrong: impl Fn(&str) -> bool) -> Vec<String> {
    let numbered = source.text.lines().enumerate().filter(|(_, line)| wrong(line));
    numbered.map(|(index, line)| format!("{}:{}: {}", source.path, index + 1, line.trim())).collect()
}

/// The first words of every attribute in the text, those inside `cfg_attr` too.
fn attributes(text: &str) -> Vec<(usize, String)> {
    fn walk(tokens: TokenStream, in_attribute: bool, found: &mut Vec<(usize, String)>) {
        let mut hash = false;
        let mut first = in_attribute;
        for token in tokens {
            let starts = std::mem::replace(&mut first, false);
            match token {
                TokenTree::Punct(punct) => {
                    hash = punct.as_char() == '#' || (hash && punct.as_char() == '!');
                    first = in_attribute && punct.as_char() == ',';
                    continue;
                }
                TokenTree::Ident(word) if starts => found.push((word.span().start().line, word.to_string())),
                TokenTree::Group(group) => {
                    let nested = in_attribute && found.last().is_some_and(|(_, word)| word == "cfg_attr");
                    walk(group.stream(), hash || nested, found);
                }
                _ => {}
            }
            hash = false;
        }
    }
    let mut found = Vec::new();
    walk(text.parse().expect("a source file that compiles"), false, &mut found);
    found
}

fn with_attribute(source: &Source, name: &str) -> Vec<String> {
    let found = attributes(&source.text).into_iter().filter(|(_, word)| word == name);
    found.map(|(line, word)| format!("{}:{line}: #[{word}]", source.path)).collect()
}

#[test]
fn no_test_is_ignored() {
    let found = below("crates", &[".rs"]).into_iter().flat_map(|source| with_attribute(&source, "ignore"));
    none("a test that is ignored is a test that nobody runs: make it pass, or take it out", found);
}

#[test]
fn lints_are_expected_with_a_reason_and_not_allowed() {
    let found = below("crates", &[".rs"]).into_iter().flat_map(|source| with_attribute(&source, "allow"));
    none("write #[expect(lint, reason = \"…\")]: it says when it is no longer needed", found);
}

#[test]
fn nothing_is_put_off_in_a_comment() {
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    let put_off =
        |line: &str| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| words.contains(&word));
    let found = below("", &TEXTS).into_iter().flat_map(|source| lines(&source, put_off));
    none("do it now, or open an issue", found);
}

#[test]
fn no_path_of_one_machine_is_written_down() {
    let paths = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];
    let found = below("", &TEXTS).into_iter().flat_map(|source| {
        lines(&source, |line| {
            paths.iter().any(|path| line.split(path).skip(1).any(|after| !after.is_empty()))
        })
    });
    none("find files relative to the workspace, or by a setting", found);
}

#[test]
fn long_files_say_why() {
    let found = below("crates", &[".rs"]).into_iter().filter_map(|source| {
        let lines = source.text.lines().count();
        let mut doc = source.text.lines().take_while(|line| line.starts_with("//!"));
        let reasoned = doc.any(|line| line.contains("lines because"));
        (lines > LONG_FILE_LINES && !reasoned).then(|| format!("{}: {lines} lines", source.path))
    });
    none("split it by its ideas, or give the reason in its `//!` (\"… lines because …\")", found);
}

#[test]
fn every_file_opens_with_what_it_is() {
    // The inputs of compile-fail tests are shown as their users would write them.
    let found = below("crates", &[".rs"]).into_iter().filter(|source| !source.text.starts_with("//!"));
    none("open the file with `//!` and a sentence on what it is", found.map(|source| source.path));
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let found = below("crates", &["Cargo.toml"])
        .into_iter()
        .filter(|source| !source.text.replace(' ', "").contains("[lints]\nworkspace=true\n"));
    none("add `[lints]` with `workspace = true`", found.map(|source| source.path));
}

#[test]
fn attributes_are_found_wherever_they_stand() {
    let found = |text: &str| -> Vec<String> { attributes(text).into_iter().map(|(_, word)| word).collect() };
    assert_eq!(found("#[ignore] fn f() {}"), ["ignore"]);
    assert_eq!(found("#![allow(dead_code)]"), ["allow"]);
    assert_eq!(found("fn f() { #[allow(unused)] let x = [1, 2]; }"), ["allow"]);
    assert_eq!(found("#[cfg_attr(windows, ignore = \"why\")] fn f() {}"), ["cfg_attr", "windows", "ignore"]);
    assert_eq!(found("m! { #[test] #[ignore] fn f() {} }"), ["test", "ignore"]);
    assert_eq!(found("//! #[ignore]\nconst S: &str = \"#[allow(x)]\"; // #[ignore]"), ["doc"]);
    assert_eq!(found("fn allow() { ignore(vec![allow]) }"), Vec::<String>::new());
}

#[test]
fn each_back_end_is_held_to_every_promise() {
    let promises = below("crates/larder/tests/it/promises", &[".rs"]);
    let back_ends = below("crates/larder/tests/it", &["/mod.rs"]);
    let back_ends = back_ends.iter().filter(|source| source.text.contains("\"../promises/"));
    let missing = back_ends.flat_map(|back_end| {
        promises.iter().filter_map(|promise| {
            let path = promise.path.split_once("/it/promises/")?.1;
            // What is in a folder comes along with its `mod.rs`.
            let is_listed = path.contains('/') && !path.ends_with("/mod.rs");
            let listed = is_listed || back_end.text.contains(&format!("\"../promises/{path}\""));
            (!listed).then(|| format!("{}: {path}", back_end.path))
        })
    });
    none("name the promise in the module of the back end", missing);
}
