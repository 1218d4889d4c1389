//! The behaviour of the library, through its public API.

mod flights;
mod races;
mod tagged;
