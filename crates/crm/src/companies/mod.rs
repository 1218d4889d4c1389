//! Companies: the tenants. Everything else belongs to exactly one of them; the countries they are in are kept here too.

mod actions;
mod cache;
mod model;
mod routes;
mod store;

pub use actions::{get, load, require};
pub use cache::{COMPANIES, COMPANY, COUNTRIES, details_of, register};
pub use model::{
    Company, CompanyEdit, CompanyQuery, CompanySort, Country, NewCompany, Settings, SettingsEdit,
};
pub use routes::router;
pub use store::{by_external_id, countries, find, ids, insert, known_country, named, page, save};
