//! The four files: their columns, and what each row says. References between files are checked here, so that what comes
//! out of this room fits together.
//!
//! Every row must be whole and true to the others; one that is not refuses the import, with its line. Three things are
//! accepted although they look odd: an open deal without an account, an agent without a deal, and an open deal with a
//! value (what it is hoped to bring).

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::repair::repair;
use crate::deals::Stage;
use crate::import::cell::Cell;
use crate::import::findings::{Cause, Findings, Place, Refusal};
use crate::import::table::{self, Row};
use crate::time::Day;

const ACCOUNTS: &str = "accounts.csv";
const PRODUCTS: &str = "products.csv";
const SALES_TEAMS: &str = "sales_teams.csv";
const SALES_PIPELINE: &str = "sales_pipeline.csv";

/// The names of the four files.
pub(super) const NAMES: [&str; 4] = [ACCOUNTS, PRODUCTS, SALES_TEAMS, SALES_PIPELINE];

/// An organisation that is sold to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) place: Place,
    pub(super) name: String,
    /// The country in words.
    pub(super) country: String,
    /// The account that it is part of.
    pub(super) parent: Option<String>,
}

/// Something that is sold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Product {
    pub(super) name: String,
    pub(super) series: String,
    pub(super) list_price_cents: i64,
}

/// Somebody who sells, for whom, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Agent {
    pub(super) name: String,
    pub(super) manager: String,
    pub(super) office: String,
}

/// An opportunity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Opportunity {
    pub(super) id: String,
    pub(super) agent: String,
    pub(super) product: String,
    pub(super) account: Option<String>,
    pub(super) stage: Stage,
    pub(super) engaged_on: Option<Day>,
    pub(super) closed_on: Option<Day>,
    pub(super) value_cents: i64,
}

/// What the four files say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SalesFiles {
    pub(super) accounts: Vec<Account>,
    pub(super) products: Vec<Product>,
    pub(super) agents: Vec<Agent>,
    pub(super) opportunities: Vec<Opportunity>,
}

/// Reads the four files of a directory. Whatever was refused or repaired is added to `findings`; after a refusal the
/// result is only good for finding more of them.
pub(super) fn read(directory: &Path, findings: &mut Findings) -> SalesFiles {
    let products = read_products(directory, findings);
    let agents = read_agents(directory, findings);
    let accounts = read_accounts(directory, findings);
    let known = Known {
        agents: Names::of(SALES_TEAMS, agents.iter().map(|agent| agent.name.as_str()), findings),
        products: Names::of(PRODUCTS, products.iter().map(|product| product.name.as_str()), findings),
        accounts: Names::of(ACCOUNTS, accounts.iter().map(|account| account.name.as_str()), findings),
    };
    let opportunities = read_opportunities(directory, &known, findings);
    SalesFiles { accounts, products, agents, opportunities }
}

fn read_products(directory: &Path, findings: &mut Findings) -> Vec<Product> {
    let rows = table::read(directory, PRODUCTS, &["product", "series", "sales_price"], findings);
    let mut seen = Seen::default();
    keep(&rows, findings, |row, _| {
        let [product, series, sales_price] = row.cells();
        Ok(Product {
            name: seen.first(product)?,
            series: series.required()?.to_owned(),
            list_price_cents: sales_price.cents()?,
        })
    })
}

fn read_agents(directory: &Path, findings: &mut Findings) -> Vec<Agent> {
    let rows = table::read(directory, SALES_TEAMS, &["sales_agent", "manager", "regional_office"], findings);
    let mut seen = Seen::default();
    keep(&rows, findings, |row, _| {
        let [sales_agent, manager, regional_office] = row.cells();
        Ok(Agent {
            name: seen.first(sales_agent)?,
            manager: manager.required()?.to_owned(),
            office: regional_office.required()?.to_owned(),
        })
    })
}

