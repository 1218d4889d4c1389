//! HTTP as all domains speak it: what requests carry, how answers and refusals look, and the edge around the routes.

pub mod answer;
pub mod api;
pub mod csv;
pub mod edge;
pub mod health;
pub mod params;
pub mod problem;
pub mod request;
pub(crate) mod serving;
