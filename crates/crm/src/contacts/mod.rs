//! Contacts: the people and organisations that a company does business with.

mod model;
mod store;

pub use model::{Contact, ContactEdit, ContactId, ContactKind, ContactQuery, ContactSort, NewContact};
pub use store::{by_external_id, count, delete, find, insert, page, save};
