//! Companies: the tenants. Everything else belongs to exactly one of them; the countries they are in are kept here too.

pub mod model;
pub mod store;

pub use model::{Company, CompanyEdit, CompanyId, CompanyQuery, CompanySort, Country, NewCompany};
