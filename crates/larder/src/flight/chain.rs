//! Which flights the current task is loading for, so that a loader that asks for its own key does not wait for itself.

use std::future::Future;
use std::sync::Arc;

use super::FlightId;

tokio::task_local! {
    static LOADING: Arc<Loading>;
}

/// The flights of one load, and the load within which it runs.
#[derive(Debug)]
struct Loading {
    flights: Vec<FlightId>,
    within: Option<Arc<Loading>>,
}

/// Runs a load, remembering which flights it is for. What the load hands to other tasks does not know of it; waiting for a
/// flight is therefore also bounded in time.
pub(crate) async fn while_loading<F: Future>(flights: Vec<FlightId>, load: F) -> F::Output {
    let within = LOADING.try_with(Arc::clone).ok();
    LOADING.scope(Arc::new(Loading { flights, within }), load).await
}

/// Whether this task runs within the load of that flight.
pub(crate) fn is_loading(flight: &FlightId) -> bool {
    LOADING
        .try_with(|innermost| {
            let mut loading = Some(innermost);
            while let Some(there) = loading {
                if there.flights.contains(flight) {
                    return true;
                }
                loading = there.within.as_ref();
            }
            false
        })
        .unwrap_or(false)
}
