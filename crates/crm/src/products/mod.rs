//! Products: the price list, reference data that all companies share.

pub mod model;
pub mod store;

pub use model::{NewProduct, Product, ProductEdit, ProductId};
