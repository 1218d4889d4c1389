//! The fields of forms, with what is wrong with them.

use super::form::{Form, Trouble};
use maud::{Markup, html};

/// The fields of a form that is filled, and perhaps was refused.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    values: &'a Form,
    trouble: &'a Trouble,
    /// What the row is now, where somebody else has changed it meanwhile.
    now: Option<&'a Form>,
}

/// One choice of several: what is sent, and what is read.
pub(super) type Choice = (String, String);

impl<'a> Fields<'a> {
    /// The fields of this form.
    pub(super) const fn new(values: &'a Form, trouble: &'a Trouble) -> Self {
        Self { values, trouble, now: None }
    }

    /// The same, beside what the row is by now, if somebody else has changed it meanwhile.
    pub(super) const fn beside(mut self, now: &'a Form) -> Self {
        if self.trouble.is_overtaken {
            self.now = Some(now);
        }
        self
    }

    /// What a field says in the row by now, if that differs.
    pub(super) fn now(&self, name: &str, words: impl Fn(&str) -> String) -> Markup {
        let differs = |now: &&Form| now.value(name) != self.values.value(name);
        html! {
            @if let Some(now) = self.now.filter(differs) {
                p.now { "Now: " @if now.value(name).is_empty() { "nothing" } @else { (words(now.value(name))) } }
            }
        }
    }

    fn wrong(&self, name: &str) -> Option<&'static str> {
        self.trouble.fields.list().iter().any(|error| error.field == name).then_some("true")
    }

    /// A field of one line; `kind` is that of HTML: `text`, `email`, `date`.
    pub(super) fn line(&self, name: &str, label: &str, kind: &str) -> Markup {
        html! {
            div {
                label for=(name) { (label) }
                input id=(name) name=(name) type=(kind) value=(self.values.value(name)) aria-invalid=[self.wrong(name)];
                (self.now(name, str::to_owned))
            }
        }
    }

    /// A field of one line that must be filled.
    pub(super) fn needed(&self, name: &str, label: &str, kind: &str) -> Markup {
        html! {
            div {
                label for=(name) { (label) }
                input id=(name) name=(name) type=(kind) required value=(self.values.value(name)) aria-invalid=[self.wrong(name)];
                (self.now(name, str::to_owned))
            }
        }
    }

    /// An amount of money.
    pub(super) fn amount(&self, name: &str, label: &str) -> Markup {
        html! {
            div {
                label for=(name) { (label) }
                input id=(name) name=(name) inputmode="decimal" value=(self.values.value(name)) aria-invalid=[self.wrong(name)];
                (self.now(name, str::to_owned))
            }
        }
    }

    /// A choice of one, or, where `none` says what that is called, of nothing.
    pub(super) fn choice(&self, name: &str, label: &str, none: Option<&str>, choices: &[Choice]) -> Markup {
        let chosen = self.values.value(name);
        let words = |value: &str| {
            choices.iter().find(|(choice, _)| choice == value).map_or(value, |(_, words)| words).to_owned()
        };
        html! {
            div {
                label for=(name) { (label) }
                select id=(name) name=(name) aria-invalid=[self.wrong(name)] {
                    @if let Some(none) = none { option value="" { (none) } }
                    @for (value, words) in choices {
                        option value=(value) selected[value == chosen] { (words) }
                    }
                }
                (self.now(name, words))
            }
        }
    }

    /// A password; it is never shown again.
    pub(super) fn password(&self, name: &str, label: &str, autocomplete: &str) -> Markup {
        html! {
            div {
                label for=(name) { (label) }
                input id=(name) name=(name) type="password" required autocomplete=(autocomplete) aria-invalid=[self.wrong(name)];
            }
        }
    }

    /// The version that the form is about: the one that it was filled with, or, once it is overtaken, that of the row that stands beside.
    pub(super) fn version(&self) -> Markup {
        html! { input type="hidden" name="version" value=(self.now.unwrap_or(self.values).value("version")); }
    }

    /// What is wrong with all of it, in words, with a way to each field.
    pub(super) fn summary(&self, labels: &[(&str, &str)]) -> Markup {
        let label =
            |name: &'a str| labels.iter().find(|(field, _)| *field == name).map_or(name, |(_, label)| *label);
        html! {
            @if !self.trouble.is_none() {
                div.alert role="alert" {
                    strong { "Nothing was changed." }
                    @if let Some(other) = &self.trouble.other { p { (other) } }
                    @if !self.trouble.fields.list().is_empty() {
                        ul {
                            @for error in self.trouble.fields.list() {
                                li { a href=(format!("#{}", error.field)) { (label(error.field)) } " " (error.problem) ": " (error.fix) "." }
                            }
                        }
                    }
                }
            }
        }
    }
}
