//! Deals: the list of them, one of them, and the forms by which they are added and changed.

use super::fields::{Choice, Fields};
use super::form::{Form, Trouble};
use super::list;
use super::notes;
use super::shown::Shown;
use super::visit::{Place, Visit, read};
use super::words::{amount, capital, money};
use crate::activities::{Activity, Subject};
use crate::app::App;
use crate::caller::{Act, UserId};
use crate::contacts::{self, Contact, ContactId, ContactQuery, ContactSort};
use crate::deals::{self, DealEdit, DealId, DealView, NewDeal, Stage};
use crate::error::{Error, FieldErrors};
use crate::http::answer::Seen;
use crate::http::params::{MAX_PARAM_CHARS, NoParams, Params};
use crate::http::request::Id;
use crate::page::{MAX_PER_PAGE, Order, Page, Paging};
use crate::products::{self, Product, ProductId};
use crate::time::Day;
use larder_axum::Served;
use maud::{Markup, html};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What the fields of a deal are called.
const LABELS: &[(&str, &str)] = &[
    ("title", "Title"),
    ("contact_id", "Contact"),
    ("product_id", "Product"),
    ("owner_id", "Owner"),
    ("stage", "Stage"),
    ("value_cents", "Value"),
    ("engaged_on", "Engaged on"),
    ("closed_on", "Closed on"),
    ("what", "What"),
    ("text", "Text"),
    ("due_on", "Due"),
];

/// Where a deal can be moved to: from a closed stage only to open ones, by which it is open again.
pub(super) fn moves(from: Stage) -> impl Iterator<Item = Stage> {
    Stage::ALL.iter().copied().filter(move |to| *to != from && !(from.is_closed() && to.is_closed()))
}

/// The deals, a page at a time.
#[utoipa::path(get, path = "/deals", tag = "pages")]
async fn all(visit: Visit, params: Params) -> Result<Shown, Error> {
    let asked = list::Asked::new("/deals", &params);
    let query = deals::query(params)?;
    let (app, caller) = (&visit.app, &visit.caller);
    let (deals, users) =
        tokio::try_join!(deals::list(app, caller, &caller.company, &query), list::users(&visit))?;
    visit.answer(Place::Deals, "Deals", &[&deals, &users], || {
        let page: Page<DealView> = read(&deals)?;
        let stages: Vec<Choice> =
            Stage::WORDS.iter().map(|word| ((*word).to_owned(), capital(word))).collect();
        let sorts = [
            ("-created", "Newest first"),
            ("-value", "Most valuable first"),
            ("-closed", "Latest closed first"),
            ("title", "By title"),
        ];
        Ok(html! {
            div.head {
                h1 { "Deals" }
                @if visit.caller.can(Act::Write(Some(&visit.caller.user))) { a.button.main.more href="/deals/new" { "New deal" } }
            }
            form.filter method="get" action="/deals" {
                (asked.search("Search"))
                (asked.choice("stage", "Stage", Some("All"), &stages))
                (asked.choice("owner", "Owner", Some("Everybody"), &list::names(&users)?))
                (asked.choice("sort", "Order", None, &sorts.map(|(value, words)| (value.to_owned(), words.to_owned()))))
                div { button { "Show" } }
            }
            (table(&page))
            (asked.pages(&page))
            p { a href=(format!("/api/companies/{}/deals.csv", visit.caller.company)) { "All of them as CSV" } }
        })
    })
}

fn table(page: &Page<DealView>) -> Markup {
    html! {
        table.rows {
            thead { tr { th scope="col" { "Title" } th scope="col" { "Stage" } th.number scope="col" { "Value" } th scope="col" { "Contact" } th scope="col" { "Owner" } th scope="col" { "Closed" } } }
            tbody {
                @for deal in &page.items {
                    tr {
                        td data-label="Title" { a href=(format!("/deals/{}", deal.id)) { (deal.title) } }
                        td data-label="Stage" { (capital(deal.stage.word())) }
                        td.number data-label="Value" { (worth(deal)) }
                        td data-label="Contact" { @if let Some(contact) = &deal.contact { a href=(format!("/contacts/{}", contact.id)) { (contact.name) } } }
                        td data-label="Owner" { @if let Some(owner) = &deal.owner { (owner.name) } }
                        td data-label="Closed" { @if let Some(day) = deal.closed_on { (day) } }
                    }
                }
            }
        }
    }
}

/// What the form of a deal offers to choose from.
struct Choices {
    users: Served,
    products: Served,
}

impl Choices {
    async fn of(visit: &Visit) -> Result<Self, Error> {
        let (users, products) = tokio::try_join!(list::users(visit), products::list(&visit.app))?;
        Ok(Self { users, products })
    }

