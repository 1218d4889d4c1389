//! Writes a plan through the stores of the domains, in one change. Running it again changes nothing.
//!
//! Rows are found by their natural keys. A row that is not there is created; one that is there keeps its id and takes
//! over what the files say of it, which is written, and its version raised, only if it differs. What the files do not
//! speak of stays as people have set it in the CRM: a user's e-mail address, role and activity, a contact's title and
//! phone, a company's settings. Rows that are no longer in the files stay too: nobody said that they are gone.

use std::collections::HashMap;

use super::files;
use super::plan::{self, CURRENCY, Plan};
use super::report::{CompanyLine, Tally};
use crate::caller::{CompanyId, UserId};
use crate::companies::{self, Company, NewCompany};
use crate::contacts::{self, Contact, ContactId, ContactKind, NewContact};
use crate::database::Change;
use crate::deals::{self, Deal, NewDeal};
use crate::error::Error;
use crate::import::findings::quoted;
use crate::import::progress::Progress;
use crate::products::{self, NewProduct, Product, ProductId};
use crate::users::{self, NewUser, User};
use crate::written::Bulk;

/// What could not be written. Nothing of the import remains.
#[derive(Debug, thiserror::Error)]
#[error("nothing was imported, the database is as it was: {what}: {}", said(.source))]
pub struct WriteError {
    what: String,
    source: Error,
}

impl WriteError {
    /// `what` was not taken.
    pub(super) fn new(what: impl Into<String>, source: impl Into<Error>) -> Self {
        Self { what: what.into(), source: source.into() }
    }
}

/// What whoever runs the command is told: the cause itself, which over HTTP only the log would say.
fn said(error: &Error) -> String {
    match error {
        Error::Internal(cause) | Error::Unavailable(cause) => cause.to_string(),
        error => error.to_string(),
    }
}

/// Where a plan is written: a change, and what has been done in it so far.
pub(super) struct Writer<'w> {
    change: &'w mut Change,
    bulk: &'w mut Bulk,
    progress: &'w Progress,
    rows: Tally,
}

/// The ids of what the deals of one company refer to, by natural key.
struct References<'r> {
    products: &'r HashMap<String, ProductId>,
    users: HashMap<String, UserId>,
    contacts: HashMap<String, ContactId>,
}

impl<'w> Writer<'w> {
    /// A writer that has written nothing yet.
    pub(super) fn new(change: &'w mut Change, bulk: &'w mut Bulk, progress: &'w Progress) -> Self {
        Self { change, bulk, progress, rows: Tally::default() }
    }

    /// Writes everything. Nothing of it lasts before the change is committed.
    pub(super) async fn write(mut self, plan: &Plan) -> Result<(Vec<CompanyLine>, Tally), WriteError> {
        let mut products = HashMap::new();
        for product in &plan.products {
            let id = self.product(product).await.map_err(not_taken("product", &product.name))?;
            products.insert(product.name.clone(), id);
        }
        let mut companies = Vec::new();
        for company in &plan.companies {
            let id = self.company(&company.name).await.map_err(not_taken("company", &company.name))?;
            self.belongings(&id, company, &products).await?;
            companies.push(CompanyLine { id: id.to_string(), name: company.name.clone() });
        }
        Ok((companies, self.rows))
    }

    /// Writes what belongs to one company.
    async fn belongings(
        &mut self,
        id: &CompanyId,
        company: &plan::Company,
        products: &HashMap<String, ProductId>,
    ) -> Result<(), WriteError> {
        let mut known = References { products, users: HashMap::new(), contacts: HashMap::new() };
        for user in &company.users {
            let user_id = self.user(id, user).await.map_err(not_taken("user", &user.name))?;
            known.users.insert(user.name.clone(), user_id);
        }
        for contact in &company.contacts {
            let contact_id = self.contact(id, contact).await.map_err(not_taken("contact", &contact.name))?;
            known.contacts.insert(contact.name.clone(), contact_id);
        }
        for deal in &company.deals {
            self.deal(id, deal, &known).await.map_err(not_taken("deal", &deal.opportunity.id))?;
        }
        Ok(())
    }

