//! Contacts: the list of them, one of them, and the forms by which they are added and changed.

use super::fields::{Choice, Fields};
use super::form::{Form, Trouble};
use super::list;
use super::notes;
use super::shown::Shown;
use super::visit::{Place, Visit, read};
use super::words::{capital, money};
use crate::activities::{Activity, Subject};
use crate::app::App;
use crate::caller::Act;
use crate::contacts::{self, Contact, ContactEdit, ContactId, ContactKind, NewContact};
use crate::deals::{self, DealQuery, DealSort, DealView};
use crate::error::{Error, FieldErrors};
use crate::http::answer::Seen;
use crate::http::params::{NoParams, Params};
use crate::http::request::Id;
use crate::page::{Order, Page, Paging};
use larder_axum::Served;
use maud::{Markup, html};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What the fields of a contact are called.
const LABELS: &[(&str, &str)] = &[
    ("kind", "Kind"),
    ("name", "Name"),
    ("organisation", "Organisation"),
    ("title", "Title"),
    ("email", "E-mail address"),
    ("phone", "Phone"),
    ("country", "Country"),
    ("owner_id", "Owner"),
    ("what", "What"),
    ("text", "Text"),
    ("due_on", "Due"),
];

fn kinds() -> Vec<Choice> {
    ContactKind::WORDS.iter().map(|word| ((*word).to_owned(), capital(word))).collect()
}

/// The contacts, a page at a time.
#[utoipa::path(get, path = "/contacts", tag = "pages")]
async fn all(visit: Visit, params: Params) -> Result<Shown, Error> {
    let asked = list::Asked::new("/contacts", &params);
    let query = contacts::query(params)?;
    let (app, caller) = (&visit.app, &visit.caller);
    let (contacts, users) =
        tokio::try_join!(contacts::list(app, caller, &caller.company, &query), list::users(&visit))?;
    visit.answer(Place::Contacts, "Contacts", &[&contacts, &users], || {
        let page: Page<Contact> = read(&contacts)?;
        let sorts = [("name", "By name"), ("-created", "Newest first")];
        Ok(html! {
            div.head {
                h1 { "Contacts" }
                @if caller.can(Act::Write(Some(&caller.user))) { a.button.main.more href="/contacts/new" { "New contact" } }
            }
            form.filter method="get" action="/contacts" {
                (asked.search("Name, organisation, e-mail"))
                (asked.choice("kind", "Kind", Some("All"), &kinds()))
                (asked.choice("owner", "Owner", Some("Everybody"), &list::names(&users)?))
                (asked.choice("sort", "Order", None, &sorts.map(|(value, words)| (value.to_owned(), words.to_owned()))))
                div { button { "Show" } }
            }
            (table(&page))
            (asked.pages(&page))
            p { a href=(format!("/api/companies/{}/contacts.csv", caller.company)) { "All of them as CSV" } }
        })
    })
}

fn table(page: &Page<Contact>) -> Markup {
    html! {
        table.rows {
            thead { tr { th scope="col" { "Name" } th scope="col" { "Organisation" } th scope="col" { "E-mail" } th scope="col" { "Phone" } th scope="col" { "Country" } } }
            tbody {
                @for contact in &page.items {
                    tr {
                        td data-label="Name" { a href=(format!("/contacts/{}", contact.id)) { (contact.name) } }
                        td data-label="Organisation" { @if let Some(text) = &contact.organisation { (text) } }
                        td data-label="E-mail" { @if let Some(text) = &contact.email { (text) } }
                        td data-label="Phone" { @if let Some(text) = &contact.phone { (text) } }
                        td data-label="Country" { @if let Some(text) = &contact.country { (text) } }
                    }
                }
            }
        }
    }
}

fn form_of(contact: &Contact) -> Form {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Form::filled([
        ("version", contact.version.to_string()),
        ("kind", contact.kind.to_string()),
        ("name", contact.name.clone()),
        ("organisation", text(&contact.organisation)),
        ("title", text(&contact.title)),
        ("email", text(&contact.email)),
        ("phone", text(&contact.phone)),
        ("country", text(&contact.country)),
        ("owner_id", contact.owner_id.as_ref().map(ToString::to_string).unwrap_or_default()),
    ])
}

fn fields(fields: Fields<'_>, owners: &[Choice]) -> Markup {
    html! {
        div.fields {
            (fields.needed("name", "Name", "text"))
            (fields.choice("kind", "Kind", None, &kinds()))
            (fields.line("organisation", "Organisation", "text"))
            (fields.line("title", "Title", "text"))
            (fields.line("email", "E-mail address", "email"))
            (fields.line("phone", "Phone", "tel"))
            (fields.line("country", "Country, as DE or US", "text"))
            (fields.choice("owner_id", "Owner", Some("Nobody"), owners))
        }
    }
}