    fn products(&self) -> Result<Vec<Choice>, Error> {
        let products: Vec<Product> = read(&self.products)?;
        Ok(products.into_iter().map(|product| (product.id.to_string(), product.name)).collect())
    }

    /// The users, and who owns it now, should that one not be among them.
    fn owners(&self, now: Option<&DealView>) -> Result<Vec<Choice>, Error> {
        let mut names = list::names(&self.users)?;
        if let Some(owner) = now.and_then(|deal| deal.owner.as_ref())
            && names.iter().all(|(id, _)| *id != owner.id)
        {
            names.push((owner.id.clone(), owner.name.clone()));
        }
        Ok(names)
    }
}

/// What a deal is worth, or was when it was lost.
pub(super) fn worth(deal: &DealView) -> Markup {
    html! {
        @match deal.lost_value_cents {
            Some(lost) => s title="what it was worth before it was lost" { (money(lost, &deal.currency)) },
            None => (money(deal.value_cents, &deal.currency)),
        }
    }
}

fn form_of(deal: &DealView) -> Form {
    let day = |day: Option<Day>| day.map(|day| day.to_string()).unwrap_or_default();
    let id = |named: &Option<deals::Named>| named.as_ref().map(|named| named.id.clone()).unwrap_or_default();
    let name =
        |named: &Option<deals::Named>| named.as_ref().map(|named| named.name.clone()).unwrap_or_default();
    Form::filled([
        ("version", deal.version.to_string()),
        ("title", deal.title.clone()),
        ("contact_id", name(&deal.contact)),
        ("contact_now", name(&deal.contact)),
        ("contact_now_id", id(&deal.contact)),
        ("product_id", id(&deal.product)),
        ("owner_id", id(&deal.owner)),
        ("value_cents", amount(deal.value_cents)),
        ("engaged_on", day(deal.engaged_on)),
        ("closed_on", day(deal.closed_on)),
    ])
}

