//! Demo data: three companies with people, contacts and eighteen months of deals, so that a first look has something to see.
//!
//! The same seed and day make the same data, except for the ids. Every rule of the domains holds for it.

mod chance;
mod names;
mod visit;

pub use visit::{Keys, sign_in};

use crate::access::{self, PasswordKind};
use crate::caller::Role;
use crate::companies::{self, Company, NewCompany};
use crate::contacts::{self, Contact, ContactKind, NewContact};
use crate::database::{Change, Database};
use crate::deals::{self, Deal, NewDeal, Stage};
use crate::error::Error;
use crate::password::Password;
use crate::products::{self, NewProduct, Product};
use crate::time::{Day, Moment};
use crate::users::{self, NewUser, User};
use crate::written::Bulk;
use chance::Chance;

/// Deals of one company: enough for several pages and for every month.
const DEALS: u64 = 140;
/// How far back the oldest deal was engaged, in days.
const HISTORY_DAYS: u64 = 540;
/// Organisations that one company deals with; each has a person who answers the phone.
const ORGANISATIONS: usize = 18;
/// The same data each time, so that what is shown of it in a manual stays true.
const SEED: u64 = 2_026;

/// What all users of the demo sign in with. It stands in the manual, so that a server with it listens to this machine alone.
pub const PASSWORD: &str = "demo-password";
/// The demo's first admin.
pub const ADMIN: &str = "jana.petersen@nordlicht.example";

/// Fills an empty database. Does nothing, and answers `false`, when there is a company already.
///
/// # Errors
/// What the database reports.
///
/// # Cancel safety
/// Nothing has happened if it is dropped before its end.
pub async fn fill(database: &Database, today: Day) -> Result<bool, Error> {
    if !companies::ids(&mut database.snapshot().await?).await?.is_empty() {
        return Ok(false);
    }
    let password = Password::from(PASSWORD.to_owned()).hash().await?; // one hash for all: it is no secret
    let mut change = database.change().await?;
    change.exclude_others().await?; // one fills it, whoever starts at the same time
    if !companies::ids(&mut change).await?.is_empty() {
        return Ok(false);
    }
    let mut demo = Demo { change, bulk: Bulk::new(), password, today, chance: Chance::new(SEED) };
    let mut price_list = Vec::new();
    for (name, series, list_price_cents) in names::PRODUCTS {
        let new = NewProduct {
            external_id: None,
            name: (*name).to_owned(),
            series: (*series).to_owned(),
            list_price_cents: *list_price_cents,
            currency: "EUR".to_owned(),
        };
        let written = products::insert(&mut demo.change, Product::new(&new)?).await?;
        price_list.push(written.in_bulk(&mut demo.bulk));
    }
    for (index, company) in names::COMPANIES.iter().enumerate() {
        demo.company(index, company, &price_list).await?;
    }
    demo.change.commit_bulk(demo.bulk).await?;
    Ok(true)
}

struct Demo {
    change: Change,
    bulk: Bulk,
    password: String,
    today: Day,
    chance: Chance,
}

impl Demo {
    async fn company(
        &mut self,
        index: usize,
        names: &names::CompanyNames,
        price_list: &[Product],
    ) -> Result<(), Error> {
        let new = NewCompany {
            external_id: None,
            name: names.name.to_owned(),
            sector: Some(names.sector.to_owned()),
            country: Some(names.country.to_owned()),
            currency: "EUR".to_owned(),
        };
        let mut company = Company::new(&new)?;
        company.created_at = Moment::noon_of(self.today.plus_days(-700));
        company.updated_at = company.created_at;
        let company = companies::insert(&mut self.change, company).await?.in_bulk(&mut self.bulk);
        let sellers = self.users(&company, names).await?;
        let contacts = self.contacts(&company, &sellers, index).await?;
        let mut engaged: Vec<u64> = (0..DEALS).map(|_| self.chance.below(HISTORY_DAYS)).collect();
        engaged.sort_unstable_by(|one, other| other.cmp(one)); // rows in the order in which they came about
        for days_ago in engaged {
            self.deal(&company, &sellers, &contacts, price_list, days_ago).await?;
        }
        Ok(())
    }

    /// The users of a company; answers those who sell.
    async fn users(&mut self, company: &Company, names: &names::CompanyNames) -> Result<Vec<User>, Error> {
        let mut sellers = Vec::new();
        for (index, name) in names.users.iter().enumerate() {
            let role = match index {
                0 => Role::Admin,
                1 => Role::Manager,
                5 => Role::Viewer,
                _ => Role::Rep,
            };
            let email = Some(address(name, names.domain));
            let mut user = User::new(
                &company.id,
                &NewUser { external_id: None, email, name: (*name).to_owned(), role },
            )?;
            user.created_at = company.created_at;
            user.updated_at = company.created_at;
            let user = users::insert(&mut self.change, user).await?.in_bulk(&mut self.bulk);
            access::insert_password(&mut self.change, &user.id, &self.password, PasswordKind::Demo).await?;
            if matches!(role, Role::Rep | Role::Manager) {
                sellers.push(user);
            }
        }
        Ok(sellers)
    }

