//! The behaviour of the application, one file per domain.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod stores;
