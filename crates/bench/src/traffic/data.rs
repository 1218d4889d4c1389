//! The data that all subjects are asked about, and how the load knows its way in it.

use crm::config::{Layer, Settings};
use crm::database::Database;
use sqlx::{Connection, PgConnection, Row};
use testkit::postgres::PostgresServer;

use crate::Failure;

/// Companies, numbered from 1; the largest first.
pub(super) const COMPANIES: u32 = 200;

/// Users of one company.
pub(super) const USERS_OF_COMPANY: u32 = 10;

/// Deals that are read and changed, of 100,000: as many as the reference's mix has.
pub(super) const DEALS: u32 = 3_000;

/// Pages of a company's deals that are read.
pub(super) const PAGES: u32 = 5;

/// Deals of a page: as many as the reference has.
pub(super) const PER_PAGE: u32 = 20;

/// What the names of ids stand for, as in data.sql.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Company = 1,
    Deal = 6,
}

/// The id of a row in the CRM.
pub(super) fn id(of: Of, number: u32) -> String {
    format!("0190d000-0000-7000-8{:03}-{number:012x}", of as u32)
}

/// The number of a row of this kind, by its id.
pub(super) fn number(of: Of, id: &str) -> Option<u32> {
    let kind = format!("0190d000-0000-7000-8{:03}-", of as u32);
    u32::from_str_radix(id.strip_prefix(&kind)?, 16).ok()
}

/// What the load knows of the data.
#[derive(Clone, Debug)]
pub(super) struct World {
    /// What each user shows: the bearer tokens, from the first user on.
    pub(super) tokens: Vec<String>,
    /// The deals that are asked for, from the first on.
    pub(super) deals: Vec<Deal>,
}

/// What is known of a deal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deal {
    /// Whose it is.
    pub(super) company: u32,
    /// Whether it is won or lost.
    pub(super) is_closed: bool,
}

impl World {
    /// A user of a company; the first of its ten may change everything of it.
    pub(super) fn user(company: u32, of_company: u32) -> u32 {
        company + COMPANIES * of_company
    }

    /// What a user shows.
    pub(super) fn token(&self, user: u32) -> &str {
        self.tokens.get(user as usize - 1).map_or("", String::as_str)
    }

    /// What is known of a deal.
    pub(super) fn deal(&self, deal: u32) -> Deal {
        self.deals[deal as usize - 1]
    }
}

/// Fills a new database of the CRM, and answers its URL with what the load has to know of it.
pub(super) async fn make(postgres: &PostgresServer) -> Result<(String, World), Failure> {
    let url = postgres.database().await;
    let layer = Layer { database_url: Some(url.clone().into()), ..Layer::default() };
    let settings = Settings::of(layer, Layer::default())?;
    Database::open(&settings.database_url).await?.close().await;
    let mut connection = PgConnection::connect(&url).await?;
    sqlx::raw_sql(include_str!("data.sql")).execute(&mut connection).await?;
    sqlx::raw_sql("VACUUM ANALYZE").execute(&mut connection).await?;
    let world = World { tokens: tokens(&mut connection).await?, deals: deals(&mut connection).await? };
    connection.close().await?; // the database is to be copied, which it cannot be with others in it
    Ok((url, world))
}

async fn tokens(connection: &mut PgConnection) -> Result<Vec<String>, Failure> {
    let sql = "SELECT bench_token(number) FROM generate_series(1, $1) number ORDER BY number";
    let users = i64::from(COMPANIES * USERS_OF_COMPANY);
    Ok(sqlx::query_scalar(sql).bind(users).fetch_all(connection).await?)
}

async fn deals(connection: &mut PgConnection) -> Result<Vec<Deal>, Failure> {
    let sql = "SELECT company_id, stage FROM deals WHERE id <= $1 ORDER BY id";
    let rows = sqlx::query(sql).bind(id(Of::Deal, DEALS)).fetch_all(connection).await?;
    let deal = |row: &sqlx::postgres::PgRow| {
        let (company, stage): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let company = number(Of::Company, &company).ok_or("a deal has a company of another kind")?;
        Ok::<_, Failure>(Deal { company, is_closed: ["won", "lost"].contains(&stage.as_str()) })
    };
    let deals: Vec<Deal> = rows.iter().map(deal).collect::<Result<_, _>>()?;
    if deals.len() != DEALS as usize {
        return Err(format!("there are {} deals to be asked for, not {DEALS}", deals.len()).into());
    }
    Ok(deals)
}

/// A copy of a database in which nobody is, and its URL.
pub(super) async fn copy(postgres: &PostgresServer, url: &str, name: &str) -> Result<String, Failure> {
    let (server, from) = url.rsplit_once('/').ok_or("a URL of a database ends with its name")?;
    postgres.sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE {from}")).await;
    Ok(format!("{server}/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_made_of_numbers_and_read_back() {
        let id = id(Of::Deal, 3_000);
        assert_eq!(id, "0190d000-0000-7000-8006-000000000bb8");
        assert_eq!(number(Of::Deal, &id), Some(3_000));
        assert_eq!(number(Of::Company, &id), None);
    }

    #[test]
    fn a_user_of_a_company_is_one_of_its_ten() {
        let users: Vec<u32> = (0..USERS_OF_COMPANY).map(|of_company| World::user(7, of_company)).collect();
        // As data.sql has it: user i is of company 1 + (i - 1) % 200.
        assert!(users.iter().all(|user| 1 + (user - 1) % COMPANIES == 7));
        assert_eq!((users[0], users[9]), (7, 1_807));
    }
}