fn read_accounts(directory: &Path, findings: &mut Findings) -> Vec<Account> {
    let columns = &[
        "account",
        "sector",
        "year_established",
        "revenue",
        "employees",
        "office_location",
        "subsidiary_of",
    ];
    let rows = table::read(directory, ACCOUNTS, columns, findings);
    let mut seen = Seen::default();
    let accounts = keep(&rows, findings, |row, findings| {
        let [account, sector, year_established, revenue, employees, office_location, subsidiary_of] =
            row.cells();
        let name = seen.first(account)?;
        // The CRM has no place for these four, but a row in which they are wrong is not to be trusted with the rest.
        spelt(sector, findings).required()?;
        year_established.count()?;
        revenue.cents()?;
        employees.count()?;
        let country = spelt(office_location, findings).required()?.to_owned();
        let parent = subsidiary_of.optional().map(|cell| cell.text.to_owned());
        Ok(Account { place: row.place, name, country, parent })
    });
    let names = Names::of(ACCOUNTS, accounts.iter().map(|account| account.name.as_str()), findings);
    for row in &rows {
        // A parent may stand below its subsidiary, so that this waits until all names are known.
        let [.., subsidiary_of] = row.cells();
        if let Some(parent) = subsidiary_of.optional() {
            findings.keep(names.find(parent, Cause::UnknownAccount));
        }
    }
    accounts
}

fn read_opportunities(directory: &Path, known: &Known, findings: &mut Findings) -> Vec<Opportunity> {
    let columns = &[
        "opportunity_id",
        "sales_agent",
        "product",
        "account",
        "deal_stage",
        "engage_date",
        "close_date",
        "close_value",
    ];
    let rows = table::read(directory, SALES_PIPELINE, columns, findings);
    let mut seen = Seen::default();
    keep(&rows, findings, |row, findings| opportunity(row, known, &mut seen, findings))
}

fn opportunity(
    row: &Row<8>,
    known: &Known,
    seen: &mut Seen,
    findings: &mut Findings,
) -> Result<Opportunity, Refusal> {
    let [opportunity_id, sales_agent, product, account, deal_stage, engage_date, close_date, close_value] =
        row.cells();
    let stage = stage(deal_stage)?;
    let engaged_on = engage_date.optional().map(Cell::day).transpose()?;
    let closed_on = close_date.optional().map(Cell::day).transpose()?;
    check_days(stage, (engage_date, engaged_on), (close_date, closed_on))?;
    Ok(Opportunity {
        id: seen.first(opportunity_id)?,
        agent: known.agents.find(sales_agent, Cause::UnknownAgent)?,
        product: known.products.find(spelt(product, findings), Cause::UnknownProduct)?,
        account: account_of(stage, account, known)?,
        stage,
        engaged_on,
        closed_on,
        value_cents: value_cents(stage, close_value)?,
    })
}

fn stage(cell: Cell<'_>) -> Result<Stage, Refusal> {
    match cell.required()? {
        "Prospecting" => Ok(Stage::Prospecting),
        "Engaging" => Ok(Stage::Engaging),
        "Won" => Ok(Stage::Won),
        "Lost" => Ok(Stage::Lost),
        _ => Err(cell.refuse(Cause::UnknownStage, "write Prospecting, Engaging, Won or Lost")),
    }
}

/// An open deal may be without an account, and 1,425 of the known data are; a closed one was closed with somebody.
fn account_of(stage: Stage, cell: Cell<'_>, known: &Known) -> Result<Option<String>, Refusal> {
    match cell.optional() {
        Some(name) => known.accounts.find(name, Cause::UnknownAccount).map(Some),
        None if stage.is_closed() => {
            Err(cell.refuse(Cause::EmptyField, "a closed deal has an account: say which"))
        }
        None => Ok(None),
    }
}

