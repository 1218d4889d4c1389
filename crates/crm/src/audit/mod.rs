//! Audit: the trail of changes, for those who answer for a company.

mod actions;
mod model;
mod routes;
mod store;

pub use model::{Entry, EntryQuery};
pub use routes::router;
