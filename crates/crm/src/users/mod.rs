//! Users: the people of a company who own its deals and will sign in.

mod actions;
mod cache;
mod model;
mod routes;
mod store;

pub use actions::{check_owner, list, within};
pub use cache::{USER, USERS, access_of, register, users_of};
pub use model::{Active, NewUser, User, UserEdit, UserQuery, UserSort};
pub use routes::router;
pub use store::{by_external_id, count_active, delete, find, insert, page, require, save};
