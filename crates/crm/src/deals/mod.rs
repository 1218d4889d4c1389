//! Deals: what a company hopes to sell, sells and fails to sell. A deal moves through stages by rules of its own.

mod actions;
mod cache;
mod model;
mod routes;
mod store;

pub use actions::{create, delete as remove, get, list, step, update, within};
pub use cache::{DEAL, DEALS, deals_of, deals_owned_by, register};
pub use model::{
    Deal, DealEdit, DealId, DealQuery, DealSort, DealView, HandOver, HandedOver, Move, Named, NewDeal, Stage,
};
pub use routes::{query, router};
pub use store::{by_external_id, company_of, delete, find, hand_over, insert, page, save, view};