/// The fields of a deal; its stage only while it is added, and when it was closed only if it is.
fn fields(
    visit: &Visit,
    (form, fields): (&Form, Fields<'_>),
    (products, owners): (&[Choice], &[Choice]),
    (is_new, is_closed): (bool, bool),
) -> Markup {
    let stages: Vec<Choice> = Stage::WORDS.iter().map(|word| ((*word).to_owned(), capital(word))).collect();
    let suggest = format!("/api/companies/{}/contacts", visit.caller.company);
    html! {
        div.fields {
            div.wide { (fields.needed("title", "Title", "text")) }
            div {
                label for="contact_id" { "Contact, by name or e-mail address" }
                input id="contact_id" name="contact_id" list="contacts" autocomplete="off" data-suggest=(suggest) value=(form.value("contact_id"));
                (fields.now("contact_id", str::to_owned))
                datalist id="contacts" {}
                @for kept in ["contact_now", "contact_now_id"] { input type="hidden" name=(kept) value=(form.value(kept)); }
            }
            (fields.choice("product_id", "Product", Some("None"), products))
            (fields.choice("owner_id", "Owner", Some("Nobody"), owners))
            (fields.amount("value_cents", &format!("Value in {}", visit.company.currency)))
            @if is_new { (fields.choice("stage", "Stage", None, &stages)) }
            (fields.line("engaged_on", "Engaged on", "date"))
            @if is_new || is_closed { (fields.line("closed_on", "Closed on", "date")) }
        }
    }
}

/// The contact that a form names: the one that it was filled with, or the only one of this name or address.
async fn contact_of(
    visit: &Visit,
    form: &Form,
    errors: &mut FieldErrors,
) -> Result<Option<ContactId>, Error> {
    let Some(text) = form.text("contact_id") else { return Ok(None) };
    if let Some(id) = form.id("contact_now_id").filter(|_| text == form.value("contact_now").trim()) {
        return Ok(Some(id));
    }
    if text.chars().count() > MAX_PARAM_CHARS || text.contains(char::is_control) {
        errors.add("contact_id", "is no name", format!("give at most {MAX_PARAM_CHARS} characters"));
        return Ok(None);
    }
    let words = text.to_lowercase();
    let query = ContactQuery {
        paging: Paging { page: 1, per_page: MAX_PER_PAGE },
        order: Order { by: ContactSort::Name, descending: false },
        kind: None,
        country: None,
        owner: None,
        search: Some(words.clone()),
    };
    let found = contacts::list(&visit.app, &visit.caller, &visit.caller.company, &query).await?;
    let found: Page<Contact> = read(&found)?;
    let is_meant =
        |contact: &&Contact| contact.name.to_lowercase() == words || contact.email.as_ref() == Some(&words);
    let has_more = found.total > i64::from(MAX_PER_PAGE);
    let mut meant = found.items.iter().filter(is_meant);
    match (meant.next(), meant.next()) {
        (Some(contact), None) if !has_more || contact.email.as_ref() == Some(&words) => {
            return Ok(Some(contact.id.clone()));
        }
        (None, _) if has_more => errors.add(
            "contact_id",
            "is found with too many contacts",
            "give more of the name, or the e-mail address",
        ),
        (Some(_), _) => errors.add(
            "contact_id",
            "is what several contacts are called",
            "give the e-mail address of one, or the name if they share the address",
        ),
        (None, _) => errors.add("contact_id", "is not known", "add the contact first, or leave it empty"),
    }
    Ok(None)
}

async fn new_page(visit: &Visit, form: &Form, trouble: &Trouble) -> Result<Shown, Error> {
    let choices = Choices::of(visit).await?;
    let (products, owners) = (choices.products()?, choices.owners(None)?);
    let main = html! {
        div.head { h1 { "New deal" } }
        (Fields::new(form, trouble).summary(LABELS))
        form.box.stack method="post" action="/deals" {
            (fields(visit, (form, Fields::new(form, trouble)), (&products, &owners), (true, false)))
            div { button.main { "Add the deal" } }
        }
    };
    Ok(visit.form(Place::Deals, "New deal", trouble, &main))
}

/// A form for another deal, perhaps with a contact.
#[utoipa::path(get, path = "/deals/new", tag = "pages")]
async fn new(visit: Visit, mut params: Params) -> Result<Shown, Error> {
    let contact: Option<ContactId> = params.id("contact");
    params.finish()?;
    let (mut name, mut id) = (String::new(), String::new());
    if let Some(contact) = contact {
        let contact: Contact = read(&contacts::get(&visit.app, &visit.caller, &contact).await?)?;
        (name, id) = (contact.name, contact.id.to_string());
    }
    let form = Form::filled([
        ("contact_id", name.clone()),
        ("contact_now", name),
        ("contact_now_id", id),
        ("owner_id", visit.caller.user.to_string()),
    ]);
    new_page(&visit, &form, &Trouble::default()).await
}

/// Adds a deal.
#[utoipa::path(post, path = "/deals", tag = "pages")]
async fn create(visit: Visit, form: Form) -> Result<Shown, Error> {
    let added = async {
        let mut errors = FieldErrors::default();
        let new = NewDeal {
            external_id: None,
            title: form.value("title").to_owned(),
            contact_id: contact_of(&visit, &form, &mut errors).await?,
            product_id: form.id("product_id"),
            owner_id: form.id("owner_id"),
            stage: form.word(&mut errors, "stage", Stage::parse).unwrap_or(Stage::Prospecting),
            value_cents: form.cents(&mut errors, "value_cents").unwrap_or(0),
            engaged_on: form.day(&mut errors, "engaged_on"),
            closed_on: form.day(&mut errors, "closed_on"),
        };
        errors.or(())?;
        deals::create(&visit.app, &visit.caller, visit.caller.company.clone(), new).await
    };
    match added.await {
        Ok(added) => Ok(Shown::at(&format!("/deals/{}", added.row.id))),
        Err(error) => new_page(&visit, &form, &Trouble::of(error)?).await,
    }
}

/// Shows one deal, and a form that was refused.
pub(super) async fn detail(
    visit: &Visit,
    id: &DealId,
    refused: Option<(&Form, &Trouble)>,
) -> Result<Shown, Error> {
    let subject = Subject::Deal(id.clone());
    let (deal, notes, choices) = tokio::try_join!(
        deals::get(&visit.app, &visit.caller, id),
        notes::latest(visit, &subject),
        Choices::of(visit)
    )?;
    let title = read::<DealView>(&deal)?.title;
    let main = || shown(visit, &read(&deal)?, &read(&notes)?, &choices, refused);
    if let Some((_, trouble)) = refused {
        return Ok(visit.form(Place::Deals, &title, trouble, &main()?));
    }
    visit.answer(Place::Deals, &title, &[&deal, &notes, &choices.users, &choices.products], main)
}

fn shown(
    visit: &Visit,
    deal: &DealView,
    notes: &Page<Activity>,
    choices: &Choices,
    refused: Option<(&Form, &Trouble)>,
) -> Result<Markup, Error> {
    let owner = deal.owner.as_ref().map(|owner| UserId::named(owner.id.as_str()));
    let may = visit.caller.can(Act::Write(owner.as_ref()));
    let (now, none) = (form_of(deal), Trouble::default());
    let (sent, trouble) = refused.unwrap_or((&now, &none));
    let form = if sent.has("title") { sent } else { &now };
    let chosen = (&choices.products()?[..], &choices.owners(Some(deal))?[..]);
    let edited = Fields::new(form, trouble).beside(&now);
    let notes_path = may.then(|| format!("/deals/{}/activities", deal.id));
    Ok(html! {
        div.head {
            h1 { (deal.title) }
            span { (capital(deal.stage.word())) ", " (worth(deal)) }
        }
        (Fields::new(form, trouble).summary(LABELS))
        div.two {
            div.stack {
                section.box aria-labelledby="deal" {
                    h2 #deal { "Deal" }
                    @if may {
                        form.stack method="post" action=(format!("/deals/{}", deal.id)) {
                            (edited.version())
                            (fields(visit, (form, edited), chosen, (false, deal.stage.is_closed())))
                            div { button.main { "Save" } }
                        }
                    } @else { (facts(deal)) }
                }
                @if may { (steps(deal)) }
            }
            (notes::section(&visit.caller, notes, notes_path.as_deref(), sent, trouble))
        }
    })
}

/// What a deal is, for who may not change it.
fn facts(deal: &DealView) -> Markup {
    let named = |named: &Option<deals::Named>| named.as_ref().map(|named| named.name.clone());
    let day = |day: Option<Day>| day.map(|day| day.to_string());
    let facts = [
        ("Contact", named(&deal.contact)),
        ("Product", named(&deal.product)),
        ("Owner", named(&deal.owner)),
        ("Engaged on", day(deal.engaged_on)),
        ("Closed on", day(deal.closed_on)),
    ];
    html! {
        dl.facts { @for (name, fact) in facts { @if let Some(fact) = fact { dt { (name) } dd { (fact) } } } }
    }
}

/// The forms that move a deal, and remove it.
fn steps(deal: &DealView) -> Markup {
    html! {
        section.box aria-labelledby="move" {
            h2 #move { "Move it" }
            form.fields method="post" action=(format!("/deals/{}/stage", deal.id)) {
                input type="hidden" name="version" value=(deal.version);
                div {
                    label for="stage" { "To" }
                    select id="stage" name="stage" { @for stage in moves(deal.stage) { option value=(stage) { (capital(stage.word())) } } }
                }
                @if !deal.stage.is_closed() {
                    div { label for="moved_on" { "Closed on, if not today" } input id="moved_on" name="closed_on" type="date"; }
                }
                div { button { "Move" } }
            }
        }
        form method="post" action=(format!("/deals/{}/delete", deal.id)) {
            details { summary { "Remove this deal" } p { "It is gone for good, with its activities. " button.bad { "Remove it" } } }
        }
    }
}

/// One deal.
#[utoipa::path(get, path = "/deals/{id}", tag = "pages", params(("id" = DealId, Path, description = "The deal.")))]
async fn one(visit: Visit, Id(id): Id<DealId>, _none: NoParams) -> Result<Shown, Error> {
    detail(&visit, &id, None).await
}

/// Changes a deal, but not its stage.
#[utoipa::path(post, path = "/deals/{id}", tag = "pages", params(("id" = DealId, Path, description = "The deal.")))]
async fn update(visit: Visit, Id(id): Id<DealId>, form: Form) -> Result<Shown, Error> {
    let changed = async {
        deals::within(&visit.app, &visit.caller, &id).await?;
        let mut errors = FieldErrors::default();
        let edit = DealEdit {
            version: form.version(),
            title: Some(form.value("title").to_owned()),
            contact_id: Some(contact_of(&visit, &form, &mut errors).await?),
            product_id: Some(form.id::<ProductId>("product_id")),
            owner_id: Some(form.id("owner_id")),
            value_cents: Some(form.cents(&mut errors, "value_cents").unwrap_or(0)),
            engaged_on: Some(form.day(&mut errors, "engaged_on")),
            closed_on: form.has("closed_on").then(|| form.day(&mut errors, "closed_on")),
        };
        errors.or(())?;
        deals::update(&visit.app, &visit.caller, id.clone(), edit, Seen::default()).await
    };
    match changed.await {
        Ok(_) => Ok(Shown::at(&format!("/deals/{id}"))),
        Err(error) => detail(&visit, &id, Some((&form, &Trouble::of(error)?))).await,
    }
}

/// Removes a deal.
#[utoipa::path(post, path = "/deals/{id}/delete", tag = "pages", params(("id" = DealId, Path, description = "The deal.")))]
async fn remove(visit: Visit, Id(id): Id<DealId>) -> Result<Shown, Error> {
    deals::remove(&visit.app, &visit.caller, id, Seen::default()).await?;
    Ok(Shown::at("/deals"))
}

/// Adds an activity to a deal.
#[utoipa::path(post, path = "/deals/{id}/activities", tag = "pages", params(("id" = DealId, Path, description = "The deal.")))]
async fn note(visit: Visit, Id(id): Id<DealId>, form: Form) -> Result<Shown, Error> {
    deals::within(&visit.app, &visit.caller, &id).await?;
    match notes::add(&visit, Subject::Deal(id.clone()), &form).await {
        Ok(()) => Ok(Shown::at(&format!("/deals/{id}#activities"))),
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
