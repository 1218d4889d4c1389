//! The spaces of a service, and what a name tells about itself: its space, and its implicit tags.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::space::SpaceInfo;
use super::tag::{Tag, Tags};
use super::template::Template;
use crate::error::{Error, ErrorKind};

/// Every door asks here, so that a name has the same implicit tags through whichever it came.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    /// By the first word of the template.
    families: HashMap<&'static str, Family, RandomState>,
}

#[derive(Debug, Default)]
struct Family {
    spaces: Vec<(Template<'static>, SpaceInfo)>,
    /// A template and how many of its segments make the prefix.
    scopes: Vec<(Template<'static>, usize)>,
}

impl Registry {
    /// Reads the declared spaces; the error names the first that is not well formed or overlaps with another.
    pub(crate) fn new(spaces: &[SpaceInfo]) -> Result<Registry, Error> {
        let mut registry = Registry::default();
        for info in spaces {
            registry
                .add(*info)
                .map_err(|message| Error::new(ErrorKind::Config, message).in_space(info.template))?;
        }
        Ok(registry)
    }

    fn add(&mut self, info: SpaceInfo) -> Result<(), String> {
        let template = Template::parse(info.template)?;
        if template.placeholders() != info.id_segments {
            return Err(format!(
                "its template has {} placeholders and its id type fills {}; make them agree",
                template.placeholders(),
                info.id_segments
            ));
        }
        let first = info.template.split(':').next().unwrap_or_default();
        let family = self.families.entry(first).or_default();
        if let Some((_, other)) = family.spaces.iter().find(|(other, _)| other.overlaps(&template)) {
            return Err(format!(
                "a name could belong to it and to `{}`; make their words differ",
                other.template
            ));
        }
        if info.ttl.is_some_and(|ttl| ttl.as_millis() == 0) {
            return Err("its lifetime is 0, so nothing could be stored in it; leave it out for the default"
                .to_owned());
        }
        if info.raw && info.scopes[0].is_some() {
            return Err(
                "it is raw, so that its values have no room for what a scope needs; declare one of the two"
                    .to_owned(),
            );
        }
        if info.too_many_scopes {
            return Err(format!("more than {} scopes are declared", super::space::MAX_SCOPES));
        }
        for segment in info.scopes.iter().flatten() {
            let at = template
                .position(segment)
                .ok_or_else(|| format!("its scope `{segment}` is no part of its template"))?;
            if at + 1 == template.segments.len() {
                return Err(format!("its scope `{segment}` is its last part, so no name lies under it"));
            }
            let known = family
                .scopes
                .iter()
                .any(|(t, depth)| *depth == at + 1 && t.segments[..=at] == template.segments[..=at]);
            if !known {
                family.scopes.push((template.clone(), at + 1));
            }
        }
        family.spaces.push((template, info));
        for (raw, info) in family.spaces.iter().filter(|(_, info)| info.raw) {
            if family.scopes.iter().any(|(scope, depth)| raw.is_under(scope, *depth)) {
                return Err(format!(
                    "names of the raw space `{}` lie under a declared scope, and its values have no room for what a scope needs; make their words differ",
                    info.template
                ));
            }
        }
        Ok(())
    }

    fn family(&self, name: &str) -> Option<&Family> {
        if self.families.is_empty() {
            return None;
        }
        self.families.get(name.split(':').next()?)
    }

    /// The space that owns this name.
    pub(crate) fn owner(&self, name: &str) -> Option<&SpaceInfo> {
        self.family(name)?.spaces.iter().find(|(template, _)| template.owns(name)).map(|(_, info)| info)
    }

    /// The tags that follow from a name alone: its space, and the scopes that it lies in.
    pub(crate) fn implicit_tags(&self, name: &str) -> Tags {
        let mut tags = Tags::new();
        let Some(family) = self.family(name) else { return tags };
        if let Some((_, info)) = family.spaces.iter().find(|(template, _)| template.owns(name)) {
            tags.push(Tag::space(info.template));
        }
        for (template, depth) in &family.scopes {
            if let Some(end) = template.prefix_end(*depth, name) {
                let tag = Tag::scope(&name[..end]);
                if !tags.contains(&tag) {
                    tags.push(tag);
                }
            }
        }
        tags
    }

    /// The scope that is exactly the names under this prefix, if one is declared.
    pub(crate) fn scope_of_prefix(&self, prefix: &str) -> Option<Tag> {
        // A name under the prefix, to ask with: what it is called below does not matter to a scope.
        let under = format!("{prefix}:x");
        let family = self.family(prefix)?;
        family
            .scopes
            .iter()
            .any(|(template, depth)| template.prefix_end(*depth, &under) == Some(prefix.len()))
            .then(|| Tag::scope(prefix))
    }

    /// All spaces, in no particular order.
    pub(crate) fn spaces(&self) -> impl Iterator<Item = &SpaceInfo> {
        self.families.values().flat_map(|family| family.spaces.iter().map(|(_, info)| info))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Id, Space};
    use super::*;

    fn info<K: Id + ?Sized>(space: &Space<K, ()>) -> SpaceInfo {
        *space.info()
    }

    #[test]
    fn every_name_under_a_scope_carries_it_whatever_its_space() {
        let page =
            info(&Space::<(&str, u32), ()>::new("deals:company:{company}:page:{n}", "").scope("company"));
        let board = info(&Space::<str, ()>::new("deals:company:{company}:board", ""));
        let registry = Registry::new(&[page, board]).expect("they fit together");
        let scope = registry.scope_of_prefix("deals:company:abc").expect("it is declared");
        for name in ["deals:company:abc:page:1", "deals:company:abc:board", "deals:company:abc:and:more"] {
            assert!(registry.implicit_tags(name).contains(&scope), "{name}");
        }
        for name in ["deals:company:abc", "deals:company:xyz:page:1", "deals:user:abc:x", "other"] {
            assert!(!registry.implicit_tags(name).contains(&scope), "{name}");
        }
        assert_eq!(registry.scope_of_prefix("deals:company"), None);
        assert_eq!(registry.scope_of_prefix("deals:company:abc:page"), None);
    }

    #[test]
    fn spaces_that_do_not_fit_are_refused_with_the_reason() {
        let user = info(&Space::<str, ()>::new("user:{id}", ""));
        let me = info(&Space::<(), ()>::new("user:me", ""));
        let wrong_id = info(&Space::<(), ()>::new("user:{id}:x", ""));
        let no_scope = info(&Space::<str, ()>::new("user:{id}:x", "").scope("company"));
        let last = info(&Space::<str, ()>::new("user:{id}", "").scope("id"));
        for (spaces, part) in [
            (vec![user, me], "`user:{id}`; make their words differ"),
            (vec![user, user], "make their words differ"),
            (vec![wrong_id], "1 placeholders and its id type fills 0"),
            (vec![no_scope], "`company` is no part"),
            (vec![last], "no name lies under it"),
        ] {
            let error = Registry::new(&spaces).expect_err(part);
            assert!(error.to_string().contains(part), "{error}");
            assert_eq!(error.kind(), ErrorKind::Config);
        }
    }
}