    /// The organisations that a company deals with, each with a person.
    async fn contacts(
        &mut self,
        company: &Company,
        sellers: &[User],
        index: usize,
    ) -> Result<Vec<Contact>, Error> {
        let mut organisations = Vec::new();
        for number in 0..ORGANISATIONS {
            let place = index * ORGANISATIONS + number;
            let (name, domain, country) = names::ORGANISATIONS[place % names::ORGANISATIONS.len()];
            let firm = NewContact {
                external_id: None,
                kind: ContactKind::Organisation,
                name: name.to_owned(),
                organisation: None,
                title: None,
                email: Some(format!("office@{domain}")),
                phone: None,
                country: Some(country.to_owned()),
                owner_id: Some(sellers[number % sellers.len()].id.clone()),
            };
            organisations.push(self.contact(company, &firm).await?);
            let first = names::FIRST_NAMES[place % names::FIRST_NAMES.len()];
            let last = names::LAST_NAMES[(place * 7 + index) % names::LAST_NAMES.len()];
            let person = NewContact {
                kind: ContactKind::Person,
                name: format!("{first} {last}"),
                organisation: Some(name.to_owned()),
                title: Some((*self.chance.one_of(names::TITLES)).to_owned()),
                email: Some(format!("{}.{}@{domain}", first.to_lowercase(), last.to_lowercase())),
                phone: Some(format!("+49 30 555 {:04}", self.chance.below(10_000))),
                ..firm
            };
            self.contact(company, &person).await?;
        }
        Ok(organisations)
    }

    async fn contact(&mut self, company: &Company, new: &NewContact) -> Result<Contact, Error> {
        let mut contact = Contact::new(&company.id, new)?;
        contact.created_at = company.created_at;
        contact.updated_at = company.created_at;
        Ok(contacts::insert(&mut self.change, contact).await?.in_bulk(&mut self.bulk))
    }

    async fn deal(
        &mut self,
        company: &Company,
        sellers: &[User],
        contacts: &[Contact],
        price_list: &[Product],
        days_ago: u64,
    ) -> Result<(), Error> {
        let contact = self.chance.one_of(contacts);
        let product = self.chance.one_of(price_list);
        let owner = self.chance.one_of(sellers);
        let engaged_on = self.today.plus_days(-days_between(days_ago, 0));
        let cycle_days = 7 + self.chance.below(110);
        // What is old has ended; what is young is still going on, and some of it has not begun.
        let stage = match self.chance.below(100) {
            _ if cycle_days > days_ago && self.chance.below(3) == 0 => Stage::Prospecting,
            _ if cycle_days > days_ago => Stage::Engaging,
            0..7 => Stage::Engaging,
            7..60 => Stage::Won,
            _ => Stage::Lost,
        };
        let quantity = 1 + self.chance.below(12);
        let discounted = 80 + self.chance.below(21); // percent of the list price that is paid
        let pieces = i64::try_from(quantity * discounted).unwrap_or(100);
        let closed_on = stage.is_closed().then(|| self.today.plus_days(-days_between(days_ago, cycle_days)));
        let new = NewDeal {
            external_id: None,
            title: format!("{quantity} × {} for {}", product.name, contact.name),
            contact_id: Some(contact.id.clone()),
            product_id: Some(product.id.clone()),
            owner_id: Some(owner.id.clone()),
            stage,
            value_cents: if stage == Stage::Lost { 0 } else { product.list_price_cents * pieces / 100 },
            engaged_on: (stage != Stage::Prospecting).then_some(engaged_on),
            closed_on,
        };
        let mut deal = Deal::new(&company.id, &new)?;
        deal.created_at = Moment::noon_of(engaged_on.plus_days(-3));
        let touched = self.chance.below(days_ago.min(120) + 1);
        let touched_on = closed_on.unwrap_or_else(|| self.today.plus_days(-days_between(touched, 0)));
        deal.updated_at = Moment::noon_of(touched_on).min(Moment::now()); // noon of today may be still to come
        deals::insert(&mut self.change, deal).await?.in_bulk(&mut self.bulk);
        Ok(())
    }
}

/// The address of somebody of this name.
fn address(name: &str, domain: &str) -> String {
    format!("{}@{domain}", name.to_lowercase().replace(' ', "."))
}

/// The days that are left of `from` when `back` of them have passed.
fn days_between(from: u64, back: u64) -> i64 {
    i64::try_from(from.saturating_sub(back)).unwrap_or(0)
}
