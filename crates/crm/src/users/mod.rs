//! Users: the people of a company who own its deals and will sign in.

pub mod model;
pub mod store;

pub use model::{Active, NewUser, Role, User, UserEdit, UserId, UserQuery, UserSort};
