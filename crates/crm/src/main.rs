//! A CRM back end.

fn main() {}
