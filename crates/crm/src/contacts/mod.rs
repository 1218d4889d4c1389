//! Contacts: the people and organisations that a company does business with.

pub mod model;
pub mod store;

pub use model::{Contact, ContactEdit, ContactId, ContactKind, ContactQuery, ContactSort, NewContact};
