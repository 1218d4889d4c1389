//! Products: the price list, reference data that all companies share.

mod model;
mod store;

pub use model::{NewProduct, Product, ProductEdit, ProductId};
pub use store::{all, by_external_id, find, insert, save};
