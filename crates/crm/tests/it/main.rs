//! The behaviour of the application, one file per domain.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod import_refused;
mod import_sales;
mod import_served;
mod importing;
mod stores;