async fn new_page(visit: &Visit, form: &Form, trouble: &Trouble) -> Result<Shown, Error> {
    let owners = list::names(&list::users(visit).await?)?;
    let main = html! {
        div.head { h1 { "New contact" } }
        (Fields::new(form, trouble).summary(LABELS))
        form.box.stack method="post" action="/contacts" {
            (fields(Fields::new(form, trouble), &owners))
            div { button.main { "Add the contact" } }
        }
    };
    Ok(visit.form(Place::Contacts, "New contact", trouble, &main))
}

/// A form for another contact.
#[utoipa::path(get, path = "/contacts/new", tag = "pages")]
async fn new(visit: Visit, _none: NoParams) -> Result<Shown, Error> {
    let form = Form::filled([("owner_id", visit.caller.user.to_string())]);
    new_page(&visit, &form, &Trouble::default()).await
}

/// Adds a contact.
#[utoipa::path(post, path = "/contacts", tag = "pages")]
async fn create(visit: Visit, form: Form) -> Result<Shown, Error> {
    let added = async {
        let mut errors = FieldErrors::default();
        let kind = form.word(&mut errors, "kind", ContactKind::parse);
        errors.or(())?;
        let new = NewContact {
            external_id: None,
            kind: kind.unwrap_or(ContactKind::Person),
            name: form.value("name").to_owned(),
            organisation: form.owned("organisation"),
            title: form.owned("title"),
            email: form.owned("email"),
            phone: form.owned("phone"),
            country: form.owned("country").map(|code| code.to_uppercase()),
            owner_id: form.id("owner_id"),
        };
        contacts::create(&visit.app, &visit.caller, visit.caller.company.clone(), new).await
    };
    match added.await {
        Ok(added) => Ok(Shown::at(&format!("/contacts/{}", added.row.id))),
        Err(error) => new_page(&visit, &form, &Trouble::of(error)?).await,
    }
}

/// The deals with a contact, the latest first.
async fn deals_with(visit: &Visit, contact: &ContactId) -> Result<Served, Error> {
    let query = DealQuery {
        paging: Paging { page: 1, per_page: 20 },
        order: Order { by: DealSort::Created, descending: true },
        stage: None,
        owner: None,
        contact: Some(contact.clone()),
        product: None,
        search: None,
    };
    deals::list(&visit.app, &visit.caller, &visit.caller.company, &query).await
}

/// Shows one contact, and a form that was refused.
async fn detail(visit: &Visit, id: &ContactId, refused: Option<(&Form, &Trouble)>) -> Result<Shown, Error> {
    let subject = Subject::Contact(id.clone());
    let (contact, notes, deals, users) = tokio::try_join!(
        contacts::get(&visit.app, &visit.caller, id),
        notes::latest(visit, &subject),
        deals_with(visit, id),
        list::users(visit)
    )?;
    let name = read::<Contact>(&contact)?.name;
    let main = || {
        let mut owners = list::names(&users)?;
        let now: Contact = read(&contact)?;
        // One who is no longer active, or stands behind those that a choice can show, stays the owner if nobody chooses another.
        if let Some(owner) = now.owner_id.map(|owner| owner.to_string())
            && owners.iter().all(|(id, _)| *id != owner)
        {
            owners.push((owner, "the present owner".to_owned()));
        }
        Ok(shown(visit, &read(&contact)?, &read(&deals)?, &read(&notes)?, &owners, refused))
    };
    if let Some((_, trouble)) = refused {
        return Ok(visit.form(Place::Contacts, &name, trouble, &main()?));
    }
    visit.answer(Place::Contacts, &name, &[&contact, &notes, &deals, &users], main)
}

