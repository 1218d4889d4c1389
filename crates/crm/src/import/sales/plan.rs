//! What the rows of the sales files become in the CRM. Pure: it knows neither files nor the database.
//!
//! | in the files | in the CRM | natural key |
//! |---|---|---|
//! | a regional office | a company, in dollars | its name |
//! | an agent, a manager | a user of each office that they work in: `rep`, `manager`; no e-mail address | their name |
//! | an account | an organisation among the contacts of each company that has a deal with it | its name |
//! | a product | a product, shared by all companies | its name |
//! | an opportunity | a deal of its agent's company | its id |

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::files::{Account, Agent, Opportunity, Product, SalesFiles};
use crate::caller::Role;
use crate::checks::MAX_TEXT_CHARS;
use crate::deals::Stage;
use crate::import::findings::{Cause, Findings, quoted};

/// The currency of the files.
pub(super) const CURRENCY: &str = "USD";

/// A name of a country that the files use and the CRM's list writes differently. It is no mistake.
struct OtherName {
    name: &'static str,
    listed: &'static str,
    /// How the report says so.
    accepted: &'static str,
}

const OTHER_NAMES: [OtherName; 1] =
    [OtherName { name: "Korea", listed: "South Korea", accepted: "Korea taken for South Korea" }];

/// Everything that is to be in the database after the import.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) products: Vec<Product>,
    pub(super) companies: Vec<Company>,
    /// What is odd and yet right, counted, for the report.
    pub(super) accepted: BTreeMap<&'static str, usize>,
}

/// An office and what belongs to it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Company {
    pub(super) name: String,
    pub(super) users: Vec<User>,
    pub(super) contacts: Vec<Contact>,
    pub(super) deals: Vec<Deal>,
}

/// Somebody who works there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) role: Role,
}

/// An organisation that the company has deals with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contact {
    pub(super) name: String,
    /// The country's code.
    pub(super) country: String,
    /// The organisation that it is part of.
    pub(super) parent: Option<String>,
}

/// A deal: what the file says, and the title that it lacks.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Deal {
    pub(super) title: String,
    pub(super) opportunity: Opportunity,
}

/// The answer to "what is in it?", in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) managers: usize,
    pub(super) agents: usize,
    pub(super) contacts: usize,
    pub(super) products: usize,
    pub(super) deals: usize,
    pub(super) won: usize,
    pub(super) lost: usize,
    pub(super) engaging: usize,
    pub(super) prospecting: usize,
    pub(super) won_value_cents: i64,
}

impl Totals {
    /// How many rows of the database that is.
    pub(super) const fn rows(&self, companies: usize) -> usize {
        companies + self.managers + self.agents + self.contacts + self.products + self.deals
    }
}

impl Plan {
    /// Turns rows into what they become. `countries` gives the code of each country by its name.
    ///
    /// Call it with files of which nothing was refused; a country that is not on the list is refused here.
    pub(super) fn of(
        files: SalesFiles,
        countries: &HashMap<String, String>,
        findings: &mut Findings,
    ) -> Self {
        let mut accepted = other_names(&files.accounts);
        let contact_of = contacts_by_name(&files.accounts, countries, findings);
        let mut companies = offices(&files.agents);
        let office_of: HashMap<&str, &str> =
            files.agents.iter().map(|agent| (agent.name.as_str(), agent.office.as_str())).collect();
        let mut idle_agents: HashSet<&str> = office_of.keys().copied().collect();
        let mut idle_accounts: HashSet<&str> = contact_of.keys().copied().collect();
        for opportunity in files.opportunities {
            idle_agents.remove(opportunity.agent.as_str());
            match &opportunity.account {
                Some(account) => _ = idle_accounts.remove(account.as_str()),
                None => *accepted.entry("open deal without an account").or_default() += 1,
            }
            let office = office_of.get(opportunity.agent.as_str()).copied().unwrap_or_default();
            if let Some(company) = companies.get_mut(office) {
                company.deals.push(Deal { title: title(&opportunity), opportunity });
            }
        }
        for company in companies.values_mut() {
            company.contacts = contacts(&company.deals, &contact_of);
        }
        accepted.insert("agent without a deal", idle_agents.len());
        accepted.insert("account without a deal, left out", idle_accounts.len());
        accepted.retain(|_, count| *count > 0);
        Self { products: files.products, companies: companies.into_values().collect(), accepted }
    }

