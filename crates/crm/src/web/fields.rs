//! The fields of forms, with what is wrong with them.

use super::form::{Form, Trouble};
use maud::{Markup, html};

/// The fields of a form that is filled, and perhaps was refused.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    values: &'a Form,
    trouble: &'a Trouble,
}

/// One choice of several: what is sent, and what is read.
pub(super) type Choice = (String, String);

impl<'a> Fields<'a> {
    /// The fields of this form.
    pub(super) const fn new(values: &'a Form, trouble: &'a Trouble) -> Self {
        Self { values, trouble }
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
            }
        }
    }

    /// A field of one line that must be filled.
    pub(super) fn needed(&self, name: &str, label: &str, kind: &str) -> Markup {
        html! {
            div {
                label for=(name) { (label) }
                input id=(name) name=(name) type=(kind) required value=(self.values.value(name)) aria-invalid=[self.wrong(name)];
            }
        }
    }

    /// An amount of money.
    pub(super) fn amount(&self, name: &str, label: &str) -> Markup {
        html! {
            div {
                label for=(name) { (label) }
                input id=(name) name=(name) inputmode="decimal" value=(self.values.value(name)) aria-invalid=[self.wrong(name)];
            }
        }
    }

    /// A choice of one, or, where `none` says what that is called, of nothing.
    pub(super) fn choice(&self, name: &str, label: &str, none: Option<&str>, choices: &[Choice]) -> Markup {
        let chosen = self.values.value(name);
        html! {
            div {
                label for=(name) { (label) }
                select id=(name) name=(name) aria-invalid=[self.wrong(name)] {
                    @if let Some(none) = none { option value="" { (none) } }
                    @for (value, words) in choices {
                        option value=(value) selected[value == chosen] { (words) }
                    }
                }
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
