//! The tables keep their promises, whoever writes to them.

use crate::ground;
use crm::companies::{self, Company, NewCompany};
use crm::config::DatabaseUrl;
use crm::contacts::{self, Contact, ContactKind, ContactQuery, ContactSort, NewContact};
use crm::database::{Change, Database};
use crm::deals::{self, Deal, DealEdit, DealQuery, DealSort, NewDeal, Stage};
use crm::demo;
use crm::error::Error;
use crm::page::{Order, Paging};
use crm::time::{Day, Moment};
use crm::written::{Bulk, Written};

/// A database whose writes nobody has to hear of.
struct Alone {
    database: Database,
    _directory: tempfile::TempDir,
}

async fn empty() -> Alone {
    let directory = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::parse(&ground::url(directory.path()).await).unwrap();
    Alone { database: Database::open(&url).await.unwrap(), _directory: directory }
}

/// The row of a write.
fn row<T>(written: Written<T>) -> T {
    written.in_bulk(&mut Bulk::new())
}

impl Alone {
    async fn company(&self, change: &mut Change, name: &str) -> Company {
        let new = NewCompany { name: name.to_owned(), currency: "EUR".to_owned(), ..NewCompany::default() };
        row(companies::insert(change, Company::new(&new).unwrap()).await.unwrap())
    }

    async fn contact(&self, change: &mut Change, company: &Company, name: &str) -> Contact {
        let contact = Contact::new(&company.id, &organisation(name)).unwrap();
        row(contacts::insert(change, contact).await.unwrap())
    }
}

fn organisation(name: &str) -> NewContact {
    NewContact {
        external_id: Some(name.to_owned()),
        kind: ContactKind::Organisation,
        name: name.to_owned(),
        organisation: None,
        title: None,
        email: None,
        phone: None,
        country: Some("DE".to_owned()),
        owner_id: None,
    }
}

fn won(contact: &Contact) -> NewDeal {
    NewDeal {
        external_id: Some("D-1".to_owned()),
        title: "Ten pumps".to_owned(),
        contact_id: Some(contact.id.clone()),
        product_id: None,
        owner_id: None,
        stage: Stage::Won,
        value_cents: 12_345,
        engaged_on: Day::parse("2026-01-01"),
        closed_on: Day::parse("2026-01-31"),
    }
}

#[tokio::test]
async fn rows_come_back_as_they_were_written() {
    let alone = empty().await;
    let mut change = alone.database.change().await.unwrap();
    let company = alone.company(&mut change, "Nordwind").await;
    let contact = alone.contact(&mut change, &company, "Ärzte & Söhne").await;
    let deal = Deal::new(&company.id, &won(&contact)).unwrap();
    let deal = row(deals::insert(&mut change, deal).await.unwrap());
    change.commit_bulk(Bulk::new()).await.unwrap();

    let mut snapshot = alone.database.snapshot().await.unwrap();
    assert_eq!(companies::find(&mut snapshot, &company.id).await.unwrap(), Some(company.clone()));
    assert_eq!(
        contacts::by_external_id(&mut snapshot, &company.id, "Ärzte & Söhne").await.unwrap(),
        Some(contact.clone())
    );
    assert_eq!(deals::find(&mut snapshot, &company.id, &deal.id).await.unwrap(), Some(deal.clone()));
    let view = deals::view(&mut snapshot, &company.id, &deal.id).await.unwrap().unwrap();
    assert_eq!(view.contact.map(|contact| contact.name).as_deref(), Some("Ärzte & Söhne"));
    assert_eq!((view.currency.as_str(), view.owner), ("EUR", None));
    let query = ContactQuery {
        paging: Paging::default(),
        order: Order { by: ContactSort::Name, descending: true },
        kind: Some(ContactKind::Organisation),
        country: Some("DE".to_owned()),
        owner: None,
        search: Some("äRZTE".to_owned()),
    };
    let page = contacts::page(&mut snapshot, &company.id, &query).await.unwrap();
    assert_eq!((page.items, page.total), (vec![contact], 1));
}

#[tokio::test]
async fn a_save_over_another_version_is_refused() {
    let alone = empty().await;
    let mut change = alone.database.change().await.unwrap();
    let company = alone.company(&mut change, "Nordwind").await;
    let contact = alone.contact(&mut change, &company, "Anna").await;
    let deal = Deal::new(&company.id, &won(&contact)).unwrap();
    let before = row(deals::insert(&mut change, deal).await.unwrap());
    let edit = DealEdit { value_cents: Some(1), ..DealEdit::default() };
    let edited = before.clone().edited(&edit).unwrap();
    let saved = row(deals::save(&mut change, &before, edited.clone()).await.unwrap());
    assert_eq!((saved.version, saved.value_cents), (2, 1));
    let again = deals::save(&mut change, &before, edited).await;
    assert!(matches!(again, Err(Error::PreconditionFailed)));
}

#[tokio::test]
async fn nothing_crosses_from_one_company_to_another() {
    let alone = empty().await;
    let mut change = alone.database.change().await.unwrap();
    let company = alone.company(&mut change, "Nordwind").await;
    let other = alone.company(&mut change, "Südwind").await;
    let contact = alone.contact(&mut change, &other, "Anna").await;
    let deal = Deal::new(&company.id, &won(&contact)).unwrap();
    assert!(deals::insert(&mut change, deal).await.is_err());
}

#[tokio::test]
async fn a_contact_with_deals_stays() {
    let alone = empty().await;
    let mut change = alone.database.change().await.unwrap();
    let company = alone.company(&mut change, "Nordwind").await;
    let contact = alone.contact(&mut change, &company, "Anna").await;
    let deal = Deal::new(&company.id, &won(&contact)).unwrap();
    let deal = row(deals::insert(&mut change, deal).await.unwrap());
    change.commit_bulk(Bulk::new()).await.unwrap();
    // Of a change that failed nothing can be used any more.
    let mut refused = alone.database.change().await.unwrap();
    assert!(matches!(contacts::delete(&mut refused, contact.clone()).await, Err(Error::Conflict(_))));
    drop(refused);
    let mut change = alone.database.change().await.unwrap();
    row(deals::delete(&mut change, deal).await.unwrap());
    row(contacts::delete(&mut change, contact).await.unwrap());
}

#[tokio::test]
async fn the_database_is_in_the_file_that_is_named() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["a b.db", "a%20b.db", "a#b.db", "\u{e9}.db", "100%.db"] {
        let file = directory.path().join(name);
        let url = DatabaseUrl::parse(&format!("sqlite:{}", file.display())).unwrap();
        assert!(!file.exists(), "{name} is another's");
        Database::open(&url).await.unwrap().close().await;
        assert!(file.exists(), "{name}");
    }
}

#[tokio::test]
async fn the_demo_was_last_touched_in_the_past_in_the_morning_too() {
    let alone = empty().await;
    let before_noon = Day::today().plus_days(1); // its noon is still to come, at whatever time this runs
    assert!(demo::fill(&alone.database, before_noon).await.unwrap());
    let mut snapshot = alone.database.snapshot().await.unwrap();
    for company in companies::ids(&mut snapshot).await.unwrap() {
        let order = Order { by: DealSort::Created, descending: true };
        let paging = Paging { page: 1, per_page: 200 };
        let query =
            DealQuery { paging, order, stage: None, owner: None, contact: None, product: None, search: None };
        let deals = deals::page(&mut snapshot, &company, &query).await.unwrap();
        assert_eq!(deals.items.len(), 140);
        for deal in deals.items {
            assert!(deal.created_at <= deal.updated_at && deal.updated_at <= Moment::now(), "{deal:?}");
        }
    }
}