fn check_days(
    stage: Stage,
    (engage_date, engaged_on): (Cell<'_>, Option<Day>),
    (close_date, closed_on): (Cell<'_>, Option<Day>),
) -> Result<(), Refusal> {
    let impossible = |cell: Cell<'_>, why: &str| Err(cell.refuse(Cause::ImpossibleDates, why));
    match (engaged_on, closed_on) {
        (None, _) if stage != Stage::Prospecting => {
            impossible(engage_date, "a deal beyond prospecting has an engage date: add it")
        }
        (_, None) if stage.is_closed() => impossible(close_date, "a closed deal has a close date: add it"),
        (_, Some(_)) if !stage.is_closed() => {
            impossible(close_date, "an open deal has none: empty it or correct the stage")
        }
        (Some(engaged), Some(closed)) if closed < engaged => impossible(
            close_date,
            &format!("the deal was engaged later, on {engaged}: correct one of the two"),
        ),
        _ => Ok(()),
    }
}

fn value_cents(stage: Stage, cell: Cell<'_>) -> Result<i64, Refusal> {
    let value_cents = cell.optional().map(Cell::cents).transpose()?;
    match (stage, value_cents) {
        (Stage::Won, None) => Err(cell.refuse(Cause::EmptyField, "a deal that was won has a value: add it")),
        (Stage::Lost, Some(1..)) => {
            Err(cell
                .refuse(Cause::ImpossibleValue, "a deal that was lost is worth 0: correct it or the stage"))
        }
        _ => Ok(value_cents.unwrap_or(0)),
    }
}

/// The field as it was meant; a repair is remembered.
fn spelt<'r>(cell: Cell<'r>, findings: &mut Findings) -> Cell<'r> {
    let Some(repair) = repair(cell) else { return cell };
    findings.repaired.push(repair);
    Cell { text: repair.to, ..cell }
}

/// What can be read of each row; what cannot is added to the findings.
fn keep<T, const N: usize>(
    rows: &[Row<N>],
    findings: &mut Findings,
    mut read: impl FnMut(&Row<N>, &mut Findings) -> Result<T, Refusal>,
) -> Vec<T> {
    let read_row = |row| {
        let outcome = read(row, findings);
        findings.keep(outcome)
    };
    rows.iter().filter_map(read_row).collect()
}

/// The names and ids of one file so far, with their lines.
#[derive(Debug, Default)]
struct Seen(HashMap<String, Place>);

impl Seen {
    /// The name, unless an earlier row has it.
    fn first(&mut self, cell: Cell<'_>) -> Result<String, Refusal> {
        let name = cell.required()?;
        if let Some(earlier) = self.0.get(name) {
            let what_to_do = format!("{earlier} has it already: remove one of the two rows, or correct it");
            return Err(cell.refuse(Cause::Duplicate, &what_to_do));
        }
        self.0.insert(name.to_owned(), cell.place);
        Ok(name.to_owned())
    }
}

/// What an opportunity may refer to.
#[derive(Debug)]
struct Known {
    agents: Names,
    products: Names,
    accounts: Names,
}

/// The names that a file defines.
#[derive(Debug)]
struct Names {
    file: &'static str,
    /// `None` when some of the file's rows were refused: then nobody can tell a wrong name from a missing row.
    names: Option<HashSet<String>>,
}

impl Names {
    fn of<'n>(file: &'static str, names: impl Iterator<Item = &'n str>, findings: &Findings) -> Self {
        let trusted = !findings.refused_in(file);
        Self { file, names: trusted.then(|| names.map(str::to_owned).collect()) }
    }

    /// The name that a field refers to, if the file defines it.
    fn find(&self, cell: Cell<'_>, unknown: Cause) -> Result<String, Refusal> {
        let name = cell.required()?;
        match &self.names {
            Some(names) if !names.contains(name) => {
                let what_to_do = format!("{} has no such row: correct the name, or add the row", self.file);
                Err(cell.refuse(unknown, &what_to_do))
            }
            _ => Ok(name.to_owned()),
        }
    }
}
