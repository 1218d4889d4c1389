//! Users: the people of a company who own its deals and will sign in.

mod model;
mod store;

pub use model::{Active, NewUser, Role, User, UserEdit, UserId, UserQuery, UserSort};
pub use store::{by_external_id, count_active, delete, find, insert, page, save};
