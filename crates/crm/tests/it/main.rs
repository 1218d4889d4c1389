//! The behaviour of the application, through its HTTP and its commands.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod analytics;
mod companies;
mod contacts;
mod deals;
mod faults;
mod freshness;
mod ground;
mod http;
mod import_refused;
mod import_sales;
mod import_served;
mod importing;
mod process;
mod readme;
mod redis;
mod restarts;
mod running;
mod sharing;
mod stores;
mod users;
mod warm;
mod writes;