    async fn product(&mut self, product: &files::Product) -> Result<ProductId, Error> {
        let new = Product::new(&NewProduct {
            external_id: Some(product.name.clone()),
            name: product.name.clone(),
            series: product.series.clone(),
            list_price_cents: product.list_price_cents,
            currency: CURRENCY.to_owned(),
        })?;
        let Some(old) = products::by_external_id(self.change, &product.name).await? else {
            self.created();
            return Ok(products::insert(self.change, new).await?.in_bulk(self.bulk).id);
        };
        let next = Product { series: new.series, list_price_cents: new.list_price_cents, ..old.clone() };
        if self.changed(old != next) {
            products::save(self.change, next).await?.in_bulk(self.bulk);
        }
        Ok(old.id)
    }

    async fn company(&mut self, name: &str) -> Result<CompanyId, Error> {
        if let Some(old) = companies::by_external_id(self.change, name).await? {
            self.changed(false);
            return Ok(old.id);
        }
        let company = Company::new(&NewCompany {
            external_id: Some(name.to_owned()),
            name: name.to_owned(),
            currency: CURRENCY.to_owned(),
            ..NewCompany::default()
        })?;
        self.created();
        Ok(companies::insert(self.change, company).await?.in_bulk(self.bulk).id)
    }

    async fn user(&mut self, company: &CompanyId, user: &plan::User) -> Result<UserId, Error> {
        if let Some(old) = users::by_external_id(self.change, company, &user.name).await? {
            self.changed(false);
            return Ok(old.id);
        }
        let new = NewUser {
            external_id: Some(user.name.clone()),
            email: None,
            name: user.name.clone(),
            role: user.role,
        };
        self.created();
        Ok(users::insert(self.change, User::new(company, &new)?).await?.in_bulk(self.bulk).id)
    }

    async fn contact(&mut self, company: &CompanyId, contact: &plan::Contact) -> Result<ContactId, Error> {
        let new = NewContact {
            external_id: Some(contact.name.clone()),
            kind: ContactKind::Organisation,
            name: contact.name.clone(),
            organisation: contact.parent.clone(),
            title: None,
            email: None,
            phone: None,
            country: Some(contact.country.clone()),
            owner_id: None,
        };
        let new = Contact::new(company, &new)?;
        let Some(old) = contacts::by_external_id(self.change, company, &contact.name).await? else {
            self.created();
            return Ok(contacts::insert(self.change, new).await?.in_bulk(self.bulk).id);
        };
        let organisation = new.organisation.or_else(|| old.organisation.clone());
        let next = Contact { country: new.country, organisation, ..old.clone() };
        if self.changed(old != next) {
            contacts::save(self.change, next).await?.in_bulk(self.bulk);
        }
        Ok(old.id)
    }

    async fn deal(
        &mut self,
        company: &CompanyId,
        deal: &plan::Deal,
        known: &References<'_>,
    ) -> Result<(), Error> {
        let plan::Deal { title, opportunity } = deal;
        let contact = opportunity.account.as_ref().and_then(|account| known.contacts.get(account));
        let new = NewDeal {
            external_id: Some(opportunity.id.clone()),
            title: title.clone(),
            contact_id: contact.cloned(),
            product_id: known.products.get(&opportunity.product).cloned(),
            owner_id: known.users.get(&opportunity.agent).cloned(),
            stage: opportunity.stage,
            value_cents: opportunity.value_cents,
            engaged_on: opportunity.engaged_on,
            closed_on: opportunity.closed_on,
        };
        let new = Deal::new(company, &new)?;
        let Some(old) = deals::by_external_id(self.change, company, &opportunity.id).await? else {
            self.created();
            deals::insert(self.change, new).await?.in_bulk(self.bulk);
            return Ok(());
        };
        let Deal { id, created_at, updated_at, version, lost_value_cents, .. } = old.clone();
        let lost_value_cents = lost_value_cents.filter(|_| new.stage == old.stage);
        let next = Deal { id, created_at, updated_at, version, lost_value_cents, ..new };
        if self.changed(old != next) {
            deals::save(self.change, &old, next).await?.in_bulk(self.bulk);
        }
        Ok(())
    }

    /// Counts a row that is new.
    fn created(&mut self) {
        self.rows.created += 1;
        self.progress.step();
    }

    /// Counts a row that was there, and says again whether it `differs`.
    fn changed(&mut self, differs: bool) -> bool {
        *(if differs { &mut self.rows.changed } else { &mut self.rows.unchanged }) += 1;
        self.progress.step();
        differs
    }
}

/// Says which row it was.
fn not_taken(kind: &str, name: &str) -> impl FnOnce(Error) -> WriteError {
    move |error| WriteError::new(format!("the {kind} {}", quoted(name)), error)
}
