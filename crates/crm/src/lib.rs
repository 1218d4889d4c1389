//! A CRM back end whose every read goes through `larder` by a declared policy.
//!
//! Organised by domain, in foreign-key order: [`companies`], [`users`], [`access`], [`contacts`], [`products`], [`deals`],
//! [`analytics`]. Each has the same rooms: `model` (types and rules), `cache` (policy), `store` (SQL), `actions` (the verbs)
//! and `routes` (HTTP). A domain uses only those before it.

// Ground floor: what all domains stand on.
pub mod app;
pub mod caller;
pub mod checks;
pub mod config;
pub mod database;
pub mod edit;
pub mod error;
pub mod history;
pub mod http;
pub mod lock;
pub mod page;
pub mod password;
pub mod time;
pub mod trail;
pub mod words;
pub mod written;

// The domains.
pub mod access;
pub mod activities;
pub mod analytics;
pub mod audit;
pub mod companies;
pub mod contacts;
pub mod deals;
pub mod products;
pub mod users;

// On top.
pub mod backup;
pub mod cli;
pub mod demo;
pub mod import;
pub mod server;
pub mod warm;
pub mod web;
