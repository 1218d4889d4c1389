//! The behaviour of the library, through its public API.

mod allocations;
mod flights;
mod races;
mod replay;
mod tagged;
mod weight;