    /// How many of everything.
    pub(super) fn totals(&self) -> Totals {
        let mut totals = Totals { products: self.products.len(), ..Totals::default() };
        for company in &self.companies {
            let managers = company.users.iter().filter(|user| user.role == Role::Manager).count();
            totals.managers += managers;
            totals.agents += company.users.len() - managers;
            totals.contacts += company.contacts.len();
            totals.deals += company.deals.len();
            for Deal { opportunity, .. } in &company.deals {
                match opportunity.stage {
                    Stage::Prospecting => totals.prospecting += 1,
                    Stage::Engaging => totals.engaging += 1,
                    Stage::Lost => totals.lost += 1,
                    Stage::Won => {
                        totals.won += 1;
                        totals.won_value_cents += opportunity.value_cents;
                    }
                }
            }
        }
        totals
    }
}

/// What each account becomes, by its name.
fn contacts_by_name<'a>(
    accounts: &'a [Account],
    countries: &HashMap<String, String>,
    findings: &mut Findings,
) -> HashMap<&'a str, Contact> {
    let contact = |account: &'a Account| {
        let listed = other_name(account).map_or(account.country.as_str(), |other| other.listed);
        let country = countries.get(listed).cloned().ok_or_else(|| {
            let message = format!(
                "office_location is {}: the CRM has no such country; GET /api/countries lists their names",
                quoted(&account.country)
            );
            account.place.refuse(Cause::UnknownCountry, message)
        })?;
        let contact = Contact { name: account.name.clone(), country, parent: account.parent.clone() };
        Ok((account.name.as_str(), contact))
    };
    accounts.iter().filter_map(|account| findings.keep(contact(account))).collect()
}

fn other_name(account: &Account) -> Option<&'static OtherName> {
    OTHER_NAMES.iter().find(|other| other.name == account.country)
}

/// How often the files write a country differently.
fn other_names(accounts: &[Account]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for other in accounts.iter().filter_map(other_name) {
        *counts.entry(other.accepted).or_default() += 1;
    }
    counts
}

/// The companies with their users, in the order of the alphabet.
fn offices(agents: &[Agent]) -> BTreeMap<String, Company> {
    let mut users: BTreeMap<&str, BTreeMap<&str, Role>> = BTreeMap::new();
    for agent in agents {
        let users = users.entry(&agent.office).or_default();
        users.insert(&agent.manager, Role::Manager);
        // Whoever leads an office and sells in it is one user, and its manager.
        users.entry(&agent.name).or_insert(Role::Rep);
    }
    let company = |(office, users): (&str, BTreeMap<&str, Role>)| {
        let users = users.into_iter().map(|(name, role)| User { name: name.to_owned(), role }).collect();
        (office.to_owned(), Company { name: office.to_owned(), users, ..Company::default() })
    };
    users.into_iter().map(company).collect()
}

/// The accounts that the deals are with, in the order of the alphabet.
fn contacts(deals: &[Deal], contact_of: &HashMap<&str, Contact>) -> Vec<Contact> {
    let accounts: BTreeSet<&str> =
        deals.iter().filter_map(|deal| deal.opportunity.account.as_deref()).collect();
    accounts.into_iter().filter_map(|account| contact_of.get(account)).cloned().collect()
}

/// What a deal is called: the files do not say. Two long names are cut to the length of a title.
fn title(opportunity: &Opportunity) -> String {
    let title = match &opportunity.account {
        Some(account) => format!("{} for {account}", opportunity.product),
        None => opportunity.product.clone(),
    };
    title.chars().take(MAX_TEXT_CHARS).collect()
}