fn shown(
    visit: &Visit,
    contact: &Contact,
    deals: &Page<DealView>,
    notes: &Page<Activity>,
    owners: &[Choice],
    refused: Option<(&Form, &Trouble)>,
) -> Markup {
    let may = visit.caller.can(Act::Write(contact.owner_id.as_ref()));
    let (now, none) = (form_of(contact), Trouble::default());
    let (sent, trouble) = refused.unwrap_or((&now, &none));
    let form = if sent.has("name") { sent } else { &now };
    let edited = Fields::new(form, trouble).beside(&now);
    let notes_path = may.then(|| format!("/contacts/{}/activities", contact.id));
    html! {
        div.head {
            h1 { (contact.name) }
            @if let Some(organisation) = &contact.organisation { span { (organisation) } }
            @if visit.caller.can(Act::Write(Some(&visit.caller.user))) {
                a.button.more href=(format!("/deals/new?contact={}", contact.id)) { "New deal" }
            }
        }
        (Fields::new(form, trouble).summary(LABELS))
        div.two {
            div.stack {
                section.box aria-labelledby="contact" {
                    h2 #contact { "Contact" }
                    @if may {
                        form.stack method="post" action=(format!("/contacts/{}", contact.id)) {
                            (edited.version())
                            (fields(edited, owners))
                            div { button.main { "Save" } }
                        }
                    } @else { (facts(contact)) }
                }
                section.box aria-labelledby="deals" {
                    h2 #deals { "Deals" }
                    @if deals.items.is_empty() { p.soft { "None yet." } }
                    ul {
                        @for deal in &deals.items {
                            li { a href=(format!("/deals/{}", deal.id)) { (deal.title) } ", " (deal.stage) ", " (money(deal.value_cents, &deal.currency)) }
                        }
                    }
                }
                @if may {
                    form method="post" action=(format!("/contacts/{}/delete", contact.id)) {
                        details { summary { "Remove this contact" } p { "It is gone for good, with its activities. " button.bad { "Remove it" } } }
                    }
                }
            }
            (notes::section(&visit.caller, notes, notes_path.as_deref(), sent, trouble))
        }
    }
}

/// What a contact is, for who may not change it.
fn facts(contact: &Contact) -> Markup {
    let facts = [
        ("Title", &contact.title),
        ("E-mail address", &contact.email),
        ("Phone", &contact.phone),
        ("Country", &contact.country),
    ];
    html! {
        dl.facts { @for (name, fact) in facts { @if let Some(fact) = fact { dt { (name) } dd { (fact) } } } }
    }
}

/// One contact.
#[utoipa::path(get, path = "/contacts/{id}", tag = "pages", params(("id" = ContactId, Path, description = "The contact.")))]
async fn one(visit: Visit, Id(id): Id<ContactId>, _none: NoParams) -> Result<Shown, Error> {
    detail(&visit, &id, None).await
}

/// Changes a contact.
#[utoipa::path(post, path = "/contacts/{id}", tag = "pages", params(("id" = ContactId, Path, description = "The contact.")))]
async fn update(visit: Visit, Id(id): Id<ContactId>, form: Form) -> Result<Shown, Error> {
    let changed = async {
        let mut errors = FieldErrors::default();
        let edit = ContactEdit {
            version: form.version(),
            kind: form.word(&mut errors, "kind", ContactKind::parse),
            name: Some(form.value("name").to_owned()),
            organisation: Some(form.owned("organisation")),
            title: Some(form.owned("title")),
            email: Some(form.owned("email")),
            phone: Some(form.owned("phone")),
            country: Some(form.owned("country").map(|code| code.to_uppercase())),
            owner_id: Some(form.id("owner_id")),
        };
        contacts::within(&visit.app, &visit.caller, &id).await?;
        errors.or(())?;
        contacts::update(&visit.app, &visit.caller, id.clone(), edit, Seen::default()).await
    };
    match changed.await {
        Ok(_) => Ok(Shown::at(&format!("/contacts/{id}"))),
        Err(error) => detail(&visit, &id, Some((&form, &Trouble::of(error)?))).await,
    }
}

/// Removes a contact.
#[utoipa::path(post, path = "/contacts/{id}/delete", tag = "pages", params(("id" = ContactId, Path, description = "The contact.")))]
async fn remove(visit: Visit, Id(id): Id<ContactId>) -> Result<Shown, Error> {
    match contacts::remove(&visit.app, &visit.caller, id.clone(), Seen::default()).await {
        Ok(_) => Ok(Shown::at("/contacts")),
        Err(error) => detail(&visit, &id, Some((&Form::default(), &Trouble::of(error)?))).await,
    }
}

/// Adds an activity to a contact.
#[utoipa::path(post, path = "/contacts/{id}/activities", tag = "pages", params(("id" = ContactId, Path, description = "The contact.")))]
async fn note(visit: Visit, Id(id): Id<ContactId>, form: Form) -> Result<Shown, Error> {
    contacts::within(&visit.app, &visit.caller, &id).await?;
    match notes::add(&visit, Subject::Contact(id.clone()), &form).await {
        Ok(()) => Ok(Shown::at(&format!("/contacts/{id}#activities"))),
        Err(error) => detail(&visit, &id, Some((&form, &Trouble::of(error)?))).await,
    }
}

/// The routes.
pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(all, create))
        .routes(routes!(new))
        .routes(routes!(one, update))
        .routes(routes!(remove))
        .routes(routes!(note))
}
