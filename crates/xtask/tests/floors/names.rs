//! The modules that a source file names: in `use` lines, in paths in the code, inside macros too.
//!
//! Works on tokens and not on a syntax tree, because a tree ends where a macro's arguments begin.

use std::iter::Peekable;
use std::slice::Iter;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// One name from inside the crate.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) line: usize,
    /// The module that names it, from the root of the crate.
    pub(crate) module: Vec<String>,
    /// What it names, from the root of the crate; `*` at the end for a glob.
    pub(crate) path: Vec<String>,
}

/// Every name that `source`, the text of `module`, takes from its own crate, except under `#[cfg(test)]`.
pub(crate) fn names(source: &str, module: &[String]) -> Vec<Name> {
    let tokens: TokenStream = source.parse().expect("a source file that compiles");
    let mut found = Vec::new();
    walk(tokens, module, &mut found);
    found
}

fn walk(tokens: TokenStream, module: &[String], found: &mut Vec<Name>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut rest = tokens.iter().peekable();
    while let Some(token) = rest.next() {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == '#' => {
                let inner = next_is(&mut rest, '!');
                if rest.next_if(|token| is_cfg_test(token)).is_some() {
                    if inner {
                        return;
                    }
                    skip_item(&mut rest);
                }
            }
            TokenTree::Ident(word) if word == "mod" => {
                let Some(TokenTree::Ident(name)) = rest.next() else { continue };
                let body = rest.next_if(|token| is_group(token, Delimiter::Brace));
                if let Some(TokenTree::Group(body)) = body {
                    let inside: Vec<String> = module.iter().cloned().chain([name.to_string()]).collect();
                    walk(body.stream(), &inside, found);
                }
            }
            TokenTree::Ident(word) => {
                let start = match word.to_string().as_str() {
                    "crate" => Vec::new(),
                    "self" => module.to_vec(),
                    "super" => parent(module),
                    _ => continue,
                };
                if colons(&mut rest) {
                    let line = word.span().start().line;
                    tree(start, line, &mut rest, &mut |line, path| {
                        found.push(Name { line, module: module.to_vec(), path });
                    });
                }
            }
            TokenTree::Group(group) => walk(group.stream(), module, found),
            _ => {}
        }
    }
}

/// What stands after `prefix::`, as in a `use` line; a plain path is one with a single branch.
fn tree(
    mut path: Vec<String>,
    mut line: usize,
    rest: &mut Peekable<Iter<'_, TokenTree>>,
    found: &mut impl FnMut(usize, Vec<String>),
) {
    loop {
        match rest.peek() {
            Some(TokenTree::Ident(word)) => {
                line = word.span().start().line;
                match word.to_string().as_str() {
                    "self" => {}
                    "super" => path = parent(&path),
                    name => path.push(name.to_owned()),
                }
                rest.next();
                if !colons(rest) {
                    return found(line, path);
                }
            }
            Some(TokenTree::Punct(punct)) if punct.as_char() == '*' => {
                path.push("*".to_owned());
                rest.next();
                return found(line, path);
            }
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                branches(&path, line, group, found);
                rest.next();
                return;
            }
            // Arguments, as in `crate::key::parse::<u32>()`: the path ends here.
            _ => return found(line, path),
        }
    }
}

fn branches(path: &[String], line: usize, group: &Group, found: &mut impl FnMut(usize, Vec<String>)) {
    let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
    for branch in tokens.split(|token| is_punct(token, ',')).filter(|branch| !branch.is_empty()) {
        tree(path.to_vec(), line, &mut branch.iter().peekable(), found);
    }
}

/// Skips what an attribute stands on: up to the end of an item, a statement, a field or an arm.
fn skip_item(rest: &mut Peekable<Iter<'_, TokenTree>>) {
    const ITEMS: [&str; 14] = [
        "async",
        "const",
        "enum",
        "extern",
        "fn",
        "impl",
        "macro_rules",
        "mod",
        "pub",
        "static",
        "struct",
        "trait",
        "type",
        "use",
    ];
    while next_is(rest, '#') {
        rest.next();
    }
    let is_item =
        matches!(rest.peek(), Some(TokenTree::Ident(word)) if ITEMS.iter().any(|item| word == item));
    for token in rest {
        // An item may have commas inside, as in `fn f<A, B>()`; a field or an arm ends at one.
        let comma = !is_item && is_punct(token, ',');
        if comma || is_punct(token, ';') || is_group(token, Delimiter::Brace) {
            return;
        }
    }
}

/// Whether this is `[cfg(test)]`. `any(test, …)` is not: it is built outside of tests too.
fn is_cfg_test(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.stream().to_string().replace(' ', "") == "cfg(test)")
}

fn is_group(token: &TokenTree, delimiter: Delimiter) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == delimiter)
}

fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

fn next_is(rest: &mut Peekable<Iter<'_, TokenTree>>, character: char) -> bool {
    rest.next_if(|token| is_punct(token, character)).is_some()
}

fn colons(rest: &mut Peekable<Iter<'_, TokenTree>>) -> bool {
    next_is(rest, ':') && next_is(rest, ':')
}

fn parent(module: &[String]) -> Vec<String> {
    module.split_last().map_or_else(Vec::new, |(_, parent)| parent.to_vec())
}
