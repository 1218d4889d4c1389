//! What lists share: what was asked for, the way to the next page, and the names to choose from.

use super::fields::{Choice, Fields};
use super::form::{Form, Trouble};
use super::visit::{Visit, read};
use super::words::counted;
use crate::error::Error;
use crate::http::params::Params;
use crate::page::{MAX_PER_PAGE, Order, Page, Paging};
use crate::users::{self, Active, User, UserQuery, UserSort};
use larder_axum::Served;
use maud::{Markup, html};

/// What was asked of a list.
pub(super) struct Asked {
    path: &'static str,
    given: Form,
}

impl Asked {
    /// What these parameters ask of the list at this path.
    pub(super) fn new(path: &'static str, params: &Params) -> Self {
        Self { path, given: Form::of(params.given()) }
    }

    /// Words to search for.
    pub(super) fn search(&self, label: &str) -> Markup {
        Fields::new(&self.given, &Trouble::default()).line("q", label, "search")
    }

    /// A choice.
    pub(super) fn choice(&self, name: &str, label: &str, none: Option<&str>, choices: &[Choice]) -> Markup {
        Fields::new(&self.given, &Trouble::default()).choice(name, label, none, choices)
    }

    /// The way to the pages before and behind this one.
    pub(super) fn pages<T>(&self, page: &Page<T>) -> Markup {
        let per_page = i64::from(page.per_page);
        let pages = ((page.total + per_page - 1) / per_page).max(1);
        let number = i64::from(page.page);
        html! {
            @if page.items.is_empty() { p { "Nothing found" @if number > 1 { " on this page" } "." } }
            nav.pages aria-label="Pages of the list" {
                @if number > 1 { a.button rel="prev" href=(self.at(number - 1)) { "Before" } }
                span { "Page " (number) " of " (pages) ", " (counted(page.total)) " in all" }
                @if number < pages { a.button rel="next" href=(self.at(number + 1)) { "Next" } }
            }
        }
    }

    /// The same list at another page.
    fn at(&self, page: i64) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.given.fields().filter(|(name, value)| *name != "page" && !value.is_empty()));
        format!("{}?{}", self.path, query.append_pair("page", &page.to_string()).finish())
    }
}

/// The active users of the company, by name: as many as a choice can show.
pub(super) async fn users(visit: &Visit) -> Result<Served, Error> {
    let query = UserQuery {
        paging: Paging { page: 1, per_page: MAX_PER_PAGE },
        order: Order { by: UserSort::Name, descending: false },
        role: None,
        active: Some(Active(true)),
        search: None,
    };
    users::list(&visit.app, &visit.caller, &visit.caller.company, &query).await
}

/// Their names, to choose from.
pub(super) fn names(users: &Served) -> Result<Vec<Choice>, Error> {
    let users: Page<User> = read(users)?;
    Ok(users.items.into_iter().map(|user| (user.id.to_string(), user.name)).collect())
}
