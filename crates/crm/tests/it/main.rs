//! The behaviour of the application, through its HTTP and its commands.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

/// The one test command runs all of these on SQLite, and by this name once more on PostgreSQL.
#[path = "."]
mod on_a_database {
    pub(crate) mod access;
    pub(crate) mod activities;
    pub(crate) mod analytics;
    pub(crate) mod backups;
    pub(crate) mod browser;
    pub(crate) mod companies;
    pub(crate) mod contacts;
    pub(crate) mod deals;
    pub(crate) mod edge;
    pub(crate) mod exports;
    pub(crate) mod faults;
    pub(crate) mod freshness;
    pub(crate) mod ground;
    pub(crate) mod http;
    pub(crate) mod import_contacts;
    pub(crate) mod import_refused;
    pub(crate) mod import_sales;
    pub(crate) mod import_served;
    pub(crate) mod importing;
    pub(crate) mod limits;
    pub(crate) mod openapi;
    pub(crate) mod pages;
    pub(crate) mod pages_seen;
    pub(crate) mod process;
    pub(crate) mod readme;
    pub(crate) mod redis;
    pub(crate) mod restarts;
    pub(crate) mod roles;
    pub(crate) mod running;
    pub(crate) mod schemathesis;
    pub(crate) mod sharing;
    pub(crate) mod stores;
    pub(crate) mod tenancy;
    pub(crate) mod users;
    pub(crate) mod warm;
    pub(crate) mod writes;
}

use on_a_database::{browser, ground, http, importing, openapi, process, redis, running};
