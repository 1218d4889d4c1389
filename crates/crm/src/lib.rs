//! A CRM back end whose every read goes through `larder` by a declared policy.
//!
//! Organised by domain, in foreign-key order: [`companies`], [`users`], [`contacts`], [`products`], [`deals`]. Each has
//! the same rooms: `model` (types and rules), `store` (SQL), and what stands on them. A domain uses only those before it.

// Ground floor: what all domains stand on.
pub mod app;
pub mod body;
pub mod checks;
pub mod config;
pub mod database;
pub mod edit;
pub mod error;
pub mod http;
pub mod lock;
pub mod page;
pub mod time;
pub mod words;
pub mod written;

// The domains.
pub mod companies;
pub mod contacts;
pub mod deals;
pub mod products;
pub mod users;

// On top: what brings rows into the domains.
pub mod import;
