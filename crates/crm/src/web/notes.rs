//! What happened with a deal or a contact: the latest activities, and a form for another.

use super::fields::{Choice, Fields};
use super::form::{Form, Trouble};
use super::visit::Visit;
use super::words::{capital, minute};
use crate::activities::{self, Activity, ActivityKind, ActivityQuery, NewActivity, Subject};
use crate::error::{Error, FieldErrors};
use crate::page::{Page, Paging};
use larder_axum::Served;
use maud::{Markup, html};

/// Activities that a page shows.
const SHOWN: u32 = 20;

/// The latest activities of a deal or contact.
pub(super) async fn latest(visit: &Visit, subject: &Subject) -> Result<Served, Error> {
    let query = ActivityQuery { paging: Paging { page: 1, per_page: SHOWN }, kind: None };
    activities::list(&visit.app, &visit.caller, subject, &query).await
}

/// The activities, and, where another may be added, the form for it, which is sent to this path.
pub(super) fn section(page: &Page<Activity>, path: Option<&str>, form: &Form, trouble: &Trouble) -> Markup {
    let kinds: Vec<Choice> =
        ActivityKind::WORDS.iter().map(|word| ((*word).to_owned(), capital(word))).collect();
    let fields = Fields::new(form, trouble);
    html! {
        section.box aria-labelledby="activities" {
            h2 #activities { "Activities" }
            @if let Some(path) = path {
                form method="post" action=(path) {
                    div.fields {
                        (fields.choice("what", "What", None, &kinds))
                        (fields.line("due_on", "Due (tasks only)", "date"))
                        div.wide {
                            label for="text" { "Text" }
                            textarea id="text" name="text" rows="3" required { (form.value("text")) }
                        }
                        div.wide { button { "Add" } }
                    }
                }
            }
            @if page.items.is_empty() { p.soft { "Nothing yet." } }
            ul.notes {
                @for activity in &page.items {
                    li {
                        span.soft {
                            (capital(activity.kind.word())) " by " (activity.author_name) ", " (minute(activity.created_at))
                            @if let Some(due) = activity.due_on { ", due " (due) }
                            @if activity.done.0 { ", done" }
                        }
                        "\n" (activity.text)
                    }
                }
            }
            @if page.total > i64::from(SHOWN) { p.soft { "The latest " (SHOWN) " of " (page.total) "." } }
        }
    }
}

/// Adds what the form says.
pub(super) async fn add(visit: &Visit, subject: Subject, form: &Form) -> Result<(), Error> {
    let mut errors = FieldErrors::default();
    let kind = form.word(&mut errors, "what", ActivityKind::parse);
    let due_on = form.day(&mut errors, "due_on");
    errors.or(())?;
    let new =
        NewActivity { kind: kind.unwrap_or(ActivityKind::Note), text: form.value("text").to_owned(), due_on };
    activities::create(&visit.app, &visit.caller, subject, new).await?;
    Ok(())
}
