//! Globs: they match as in Redis, and what is said of them without matching is true.

use super::lines;
use crate::key::Pattern;
use crate::remote::Names;

/// Up to here the slow matcher is asked too.
const SLOW_STEPS: usize = 1 << 16;

/// A glob, and a name on the lines below it.
///
/// # Panics
/// If the glob does not match as it should.
pub fn pattern(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let [glob, name] = lines(&text);
    let pattern = Pattern::new(glob);
    let matches = pattern.matches(name);
    if glob.len() * name.len() <= SLOW_STEPS {
        assert_eq!(matches, slowly(glob.as_bytes(), name.as_bytes()), "{glob:?} on {name:?}");
    }
    if let Some(literal) = pattern.as_literal() {
        assert_eq!(matches, name == literal, "{glob:?} is a literal");
        assert!(pattern.matches(literal));
    }
    if let Some(prefix) = pattern.as_prefix() {
        let under = name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(':'));
        assert_eq!(matches, under, "{glob:?} is a prefix");
    }
    let escaped: String = name.chars().flat_map(|character| ['\\', character]).collect();
    assert!(Pattern::new(&escaped).matches(name), "{name:?} is what it is");
    assert_eq!(Pattern::new(&escaped).matches(glob), name == glob, "{name:?} is nothing else");
    for namespace in ["", "crm"] {
        let names = Names::new(namespace);
        let key = names.entry(name);
        let found = names.globs(glob).iter().any(|glob| Pattern::new(glob).matches(&key));
        assert!(found || !matches, "{glob:?} does not find {key:?}");
    }
}

/// The rules of `stringmatchlen` in Redis: from every place of the glob and of the name, whether the rest matches the rest.
fn slowly(glob: &[u8], name: &[u8]) -> bool {
    let mut rest = vec![vec![false; name.len() + 1]; glob.len() + 1];
    rest[glob.len()][name.len()] = true;
    for g in (0..glob.len()).rev() {
        for n in (0..=name.len()).rev() {
            let more = n < name.len();
            rest[g][n] = if glob[g] == b'*' {
                rest[g + 1][n] || (more && rest[g][n + 1])
            } else {
                more && one(glob, g, name[n]).is_some_and(|next| rest[next][n + 1])
            };
        }
    }
    rest[0][0]
}

/// Where the glob goes on after matching this byte. Indexes where Redis has pointers; bytes are compared without a sign.
fn one(glob: &[u8], mut g: usize, byte: u8) -> Option<usize> {
    match glob[g] {
        b'?' => return Some(g + 1),
        b'\\' if g + 1 < glob.len() => return (glob[g + 1] == byte).then_some(g + 2),
        b'[' => g += 1,
        plain => return (plain == byte).then_some(g + 1),
    }
    let not = g < glob.len() && glob[g] == b'^';
    if not {
        g += 1;
    }
    let mut found = false;
    loop {
        let left = glob.len() - g;
        if left >= 2 && glob[g] == b'\\' {
            g += 1;
            found = found || glob[g] == byte;
        } else if left == 0 || glob[g] == b']' {
            break;
        } else if left >= 3 && glob[g + 1] == b'-' {
            let (start, end) = (glob[g].min(glob[g + 2]), glob[g].max(glob[g + 2]));
            g += 2;
            found = found || (start <= byte && byte <= end);
        } else {
            found = found || glob[g] == byte;
        }
        g += 1;
    }
    (found != not).then_some(glob.len().min(g + 1))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use testkit::redis::{RedisServer, Reply};

    use super::super::corpus;
    use super::*;

    /// Every glob of the corpus, on every name of it.
    #[test]
    fn the_globs_of_the_corpus_find_in_redis_what_matches_here() {
        testkit::run(async {
            let (mut globs, mut all) = (BTreeSet::new(), BTreeSet::new());
            for (_, bytes) in corpus("pattern") {
                let text = String::from_utf8_lossy(&bytes);
                let [glob, name] = lines(&text);
                globs.insert(glob.to_owned());
                all.extend([glob.to_owned(), name.to_owned()]);
            }
            let names = Names::new("crm");
            let server = RedisServer::start().await;
            let set: Vec<_> = all.iter().flat_map(|name| [names.entry(name), "1".into()]).collect();
            let set: Vec<&str> = ["MSET"].into_iter().chain(set.iter().map(|word| &**word)).collect();
            assert!(server.command(&set).await.is_ok());
            for glob in &globs {
                let ours = names.globs(glob).remove(0);
                let keys = server.command(&["KEYS", &ours]).await;
                let keys: Vec<String> = keys.array().iter().map(Reply::text).collect();
                let there: BTreeSet<&str> = keys.iter().filter_map(|key| names.name_of(key)).collect();
                let here = all.iter().map(|name| &**name).filter(|name| Pattern::new(glob).matches(name));
                let here: BTreeSet<&str> = here.collect();
                if ours.ends_with(&**glob) {
                    assert_eq!(there, here, "{glob:?}");
                } else {
                    assert!(there.is_superset(&here), "{glob:?}"); // found by looking through all
                }
            }
        });
    }
}
