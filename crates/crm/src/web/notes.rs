//! What happened with a deal or a contact: the latest activities, and a form for another.

use super::fields::{Choice, Fields};
use super::form::{Form, Trouble};
use super::shown::Shown;
use super::visit::{Visit, read};
use super::words::{capital, minute};
use crate::activities::{
    self, Activity, ActivityEdit, ActivityId, ActivityKind, ActivityQuery, NewActivity, Subject,
};
use crate::app::App;
use crate::caller::{Act, Caller};
use crate::error::{Error, FieldErrors};
use crate::http::answer::Seen;
use crate::http::request::Id;
use crate::page::{Page, Paging};
use larder_axum::Served;
use maud::{Markup, html};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Activities that a page shows.
const SHOWN: u32 = 20;

/// The latest activities of a deal or contact.
pub(super) async fn latest(visit: &Visit, subject: &Subject) -> Result<Served, Error> {
    let query = ActivityQuery { paging: Paging { page: 1, per_page: SHOWN }, kind: None };
    activities::list(&visit.app, &visit.caller, subject, &query).await
}

/// The activities as the caller sees them, and, where another may be added, the form for it, which is sent to this path.
pub(super) fn section(
    caller: &Caller,
    page: &Page<Activity>,
    path: Option<&str>,
    form: &Form,
    trouble: &Trouble,
) -> Markup {
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
                        @if caller.can(Act::Write(activity.author_id.as_ref())) { (steps(activity)) }
                    }
                }
            }
            @if page.total > i64::from(SHOWN) { p.soft { "The latest " (SHOWN) " of " (page.total) "." } }
        }
    }
}

/// What may be done with an activity.
fn steps(activity: &Activity) -> Markup {
    let at = |step: &str| format!("/activities/{}/{step}", activity.id);
    let is_due = activity.kind == ActivityKind::Task && !activity.done.0;
    html! {
        div.steps {
            @if is_due { form method="post" action=(at("done")) { button.plain { "Done" } } }
            form method="post" action=(at("delete")) { button.plain { "Remove" } }
        }
    }
}

/// The page that an activity is on.
fn page_of(activity: &Activity) -> String {
    match (&activity.deal_id, &activity.contact_id) {
        (Some(deal), _) => format!("/deals/{deal}#activities"),
        (None, Some(contact)) => format!("/contacts/{contact}#activities"),
        (None, None) => "/".to_owned(),
    }
}

/// Ticks a task off.
#[utoipa::path(post, path = "/activities/{id}/done", tag = "pages", params(("id" = ActivityId, Path, description = "The activity.")))]
async fn tick_off(visit: Visit, Id(id): Id<ActivityId>) -> Result<Shown, Error> {
    let before: Activity = read(&activities::get(&visit.app, &visit.caller, &id).await?)?;
    let edit = ActivityEdit { version: None, text: None, due_on: None, done: Some(true) };
    activities::update(&visit.app, &visit.caller, id, edit, Seen::default()).await?;
    Ok(Shown::at(&page_of(&before)))
}

/// Removes an activity.
#[utoipa::path(post, path = "/activities/{id}/delete", tag = "pages", params(("id" = ActivityId, Path, description = "The activity.")))]
async fn remove(visit: Visit, Id(id): Id<ActivityId>) -> Result<Shown, Error> {
    let before: Activity = read(&activities::get(&visit.app, &visit.caller, &id).await?)?;
    activities::delete(&visit.app, &visit.caller, id, Seen::default()).await?;
    Ok(Shown::at(&page_of(&before)))
}

/// The routes.
pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(tick_off)).routes(routes!(remove))
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
