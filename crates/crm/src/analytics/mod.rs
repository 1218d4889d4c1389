//! Analytics: what the deals of a company add up to: its pipeline, its months, its users, its dashboard.

mod actions;
mod cache;
mod model;
mod routes;
mod store;

pub use actions::{dashboard, load_pipeline, monthly, pipeline, refresh, run_if_due};
pub use cache::{DASHBOARD, MONTHLY, PIPELINE, USER_STATS, register};
pub use model::{Dashboard, MAX_MONTHS, Month, Monthly, Pipeline, Ranked, Results, StageSum, UserStats};
pub use routes::router;
