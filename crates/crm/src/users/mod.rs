//! Users: the people of a company who own its deals and will sign in.

mod actions;
mod cache;
mod model;
mod routes;
mod store;

pub use actions::company_of;
pub use cache::{USER, USERS, register, users_of};
pub use model::{Active, NewUser, Role, User, UserEdit, UserId, UserQuery, UserSort};
pub use routes::router;
pub use store::{by_external_id, count_active, delete, find, insert, page, save};
