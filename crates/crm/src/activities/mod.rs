//! Activities: what was said and agreed about deals and contacts, and what is still to be done.

mod actions;
mod cache;
mod model;
mod routes;
mod store;

pub use actions::{create, delete, get, list, update};
pub use cache::{ACTIVITIES, ACTIVITY, register};
pub use model::{Activity, ActivityEdit, ActivityId, ActivityKind, ActivityQuery, NewActivity, Subject};
pub use routes::router;
