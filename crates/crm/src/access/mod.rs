//! Access: how users sign in and programs act for them, and how all of it is ended.

mod actions;
mod cache;
mod model;
mod routes;
mod store;

pub use actions::{ERRAND, Home, add_user, issue, operator_token, set_password};
pub use cache::{SESSION, register};
pub use model::{
    Credential, MadePassword, MadeToken, Me, NewToken, PasswordChange, PasswordKind, Session, SessionKind,
    SessionRow, SessionView, SignIn,
};
pub use routes::{choose_password, guard, router, sign_in, sign_out};
pub use store::{count_demo_passwords, end_all, insert_password};
