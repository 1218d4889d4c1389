//! Globs over names, as Redis matches them.

/// A glob: `*` any run of characters, `?` one, `[abc]`, `[^a]` and `[a-z]` one of a set, `\` takes the next as it is.
/// The rules, including those for sets that are not closed, are those of `stringmatchlen` in Redis, on bytes; those of a
/// range beyond ASCII are those of a Redis whose `char` has no sign.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pattern<'a> {
    glob: &'a str,
}

impl<'a> Pattern<'a> {
    pub(crate) fn new(glob: &'a str) -> Self {
        Pattern { glob }
    }

    /// The name itself, when the pattern can match only one.
    pub(crate) fn as_literal(self) -> Option<&'a str> {
        (!self.glob.contains(is_special)).then_some(self.glob)
    }

    /// The segments before a closing `:*`, when nothing in them is special: all names under a prefix.
    pub(crate) fn as_prefix(self) -> Option<&'a str> {
        self.glob.strip_suffix(":*").filter(|prefix| !prefix.contains(is_special))
    }

    pub(crate) fn matches(self, name: &str) -> bool {
        matches(self.glob.as_bytes(), name.as_bytes())
    }
}

fn is_special(c: char) -> bool {
    matches!(c, '*' | '?' | '[' | ']' | '\\')
}

/// Linear in practice and never exponential: only the last `*` is ever tried again, which is enough for globs.
fn matches(glob: &[u8], name: &[u8]) -> bool {
    let (mut g, mut n) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if g < glob.len() && glob[g] == b'*' {
            g += 1;
            retry = Some((g, n));
            continue;
        }
        if n == name.len() && g == glob.len() {
            return true;
        }
        let step = if n < name.len() && g < glob.len() { match_one(&glob[g..], name[n]) } else { None };
        match (step, retry) {
            (Some(used), _) => {
                g += used;
                n += 1;
            }
            (None, Some((after_star, from))) if from < name.len() => {
                g = after_star;
                n = from + 1;
                retry = Some((after_star, n));
            }
            (None, _) => return false,
        }
    }
}

/// Matches one byte against the head of the glob; answers how many bytes of the glob that took.
fn match_one(glob: &[u8], byte: u8) -> Option<usize> {
    match glob[0] {
        b'?' => Some(1),
        b'[' => match_set(glob, byte),
        b'\\' if glob.len() > 1 => (glob[1] == byte).then_some(2),
        literal => (literal == byte).then_some(1),
    }
}

fn match_set(glob: &[u8], byte: u8) -> Option<usize> {
    let mut at = 1;
    let negated = glob.get(at) == Some(&b'^');
    at += usize::from(negated);
    let mut found = false;
    loop {
        match glob.get(at..).unwrap_or_default() {
            [b'\\', escaped, ..] => {
                found |= *escaped == byte;
                at += 2;
            }
            [b']', ..] => {
                at += 1;
                break;
            }
            [] => break, // a set that is not closed ends with the glob
            [low, b'-', high, ..] => {
                found |= (*low.min(high)..=*low.max(high)).contains(&byte);
                at += 3;
            }
            [single, ..] => {
                found |= *single == byte;
                at += 1;
            }
        }
    }
    (found != negated).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_in_redis() {
        for (glob, name, expected) in [
            ("user:*", "user:1", true),
            ("user:*", "user:", true),
            ("user:*", "users:1", false),
            ("user:*:stats:*", "user:a:b:stats:c", true),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-c]llo", "hbllo", true),
            ("h[c-a]llo", "hbllo", true),
            ("h[a-c]llo", "hdllo", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("[\\]]", "]", true),
            ("[]", "a", false),
            ("[abc", "b", true),
            ("a\\", "a\\", true),
            ("a**b", "ab", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*ab", "aab", true),
            ("a*", "b", false),
        ] {
            assert_eq!(Pattern::new(glob).matches(name), expected, "{glob:?} on {name:?}");
        }
    }

    #[test]
    fn many_stars_do_not_take_for_ever() {
        let glob = "a*".repeat(60) + "b";
        assert!(!Pattern::new(&glob).matches(&"a".repeat(4_000)));
    }

    #[test]
    fn literals_and_prefixes_are_recognised() {
        assert_eq!(Pattern::new("pipeline:stats:x").as_literal(), Some("pipeline:stats:x"));
        assert_eq!(Pattern::new("user:*").as_literal(), None);
        assert_eq!(Pattern::new("deals:company:x:*").as_prefix(), Some("deals:company:x"));
        assert_eq!(Pattern::new("deals:*:x:*").as_prefix(), None);
        assert_eq!(Pattern::new("deals:company:x*").as_prefix(), None);
    }
}
