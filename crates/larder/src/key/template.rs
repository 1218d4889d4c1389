//! The template of a space's names, read once when the service is built.

use super::id::NO_ID;

/// One part between colons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Segment<'a> {
    Literal(&'a str),
    Placeholder(&'a str),
}

impl Segment<'_> {
    fn covers(self, part: &str) -> bool {
        match self {
            Segment::Literal(literal) => literal == part,
            Segment::Placeholder(_) => part != NO_ID,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Template<'a> {
    pub(crate) segments: Vec<Segment<'a>>,
}

impl<'a> Template<'a> {
    /// Reads a template like `user:{id}:stats:{company}`; the error says what is wrong with it.
    pub(crate) fn parse(text: &'a str) -> Result<Template<'a>, String> {
        let mut segments: Vec<Segment<'a>> = Vec::new();
        for part in text.split(':') {
            let segment = match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
                Some(name) => Segment::Placeholder(name),
                None => Segment::Literal(part),
            };
            let (Segment::Literal(word) | Segment::Placeholder(word)) = segment;
            if word.is_empty() || !word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
                return Err(format!(
                    "the part `{part}` is not a word, nor a word in braces; words are made of ASCII letters, digits, `-`, `_` and `.`"
                ));
            }
            if segments.contains(&segment) && matches!(segment, Segment::Placeholder(_)) {
                return Err(format!("the placeholder `{part}` stands twice"));
            }
            segments.push(segment);
        }
        match segments[0] {
            Segment::Literal(_) => Ok(Template { segments }),
            Segment::Placeholder(_) => {
                Err("the first part must be a plain word, the prefix of the names".to_owned())
            }
        }
    }

    pub(crate) fn placeholders(&self) -> usize {
        self.segments.iter().filter(|segment| matches!(segment, Segment::Placeholder(_))).count()
    }

    /// Where the segment of this name stands: a placeholder by its name, else a plain word.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        let placeholder =
            self.segments.iter().position(|s| matches!(s, Segment::Placeholder(word) if *word == name));
        placeholder.or_else(|| {
            self.segments.iter().position(|s| matches!(s, Segment::Literal(word) if *word == name))
        })
    }

    /// Whether a name has the form of this template.
    pub(crate) fn owns(&self, name: &str) -> bool {
        let mut parts = name.split(':');
        self.segments.iter().all(|segment| parts.next().is_some_and(|part| segment.covers(part)))
            && parts.next().is_none()
    }

    /// Whether some name has the form of both.
    pub(crate) fn overlaps(&self, other: &Template<'_>) -> bool {
        self.segments.len() == other.segments.len() && self.begins_like(other, self.segments.len())
    }

    /// Whether some name of this form lies under the first `depth` segments of another.
    pub(crate) fn is_under(&self, scope: &Template<'_>, depth: usize) -> bool {
        self.segments.len() > depth && self.begins_like(scope, depth)
    }

    fn begins_like(&self, other: &Template<'_>, depth: usize) -> bool {
        self.segments.iter().zip(&other.segments).take(depth).all(|pair| match pair {
            (Segment::Literal(a), Segment::Literal(b)) => a == b,
            _ => true,
        })
    }

    /// The end of the first `depth` segments of a name, if they have this form and more follows.
    pub(crate) fn prefix_end(&self, depth: usize, name: &str) -> Option<usize> {
        let mut end = 0;
        let mut parts = name.split(':');
        for segment in &self.segments[..depth] {
            let part = parts.next().filter(|part| segment.covers(part))?;
            end += part.len() + 1;
        }
        parts.next().map(|_| end - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_that_could_be_misread_are_refused() {
        for (text, part) in [
            ("", "``"),
            ("{id}:x", "first part"),
            ("user::x", "``"),
            ("user:a{id}", "`a{id}`"),
            ("user:{}", "`{}`"),
            ("user:{id}:x:{id}", "twice"),
            ("user:*", "`*`"),
            ("user:{a b}", "`{a b}`"),
        ] {
            let error = Template::parse(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_template_owns_the_names_of_its_form() {
        let stats = Template::parse("user:{id}:stats:{company}").expect("it is well formed");
        assert!(stats.owns("user:a:stats:b"));
        assert!(!stats.owns("user:a"));
        assert!(!stats.owns("user:a:stats:b:c"));
        assert!(!stats.owns("user:a:state:b"));
        assert!(!stats.owns("user:a:stats:%%"), "no id is written like that");
        assert_eq!(stats.placeholders(), 2);
        assert_eq!(stats.position("company"), Some(3));
        assert_eq!(stats.position("user"), Some(0));
    }

    #[test]
    fn a_prefix_needs_something_after_it() {
        let page = Template::parse("deals:company:{id}:page:{n}").expect("it is well formed");
        assert_eq!(page.prefix_end(3, "deals:company:abc:pipeline"), Some("deals:company:abc".len()));
        assert_eq!(page.prefix_end(3, "deals:company:abc"), None);
        assert_eq!(page.prefix_end(3, "deals:user:abc:x"), None);
    }
}
