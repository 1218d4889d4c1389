//! Companies: the tenants. Everything else belongs to exactly one of them; the countries they are in are kept here too.

mod model;
mod store;

pub use model::{
    Company, CompanyEdit, CompanyId, CompanyQuery, CompanySort, Country, NewCompany, Settings, SettingsEdit,
};
pub use store::{by_external_id, countries, find, ids, insert, known_country, page, save};
