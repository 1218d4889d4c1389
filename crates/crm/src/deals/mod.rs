//! Deals: what a company hopes to sell, sells and fails to sell. A deal moves through stages by rules of its own.

mod model;
mod store;

pub use model::{Deal, DealEdit, DealId, DealQuery, DealSort, DealView, Move, Named, NewDeal, Stage};
pub use store::{by_external_id, company_of, delete, find, insert, page, save, view};
