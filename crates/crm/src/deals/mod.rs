//! Deals: what a company hopes to sell, sells and fails to sell. A deal moves through stages by rules of its own.

pub mod model;
pub mod store;

pub use model::{Deal, DealEdit, DealId, DealQuery, DealSort, DealView, Move, Named, NewDeal, Stage};
