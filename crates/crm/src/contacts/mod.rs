//! Contacts: the people and organisations that a company does business with.

mod actions;
mod cache;
mod model;
mod routes;
mod store;

pub use actions::{create, delete as remove, get, list, update, within};
pub use cache::{CONTACT, CONTACTS, contacts_of, register};
pub use model::{Contact, ContactEdit, ContactId, ContactKind, ContactQuery, ContactSort, NewContact};
pub use routes::{query, router};
pub use store::{by_external_id, count, delete, find, hand_over, has_twin, insert, page, save};
