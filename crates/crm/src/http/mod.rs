//! HTTP as all domains speak it: what requests carry, how answers and refusals look, and the edge around the routes.

pub mod answer;
pub mod client;
pub(crate) mod cookies;
pub mod edge;
pub mod health;
mod origin;
pub mod params;
pub mod problem;
pub mod request;
