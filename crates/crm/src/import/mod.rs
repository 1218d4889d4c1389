//! Imports: data of other systems becomes rows of the domains. Whole or not at all, and never by guessing: what is known
//! to be misspelt is repaired and reported, anything else that is wrong refuses the import with its file and line.

mod cell;
pub mod contacts;
mod findings;
mod progress;
pub mod sales;
mod table;

pub use progress::Audience;
