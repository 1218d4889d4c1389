//! Products: the price list, reference data that all companies share.

mod actions;
mod cache;
mod model;
mod routes;
mod store;

pub use actions::list;
pub use cache::{PRODUCTS, any_product, register};
pub use model::{NewProduct, Product, ProductEdit, ProductId};
pub use routes::router;
pub use store::{all, by_external_id, find, insert, save};
